//! A damaged log as one that ends at its first damaged place.

use std::sync::Arc;

use wal_format::{FileName, Lsn, Metadata, SegmentId, Verdict};
use wal_segment::{Directory, SegmentSet, inspect, scan_notable};

use super::{Found, FoundLog, Link, Remains, State, chain};
use crate::LogError;

/// The end of the log when it is cut at the first damaged place.
#[derive(Debug)]
pub(crate) struct CutPlace {
    /// Index of the segment among the parts.
    pub(crate) part: usize,
    /// The LSN after the last entry that is kept.
    pub(crate) next: Lsn,
    verdict: Verdict,
    first_retained: Lsn,
    metadata: Metadata,
}

/// Where the first damaged place is, if everything before it can be kept.
pub(crate) fn place_of_cut(directory: &Directory, left: &Remains) -> Result<Option<CutPlace>, LogError> {
    if left.below.is_some() {
        return Ok(None);
    }
    for (at, part) in left.parts.iter().enumerate() {
        let Some(opening) = &part.inspected.opening else { return Ok(None) };
        let mut state =
            State { first_retained: opening.first_retained, metadata: opening.metadata.clone(), seal: None };
        let path = &part.inspected.path;
        let scanned = directory
            .open(FileName::Segment(part.inspected.header.segment))
            .and_then(|file| scan_notable(&*file, path, |item| state.take(item, path)));
        let verdict = scanned.map_err(|source| LogError::segment("read a segment", source))?;
        let next = verdict.next.unwrap_or(part.base);
        let above = left.parts.get(at + 1);
        let jumps = above.is_some_and(|above| above.base > next && above.base != left.first_retained);
        if verdict.end >= part.end && part.above.is_none() && !jumps {
            continue;
        }
        if verdict.end > part.end {
            // What is behind the end was cut off once, and must not come back.
            return Ok(None);
        }
        let first_retained = state.first_retained.max(left.first_retained.min(next));
        return Ok(Some(CutPlace { part: at, next, verdict, first_retained, metadata: state.metadata }));
    }
    Ok(None)
}

impl CutPlace {
    /// The log as recovery would have found it, had it ended there.
    pub(crate) fn into_found(self, directory: &Arc<Directory>, left: &Remains) -> Result<Found, LogError> {
        let link =
            |part: &super::Part| Link { inspected: part.inspected.clone(), base: part.base, end: part.end };
        let links = left.parts.iter().take(self.part).map(link).collect();
        let Some(head) = left.parts.get(self.part) else { return chain::no_opening(directory) };
        let log = FoundLog {
            links,
            head: head.inspected.clone(),
            verdict: self.verdict,
            first_retained: self.first_retained,
            metadata: self.metadata,
        };
        let mut epoch = 0;
        for id in &left.listing.segments {
            match inspect(directory, *id) {
                Ok(segment) => epoch = epoch.max(segment.header.epoch),
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(LogError::segment("read a segment", error)),
            }
        }
        Ok(Found {
            listing: left.listing.clone(),
            log_id: Some(head.inspected.header.log_id),
            epoch,
            greatest: left.listing.segments.last().copied().unwrap_or(SegmentId(0)),
            log: Some(log),
            dead: left.dead.clone(),
            unused: left.unused.clone(),
            begun: None,
            must_rewrite: true,
            fences: SegmentSet::default(),
        })
    }
}
