//! What time it is, for those who delete by it: a wall clock is believed when it keeps step with the monotonic one.

use std::time::Duration;

/// Clocks that differ by no more than this keep step.
const TOLERANCE: Duration = Duration::from_secs(2);
/// A wall clock that is being corrected slowly runs at most so many times wrong: one part in two hundred.
const SLEW: u32 = 200;
/// So many looks at least must agree.
const LOOKS: u32 = 3;

/// The time, as far as it is believed. Between two looks it goes on with the monotonic clock.
#[derive(Clone, Debug)]
pub(super) struct Belief {
    time: Watched,
    /// Another time that the wall clock insists on.
    rival: Option<Rival>,
}

/// A wall time and the monotonic time that went with it.
#[derive(Clone, Copy, Debug)]
struct Watched {
    wall: u64,
    at: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Rival {
    time: Watched,
    since: Duration,
    looks: u32,
}

impl Watched {
    fn now(&self, monotonic: Duration) -> u64 {
        self.wall.saturating_add(nanoseconds(monotonic.saturating_sub(self.at)))
    }

    /// Whether the wall clock says at `other` what was to be expected.
    fn leads_to(&self, other: &Self) -> bool {
        let passed = other.at.saturating_sub(self.at);
        let allowed = TOLERANCE.saturating_add(passed / SLEW);
        self.now(other.at).abs_diff(other.wall) <= nanoseconds(allowed)
    }
}

impl Belief {
    /// For a log that was just opened: what the wall clock says and what the log's last frame says are two witnesses,
    /// and both agree that it is not earlier than the lesser of the two. (If one is wrong, nothing looks older.)
    pub(super) fn new(wall: u64, last_stamp: u64, monotonic: Duration) -> Self {
        Self { time: Watched { wall: wall.min(last_stamp), at: monotonic }, rival: None }
    }

    /// What time it is.
    pub(super) fn now(&self, monotonic: Duration) -> u64 {
        self.time.now(monotonic)
    }

    /// Takes note of what both clocks say, and says what time it is. A jump is believed after it has lasted for
    /// `trial`. Whoever asks for none takes the clock at its word, for this once: others ask for more.
    pub(super) fn look(&mut self, wall: u64, monotonic: Duration, trial: Duration) -> u64 {
        if trial.is_zero() {
            return wall;
        }
        let seen = Watched { wall, at: monotonic };
        if self.time.leads_to(&seen) {
            (self.time, self.rival) = (seen, None);
            return wall;
        }
        let (since, looks) = match &self.rival {
            Some(rival) if rival.time.leads_to(&seen) => (rival.since, rival.looks.saturating_add(1)),
            _ => (monotonic, 1),
        };
        self.rival = Some(Rival { time: seen, since, looks });
        if looks >= LOOKS && monotonic.saturating_sub(since) >= trial {
            (self.time, self.rival) = (seen, None);
        }
        self.now(monotonic)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const DAY: u64 = 86_400 * SECOND;
    const NOW: u64 = 20_500 * DAY;
    const TRIAL: Duration = Duration::from_secs(60);

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn believer() -> Belief {
        let mut belief = Belief::new(NOW, NOW, at(0));
        belief.look(NOW + 10 * SECOND, at(10), TRIAL);
        assert_eq!(belief.now(at(11)), NOW + 11 * SECOND);
        belief
    }

    #[test]
    fn one_wild_sample_is_not_believed_and_leaves_nothing_behind() {
        for wild in [0, NOW - DAY, NOW + 36_500 * DAY, u64::MAX] {
            let mut belief = believer();
            belief.look(wild, at(20), TRIAL);
            assert_eq!(belief.now(at(20)), NOW + 20 * SECOND, "{wild}");
            // Not even if it comes again and again, with the right time in between.
            for second in (30..3000).step_by(20) {
                belief.look(NOW + second * SECOND, at(second), TRIAL);
                belief.look(wild.saturating_add(second * SECOND), at(second + 10), TRIAL);
                assert_eq!(belief.now(at(second)), NOW + second * SECOND, "{wild}");
            }
        }
    }

    #[test]
    fn a_jump_is_believed_after_it_has_lasted() {
        for later in [NOW + 8 * DAY, NOW - 300 * DAY, 5] {
            let mut belief = believer();
            for second in [0, 20, 59] {
                belief.look(later + second * SECOND, at(100 + second), TRIAL);
                assert_eq!(belief.now(at(100 + second)), NOW + (100 + second) * SECOND);
            }
            belief.look(later + 60 * SECOND, at(160), TRIAL);
            assert_eq!(belief.now(at(170)), later + 70 * SECOND);
        }
    }

    #[test]
    fn two_looks_far_apart_are_not_enough() {
        let mut belief = believer();
        for (second, believed) in [(1000, false), (2000, false), (3000, true)] {
            belief.look(NOW + DAY + second * SECOND, at(second), TRIAL);
            assert_eq!(belief.now(at(second)) > NOW + DAY, believed, "{second}");
        }
    }

    #[test]
    fn a_slow_correction_is_followed() {
        let mut belief = believer();
        let mut wall = NOW;
        for second in (100..100_000).step_by(100) {
            wall += 100 * SECOND + SECOND / 20;
            belief.look(wall, at(second), TRIAL);
            assert_eq!(belief.now(at(second)), wall);
        }
    }

    #[test]
    fn a_log_that_is_opened_takes_the_lesser_of_two_witnesses() {
        for (wall, stamp) in [(NOW, NOW + 36_500 * DAY), (NOW + 36_500 * DAY, NOW), (NOW, 0), (0, NOW)] {
            let belief = Belief::new(wall, stamp, at(7));
            assert_eq!(belief.now(at(8)), wall.min(stamp) + SECOND);
        }
    }

    #[test]
    fn without_a_trial_the_clock_is_taken_at_its_word_for_once() {
        let mut belief = believer();
        assert_eq!(belief.look(5, at(30), Duration::ZERO), 5);
        assert_eq!(belief.now(at(30)), NOW + 30 * SECOND);
    }
}
