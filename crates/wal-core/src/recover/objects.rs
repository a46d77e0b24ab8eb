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

/// Index of the newest segment that is part of the log, if there is one: every segment is there between it and the
/// place up to which, it says, everything was published when it was stamped. One that is missing farther down was
/// published, and is damage, or was removed.
pub(super) fn head(inspected: &[Inspected]) -> Option<usize> {
    let gaps = gaps(inspected);
    let opening = |head: usize| inspected.get(head).and_then(|segment| segment.opening.as_ref());
    let is_whole = |gap: Option<SegmentId>, proven| gap.is_none_or(|missing| missing <= proven);
    let mut newest_first = gaps.iter().enumerate().rev();
    let (head, _) = newest_first
        .find(|(head, gap)| opening(*head).is_some_and(|newest| is_whole(**gap, newest.durable.segment)))?;
    Some(head)
}

/// The last id that the writer of the newest segment has used up: the next one is what it must publish next.
fn last_id(inspected: &[Inspected], head: usize) -> u64 {
    let Some(header) = inspected.get(head).map(|segment| segment.header) else { return 0 };
    if header.is_fence() { header.segment.0.saturating_add(FENCE_GAP - 1) } else { header.segment.0 }
}

/// For each segment the first one that is missing when predecessors are followed down from it. The segments are in
/// ascending order, so each is answered by the one below it, however long a hostile listing is.
fn gaps(inspected: &[Inspected]) -> Vec<Option<SegmentId>> {
    let mut gaps: Vec<Option<SegmentId>> = Vec::with_capacity(inspected.len());
    for segment in inspected {
        let named = segment.opening.as_ref().and_then(|opening| opening.predecessor);
        // A name that does not lead down would lead around for ever.
        let gap = named.filter(|named| named.segment < segment.header.segment).and_then(|named| {
            match chain::position(inspected, named) {
                Some(at) if inspected.get(at).is_some_and(|found| found.opening.is_some()) => {
                    gaps.get(at).copied().flatten()
                }
                _ => Some(named.segment),
            }
        });
        gaps.push(gap);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use wal_format::{ChecksumKind, Metadata, Opening, Position, Predecessor, SegmentHeader};

    use super::*;

    /// A segment whose salt is `salt`, which names `predecessor` and says that everything below `proven` was published.
    fn segment(id: u64, salt: u64, predecessor: Option<(u64, u64)>, proven: u64) -> Inspected {
        let predecessor = predecessor.map(|(segment, salt)| Predecessor {
            segment: SegmentId(segment),
            salt,
            end: FIRST_FRAME,
            last_header_crc: 0,
            last_units: 0,
        });
        let durable = Position { segment: SegmentId(proven), offset: 0 };
        let (base, first_retained, metadata) = (Lsn::FIRST, Lsn::FIRST, Metadata::default());
        let opening = Opening { base, predecessor, durable, first_retained, metadata };
        let header = SegmentHeader {
            checksum: ChecksumKind::Crc32,
            ignorable_flags: 0,
            log_id: LogId([1; 16]),
            segment: SegmentId(id),
            epoch: 1,
            salt,
            created: 0,
        };
        Inspected { header, opening: Some(opening), opening_len: 0, path: String::new() }
    }

    /// The rule of section 6 as it is written: down from the newest, by its names, as far as it says that all is there.
    fn walks_down(segments: &[Inspected], head: usize) -> bool {
        let Some(newest) = segments[head].opening.as_ref() else { return false };
        let below = |named: &Predecessor, than: SegmentId| named.segment < than;
        let mut named = newest.predecessor.filter(|named| below(named, segments[head].header.segment));
        while let Some(next) = named.filter(|named| named.segment > newest.durable.segment) {
            let there = segments.iter().find(|segment| segment.header.segment == next.segment);
            let found = there.filter(|segment| segment.header.salt == next.salt);
            let Some(opening) = found.and_then(|segment| segment.opening.as_ref()) else { return false };
            named = opening.predecessor.filter(|named| below(named, next.segment));
        }
        true
    }

    proptest! {
        #[test]
        fn the_newest_from_which_one_can_walk_down(
            parts in prop::collection::vec((1_u64..16, 0_u64..2, 0_u64..18, 0_u64..2, 0_u64..16, 0_u8..8), 0..12)
        ) {
            let mut segments = BTreeMap::new();
            for (id, salt, predecessor, its_salt, proven, has_opening) in parts {
                let named = (predecessor > 0).then_some((predecessor, its_salt));
                let mut segment = segment(id, salt, named, proven);
                segment.opening = segment.opening.filter(|_| has_opening > 0);
                segments.insert(id, segment);
            }
            let segments: Vec<_> = segments.into_values().collect();
            let expected = (0..segments.len()).rev().find(|head| walks_down(&segments, *head));
            prop_assert_eq!(head(&segments), expected);
        }
    }
}
