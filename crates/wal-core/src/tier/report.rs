//! What is known of the tier, and what is told of it.

use wal_format::{Lsn, SegmentId};
use wal_segment::SegmentSet;

use super::Tier;
use crate::view::View;

/// What [`Log::ship`](crate::Log::ship) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shipment {
    /// Segments that were shipped, or found to be there.
    pub segments: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// The entries before this one are in the tier.
    pub next: Lsn,
}

/// How a log stands with its tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TierStats {
    /// Segments that were shipped, or found to be in the tier, and noted.
    pub shipped_segments: u64,
    /// Their length in bytes.
    pub shipped_bytes: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Segments that left the local storage.
    pub evicted_segments: u64,
    /// Segments that were removed from the tier because they are no longer part of the log.
    pub removed_segments: u64,
    /// Segments that the log let go because the tier could not be reached.
    pub dropped_segments: u64,
    /// Sealed segments that are not known to be in the tier.
    pub unshipped_segments: u64,
    /// Their length in bytes.
    pub unshipped_bytes: u64,
    /// Bytes of segments that are in the local storage.
    pub local_bytes: u64,
    /// Why the last attempt failed; `None` when it did not.
    pub last_error: Option<String>,
    /// Whether somebody else ships to the place: nothing is shipped any more.
    pub conflict: bool,
}

/// What is known of the segments, and what was done.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// They are in the tier, and that is noted.
    pub(super) shipped: SegmentSet,
    /// They are not here.
    pub(super) evicted: SegmentSet,
    pub(super) conflict: bool,
    pub(super) stats: TierStats,
}

impl Known {
    pub(super) fn note_shipped(&mut self, segment: SegmentId, bytes: u64) {
        self.shipped.insert(segment);
        self.stats.shipped_segments += 1;
        self.stats.shipped_bytes += bytes;
        self.stats.last_error = None;
    }

    /// Returns whether it is news.
    pub(super) fn note_failure(&mut self, cause: &str, conflict: bool) -> bool {
        self.stats.failures += 1;
        self.conflict |= conflict;
        let is_news = self.stats.last_error.as_deref() != Some(cause);
        self.stats.last_error = Some(cause.to_owned());
        is_news
    }
}

impl Tier {
    pub(super) fn stats_now(&self, view: &View) -> TierStats {
        let waiting = self.unshipped(view);
        let known = self.known.lock();
        let local = view.segments.iter().filter(|segment| !known.evicted.contains(segment.id()));
        TierStats {
            unshipped_segments: waiting.len() as u64,
            unshipped_bytes: waiting.iter().map(|segment| segment.written()).sum(),
            local_bytes: local.map(|segment| segment.written()).sum(),
            conflict: known.conflict,
            ..known.stats.clone()
        }
    }
}
