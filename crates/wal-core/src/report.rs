//! What opening a log found and did.

use std::{error::Error, ops::RangeInclusive};

use wal_format::{Lsn, Position, SegmentId};
use wal_segment::SegmentError;

use crate::{LogError, engine::chain};

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
    /// What could be seen to be lost without reading everything, in ascending order, under
    /// [`RecoveryMode::ReadToDamage`](crate::RecoveryMode::ReadToDamage). The log is whole up to the first of them, as
    /// far as opening looks; each of these entries is an error when it is read.
    pub lost: Vec<Finding>,
}

/// A torn tail: what an interrupted write left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// Where the valid data ends.
    pub at: Position,
    /// The LSN that the first entry cut off would have had.
    pub next: Lsn,
    /// Length of what lies behind it in bytes, up to the zeros that follow.
    pub bytes: u64,
    /// Whole frames that were found beyond the end. They were never acknowledged, unless the medium has damaged exactly
    /// the last sync before the crash, which nothing can tell from a torn one.
    pub frames_beyond: bool,
}

/// Something that is not as it should be, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Which file.
    pub path: String,
    /// Where in it, in bytes from its start, when it is one place.
    pub offset: Option<u64>,
    /// The entries that cannot be read because of it; up to [`Lsn::MAX`] when nobody knows how many there were. `None`
    /// when no entry is concerned.
    pub lsns: Option<RangeInclusive<Lsn>>,
    /// What is wrong.
    pub what: String,
}

impl Finding {
    /// What an error of reading says, which tells the places in its text.
    pub(crate) fn of_error(error: &LogError) -> Self {
        match error {
            LogError::Lost { first, last, source } => {
                Self::of(source, Some(*first..=last.unwrap_or(Lsn::MAX)))
            }
            LogError::Undecodable { lsn, path, offset, .. } => Self {
                path: path.clone(),
                offset: Some(*offset),
                lsns: Some(*lsn..=*lsn),
                what: chain(error),
            },
            error => Self { path: String::new(), offset: None, lsns: None, what: chain(error) },
        }
    }

    pub(crate) fn of(source: &SegmentError, lsns: Option<RangeInclusive<Lsn>>) -> Self {
        let mut what = source.to_string();
        let mut cause = source.source();
        while let Some(error) = cause {
            what.push_str(": ");
            what.push_str(&error.to_string());
            cause = error.source();
        }
        Self { path: source.path().to_owned(), offset: source.offset(), lsns, what }
    }
}
