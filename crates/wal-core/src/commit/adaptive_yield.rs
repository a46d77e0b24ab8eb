//! Whether those who wait give way to other threads for a moment before they sleep.
//!
//! To put a thread to sleep and to wake it takes the kernel several microseconds of a processor, and the wake-ups of a
//! round come one after the other. Where many threads share few cores a sync ends before each of them has given way
//! a dozen times: then nobody need be woken. Where it does not, because threads are
//! few, cores are many or the device is slow, they sleep at once, and one round in many finds out whether that is still
//! so. `docs/adr/0023`.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::sync::thread;

/// So often a thread gives way at most: as long as putting it to sleep and waking it would take, or a little longer.
/// A model's threads sleep at once: nothing but when they look depends on this.
const TIMES: u32 = if cfg!(all(test, loom)) { 0 } else { 24 };
/// What is counted for one who has to sleep all the same.
const IN_VAIN: u32 = 2 * TIMES;
/// A thread that is away for so long has given way to others than those who wait.
const AWAY: Duration = Duration::from_millis(1);
/// One round in so many is one in which everybody tries.
const TRIAL: u32 = 1024;
const UNIT: u32 = 16;

#[derive(Debug)]
pub(super) struct AdaptiveYield {
    /// How often threads gave way until their round was over, on average, in sixteenths.
    needed: AtomicU32,
    rounds: AtomicU32,
}

impl Default for AdaptiveYield {
    /// The first who wait try: a log has no company in its first rounds, and a trial there would find out nothing.
    fn default() -> Self {
        Self { needed: AtomicU32::new(TIMES * UNIT), rounds: AtomicU32::new(0) }
    }
}

impl AdaptiveYield {
    /// Gives way until `look` returns something, or as often as it may be worth.
    pub(super) fn wait<T>(&self, look: impl Fn() -> Option<T>, now: impl Fn() -> Duration) -> Option<T> {
        if TIMES == 0 || !self.pays() {
            return None;
        }
        let mut before = now();
        for times in 1..=TIMES {
            thread::yield_now();
            let time = now();
            if time.saturating_sub(before) > AWAY {
                self.learn(4 * IN_VAIN);
                return None;
            }
            let seen = look();
            if seen.is_some() {
                self.learn(times);
                return seen;
            }
            before = time;
        }
        self.learn(IN_VAIN);
        None
    }

    /// Takes note that a round is over. Called by one thread at a time.
    pub(super) fn end_round(&self) {
        self.rounds.store(self.rounds.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    fn pays(&self) -> bool {
        let is_trial = self.rounds.load(Ordering::Relaxed).is_multiple_of(TRIAL);
        is_trial || self.needed.load(Ordering::Relaxed) <= TIMES * UNIT
    }

    /// Threads that learn at once may forget what another one learned.
    fn learn(&self, times: u32) {
        let average = self.needed.load(Ordering::Relaxed);
        self.needed.store(average - average / 4 + times * UNIT / 4, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How often a thread gives way that waits until it has done so `needed` times, with `step` from one to the next.
    fn tries(yielding: &AdaptiveYield, needed: u32, step: Duration) -> u32 {
        let (times, clock) = (Cell::new(0), Cell::new(Duration::ZERO));
        let look = || {
            times.set(times.get() + 1);
            (times.get() == needed).then_some(())
        };
        let now = || {
            clock.set(clock.get() + step);
            clock.get()
        };
        let seen = yielding.wait(look, now);
        assert_eq!(seen.is_some(), times.get() == needed);
        times.get()
    }

    fn rounds(yielding: &AdaptiveYield, count: u32) {
        (0..count).for_each(|_| yielding.end_round());
    }

    const STEP: Duration = Duration::from_micros(1);

    /// They come after rounds in which nobody waited.
    #[test]
    fn the_first_who_wait_try() {
        let yielding = AdaptiveYield::default();
        rounds(&yielding, 3);
        assert_eq!(tries(&yielding, 5, STEP), 5);
    }

    #[test]
    fn where_rounds_are_over_soon_nobody_sleeps() {
        let yielding = AdaptiveYield::default();
        for _ in 0..10 {
            tries(&yielding, 5, STEP);
        }
        rounds(&yielding, 1);
        assert_eq!(tries(&yielding, 5, STEP), 5, "no trial, and still worth it");
    }

    #[test]
    fn where_they_are_not_all_but_a_trial_sleep_at_once() {
        let yielding = AdaptiveYield::default();
        assert_eq!(tries(&yielding, u32::MAX, STEP), TIMES, "and no longer");
        rounds(&yielding, 1);
        assert_eq!(tries(&yielding, 1, STEP), 0);
        rounds(&yielding, TRIAL - 1);
        assert_eq!(tries(&yielding, 1, STEP), 1);
    }

    #[test]
    fn rounds_that_take_longer_than_before_are_noticed() {
        let yielding = AdaptiveYield::default();
        (0..10).for_each(|_| assert_eq!(tries(&yielding, 5, STEP), 5));
        rounds(&yielding, 1);
        let worth = (0..100).take_while(|_| tries(&yielding, u32::MAX, STEP) == TIMES).count();
        assert!((1..20).contains(&worth), "{worth}");
    }

    #[test]
    fn who_was_away_for_long_sleeps_from_then_on() {
        let yielding = AdaptiveYield::default();
        (0..10).for_each(|_| assert_eq!(tries(&yielding, 5, STEP), 5));
        rounds(&yielding, 1);
        assert_eq!(tries(&yielding, 5, AWAY + STEP), 0, "its first turn was too long");
        assert_eq!(tries(&yielding, 5, STEP), 0);
    }
}
