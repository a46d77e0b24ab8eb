//! Threads that wait for the same round sleep on one word, and take no lock when it is over.

use std::time::Duration;

use super::{adaptive_yield::AdaptiveYield, futex::Futex};

/// Everybody waits.
const WAITS: u32 = 0;
/// One of them is to lead: the first who sees it.
const CALLS: u32 = 1;
/// Nobody need wait any more.
const OVER: u32 = 2;

#[derive(Debug, Default)]
pub(super) struct Cohort(Futex);

impl Cohort {
    /// Gives way to others where that may be enough, and returns what [`sleep`](Self::sleep) would if it was.
    pub(super) fn give_way(&self, yielding: &AdaptiveYield, now: impl Fn() -> Duration) -> Option<bool> {
        yielding.wait(|| self.look(), now)
    }

    /// Returns when nobody need wait any more, or, with `true`, when the calling thread is to lead.
    pub(super) fn sleep(&self) -> bool {
        loop {
            if let Some(is_called) = self.look() {
                return is_called;
            }
            self.0.sleep(WAITS);
        }
    }

    /// Whether the calling thread is to lead; `None` while it waits.
    fn look(&self) -> Option<bool> {
        match self.0.load() {
            OVER => Some(false),
            CALLS if self.0.replace(CALLS, WAITS) => Some(true),
            _ => None,
        }
    }

    /// Calls one of them to lead, unless all of them are told that it is over.
    pub(super) fn call(&self) {
        if self.0.replace(WAITS, CALLS) {
            self.0.wake_one();
        }
    }

    pub(super) fn end(&self) {
        self.0.store(OVER);
        self.0.wake_all();
    }
}
