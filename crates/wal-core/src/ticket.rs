//! Waiting for an append that has already returned.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use snafu::ResultExt;
use wal_format::Lsn;

use crate::{
    LogError,
    append::Stamped,
    commit::{Commit, Notify, Poller},
    engine::Engine,
    error::UnconfirmedSnafu,
};

/// The promise of an append that was submitted: its entries have their LSNs and can be read; they are durable when the
/// ticket says so.
///
/// Wait with [`wait`](Self::wait) or [`wait_timeout`](Self::wait_timeout), ask with [`is_durable`](Self::is_durable),
/// be called with [`on_durable`](Self::on_durable), or `.await` it: it is a future that needs no particular runtime.
/// Dropping it cancels nothing.
#[derive(Debug)]
#[must_use = "a submitted entry is not durable before its ticket says so"]
pub struct Ticket {
    engine: Arc<Engine>,
    stamped: Stamped,
    poller: Poller,
}

impl Clone for Ticket {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.engine), self.stamped)
    }
}

impl Ticket {
    pub(crate) const fn new(engine: Arc<Engine>, stamped: Stamped) -> Self {
        Self { engine, stamped, poller: Poller::new() }
    }

    /// LSN of the first entry.
    #[must_use]
    pub const fn lsn(&self) -> Lsn {
        self.stamped.first
    }

    /// LSN of the last entry.
    #[must_use]
    pub const fn last_lsn(&self) -> Lsn {
        self.stamped.last
    }

    /// Whether the entries survive power loss.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.engine.durable() >= self.stamped.tick
    }

    /// Returns when the entries are durable. The caller may find itself doing the sync, for itself and others.
    ///
    /// # Errors
    ///
    /// [`LogError::Unconfirmed`] when that cannot be had; the cause is inside.
    pub fn wait(&self) -> Result<(), LogError> {
        self.confirm(self.engine.commit.wait(&*self.engine, self.stamped.tick))
    }

    /// Returns `true` when the entries are durable, `false` when that took longer than `timeout`. Another thread does
    /// the sync.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, LogError> {
        let Self { engine, stamped, .. } = self;
        let waited = engine.commit.wait_timeout(&**engine, stamped.tick, timeout, || engine.ask_for_sync());
        if waited { self.outcome().map(|()| true) } else { Ok(false) }
    }

    /// Calls `call` once: when the entries are durable, or when it is certain that this process will not make them so.
    /// It is called at once when that is so already, else by whichever thread did the sync: it must not block.
    pub fn on_durable(&self, call: impl FnOnce(Result<(), LogError>) + Send + 'static) {
        let ticket = self.clone();
        self.notify(Notify::Call(Box::new(move || call(ticket.outcome()))));
    }

    fn notify(&self, notify: Notify) {
        self.engine.commit.notify(&*self.engine, self.stamped.tick, notify);
        if !self.is_durable() {
            self.engine.ask_for_sync();
        }
    }

    /// What is certain once a notification came.
    fn outcome(&self) -> Result<(), LogError> {
        if self.is_durable() {
            return Ok(());
        }
        self.confirm(Err(self.engine.failure().unwrap_or(LogError::Closed)))
    }

    fn confirm(&self, result: Result<(), LogError>) -> Result<(), LogError> {
        result.context(UnconfirmedSnafu { first: self.stamped.first, last: self.stamped.last })
    }
}

impl Future for Ticket {
    type Output = Result<(), LogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { engine, stamped, poller } = &mut *self;
        let ask = || engine.ask_for_sync();
        let over = poller.poll(&engine.commit, &**engine, stamped.tick, context.waker(), ask);
        if over { Poll::Ready(self.outcome()) } else { Poll::Pending }
    }
}
