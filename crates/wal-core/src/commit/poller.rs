//! Futures that wait for a tick.

use std::{sync::Arc, task::Waker};

use super::{Commit, CommitQueue, Notify};
use crate::{marks::Tick, sync::Mutex};

/// Whom to wake: registered with the first poll, changed with every later one.
#[derive(Debug)]
pub(crate) struct Poller(Option<Arc<Mutex<Waker>>>);

impl Poller {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Whether `tick` is durable, or nothing will be any more. When neither is so, `waker` is woken once it is. The
    /// first time `ask` is called, to start a sync.
    pub(crate) fn poll<C: Commit>(
        &mut self,
        queue: &CommitQueue,
        log: &C,
        tick: Tick,
        waker: &Waker,
        ask: impl FnOnce(),
    ) -> bool {
        let is_over = || log.durable() >= tick || log.failure().is_some();
        if is_over() {
            return true;
        }
        match &self.0 {
            Some(known) => known.lock().clone_from(waker),
            None => {
                let known = Arc::new(Mutex::new(waker.clone()));
                self.0 = Some(Arc::clone(&known));
                let wake = move || {
                    // Not under the lock: the task may be polled on the spot.
                    let waker = known.lock().clone();
                    waker.wake();
                };
                queue.notify(log, tick, Notify::Call(Box::new(wake)));
                ask();
            }
        }
        // It may have become so, or have failed, while the waker was changed: then the one before was woken.
        is_over()
    }
}
