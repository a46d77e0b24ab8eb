//! The short way from one entry to the next, in both directions.

use wal_format::{
    ChecksumKind, EntriesFrame, EntriesLayout, EntriesParser, FRAME_HEADER_LEN, Lsn, SegmentKey, frame_len,
};
use wal_segment::{Segment, fetch};

use super::{Cursor, shared::Shared};
use crate::{Entry, EntryRef, crossing::Place};

/// So many bytes ahead of the walk are on their way from memory.
const DISTANCE: usize = 4096;
/// No more of one frame: the processor has found out by then.
const FETCHED_MAX: usize = 4096;
/// Bytes of a cache line, or less.
const LINE: usize = 64;

/// What it takes to read on in the reader's window, as long as the frames there are not compressed. Empty while one
/// is open that is not in the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short {
    parser: EntriesParser,
    /// LSN that the segment counts from.
    base: u64,
    /// Where the window starts in the segment.
    start: u64,
    /// Where the window or the written frames end.
    limit: u64,
    /// LSN of the first entry in a later segment.
    bound: u64,
}

impl Short {
    pub(super) const NONE: Self = Self {
        parser: EntriesParser::new(SegmentKey { checksum: ChecksumKind::Crc32, salt: 0 }),
        base: 0,
        start: 0,
        limit: 0,
        bound: 0,
    };
}

/// An entry in the bytes of a cursor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    pub(super) time: u64,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: u8,
    /// Whether it is one of a frame that holds more than it.
    pub(super) shared: bool,
}

impl Passed {
    /// A range that no bytes have.
    pub(super) const NONE: Self = Self { time: 0, start: usize::MAX, end: 0, kind: 0, shared: false };
}

impl Cursor {
    /// The short way: moves to the next entry if it is in the frame that was read last or in the next one, and that is
    /// in the window already.
    #[inline(always)]
    pub(super) fn pass(&mut self, lsn: u64) -> bool {
        if self.shared.shows(lsn) { self.pass_shared(lsn) } else { self.pass_plain(lsn) || self.enter(lsn) }
    }

    /// The same towards the front.
    #[inline(always)]
    pub(super) fn pass_back(&mut self, lsn: u64) -> bool {
        if self.shared.shows(lsn) {
            self.pass_shared(lsn)
        } else {
            self.pass_plain_back(lsn) || self.enter_back(lsn)
        }
    }

    /// Moves to the next frame if it holds just this entry.
    fn pass_plain(&mut self, lsn: u64) -> bool {
        let Short { parser, base, start, limit, bound } = &mut self.short;
        let (base, start, limit, bound) = (*base, *start, *limit, *bound);
        let Some(place) = self.place.as_mut().filter(|place| place.end < limit && lsn < bound) else {
            return false;
        };
        let at = place.end.wrapping_sub(start) as usize;
        let Some(rest) = self.reader.window().get(at..) else { return false };
        let Some(frame) = parser.parse_plain(rest, place.end) else { return false };
        if base.wrapping_add(u64::from(frame.lsn_delta)) != lsn {
            return false;
        }
        let len = frame_len(frame.body.len() as u32);
        fetch_from(rest, DISTANCE.max(len as usize * 2), len as usize);
        let start = at + FRAME_HEADER_LEN;
        let (end, time, kind) = (start + frame.body.len(), frame.time, frame.entry_kind);
        self.passed = Passed { time, start, end, kind, shared: false };
        self.shared.forget();
        place.offset = place.end;
        place.end += len;
        place.prev_units = frame.prev_units;
        true
    }

    fn pass_plain_back(&mut self, lsn: u64) -> bool {
        let Short { parser, base, start, limit, bound } = &mut self.short;
        let (base, start, limit, bound) = (*base, *start, *limit, *bound);
        let Some(place) = self.place.as_mut().filter(|place| place.offset < limit && lsn < bound) else {
            return false;
        };
        let Some(offset) = place.previous().filter(|offset| *offset >= start) else { return false };
        let at = (offset - start) as usize;
        let Some(rest) = self.reader.window().get(at..) else { return false };
        let Some(frame) = parser.parse_plain(rest, offset) else { return false };
        let len = frame_len(frame.body.len() as u32);
        if base.wrapping_add(u64::from(frame.lsn_delta)) != lsn {
            return false;
        }
        let from = at.wrapping_sub(DISTANCE.max(len as usize * 3));
        fetch_from(self.reader.window(), from, len as usize);
        let start = at + FRAME_HEADER_LEN;
        let (end, time, kind) = (start + frame.body.len(), frame.time, frame.entry_kind);
        self.passed = Passed { time, start, end, kind, shared: false };
        self.shared.forget();
        (place.end, place.offset, place.prev_units) = (offset + len, offset, frame.prev_units);
        true
    }

    /// Moves to the next frame if it holds this entry and more, and to the entry.
    #[inline(never)]
    fn enter(&mut self, lsn: u64) -> bool {
        self.place.is_some_and(|place| self.enter_at(place.end, lsn))
    }

    /// The same towards the front.
    #[inline(never)]
    fn enter_back(&mut self, lsn: u64) -> bool {
        self.place.and_then(|place| place.previous()).is_some_and(|offset| self.enter_at(offset, lsn))
    }

    fn enter_at(&mut self, offset: u64, lsn: u64) -> bool {
        let Short { parser, base, start, limit, bound } = &mut self.short;
        let Some(place) = self.place.filter(|_| offset < *limit) else { return false };
        let at = offset.wrapping_sub(*start) as usize;
        let Some(rest) = self.reader.window().get(at..) else { return false };
        let Some(frame) = parser.parse(rest, offset) else { return false };
        let EntriesFrame { count, columns, entry_kind, time, body, prev_units, .. } = frame;
        // Where the columns are none that can be read, the long way says so.
        let Ok(layout) = EntriesLayout::parse(count, columns, entry_kind, body) else { return false };
        let first = Lsn::new(base.wrapping_add(u64::from(frame.lsn_delta)));
        let body = at + FRAME_HEADER_LEN..at + FRAME_HEADER_LEN + body.len();
        let ends = (place.bound, *bound);
        let shared = first.map(|first| Shared::new(layout, first, time, body, ends));
        let Some(shared) = shared.filter(|shared| shared.shows(lsn)) else { return false };
        let end = offset + frame_len(frame.body.len() as u32);
        let goes_back = offset < place.offset;
        // Should the entry be none that can be read, nothing was passed: what was is not of this frame.
        self.passed = Passed::NONE;
        self.place = Some(Place { offset, end, prev_units, ..place });
        self.shared = shared;
        self.shared.back = if goes_back { DISTANCE.max((prev_units as usize).saturating_mul(8)) } else { 0 };
        self.pass_shared(lsn)
    }

    /// Remembers what the short way needs, for the window that was just read.
    pub(super) fn shorten(&mut self, segment: &Segment, bound: u64) {
        let start = self.reader.window_start();
        let limit = segment.written().min(start + self.reader.window().len() as u64);
        let parser = EntriesParser::new(segment.key());
        self.short = Short { parser, base: segment.base().get(), start, limit, bound };
    }

    #[inline(always)]
    pub(super) fn passed(&self, lsn: Lsn) -> Option<EntryRef<'_>> {
        let Passed { time, start, end, kind, shared } = self.passed;
        if shared {
            let (term, timestamp) = self.shared.marks();
            let payload = self.bytes().get(start..end)?;
            return Some(EntryRef { lsn, kind, term, timestamp, time, payload });
        }
        let payload = self.reader.window().get(start..end)?;
        Some(EntryRef { lsn, kind, term: None, timestamp: None, time, payload })
    }

    #[inline]
    pub(super) fn take_passed(&self, lsn: Lsn) -> Option<Entry> {
        let Passed { time, start, end, kind, shared } = self.passed;
        if shared {
            let ((term, timestamp), transaction) = (self.shared.marks(), self.shared.transaction());
            let payload = self.bytes().slice(start..end);
            return Some(Entry { lsn, kind, term, timestamp, time, transaction, payload });
        }
        let payload = self.reader.window().slice(start..end);
        Some(Entry { lsn, kind, term: None, timestamp: None, time, transaction: None, payload })
    }
}

/// Has as many bytes fetched, where the walk will be soon, as it has just come further. The processor does so by itself
/// only within a page, and only forwards.
#[inline]
pub(super) fn fetch_from(window: &[u8], from: usize, len: usize) {
    let len = len.min(FETCHED_MAX);
    if let Some(bytes) = window.get(from..from.wrapping_add(len)) {
        (0..bytes.len()).step_by(LINE).for_each(|line| fetch(&bytes[line]));
    }
}
