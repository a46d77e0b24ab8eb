//! Time that passes when a test says so.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Two clocks under a test's control, in nanoseconds: one that only moves forward, and a wall clock that may jump.
#[derive(Debug, Default)]
pub struct VirtualTime {
    monotonic_ns: AtomicU64,
    wall_ns: AtomicU64,
}

impl VirtualTime {
    /// A monotonic clock at zero, and a wall clock at `wall_ns` since the Unix epoch.
    #[must_use]
    pub const fn new(wall_ns: u64) -> Self {
        Self { monotonic_ns: AtomicU64::new(0), wall_ns: AtomicU64::new(wall_ns) }
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        for clock in [&self.monotonic_ns, &self.wall_ns] {
            clock.update(Ordering::AcqRel, Ordering::Acquire, |now| now.saturating_add(ns));
        }
    }

    /// Sets the wall clock, as an administrator or a time server might: also backwards.
    pub fn set_wall(&self, ns: u64) {
        self.wall_ns.store(ns, Ordering::Release);
    }

    /// Nanoseconds that passed since [`new`](Self::new). Never runs backwards.
    #[must_use]
    pub fn monotonic_ns(&self) -> u64 {
        self.monotonic_ns.load(Ordering::Acquire)
    }

    /// Nanoseconds since the Unix epoch, as the wall clock has it.
    #[must_use]
    pub fn wall_ns(&self) -> u64 {
        self.wall_ns.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::VirtualTime;

    #[test]
    fn only_the_wall_clock_jumps() {
        let time = VirtualTime::new(1_000);
        time.advance(Duration::from_nanos(5));
        assert_eq!((time.monotonic_ns(), time.wall_ns()), (5, 1_005));
        time.set_wall(3);
        time.advance(Duration::from_nanos(1));
        assert_eq!((time.monotonic_ns(), time.wall_ns()), (6, 4));
        time.advance(Duration::MAX);
        assert_eq!(time.monotonic_ns(), u64::MAX);
    }
}
