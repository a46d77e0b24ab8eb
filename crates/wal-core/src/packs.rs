//! Entries that wait to become one frame together, with their LSNs and without a place (`docs/adr/0011`).

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use wal_format::{BodyShape, EntriesBuilder, FRAME_HEADER_LEN, FrameHeader, FrameKind, Lsn, NewEntry};
use wal_segment::LoadedFrame;

use crate::{
    appender::{Appender, Draft, padded},
    chunk::{Amount, Chunk},
    marks::Tick,
};

/// A pack takes no entry that comes so much later than its first, in nanoseconds: all have the time of the first.
const SPAN: u64 = 100_000_000;
/// What an entry counts at least, in bytes of a pack: its columns are not free.
const ENTRY: usize = 8;
/// A frame that is as long as this is not copied into the queue.
const WHOLE_LEN: usize = 48 << 10;
/// So many packs are kept for reuse, and more of short ones.
const SPARES: usize = 4;
const SPARES_MAX: usize = 24;
/// As long as packs are short, the memory that is kept for reuse is about as much.
const SPARE_LEN: usize = 2 << 20;
/// Where a frame is that has no place yet. No frame starts here.
pub(crate) const NO_PLACE: u64 = 0;

/// What one more entry adds to a body at most, columns included, if it begins one.
pub(crate) const fn body_len_for(payload_len: usize) -> usize {
    payload_len.saturating_add(41)
}

/// What is wanted of a pack. It is copied under the lock that every append takes, so it should not be more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// The entry that was asked for, and those behind it.
    From,
    /// That entry.
    Entry,
}

/// Entries of one frame to be.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) first: Lsn,
    pub(crate) tick: Tick,
    pub(crate) time: u64,
    pub(crate) entries: EntriesBuilder,
}

impl Pack {
    fn holds(&self, lsn: Lsn) -> bool {
        lsn.since(self.first).is_some_and(|index| index < self.entries.len() as u64)
    }

    /// The frame as it would be now, or as if it held only a part of its entries. `base` is what its segment counts
    /// from.
    fn frame(&self, base: Lsn, lsn: Lsn, part: Part) -> Option<LoadedFrame> {
        let index = usize::try_from(lsn.since(self.first)?).ok()?;
        let (mut body, mut some) = (Vec::new(), EntriesBuilder::default());
        let len = match part {
            Part::Whole => 0,
            Part::From => self.entries.len().saturating_sub(index),
            Part::Entry => 1,
        };
        for entry in (index..).map_while(|index| self.entries.entry(index)).take(len) {
            some.push(&entry).ok()?;
        }
        let (entries, first) = if some.is_empty() { (&self.entries, self.first) } else { (&some, lsn) };
        let shape = entries.finish(&mut body);
        let header = FrameHeader {
            body_crc: 0,
            body_len: u32::try_from(body.len()).ok()?,
            lsn_delta: u32::try_from(first.since(base)?).ok()?,
            count: shape.count,
            prev_units: 0,
            time: self.time,
            proof_lag: None,
            kind: FrameKind::Entries,
            codec: 0,
            columns: shape.columns,
            entry_kind: shape.entry_kind,
        };
        Some(LoadedFrame { offset: NO_PLACE, header, lsn: first, body: Bytes::from(body) })
    }

    /// What its frame takes of a segment at most: compression is used only if it makes it shorter.
    fn frame_len_max(&self) -> u64 {
        padded(self.entries.body_len())
    }
}

/// What a pack has become: a frame but for its header, whose place is kept free.
#[derive(Debug)]
pub(crate) struct Finished {
    /// As long as the frame, padding included.
    pub(crate) bytes: Vec<u8>,
    pub(crate) body_len: usize,
    pub(crate) body_crc: u32,
    pub(crate) codec: u8,
    pub(crate) shape: BodyShape,
}

impl Finished {
    pub(crate) fn draft(&self) -> Draft<'_> {
        let Self { bytes, body_len, body_crc, codec, shape } = self;
        let body = bytes.get(FRAME_HEADER_LEN..FRAME_HEADER_LEN + body_len).unwrap_or_default();
        Draft::entries(body, *body_crc, *codec, *shape)
    }
}

#[derive(Debug)]
enum State {
    /// It takes entries if it is the last one, and is for anybody to compress.
    Waits,
    /// Somebody compresses it.
    Claimed,
    /// It waits for those before it.
    Finished(Finished),
}

#[derive(Debug)]
struct Slot {
    pack: Arc<Pack>,
    state: State,
}

/// The packs of a log, oldest first. Only the last one takes entries, and it does not once somebody has claimed it.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    list: VecDeque<Slot>,
    spares: Vec<Pack>,
    /// How many take no more entries, and are not claimed.
    closed: usize,
    /// The last one takes no more entries, either.
    sealed: bool,
    /// Nobody claims one while somebody compresses under the lock, to have done.
    pub(crate) holds: usize,
    /// The log was closed: there will be no more.
    pub(crate) over: bool,
    /// What the frames take of the segment at most, together, in bytes.
    pub(crate) reserved: u64,
    pub(crate) entries: usize,
}

impl Packs {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many wait to be compressed that take no more entries.
    #[inline]
    pub(crate) const fn closed(&self) -> usize {
        self.closed
    }

    /// Whether there are packs that are not younger than this.
    pub(crate) fn has(&self, upto: Tick) -> bool {
        self.list.front().is_some_and(|slot| slot.pack.tick <= upto)
    }

    /// Whether the last pack takes an entry like this.
    pub(crate) fn takes(&mut self, payload_len: usize, time: u64, len_max: usize) -> bool {
        let last = self.list.back_mut().filter(|last| !self.sealed && matches!(last.state, State::Waits));
        last.and_then(|last| Arc::get_mut(&mut last.pack)).is_some_and(|last| {
            let len = last.entries.payload_len().saturating_add(payload_len);
            let is_short = len <= len_max && last.entries.len() < len_max / ENTRY;
            is_short && time.saturating_sub(last.time) <= SPAN
        })
    }

    /// Begins a pack. Those before take no more entries.
    pub(crate) fn begin(&mut self, first: Lsn, tick: Tick, time: u64) {
        let entries = self.spares.pop().map(|spare| spare.entries).unwrap_or_default();
        let pack = Pack { first, tick, time, entries };
        self.reserved += pack.frame_len_max();
        self.seal();
        self.list.push_back(Slot { pack: Arc::new(pack), state: State::Waits });
        self.sealed = false;
    }

    /// Closes the last pack, too.
    pub(crate) fn seal(&mut self) {
        let waits = self.list.back().is_some_and(|last| matches!(last.state, State::Waits));
        self.closed += usize::from(waits && !self.sealed);
        self.sealed = true;
    }

    /// Adds an entry, which was checked, to the last pack.
    pub(crate) fn push(&mut self, entry: &NewEntry<'_>) {
        let Some(last) = self.list.back_mut().and_then(|last| Arc::get_mut(&mut last.pack)) else { return };
        let before = last.frame_len_max();
        if last.entries.push(entry).is_ok() {
            self.reserved += last.frame_len_max() - before;
            self.entries += 1;
        }
    }

    /// The oldest pack that nobody has claimed, if it is not younger than `upto`: the caller's to finish, which cannot
    /// fail. Says whether it was closed.
    pub(crate) fn claim(&mut self, upto: Tick) -> Option<(Arc<Pack>, bool)> {
        let waits = |slot: &Slot| matches!(slot.state, State::Waits);
        let slot = self.list.iter_mut().find(|slot| waits(slot)).filter(|slot| slot.pack.tick <= upto)?;
        slot.state = State::Claimed;
        // Only the last one is not closed.
        let was_closed = self.closed > 0;
        self.closed = self.closed.saturating_sub(1);
        Some((Arc::clone(&slot.pack), was_closed))
    }

    /// The same, if it takes no more entries and nobody wants to have done.
    pub(crate) fn claim_closed(&mut self) -> Option<Arc<Pack>> {
        if self.closed == 0 || self.holds > 0 {
            return None;
        }
        self.claim(Tick::MAX).map(|(pack, _)| pack)
    }

    /// The youngest of those.
    pub(crate) fn claim_last_closed(&mut self) -> Option<Arc<Pack>> {
        if self.closed == 0 || self.holds > 0 {
            return None;
        }
        let open = usize::from(!self.sealed);
        let mut slots = self.list.iter_mut().rev().skip(open);
        let slot = slots.find(|slot| matches!(slot.state, State::Waits))?;
        slot.state = State::Claimed;
        self.closed -= 1;
        Some(Arc::clone(&slot.pack))
    }

    /// What the pack with this tick has become.
    pub(crate) fn finish(&mut self, tick: Tick, finished: Finished) {
        if let Some(slot) = self.list.iter_mut().find(|slot| slot.pack.tick == tick) {
            slot.state = State::Finished(finished);
        }
    }

    /// Takes out the oldest pack, if it is finished.
    pub(crate) fn pop_finished(&mut self) -> Option<(Arc<Pack>, Finished)> {
        if !matches!(self.list.front()?.state, State::Finished(_)) {
            return None;
        }
        let Slot { pack, state } = self.list.pop_front()?;
        self.reserved -= pack.frame_len_max();
        self.entries -= pack.entries.len();
        if let State::Finished(finished) = state { Some((pack, finished)) } else { None }
    }

    /// Keeps the memory of a pack for the next.
    pub(crate) fn reuse(&mut self, pack: Arc<Pack>) {
        let max = SPARE_LEN / pack.entries.payload_len().max(1);
        if let Ok(mut pack) = Arc::try_unwrap(pack)
            && self.spares.len() < max.clamp(SPARES, SPARES_MAX)
        {
            pack.entries.clear();
            self.spares.push(pack);
        }
    }

    /// A copy of the pack that holds `lsn`, or of a part of it, as a frame without a place.
    pub(crate) fn frame_of(&self, lsn: Lsn, base: Lsn, part: Part) -> Option<LoadedFrame> {
        let after = self.list.partition_point(|slot| slot.pack.first <= lsn);
        let pack = &after.checked_sub(1).and_then(|at| self.list.get(at))?.pack;
        if pack.holds(lsn) { pack.frame(base, lsn, part) } else { None }
    }
}

impl Appender {
    /// Gives the frames of packs their places that are finished, up to the first that is not. Says whether there were
    /// any.
    pub(crate) fn settle(&mut self) -> bool {
        let mut any = false;
        while let Some((pack, finished)) = self.packs.pop_finished() {
            self.queue_finished(&pack, finished);
            self.packs.reuse(pack);
            any = true;
        }
        any
    }

    /// Queues a pack's frame. The memory of a long one becomes a part of the queue, so that the lock is short.
    fn queue_finished(&mut self, pack: &Pack, mut finished: Finished) {
        if finished.bytes.len() < WHOLE_LEN {
            self.queue_frame(&finished.draft(), pack.first, pack.tick, pack.time);
            self.spare(finished.bytes);
            return;
        }
        let Some(tail) = self.tail.as_mut() else { return };
        tail.begin_chunk();
        let (header, words) = tail.header(&finished.draft(), pack.first, pack.time);
        for (place, word) in finished.bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        let (segment, memory) = (Arc::clone(&tail.segment), Some(finished.bytes));
        let mut chunk = Chunk::new(segment, tail.offset, pack.first, pack.tick, memory);
        chunk.index(header.lsn_delta, &mut tail.indexed);
        chunk.next = pack.first.plus(u64::from(header.count));
        self.queue.push_back(chunk);
        let bytes = tail.advance(&header, words) as usize;
        self.queued = self.queued.plus(Amount { bytes, entries: header.count as usize });
    }
}

#[cfg(test)]
mod tests {
    use wal_format::{ChecksumKind, HeaderSum, LogId, Metadata, SegmentHeader, SegmentId, SegmentKey};
    use wal_segment::{Directory, MemoryStorage, Segment};

    use super::*;
    use crate::appender::Tail;

    /// An appender with a segment that has an opening, and what its frames are verified with.
    fn appender() -> (Appender, SegmentKey) {
        const CAPACITY: u64 = 1 << 20;
        let header = SegmentHeader {
            checksum: ChecksumKind::Crc32,
            ignorable_flags: 0,
            log_id: LogId([1; 16]),
            segment: SegmentId(1),
            epoch: 1,
            salt: 7,
            created: 0,
        };
        let directory = Arc::new(Directory::new(Arc::new(MemoryStorage::new()), ""));
        let file = directory.prepare(&header, CAPACITY, false).unwrap();
        let segment = Segment::created(directory, header, Lsn::FIRST, String::new(), file);
        let mut appender = Appender::new(Lsn::FIRST, Lsn::FIRST, Metadata::default(), 0);
        appender.tail = Some(Tail::at_start(Arc::new(segment), CAPACITY));
        appender.stamp(&Draft::control(FrameKind::Opening, &[], header.checksum), 0);
        (appender, header.key())
    }

    /// A pack of one entry whose frame is not copied into the queue.
    fn pack_long(appender: &mut Appender, key: SegmentKey) {
        let body = vec![7; WHOLE_LEN];
        appender.pack(&NewEntry::plain(&body), body.len(), 0);
        let (pack, _) = appender.packs.claim(Tick::MAX).unwrap();
        let shape = BodyShape { count: 1, columns: 0, entry_kind: 0 };
        let (body_len, body_crc) = (body.len(), key.checksum.of(&body));
        let bytes = [vec![0; FRAME_HEADER_LEN], body].concat();
        appender.packs.finish(pack.tick, Finished { bytes, body_len, body_crc, codec: 0, shape });
        assert!(appender.settle());
    }

    #[test]
    fn memory_that_lies_about_a_header_costs_one_chunk_and_no_pack_behind_it() {
        let (mut appender, key) = appender();
        let stamp = |appender: &mut Appender| {
            let shape = BodyShape { count: 1, columns: 0, entry_kind: 0 };
            appender.stamp(&Draft::entries(b"short", key.checksum.of(b"short"), 0, shape), 0);
        };
        // What the next checksum would be computed from is that of other headers.
        let lie = |appender: &mut Appender| {
            appender.tail.as_mut().unwrap().sum = HeaderSum::new(ChecksumKind::Crc32c);
        };
        stamp(&mut appender);
        for _ in 0..2 {
            lie(&mut appender);
            pack_long(&mut appender, key);
        }
        lie(&mut appender);
        stamp(&mut appender);
        assert_eq!(appender.queue.len(), 4);
        for (n, chunk) in (1..).zip(&appender.queue) {
            assert!(chunk.frame_of(Lsn::new(n).unwrap()).is_some(), "the frame of chunk {n} does not verify");
        }
    }

    #[test]
    fn no_more_of_a_pack_is_copied_than_is_wanted() {
        let lsn = |n| Lsn::new(n).unwrap();
        let mut packs = Packs::default();
        packs.begin(lsn(11), 1, 5);
        (0..100).for_each(|n| packs.push(&NewEntry { kind: n, ..NewEntry::plain(&[n; 500]) }));
        let copied = |part| packs.frame_of(lsn(91), lsn(1), part).unwrap();
        let (whole, from, entry) = (copied(Part::Whole), copied(Part::From), copied(Part::Entry));
        let part = |frame: &LoadedFrame| (frame.lsn, frame.header.lsn_delta, frame.header.count);
        assert_eq!(part(&whole), (lsn(11), 10, 100));
        assert_eq!(part(&from), (lsn(91), 90, 20));
        assert_eq!(part(&entry), (lsn(91), 90, 1));
        assert_eq!((entry.body.to_vec(), entry.header.entry_kind), (vec![80; 500], 80));
        assert!(from.body.len() < 20 * 510 && whole.body.len() > 100 * 500);
        assert!(packs.frame_of(lsn(111), lsn(1), Part::Entry).is_none());
    }

    #[test]
    fn packs_get_their_places_in_order_whoever_finishes_first() {
        let mut packs = Packs::default();
        for n in 1..=4 {
            packs.begin(Lsn::new(n).unwrap(), n, 0);
            packs.push(&NewEntry::plain(b"x"));
        }
        assert_eq!(packs.closed(), 3);
        let finished = || Finished {
            bytes: Vec::new(),
            body_len: 0,
            body_crc: 0,
            codec: 0,
            shape: BodyShape { count: 1, columns: 0, entry_kind: 0 },
        };
        let first = packs.claim_closed().unwrap();
        let third = packs.claim_last_closed().unwrap();
        assert_eq!((first.tick, third.tick, packs.closed()), (1, 3, 1));
        packs.finish(3, finished());
        assert!(packs.pop_finished().is_none());
        packs.finish(1, finished());
        assert_eq!(packs.pop_finished().map(|(pack, _)| pack.tick), Some(1));
        assert!(packs.pop_finished().is_none(), "the second is nobody's yet");
        packs.holds = 1;
        assert!(packs.claim_closed().is_none() && packs.claim_last_closed().is_none());
        let (second, was_closed) = packs.claim(Tick::MAX).unwrap();
        assert_eq!((second.tick, was_closed), (2, true));
        let (open, was_closed) = packs.claim(4).unwrap();
        assert_eq!((open.tick, was_closed, packs.closed()), (4, false, 0));
        assert!(!packs.takes(1, 0, 1000), "somebody compresses it");
        for tick in [4, 2] {
            packs.finish(tick, finished());
        }
        let ticks: Vec<_> = std::iter::from_fn(|| packs.pop_finished()).map(|(pack, _)| pack.tick).collect();
        assert_eq!(ticks, [2, 3, 4]);
        assert_eq!((packs.reserved, packs.entries, packs.is_empty()), (0, 0, true));
    }
}
