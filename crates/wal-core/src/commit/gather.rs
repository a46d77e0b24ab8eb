//! How long a leader waits for company before it syncs.
//!
//! Without waiting, threads settle into two cohorts that take turns, and every sync carries half of them. A leader that
//! knows how many threads append, and waits for them a fraction of the time a sync takes, carries nearly all. A thread
//! that appends alone never waits, unless the log's options ask for it. Beside programs that want the processor, too,
//! nobody does (`docs/adr/0024`).

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::sync::{AtomicU64, AtomicUsize, thread};

/// Averages are kept in sixteenths and move by a quarter of the difference.
const UNIT: usize = 16;
/// A leader that gave way, and is back after more than so many rounds, has given way to something else than the threads
/// it waits for: what it loses is more than company is worth.
const AWAY: u32 = 4;
/// So long it may be away in any case: rounds may be shorter than a turn of each of those threads.
const AWAY_MIN: Duration = Duration::from_micros(500);
/// So many rounds leaders do not wait then.
const REST: u32 = 256;

#[derive(Debug, Default)]
pub(crate) struct Gather {
    /// Threads that append at present, on average, in sixteenths.
    population: AtomicUsize,
    /// Nanoseconds a round takes, on average.
    round: AtomicU64,
    /// Rounds in which leaders do not wait, because the processor had other work for long. Leaders alone write it.
    rest: AtomicU32,
    /// What every leader waits, whoever is there.
    window: Duration,
}

impl Gather {
    pub(super) fn with_window(window: Duration) -> Self {
        Self { window, ..Self::default() }
    }

    /// Waits until as many threads wait as are likely to come, at most a quarter of a round; or, when there is a
    /// window, until it ends. Returns the time at the end of the wait.
    pub(super) fn wait(&self, waiting: &AtomicUsize, now: impl Fn() -> Duration) -> Duration {
        let start = now();
        if !self.window.is_zero() {
            return self.sit_out(start, now);
        }
        if self.rests() {
            return start;
        }
        let expected = (self.population.load(Ordering::Relaxed) + UNIT / 4) / UNIT;
        let round = Duration::from_nanos(self.round.load(Ordering::Relaxed));
        let (patience, away) = (round / 4, round.saturating_mul(AWAY).max(AWAY_MIN));
        let mut gave_way = None;
        loop {
            let time = now();
            if gave_way.is_some_and(|before| time.saturating_sub(before) > away) {
                self.rest.store(REST, Ordering::Relaxed);
                return time;
            }
            if waiting.load(Ordering::Acquire) + 1 >= expected || time.saturating_sub(start) >= patience {
                return time;
            }
            thread::yield_now();
            gave_way = Some(time);
        }
    }

    /// Whether this round is one of those in which leaders do not wait.
    fn rests(&self) -> bool {
        let rest = self.rest.load(Ordering::Relaxed);
        self.rest.store(rest.saturating_sub(1), Ordering::Relaxed);
        rest > 0
    }

    fn sit_out(&self, start: Duration, now: impl Fn() -> Duration) -> Duration {
        loop {
            let time = now();
            let left = start.saturating_add(self.window).saturating_sub(time);
            if left.is_zero() {
                return time;
            }
            thread::park_timeout(left);
        }
    }

    /// Takes note of a round: how many threads were there, and how long it took.
    pub(super) fn learn(&self, population: usize, took: Duration) {
        let average = self.population.load(Ordering::Relaxed);
        self.population.store(average - average / 4 + population * UNIT / 4, Ordering::Relaxed);
        let average = self.round.load(Ordering::Relaxed);
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.round.store(average - average / 4 + took / 4, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_lonely_leader_never_waits() {
        let gather = Gather::default();
        for _ in 0..20 {
            gather.learn(1, Duration::from_millis(10));
        }
        let calls = Cell::new(0);
        gather.wait(&AtomicUsize::new(0), || {
            calls.set(calls.get() + 1);
            Duration::ZERO
        });
        assert_eq!(calls.get(), 2, "start and end, no second look");
    }

    #[test]
    fn a_leader_in_company_waits_for_it_but_not_for_ever() {
        let gather = Gather::default();
        for _ in 0..40 {
            gather.learn(8, Duration::from_micros(100));
        }
        let time = Cell::new(0);
        let now = || {
            time.set(time.get() + 1);
            Duration::from_micros(time.get())
        };
        let ended = gather.wait(&AtomicUsize::new(3), now);
        assert!(ended >= Duration::from_micros(20) && ended <= Duration::from_micros(30), "{ended:?}");
        let before = time.get();
        gather.wait(&AtomicUsize::new(7), now);
        assert_eq!(time.get(), before + 2, "all are here: no wait");
    }

    #[test]
    fn a_leader_to_whom_giving_way_costs_rounds_does_without_for_a_while() {
        let gather = Gather::default();
        // The first leader of all knows of nobody, and does not give way.
        let (early, clock) = (Cell::new(Duration::ZERO), Duration::from_millis(5));
        gather.wait(&AtomicUsize::new(0), || early.replace(early.get() + clock));
        for _ in 0..40 {
            gather.learn(8, Duration::from_micros(100));
        }
        // The third look is after it gave way.
        let (time, looks) = (Cell::new(0), Cell::new(0));
        let now = || {
            looks.set(looks.get() + 1);
            time.set(time.get() + if looks.get() == 3 { 3000 } else { 1 });
            Duration::from_micros(time.get())
        };
        let waits = || {
            looks.set(0);
            gather.wait(&AtomicUsize::new(3), now);
            looks.get() == 3
        };
        assert!(waits(), "it gives way once, and is away for long");
        assert_eq!(
            (0..=REST).position(|_| waits()),
            Some(REST as usize),
            "then it does not, until it tries again"
        );
    }

    #[test]
    fn a_window_is_kept_whoever_is_there() {
        for waiting in [0, 50] {
            let time = Cell::new(0);
            let now = || {
                time.set(time.get() + 1);
                Duration::from_micros(time.get())
            };
            let ended = Gather::with_window(Duration::from_micros(20)).wait(&AtomicUsize::new(waiting), now);
            assert_eq!(ended, Duration::from_micros(21));
        }
    }
}
