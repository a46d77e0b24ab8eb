//! What leaves: the local files of segments that are in the tier, and segments in the tier that left the log.

use std::{io, sync::Arc};

use wal_format::{FIRST_FRAME, FileName, Lsn, Opening, Parsed, SEGMENT_HEADER_LEN, SegmentId, parse_frame};
use wal_segment::{BySegment, Segment, Stub, inspect};

use super::{Tier, Work, base_of, ids, noting};
use crate::{LogError, engine::Engine, events};

impl Engine {
    /// Evicts and removes what may go.
    pub(super) fn clear_out(&self, tier: &Tier, work: &mut Work) -> Result<(), LogError> {
        self.evict(tier, work)?;
        self.remove_retired(tier, work)
    }

    /// The oldest segments that are in the tier leave the local storage while it holds more than it is to hold.
    pub(super) fn evict(&self, tier: &Tier, work: &mut Work) -> Result<(), LogError> {
        let Some(keep) = self.options.tier.local_len else { return Ok(()) };
        loop {
            let view = self.view();
            let victim = {
                let known = tier.known.lock();
                let mut local = view.segments.iter().filter(|segment| !known.evicted.contains(segment.id()));
                let bytes: u64 = local.clone().map(|segment| segment.written()).sum();
                let due = local.find(|segment| known.shipped.contains(segment.id()));
                due.filter(|_| bytes > keep).cloned()
            };
            let Some(victim) = victim else { return Ok(()) };
            if work.guard.is_none() {
                // What an earlier life noted may be the word of another place.
                self.enter(tier, work)?;
            } else {
                self.evict_one(tier, &victim)?;
            }
        }
    }

    fn evict_one(&self, tier: &Tier, segment: &Arc<Segment>) -> Result<(), LogError> {
        let _admin = self.admin.lock();
        if tier.is_stopped() || !ids(&self.view()).contains(segment.id()) {
            tier.note_evicted(segment.id(), 0);
            return Ok(());
        }
        // Without its index it would have to be read whole before anything is found in it.
        self.index_sealed();
        let evicted = tier.storage.evict(&tier.name(segment.id()));
        evicted.map_err(|source| noting(segment.path().to_owned(), source))?;
        self.view.rcu(|view| view.reopened(segment.id()));
        events::evicted(segment);
        tier.note_evicted(segment.id(), 1);
        Ok(())
    }

    /// Removes from the tier what is not part of the log any more, once the tier itself says so: whoever restores the
    /// log from it walks from its newest segment down to the first entry that this one knew of.
    fn remove_retired(&self, tier: &Tier, work: &mut Work) -> Result<(), LogError> {
        if self.options.tier.keep_removed || tier.is_stopped() {
            return Ok(());
        }
        let retired =
            tier.storage.retired().map_err(|source| noting(self.directory.storage().location(), source))?;
        let mut gone = Gone::default();
        for (name, stub) in retired {
            if let Some(FileName::Segment(id)) = FileName::parse(&name, &tier.prefix) {
                gone.insert(id, stub.as_ref().and_then(opening));
            }
        }
        let view = self.view();
        let newest = {
            let known = tier.known.lock();
            view.segments.iter().rev().find(|segment| known.shipped.contains(segment.id())).cloned()
        };
        let (Some(newest), Some((first, base))) = (newest, base_of(&view)) else { return Ok(()) };
        if gone.is_empty() {
            return Ok(());
        }
        let look =
            |id| inspect(&self.directory, id).map_err(|source| LogError::segment("read a segment", source));
        let Some(head) = look(newest.id())?.opening else { return Ok(()) };
        let from = look(first)?.opening.and_then(|opening| opening.predecessor).map(|named| named.segment);
        let tail = Remaining { newest: newest.id(), first_retained: head.first_retained, base, from };
        let due = removable(&gone, &tail);
        if due.is_empty() {
            return Ok(());
        }
        self.enter(tier, work)?;
        // Another life of the log may go on from what this one would remove.
        self.check_owner(tier)?;
        for id in due {
            let name = tier.name(id);
            match tier.storage.remote().remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(tier.failed(&name, error));
                }
                _ => {}
            }
            tier.storage.forget(&name).map_err(|source| noting(name, source))?;
            tier.known.lock().stats.removed_segments += 1;
        }
        Ok(())
    }
}

impl Tier {
    fn note_evicted(&self, segment: SegmentId, count: u64) {
        let mut known = self.known.lock();
        known.evicted.insert(segment);
        known.stats.evicted_segments += count;
    }
}

/// The opening in a stub.
fn opening(stub: &Stub) -> Option<Opening> {
    let frames = stub.head.get(SEGMENT_HEADER_LEN..)?;
    match parse_frame(frames, stub.header()?.key(), FIRST_FRAME) {
        Parsed::Frame(_, body) => Opening::decode(body).ok(),
        _ => None,
    }
}

/// The openings of segments that are gone; `None` where it cannot be read.
type Gone = BySegment<Option<Opening>>;

/// What the log is without those that are gone.
struct Remaining {
    /// The newest segment that is in the tier.
    newest: SegmentId,
    /// Where the log begins, says that one.
    first_retained: Lsn,
    /// Where the oldest segment of the log begins.
    base: Lsn,
    /// The segment before that one.
    from: Option<SegmentId>,
}

/// Those of the segments that are gone that nobody needs who knows only what is in the tier.
fn removable(gone: &Gone, remaining: &Remaining) -> Vec<SegmentId> {
    // Where the entries of a segment end: where the one begins that follows it. Of several, the farthest.
    let mut ends = BySegment::default();
    if let Some(from) = remaining.from {
        ends.insert(from, remaining.base);
    }
    for opening in gone.iter().filter_map(|(_, opening)| opening.as_ref()) {
        if let Some(before) = opening.predecessor {
            let end = ends.get(before.segment).copied();
            ends.insert(before.segment, end.map_or(opening.base, |end: Lsn| end.max(opening.base)));
        }
    }
    // One that cannot be read may follow any of them.
    let whole = gone.iter().all(|(_, opening)| opening.is_some());
    let is_due = |id: &SegmentId| {
        let end = if whole { ends.get(*id).copied() } else { Some(remaining.base) };
        *id < remaining.newest && end.is_none_or(|end| end <= remaining.first_retained)
    };
    gone.iter().map(|(id, _)| id).filter(is_due).collect()
}

#[cfg(test)]
mod tests {
    use wal_format::{Metadata, Position, Predecessor};

    use super::*;

    fn lsn(n: u64) -> Lsn {
        Lsn::new(n).unwrap()
    }

    fn gone(segments: &[(u64, u64, u64)]) -> Gone {
        let opening = |base, before: u64| Opening {
            base: lsn(base),
            predecessor: (before > 0).then_some(Predecessor {
                segment: SegmentId(before),
                salt: 0,
                end: 0,
                last_header_crc: 0,
                last_units: 0,
            }),
            durable: Position { segment: SegmentId(before), offset: 0 },
            first_retained: Lsn::FIRST,
            metadata: Metadata::default(),
        };
        let mut gone = Gone::default();
        for (id, base, before) in segments {
            gone.insert(SegmentId(*id), Some(opening(*base, *before)));
        }
        gone
    }

    #[track_caller]
    fn check(segments: &[(u64, u64, u64)], newest: u64, first_retained: u64, want: &[u64]) {
        // The log begins with segment 9, which holds the entries from 90 on and follows the segment 8.
        let remaining = Remaining {
            newest: SegmentId(newest),
            first_retained: lsn(first_retained),
            base: lsn(90),
            from: Some(SegmentId(8)),
        };
        let found: Vec<u64> = removable(&gone(segments), &remaining).iter().map(|id| id.0).collect();
        assert_eq!(found, want);
    }

    #[test]
    fn what_the_newest_segment_in_the_tier_asks_for_stays_there() {
        let chain = [(6, 60, 5), (7, 70, 6), (8, 80, 7)];
        check(&chain, 10, 90, &[6, 7, 8]);
        check(&chain, 10, 89, &[6, 7]);
        check(&chain, 10, 80, &[6, 7]);
        check(&chain, 10, 70, &[6]);
        check(&chain, 10, 1, &[]);
        check(&chain, 7, 90, &[6]);
    }

    #[test]
    fn what_was_cut_off_goes_when_the_tier_knows_what_came_instead() {
        // Segment 8 follows 5 again: 6 and 7 were cut off.
        let cut = [(5, 50, 4), (6, 60, 5), (7, 70, 6), (8, 58, 5)];
        check(&cut, 10, 59, &[7]);
        check(&cut[..2], 10, 59, &[6]);
        check(&cut, 10, 60, &[5, 7]);
        check(&[(11, 95, 9)], 10, 1, &[]);
        check(&[(11, 95, 9)], 12, 1, &[11]);
    }

    #[test]
    fn nothing_is_removed_on_the_word_of_a_damaged_note() {
        let mut segments = gone(&[(6, 60, 5), (8, 80, 7)]);
        segments.insert(SegmentId(7), None);
        let remaining = |first| Remaining {
            newest: SegmentId(10),
            first_retained: lsn(first),
            base: lsn(90),
            from: None,
        };
        assert!(removable(&segments, &remaining(89)).is_empty());
        assert_eq!(removable(&segments, &remaining(90)).len(), 3);
    }
}
