//! Frames on their way to a file: stamped, in memory, in order.

use std::sync::Arc;

use bytes::Bytes;
use wal_format::{FRAME_HEADER_LEN, FrameHeader, IndexPoint, Lsn, Parsed, hint_frame, parse_frame};
use wal_segment::{LoadedFrame, Segment, SparseIndex, point};

use crate::marks::Tick;

/// Frames are written in pieces of about this length: longer ones gain next to nothing (`docs/adr/0004`).
pub(crate) const CHUNK_LEN: usize = 256 << 10;

/// How much of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) bytes: usize,
    pub(crate) entries: usize,
}

impl Amount {
    pub(crate) const fn plus(self, other: Self) -> Self {
        let bytes = self.bytes.saturating_add(other.bytes);
        Self { bytes, entries: self.entries.saturating_add(other.entries) }
    }

    pub(crate) const fn minus(self, other: Self) -> Self {
        let bytes = self.bytes.saturating_sub(other.bytes);
        Self { bytes, entries: self.entries.saturating_sub(other.entries) }
    }
}

/// A run of frames of one segment.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) segment: Arc<Segment>,
    /// Where the run starts in the segment.
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    /// How many of them were stored, and need not be written.
    pub(crate) stored: usize,
    /// LSN after the last entry among them.
    pub(crate) stored_next: Lsn,
    /// LSN of the first entry in or after the run.
    pub(crate) first: Lsn,
    /// LSN after the last entry of the run.
    pub(crate) next: Lsn,
    /// The last frame's tick.
    pub(crate) tick: Tick,
    pub(crate) points: Vec<IndexPoint>,
    /// Where the last frame starts in the segment.
    pub(crate) last_frame: u64,
}

impl Chunk {
    pub(crate) fn new(
        segment: Arc<Segment>,
        offset: u64,
        first: Lsn,
        tick: Tick,
        spare: Option<Vec<u8>>,
    ) -> Self {
        let bytes = spare.unwrap_or_else(|| Vec::with_capacity(CHUNK_LEN + CHUNK_LEN / 8));
        let points = Vec::new();
        Self {
            segment,
            offset,
            bytes,
            stored: 0,
            stored_next: first,
            first,
            next: first,
            tick,
            points,
            last_frame: offset,
        }
    }

    /// Stores the frames that are not yet. `false`: they must be written.
    #[inline]
    pub(crate) fn store(&mut self) -> bool {
        let is_done = self.segment.store(self.offset + self.stored as u64, &self.bytes[self.stored..]);
        if is_done {
            (self.stored, self.stored_next) = (self.bytes.len(), self.next);
        }
        is_done
    }

    /// Entries and bytes that are stored.
    pub(crate) fn stored(&self) -> Amount {
        let entries = self.stored_next.since(self.first).unwrap_or(0);
        Amount { bytes: self.stored, entries: usize::try_from(entries).unwrap_or(usize::MAX) }
    }

    /// Entries and bytes.
    pub(crate) fn amount(&self) -> Amount {
        let entries = self.next.since(self.first).unwrap_or(0);
        Amount { bytes: self.bytes.len(), entries: usize::try_from(entries).unwrap_or(usize::MAX) }
    }

    /// The frames that were not stored, and are to be written, with where they belong.
    pub(crate) fn unwritten(&self) -> (u64, &[u8]) {
        (self.offset + self.stored as u64, &self.bytes[self.stored..])
    }

    /// Where the run ends in the segment.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// Adds a frame. `indexed` is where the index of the segment has its last point.
    #[inline]
    pub(crate) fn push(
        &mut self,
        header: [u64; FRAME_HEADER_LEN / 8],
        body: &[u8],
        lsn_delta: u32,
        indexed: &mut Option<u64>,
    ) {
        self.last_frame = self.end();
        self.index(lsn_delta, indexed);
        self.bytes.reserve(FRAME_HEADER_LEN + body.len() + 8);
        // Word by word: put together elsewhere and copied, the header would be waited for.
        for word in header {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
        self.bytes.extend_from_slice(body);
        let padding = body.len().wrapping_neg() % 8;
        if padding > 0 {
            self.bytes.extend_from_slice(&[0; 8][..padding]);
        }
    }

    /// Puts the last frame into the index of the segment, if it is to have a point there.
    #[inline]
    pub(crate) fn index(&mut self, lsn_delta: u32, indexed: &mut Option<u64>) {
        if SparseIndex::wants(*indexed, self.last_frame) {
            self.points.push(point(lsn_delta, self.last_frame));
            *indexed = Some(self.last_frame);
        }
    }

    /// A copy of the frame that holds `lsn`.
    pub(crate) fn frame_of(&self, lsn: Lsn) -> Option<LoadedFrame> {
        if lsn < self.first || lsn >= self.next {
            return None;
        }
        let delta = u32::try_from(lsn.since(self.segment.base())?).ok()?;
        let after = self.points.partition_point(|point| point.lsn_delta <= delta);
        let start =
            after.checked_sub(1).and_then(|at| self.points.get(at)).map_or(self.offset, |p| p.offset());
        let mut at = usize::try_from(start - self.offset).ok()?;
        loop {
            let hint = hint_frame(self.bytes.get(at..)?)?;
            if delta.checked_sub(hint.lsn_delta)? < hint.count {
                return self.frame_at(self.offset + at as u64);
            }
            at += usize::try_from(hint.frame_len).ok()?;
        }
    }

    /// A copy of the frame at `offset` of the segment.
    pub(crate) fn frame_at(&self, offset: u64) -> Option<LoadedFrame> {
        let at = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        match parse_frame(self.bytes.get(at..)?, self.segment.key(), offset) {
            Parsed::Frame(header, body) => Some(self.loaded(offset, header, body)),
            Parsed::More(_) | Parsed::Fault(_) => None,
        }
    }

    fn loaded(&self, offset: u64, header: FrameHeader, body: &[u8]) -> LoadedFrame {
        let lsn = self.segment.base().plus(u64::from(header.lsn_delta));
        LoadedFrame { offset, header, lsn, body: Bytes::copy_from_slice(body) }
    }
}
