//! What is replayed, and how.

use std::{
    fmt,
    ops::{Bound, RangeBounds},
};

use wal_format::Lsn;

use super::ReplayReport;
use crate::{AppendTime, BatchLimit, Checkpoint, Log, LogError};

/// Which way a replay goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From the oldest entry to the newest.
    #[default]
    Forward,
    /// From the newest to the oldest.
    Backward,
}

/// A place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayPoint {
    /// The entry with this LSN, whether it is there or not.
    Lsn(Lsn),
    /// The entries that were appended at this time.
    Time(AppendTime),
    /// The place of the checkpoint with this name. It stands between two entries: a range that begins at it begins with
    /// the one behind, a range that ends at it ends with the one before, whether the bound is included or not.
    Checkpoint(String),
}

impl From<Lsn> for ReplayPoint {
    fn from(lsn: Lsn) -> Self {
        Self::Lsn(lsn)
    }
}

impl From<AppendTime> for ReplayPoint {
    fn from(time: AppendTime) -> Self {
        Self::Time(time)
    }
}

impl From<std::time::SystemTime> for ReplayPoint {
    fn from(time: std::time::SystemTime) -> Self {
        Self::Time(time.into())
    }
}

impl From<Checkpoint> for ReplayPoint {
    fn from(checkpoint: Checkpoint) -> Self {
        Self::Checkpoint(checkpoint.name)
    }
}

impl ReplayPoint {
    /// The first entry at this place, or behind it with `after`.
    fn lsn(&self, log: &Log, after: bool) -> Result<Lsn, LogError> {
        match self {
            Self::Lsn(lsn) => Ok(if after { lsn.next() } else { *lsn }),
            Self::Checkpoint(name) => Ok(log.find_checkpoint(name)?.lsn),
            Self::Time(time) => {
                let engine = log.engine();
                let time = time.0.checked_add(u64::from(after));
                // Nothing is appended after the end of time.
                time.map_or(Ok(engine.readable_next()), |time| {
                    engine.search_time(AppendTime(time)).map(|(lsn, _)| lsn)
                })
            }
        }
    }
}

/// What is replayed, and how. Plain data with defaults: everything, forward, by 1000 entries or 1 MiB, nothing removed.
#[derive(Clone)]
pub struct ReplayOptions<'a> {
    /// Where the range begins. The lower end, also when it is replayed backward. Without a bound, or with a time, it
    /// begins at the first entry that is there; an LSN or a checkpoint whose entries were removed is an error.
    pub from: Bound<ReplayPoint>,
    /// Where it ends.
    pub to: Bound<ReplayPoint>,
    /// Which way it is replayed.
    pub direction: Direction,
    /// How much the callback gets at a time.
    pub batch: BatchLimit,
    /// Whether entries are removed from the log once the callback has accepted them. Only forward, and only from the
    /// first entry on. Cursors and protected checkpoints do not hold it back.
    pub drain: bool,
    /// Is told how far the replay came after every batch that was accepted.
    pub progress: Option<&'a dyn Fn(&ReplayReport)>,
}

impl Default for ReplayOptions<'_> {
    fn default() -> Self {
        Self {
            from: Bound::Unbounded,
            to: Bound::Unbounded,
            direction: Direction::Forward,
            batch: BatchLimit::default(),
            drain: false,
            progress: None,
        }
    }
}

impl ReplayOptions<'_> {
    /// The same for a range of LSNs or times.
    #[must_use]
    pub fn between<P: Clone + Into<ReplayPoint>>(mut self, range: impl RangeBounds<P>) -> Self {
        self.from = range.start_bound().cloned().map(Into::into);
        self.to = range.end_bound().cloned().map(Into::into);
        self
    }

    /// The same for what a replay left: from the first entry that was not accepted on, to the end that these options
    /// name. All of it, when the replay could not begin.
    #[must_use]
    pub fn resume(mut self, report: &ReplayReport) -> Self {
        if !report.began {
            return self;
        }
        match self.direction {
            Direction::Forward => self.from = Bound::Included(report.next.into()),
            Direction::Backward => self.to = Bound::Excluded(report.next.into()),
        }
        self
    }

    /// The range as LSNs, the end not included; it begins with `None` where the log does.
    pub(super) fn resolve(&self, log: &Log) -> Result<(Option<Lsn>, Lsn), LogError> {
        let from = match &self.from {
            Bound::Included(point) => Some(point.lsn(log, false)?),
            Bound::Excluded(point) => Some(point.lsn(log, true)?),
            Bound::Unbounded => None,
        };
        let to = match &self.to {
            Bound::Included(point) => point.lsn(log, true)?,
            Bound::Excluded(point) => point.lsn(log, false)?,
            Bound::Unbounded => Lsn::MAX,
        };
        Ok((from, to))
    }
}

impl fmt::Debug for ReplayOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayOptions")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("direction", &self.direction)
            .field("batch", &self.batch)
            .field("drain", &self.drain)
            .finish_non_exhaustive()
    }
}
