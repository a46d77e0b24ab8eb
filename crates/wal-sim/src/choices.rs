//! What a power cut decides, apart from how it is decided: at random, or by counting through everything.

use crate::random::Rng;

/// What becomes of one piece of a pending write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    Kept,
    /// Some of its bytes are kept; the seed says which.
    Torn(u64),
}

/// The one who decides. The questions asked never depend on the answers, so that they can be counted beforehand.
pub(crate) trait Choices {
    /// A number in `0..count`.
    fn pick(&mut self, count: u64) -> u64;

    /// A seed for noise, about which nobody counts.
    fn noise(&mut self) -> u64;

    /// The questions that follow are about another file.
    fn next_file(&mut self) {}

    fn piece(&mut self) -> Fate {
        if self.pick(2) == 1 { Fate::Kept } else { Fate::Lost }
    }

    /// One of `candidates`, which ascend, or something between them.
    fn len(&mut self, candidates: &[u64]) -> u64 {
        let index = self.pick(candidates.len() as u64) as usize;
        candidates.get(index).copied().unwrap_or_default()
    }
}

/// Counts the ways to decide.
#[derive(Debug)]
pub(crate) struct Count(pub(crate) u64);

impl Choices for Count {
    fn pick(&mut self, count: u64) -> u64 {
        self.0 = self.0.saturating_mul(count);
        0
    }

    fn noise(&mut self) -> u64 {
        0
    }
}

/// Decides the n-th way.
#[derive(Debug)]
pub(crate) struct Nth {
    rest: u64,
    noise: Rng,
}

impl Nth {
    pub(crate) const fn new(n: u64) -> Self {
        Self { rest: n, noise: Rng::new(n) }
    }
}

impl Choices for Nth {
    fn pick(&mut self, count: u64) -> u64 {
        let digit = self.rest % count.max(1);
        self.rest /= count.max(1);
        digit
    }

    fn noise(&mut self) -> u64 {
        self.noise.next_u64()
    }
}

/// Decides at random.
#[derive(Debug)]
pub(crate) struct Sample {
    rng: Rng,
    torn_sectors: bool,
    habit: Habit,
}

/// How the pieces of one file fare. Fair coins alone would hardly ever keep or lose all of many.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// Each is kept with this chance of 256.
    Each(u64),
    /// The first few have this fate, and the others the opposite.
    Until(bool),
}

impl Sample {
    pub(crate) const fn new(seed: u64, torn_sectors: bool) -> Self {
        Self { rng: Rng::new(seed), torn_sectors, habit: Habit::Each(128) }
    }
}

impl Choices for Sample {
    fn pick(&mut self, count: u64) -> u64 {
        self.rng.below(count)
    }

    fn noise(&mut self) -> u64 {
        self.rng.next_u64()
    }

    fn next_file(&mut self) {
        self.habit = match self.rng.below(8) {
            0 => Habit::Each(0),
            1 => Habit::Each(256),
            2 => Habit::Each(24),
            3 => Habit::Each(232),
            4 | 5 => Habit::Each(128),
            6 => Habit::Until(true),
            _ => Habit::Until(false),
        };
    }

    fn piece(&mut self) -> Fate {
        let is_kept = match self.habit {
            Habit::Each(chance) => self.rng.chance(chance),
            Habit::Until(first) => {
                if self.rng.chance(40) {
                    self.habit = Habit::Each(if first { 0 } else { 256 });
                }
                first
            }
        };
        match is_kept {
            false => Fate::Lost,
            true if self.torn_sectors && self.rng.chance(64) => Fate::Torn(self.rng.next_u64()),
            true => Fate::Kept,
        }
    }

    fn len(&mut self, candidates: &[u64]) -> u64 {
        let (Some(&least), Some(&greatest)) = (candidates.first(), candidates.last()) else { return 0 };
        match self.rng.below(4) {
            0 => least,
            1 => greatest,
            2 => candidates[self.rng.below(candidates.len() as u64) as usize],
            _ => least + self.rng.below(greatest - least + 1),
        }
    }
}
