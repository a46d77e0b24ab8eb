//! What came to a log that another process writes, without reading what is known of it.
//!
//! A look at everything ([`look`](super::look)) reads the newest segment from its first frame to the end of its
//! file. A reader that follows looks all the time, and mostly finds a few frames more. So it remembers where the log
//! ended, and reads on there, as long as all else is as it was:
//!
//! - The same segments are there, and the newest is the same file. What changes history (a cut, another writer)
//!   begins a segment, with a number that no other ever had.
//! - None of those above it was begun.
//! - What was found adds entries, metadata or marks. A segment that was sealed and a log that was trimmed are looked at
//!   wholly, and so is whatever does not verify.
//!
//! What it does not see is damage to what was known before: in older segments, in the newest one before its end, in the
//! opening of one that was begun, or zeros where the end was, with frames behind them that prove more to be there. Who
//! reads such an entry is told; and looking at everything now and then finds what a new reader would.

use std::{sync::Arc, time::Duration};

use wal_format::{FRAME_HEADER_LEN, FileName, FrameHeader, Lsn, Metadata, SegmentId, Verdict};
use wal_segment::{Directory, Inspected, StorageFile, inspect, scan_on};

use crate::recover::{Found, FoundLog, State};

/// After this time everything is looked at again: a thousandth of one core, for a segment of 64 MiB.
const WHOLE: Duration = Duration::from_secs(10);

/// A log as a look has found it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    segments: Arc<[SegmentId]>,
    head: Inspected,
    verdict: Verdict,
    first_retained: Lsn,
    metadata: Metadata,
    durable_next: Lsn,
    /// When everything was looked at.
    looked: Duration,
}

/// What a look has found that read only what came.
#[derive(Debug)]
pub(crate) enum Glance {
    Nothing,
    More(Box<Known>),
}

impl Known {
    /// `None` where a glance would not be enough next time, either.
    pub(crate) fn of(found: &Found, durable_next: Lsn, looked: Duration) -> Option<Self> {
        let FoundLog { head, verdict, first_retained, metadata, .. } = found.log.as_ref()?;
        // What stands behind the end may become a part of the log, or be damage.
        (!verdict.dirty).then(|| Self {
            segments: found.listing.segments.as_slice().into(),
            head: head.clone(),
            verdict: *verdict,
            first_retained: *first_retained,
            metadata: metadata.clone(),
            durable_next,
            looked,
        })
    }

    /// The number of the segment that grows.
    pub(crate) const fn segment(&self) -> SegmentId {
        self.head.header.segment
    }

    pub(crate) const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(crate) const fn durable_next(&self) -> Lsn {
        self.durable_next
    }

    /// LSN of the next entry.
    pub(crate) fn next(&self) -> Lsn {
        self.verdict.next.unwrap_or(self.durable_next)
    }

    /// Where what is written ends, and how far it is proven durable.
    pub(crate) const fn ends(&self) -> (u64, u64) {
        (self.verdict.end, self.verdict.proven)
    }

    /// Stamp of the last frame.
    pub(crate) fn time(&self) -> u64 {
        self.verdict.last.map_or(0, |last| last.time)
    }

    /// What came since; `None` where only a look at everything can tell. Errors are left to that.
    pub(crate) fn glance(&self, directory: &Directory, now: Duration) -> Option<Glance> {
        let is_fresh = now.saturating_sub(self.looked) < WHOLE;
        if !is_fresh || *directory.list().ok()?.segments != *self.segments || !self.is_newest(directory) {
            return None;
        }
        let file = directory.open(FileName::Segment(self.segment())).ok()?;
        let mut state: Option<State> = None;
        let scanned = scan_on(&*file, &self.head, &self.verdict, |item| {
            state.get_or_insert_with(|| self.state()).take(item, &self.head.path)
        });
        let verdict = scanned.ok()??;
        let goes_on = verdict.end > self.verdict.end;
        let is_lost = verdict.beyond.is_some() || verdict.dirty && !goes_on;
        let ends = state.as_ref().is_some_and(|state| state.ends(self.first_retained));
        if is_lost || ends {
            return None;
        }
        if !goes_on {
            return Some(Glance::Nothing);
        }
        let durable_next = self.durable_next_at(&*file, &verdict)?;
        let metadata = state.map_or_else(|| self.metadata.clone(), |state| state.metadata);
        Some(Glance::More(Box::new(Self { verdict, durable_next, metadata, ..self.clone() })))
    }

    /// Whether the newest segment is the one that was, and nobody has begun one behind it.
    fn is_newest(&self, directory: &Directory) -> bool {
        let is_head = inspect(directory, self.segment()).is_ok_and(|now| now.header == self.head.header);
        let above = self.segments.iter().filter(|id| **id > self.segment());
        let is_unused = |id: &SegmentId| inspect(directory, *id).is_ok_and(|now| now.opening.is_none());
        is_head && above.copied().all(|id| is_unused(&id))
    }

    fn state(&self) -> State {
        State { first_retained: self.first_retained, metadata: self.metadata.clone(), seal: None }
    }

    /// The LSN up to where it is proven that entries are durable.
    fn durable_next_at(&self, file: &dyn StorageFile, verdict: &Verdict) -> Option<Lsn> {
        if verdict.is_proven() {
            return verdict.next;
        }
        if verdict.proven == self.verdict.proven {
            return Some(self.durable_next);
        }
        let mut bytes = [0; FRAME_HEADER_LEN];
        let read = file.read_at(verdict.proven, &mut bytes).ok()?;
        let header = FrameHeader::decode(&bytes, self.head.header.key(), verdict.proven).ok()?;
        let base = self.head.opening.as_ref()?.base;
        (read == bytes.len()).then(|| base.plus(u64::from(header.lsn_delta)))
    }
}
