//! Distributions in fixed buckets: recording is two additions, whatever was recorded before.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of times, in nanoseconds: a fast device syncs in 20 µs, a bad moment of a slow one takes seconds.
const TIMES: &[u64] = &[
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];
/// Upper bounds of numbers of things.
const SIZES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384];
const BUCKETS: usize = 19;
const _: () = assert!(TIMES.len() < BUCKETS && SIZES.len() < BUCKETS, "one more for what exceeds all bounds");

/// How many values fell into which range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Histogram {
    /// Greatest value of each bucket but the last, which takes all that is greater.
    pub bounds: &'static [u64],
    /// Values in each bucket: one more than there are bounds.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: u64,
}

impl Histogram {
    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// A bound that this share (0 to 1) of the values does not exceed; `None` without values. [`u64::MAX`] when they
    /// are beyond the last bound.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let count = self.count();
        let rank = (share.clamp(0.0, 1.0) * count as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        let reached = self.counts.iter().position(|count| {
            below += count;
            below >= rank
        });
        reached.filter(|_| count > 0).map(|bucket| self.bounds.get(bucket).copied().unwrap_or(u64::MAX))
    }
}

/// A histogram that threads record into.
#[derive(Debug)]
pub(crate) struct Recorder {
    bounds: &'static [u64],
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Recorder {
    /// Of times, in nanoseconds.
    pub(crate) fn of_times() -> Self {
        Self { bounds: TIMES, counts: Default::default(), sum: AtomicU64::new(0) }
    }

    /// Of numbers of things.
    pub(crate) fn of_sizes() -> Self {
        Self { bounds: SIZES, ..Self::of_times() }
    }

    pub(crate) fn record(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// The same, by one thread at a time.
    pub(crate) fn record_alone(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        let counted = self.counts.get(bucket).map(|count| (count, 1));
        for (counter, more) in counted.into_iter().chain([(&self.sum, value)]) {
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> Histogram {
        let counts = self.counts.iter().take(self.bounds.len() + 1);
        Histogram {
            bounds: self.bounds,
            counts: counts.map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_the_bucket_whose_bound_they_do_not_exceed() {
        let sizes = Recorder::of_sizes();
        [0, 1, 2, 3, 4, 16384, 16385].into_iter().for_each(|value| sizes.record(value));
        let sizes = sizes.snapshot();
        assert_eq!(sizes.counts, [2, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!((sizes.count(), sizes.sum), (7, 32_779));
        assert_eq!(
            [0.0, 0.5, 0.8, 1.0].map(|share| sizes.quantile(share)),
            [Some(1), Some(4), Some(16384), Some(u64::MAX)]
        );
        assert_eq!(Recorder::of_times().snapshot().quantile(0.5), None);
    }
}
