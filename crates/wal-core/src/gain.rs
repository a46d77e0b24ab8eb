//! Whether compressing has been worth it lately: where it was not, it is left out for a while.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// After so many failures in a row, the pause does not grow any more: 256 times what was tried.
const FAILURES_MAX: u32 = 8;
/// The longest pause, in raw bytes.
const PAUSE_MAX: u64 = 4 << 20;

/// Remembers failures. Threads may overtake one another: a pause then is a little shorter or longer.
#[derive(Debug, Default)]
pub(crate) struct Gain {
    failures: AtomicU32,
    /// So many raw bytes are not tried.
    pause: AtomicU64,
}

impl Gain {
    /// Whether the next data is not to be tried.
    #[inline]
    pub(crate) fn pauses(&self) -> bool {
        self.pause.load(Ordering::Relaxed) > 0
    }

    /// Whether the last try gained nothing: the next should be a small one.
    pub(crate) fn is_wary(&self) -> bool {
        self.failures.load(Ordering::Relaxed) > 0
    }

    /// Data of this length was stored without being tried.
    pub(crate) fn passed(&self, len: usize) {
        let left = self.pause.load(Ordering::Relaxed);
        self.pause.store(left.saturating_sub(len as u64), Ordering::Relaxed);
    }

    /// Data of this length was tried, and gained or did not.
    pub(crate) fn tried(&self, len: usize, gained: bool) {
        let failures = if gained { 0 } else { self.failures.load(Ordering::Relaxed) + 1 };
        self.failures.store(failures.min(FAILURES_MAX), Ordering::Relaxed);
        let pause = if gained { 0 } else { (len as u64) << failures.min(FAILURES_MAX) };
        self.pause.store(pause.min(PAUSE_MAX), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends pieces of this length, and says how many were tried.
    fn tried(gain: &Gain, pieces: u32, gains: bool) -> u32 {
        let mut tried = 0;
        for _ in 0..pieces {
            if gain.pauses() {
                gain.passed(1000);
            } else {
                gain.tried(1000, gains);
                tried += 1;
            }
        }
        tried
    }

    #[test]
    fn what_gains_nothing_is_tried_less_and_less() {
        let gain = Gain::default();
        assert_eq!(tried(&gain, 1000, true), 1000);
        assert!(!gain.is_wary());
        assert!((8..12).contains(&tried(&gain, 1000, false)));
        assert!(gain.is_wary());
        assert!((700..1000).contains(&tried(&gain, 1000, true)), "one success is enough");
    }
}
