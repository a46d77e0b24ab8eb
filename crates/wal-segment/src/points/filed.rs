//! Points that stay in the file of their index: they take no memory but the page cache's.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use wal_format::IndexPoint;

use super::{EVEN, word};

/// The points of a sidecar, and what was found out about the stretches behind them.
#[derive(Debug)]
pub(super) struct Filed {
    /// As [`IndexPoint::decode`] reads them. They were verified once; the system may have read them again since.
    points: Bytes,
    /// A bit for each; none before the first is set.
    even: OnceLock<Box<[AtomicU64]>>,
}

const POINT_LEN: usize = 8;

impl Filed {
    pub(super) const fn new(points: Bytes) -> Self {
        Self { points, even: OnceLock::new() }
    }

    /// The same points, of whose stretches nothing was found out.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.points.clone())
    }

    fn points(&self) -> &[[u8; POINT_LEN]] {
        self.points.as_chunks().0
    }

    /// How many of them there are before `end` of the segment that the others of this crate can count.
    pub(super) fn before(&self, end: u64) -> usize {
        self.points().partition_point(|point| {
            let point = IndexPoint::decode(*point);
            point.offset() < end && point.units < EVEN
        })
    }

    pub(super) fn has_more_than(&self, len: usize) -> bool {
        len < self.points().len()
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<u64> {
        Some(self.points().get(at).map(|point| word(IndexPoint::decode(*point)))? | self.even_at(at))
    }

    /// Four in a row.
    #[inline]
    pub(super) fn four(&self, first: usize) -> Option<[u64; 4]> {
        let points = self.points().get(first..)?.first_chunk::<4>()?;
        Some(points.map(|point| word(IndexPoint::decode(point))))
    }

    /// The bytes of a point, to be fetched into the caches.
    #[inline]
    pub(super) fn place(&self, at: usize) -> Option<&[u8; POINT_LEN]> {
        self.points().get(at)
    }

    /// What is noted of the stretch behind a point, as it stands beside its units.
    #[inline]
    pub(super) fn even_at(&self, at: usize) -> u64 {
        let bits = self.even.get().and_then(|even| even.get(at / 64));
        bits.map_or(0, |bits| (bits.load(Ordering::Relaxed) >> (at % 64) & 1) * u64::from(EVEN))
    }

    pub(super) fn note_even(&self, at: usize) {
        let words = self.points().len().div_ceil(64);
        let even = self.even.get_or_init(|| (0..words).map(|_| AtomicU64::new(0)).collect());
        if let Some(bits) = even.get(at / 64) {
            bits.fetch_or(1 << (at % 64), Ordering::Relaxed);
        }
    }
}
