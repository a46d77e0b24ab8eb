//! The short way from one plain frame to the next, in both directions.

use wal_format::{ChecksumKind, FRAME_HEADER_LEN, Lsn, PlainParser, SegmentKey, frame_len};
use wal_segment::{Segment, fetch};

use super::Cursor;
use crate::{Entry, EntryRef};

/// So many bytes ahead of the walk are on their way from memory.
const DISTANCE: usize = 4096;
/// No more of one frame: the processor has found out by then.
const FETCHED_MAX: usize = 4096;
/// Bytes of a cache line, or less.
const LINE: usize = 64;

/// What it takes to read on in the reader's window, as long as the frames there are plain. Empty while another frame is
/// open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short {
    parser: PlainParser,
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
        parser: PlainParser::new(SegmentKey { checksum: ChecksumKind::Crc32, salt: 0 }),
        base: 0,
        start: 0,
        limit: 0,
        bound: 0,
    };
}

/// A plain entry in the reader's window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    time: u64,
    start: usize,
    end: usize,
    kind: u8,
}

impl Passed {
    /// A range that no window has.
    pub(super) const NONE: Self = Self { time: 0, start: usize::MAX, end: 0, kind: 0 };
}

impl Cursor {
    /// The short way: moves to the next frame if it is in the window already and holds just this entry.
    pub(super) fn pass_plain(&mut self, lsn: u64) -> bool {
        let Short { parser, base, start, limit, bound } = &mut self.short;
        let (base, start, limit, bound) = (*base, *start, *limit, *bound);
        let Some(place) = self.place.as_mut().filter(|place| place.end < limit && lsn < bound) else {
            return false;
        };
        let at = place.end.wrapping_sub(start) as usize;
        let Some(rest) = self.reader.window().get(at..) else { return false };
        let Some(frame) = parser.parse(rest, place.end) else { return false };
        if base.wrapping_add(u64::from(frame.lsn_delta)) != lsn {
            return false;
        }
        let len = frame_len(frame.payload.len() as u32);
        fetch_from(rest, DISTANCE.max(len as usize * 2), len as usize);
        let start = at + FRAME_HEADER_LEN;
        self.passed =
            Passed { time: frame.time, start, end: start + frame.payload.len(), kind: frame.entry_kind };
        place.offset = place.end;
        place.end += len;
        place.prev_units = frame.prev_units;
        true
    }

    /// The same towards the front.
    pub(super) fn pass_plain_back(&mut self, lsn: u64) -> bool {
        let Short { parser, base, start, limit, bound } = &mut self.short;
        let (base, start, limit, bound) = (*base, *start, *limit, *bound);
        let Some(place) = self.place.as_mut().filter(|place| place.offset < limit && lsn < bound) else {
            return false;
        };
        let Some(offset) = place.previous().filter(|offset| *offset >= start) else { return false };
        let at = (offset - start) as usize;
        let Some(rest) = self.reader.window().get(at..) else { return false };
        let Some(frame) = parser.parse(rest, offset) else { return false };
        let len = frame_len(frame.payload.len() as u32);
        if base.wrapping_add(u64::from(frame.lsn_delta)) != lsn || offset + len != place.offset {
            return false;
        }
        let from = at.wrapping_sub(DISTANCE.max(len as usize * 3));
        fetch_from(self.reader.window(), from, len as usize);
        let start = at + FRAME_HEADER_LEN;
        self.passed =
            Passed { time: frame.time, start, end: start + frame.payload.len(), kind: frame.entry_kind };
        (place.end, place.offset, place.prev_units) = (place.offset, offset, frame.prev_units);
        true
    }

    /// Remembers what the short way needs, for the window that was just read.
    pub(super) fn shorten(&mut self, segment: &Segment, bound: u64) {
        let start = self.reader.window_start();
        let limit = segment.written().min(start + self.reader.window().len() as u64);
        let parser = PlainParser::new(segment.key());
        self.short = Short { parser, base: segment.base().get(), start, limit, bound };
    }

    #[inline]
    pub(super) fn passed(&self, lsn: Lsn) -> Option<EntryRef<'_>> {
        let Passed { time, start, end, kind } = self.passed;
        let payload = self.reader.window().get(start..end)?;
        Some(EntryRef { lsn, kind, term: None, timestamp: None, time, payload })
    }

    #[inline]
    pub(super) fn take_passed(&self, lsn: Lsn) -> Option<Entry> {
        let Passed { time, start, end, kind } = self.passed;
        let payload = self.reader.window().slice(start..end);
        Some(Entry { lsn, kind, term: None, timestamp: None, time, transaction: None, payload })
    }
}

/// Has as many bytes fetched, where the walk will be soon, as it has just come further. The processor does so by itself
/// only within a page, and only forwards.
#[inline]
fn fetch_from(window: &[u8], from: usize, len: usize) {
    let len = len.min(FETCHED_MAX);
    if let Some(bytes) = window.get(from..from.wrapping_add(len)) {
        (0..bytes.len()).step_by(LINE).for_each(|line| fetch(&bytes[line]));
    }
}
