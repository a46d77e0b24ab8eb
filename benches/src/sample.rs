//! Samples of durations, and what to say of them.

#![allow(clippy::print_stdout, reason = "it prints the rows")]

use std::time::{Duration, Instant};

/// Durations of single operations.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    nanoseconds: Vec<u64>,
}

impl Sample {
    /// Times `operation` `count` times.
    pub fn take(count: usize, mut operation: impl FnMut(usize)) -> Self {
        let mut sample = Self { nanoseconds: Vec::with_capacity(count) };
        for n in 0..count {
            let start = Instant::now();
            operation(n);
            sample.add(start.elapsed());
        }
        sample
    }

    /// Adds a duration.
    pub fn add(&mut self, duration: Duration) {
        self.nanoseconds.push(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds another sample.
    pub fn merge(&mut self, other: &Self) {
        self.nanoseconds.extend_from_slice(&other.nanoseconds);
    }

    /// How many durations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nanoseconds.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nanoseconds.is_empty()
    }

    /// The value below which `per_mille` thousandths lie, in nanoseconds.
    #[must_use]
    pub fn quantile(&self, per_mille: usize) -> f64 {
        let mut sorted = self.nanoseconds.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * per_mille / 1000).min(sorted.len().saturating_sub(1));
        sorted.get(at).copied().unwrap_or(0) as f64
    }
}

/// The median of a few figures.
#[must_use]
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// Payload bytes that do not compress and differ from each other.
#[must_use]
pub fn payload(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// Prints a row of the table.
pub fn row(what: &str, ours: &str, theirs: &str, ratio: f64) {
    println!("| {what} | {ours} | {theirs} | {ratio:.2} |");
}
