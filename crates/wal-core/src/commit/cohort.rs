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
    /// Returns when nobody need wait any more, or, with `true`, when the calling thread is to lead. Sleeps when giving
    /// way to others did not help.
    pub(super) fn sleep(&self, yielding: &AdaptiveYield, now: impl Fn() -> Duration) -> bool {
        yielding.wait(|| self.0.load() != WAITS, now);
        loop {
            match self.0.load() {
                OVER => return false,
                CALLS if self.0.replace(CALLS, WAITS) => return true,
                _ => self.0.sleep(WAITS),
            }
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
