//! Finding a log whose segments are published whole: `docs/FORMAT.md`, section 6, rule 9.

use std::sync::Arc;

use wal_format::{FENCE_GAP, FIRST_FRAME, FrameFault, LogId, Lsn, SegmentId};
use wal_segment::{Directory, Inspected, Listing, SegmentError, SegmentSet};

use super::{Company, Found, chain, found_log};
use crate::LogError;

/// The log, whose newest segment is the greatest from which the predecessors can be followed down to where it says that
/// everything was published. What lies above it arrived out of turn, or too late, and was never acknowledged.
pub(super) fn find(
    directory: &Arc<Directory>,
    listing: Listing,
    inspected: &[Inspected],
    log_id: Option<LogId>,
) -> Result<Found, LogError> {
    if let Some(damaged) = inspected.iter().find(|segment| segment.opening.is_none()) {
        let (path, source) = (damaged.path.clone(), FrameFault::HeaderChecksum);
        let source = SegmentError::Frame { path, offset: FIRST_FRAME, source };
        return Err(LogError::Lost { first: Lsn::FIRST, last: None, source });
    }
    let epoch = inspected.iter().map(|segment| segment.header.epoch).max().unwrap_or(0);
    let head = head(inspected);
    let is_fence = |segment: &&Inspected| segment.header.is_fence();
    let ids = inspected.iter().map(|segment| segment.header.segment);
    let mut found = Found {
        listing,
        log_id,
        epoch,
        greatest: SegmentId(head.map_or(0, |head| last_id(inspected, head))),
        log: None,
        dead: Vec::new(),
        unused: Vec::new(),
        begun: None,
        must_rewrite: false,
        fences: inspected.iter().filter(is_fence).map(|segment| segment.header.segment).collect(),
    };
    if let Some(head) = head {
        let log = found_log(directory, &found.listing, inspected, head, (None, Company::None))?;
        if log.verdict.dirty {
            let (path, offset, source) = (log.head.path.clone(), log.verdict.end, log.verdict.fault);
            let source = SegmentError::Frame { path, offset, source };
            return Err(LogError::Lost { first: log.next(), last: None, source });
        }
        let mut live: SegmentSet = log.links.iter().map(|link| link.inspected.header.segment).collect();
        live.insert(log.head.header.segment);
        found.dead = ids.filter(|id| !live.contains(*id) && !found.fences.contains(*id)).collect();
        found.log = Some(log);
    }
    Ok(found)
}

/// Index of the newest segment that is part of the log, if there is one.
pub(super) fn head(inspected: &[Inspected]) -> Option<usize> {
    (0..inspected.len()).rev().find(|head| reaches_proof(inspected, *head))
}

/// The last id that the writer of the newest segment has used up: the next one is what it must publish next.
fn last_id(inspected: &[Inspected], head: usize) -> u64 {
    let Some(header) = inspected.get(head).map(|segment| segment.header) else { return 0 };
    if header.is_fence() { header.segment.0.saturating_add(FENCE_GAP - 1) } else { header.segment.0 }
}

/// Whether every segment is there between this one and the place up to which, it says, everything was published when it
/// was stamped. One that is missing farther down was published, and is damage, or was removed.
fn reaches_proof(inspected: &[Inspected], head: usize) -> bool {
    let Some(newest) = inspected.get(head).and_then(|segment| segment.opening.as_ref()) else { return false };
    let (proven, mut predecessor) = (newest.durable.segment, newest.predecessor);
    while let Some(named) = predecessor.filter(|named| named.segment > proven) {
        let there = chain::at(inspected, named.segment).filter(|found| found.header.salt == named.salt);
        let Some(opening) = there.and_then(|found| found.opening.as_ref()) else { return false };
        // A name that does not lead down would lead around for ever.
        predecessor = opening.predecessor.filter(|next| next.segment < named.segment);
    }
    true
}
