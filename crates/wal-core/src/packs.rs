//! Entries that wait to become one frame together, with their LSNs and without a place (`docs/adr/0011`).

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use wal_format::{EntriesBuilder, FrameHeader, FrameKind, Lsn, NewEntry};
use wal_segment::LoadedFrame;

use crate::{appender::padded, marks::Tick};

/// A pack takes no entry that comes so much later than its first, in nanoseconds: all have the time of the first.
const SPAN: u64 = 100_000_000;
/// What an entry counts at least, in bytes of a pack: its columns are not free.
const ENTRY: usize = 8;
/// So many packs are kept for reuse.
const SPARES: usize = 4;
/// Where a frame is that has no place yet. No frame starts here.
pub(crate) const NO_PLACE: u64 = 0;

/// What one more entry adds to a body at most, columns included, if it begins one.
pub(crate) const fn body_len_for(payload_len: usize) -> usize {
    payload_len.saturating_add(41)
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

    /// The frame as it would be now. `base` is what its segment counts from.
    fn frame(&self, base: Lsn) -> Option<LoadedFrame> {
        let mut body = Vec::new();
        let shape = self.entries.finish(&mut body);
        let header = FrameHeader {
            body_crc: 0,
            body_len: u32::try_from(body.len()).ok()?,
            lsn_delta: u32::try_from(self.first.since(base)?).ok()?,
            count: shape.count,
            prev_units: 0,
            time: self.time,
            proof_lag: None,
            kind: FrameKind::Entries,
            codec: 0,
            columns: shape.columns,
            entry_kind: shape.entry_kind,
        };
        Some(LoadedFrame { offset: NO_PLACE, header, lsn: self.first, body: Bytes::from(body) })
    }

    /// What its frame takes of a segment at most: compression is used only if it makes it shorter.
    fn frame_len_max(&self) -> u64 {
        padded(self.entries.body_len())
    }
}

/// The packs of a log, oldest first. Only the last one takes entries, and it does not while somebody compresses it: who
/// does so holds it, too.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    list: VecDeque<Arc<Pack>>,
    spares: Vec<Pack>,
    /// What the frames take of the segment at most, together, in bytes.
    pub(crate) reserved: u64,
    pub(crate) entries: usize,
}

impl Packs {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether packs wait that take no more entries.
    pub(crate) fn has_full(&self) -> bool {
        self.list.len() > 1
    }

    /// The tick of the last pack that takes no more entries.
    pub(crate) fn full(&self) -> Option<Tick> {
        self.list.len().checked_sub(2).and_then(|at| self.list.get(at)).map(|pack| pack.tick)
    }

    /// Whether the last pack takes an entry like this.
    pub(crate) fn takes(&mut self, payload_len: usize, time: u64, len_max: usize) -> bool {
        self.list.back_mut().and_then(Arc::get_mut).is_some_and(|last| {
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
        self.list.push_back(Arc::new(pack));
    }

    /// Adds an entry, which was checked, to the last pack.
    pub(crate) fn push(&mut self, entry: &NewEntry<'_>) {
        let Some(last) = self.list.back_mut().and_then(Arc::get_mut) else { return };
        let before = last.frame_len_max();
        if last.entries.push(entry).is_ok() {
            self.reserved += last.frame_len_max() - before;
            self.entries += 1;
        }
    }

    /// The oldest pack, if it is not younger than `upto`.
    pub(crate) fn front(&self, upto: Tick) -> Option<Arc<Pack>> {
        self.list.front().filter(|pack| pack.tick <= upto).cloned()
    }

    /// Forgets the oldest pack, whose frame was stamped.
    pub(crate) fn pop(&mut self) {
        let Some(pack) = self.list.pop_front() else { return };
        self.reserved -= pack.frame_len_max();
        self.entries -= pack.entries.len();
    }

    /// Keeps the memory of a pack for the next.
    pub(crate) fn reuse(&mut self, pack: Arc<Pack>) {
        if let Ok(mut pack) = Arc::try_unwrap(pack)
            && self.spares.len() < SPARES
        {
            pack.entries.clear();
            self.spares.push(pack);
        }
    }

    /// A copy of the pack that holds `lsn`, as a frame without a place.
    pub(crate) fn frame_of(&self, lsn: Lsn, base: Lsn) -> Option<LoadedFrame> {
        let after = self.list.partition_point(|pack| pack.first <= lsn);
        let pack = after.checked_sub(1).and_then(|at| self.list.get(at))?;
        if pack.holds(lsn) { pack.frame(base) } else { None }
    }
}
