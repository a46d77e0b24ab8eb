//! Closing a log: when the last handle goes, on demand, and on demand with a deadline.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    Log, LogError,
    driver::{Driver, close_elsewhere},
    engine::Engine,
    error::TimedOutSnafu,
    outcome::Outcome,
};

/// What the handles of a log share; its threads hold only the engine.
#[derive(Debug)]
pub(crate) struct Handle {
    engine: Arc<Engine>,
    /// Where to hear how closing went, once a thread of its own does it.
    closing: Mutex<Option<Arc<Outcome>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Who gave closing a deadline does not want to wait for it now.
        if self.closing.lock().is_none() {
            let _ = self.engine.finish();
        }
    }
}

impl Handle {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, closing: Mutex::new(None) }
    }

    pub(crate) const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

impl Engine {
    /// Closes the log, ends its threads and lets another writer have it.
    pub(crate) fn finish(&self) -> Result<(), LogError> {
        if let Some(tier) = &self.tier {
            tier.stop();
        }
        // A storage that panics must not keep the threads and the lock.
        let closed = catch_unwind(AssertUnwindSafe(|| self.close()));
        self.end_packing();
        Driver::stop_all(self);
        if self.tier.is_some() {
            // Whoever ships may be in the middle of a note. Under the lock it finds that the log is closed.
            drop(self.admin.lock());
        }
        self.unlock();
        closed.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Log {
    /// Closes the log: everything appended is durable, and the next open finds a clean end. Doing it again does
    /// nothing. Appending afterwards is an error; what was read stays valid.
    ///
    /// # Errors
    ///
    /// Those of [`sync`](Self::sync). The log is closed all the same.
    pub fn close(&self) -> Result<(), LogError> {
        self.engine().finish()
    }

    /// Closes the log as [`close`](Self::close) does, and waits no longer than this. A thread of its own does it, and
    /// goes on when the time is over: another call waits for it again, and dropping the log does not wait.
    ///
    /// Only the first call that hears of the end hears of an error that closing met.
    ///
    /// # Errors
    ///
    /// [`LogError::TimedOut`] when the log is not closed yet: it still has its lock, and what was appended may not be
    /// durable. Otherwise those of [`close`](Self::close).
    pub fn close_timeout(&self, timeout: Duration) -> Result<(), LogError> {
        let outcome = {
            let mut closing = self.handle().closing.lock();
            match &*closing {
                Some(outcome) => Arc::clone(outcome),
                None => Arc::clone(closing.insert(close_elsewhere(Arc::clone(self.engine()))?)),
            }
        };
        outcome.wait(timeout).unwrap_or_else(|| TimedOutSnafu { operation: "close the log" }.fail())
    }
}
