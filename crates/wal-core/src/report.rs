//! What opening a log found and did.

use wal_format::{Lsn, Position, SegmentId};

/// What [`Log::open`](crate::Log::open) found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Segments that make up the log.
    pub segments: usize,
    /// The first entry of the log.
    pub first: Option<Lsn>,
    /// The LSN of the next append.
    pub next: Option<Lsn>,
    /// Whether the log had been closed cleanly (or was new).
    pub clean: bool,
    /// Everything before this place is proven to have been synced by an earlier process.
    pub proven: Option<Position>,
    /// The torn tail that was cut off, when there was one.
    pub cut: Option<Cut>,
    /// Entries behind the proven place that were copied into a new segment, because the operating system may have held
    /// them only in memory.
    pub rewritten: u64,
    /// Segments that are not part of the log: superseded, cut off, or used up. A writer removes them.
    pub dead: Vec<SegmentId>,
    /// Segments that were prepared and never used.
    pub unused: Vec<SegmentId>,
    /// Files in the directory that are not the log's. Nobody touches them.
    pub strangers: Vec<String>,
}

/// A torn tail: what an interrupted write left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// Where the valid data ends.
    pub at: Position,
    /// The LSN that the first entry cut off would have had.
    pub next: Lsn,
    /// Whole frames that were found beyond the end. They were never acknowledged, unless the medium has damaged exactly
    /// the last sync before the crash, which nothing can tell from a torn one.
    pub frames_beyond: bool,
}
