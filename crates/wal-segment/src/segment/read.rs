//! Reading a segment: its bytes, and from an LSN to where the frame is.

use std::{hint::black_box, io, ops::Range};

use bytes::Bytes;
use snafu::ResultExt;
use wal_format::{
    FIRST_FRAME, FRAME_ALIGN, FRAME_HEADER_LEN, FrameFault, FrameHeader, FrameHint, Lsn, Parsed, Scanner,
    hint_frame, parse_frame,
};

use super::{FrameReader, Segment};
use crate::{
    error::SegmentError,
    points::Points,
    sparse::{INDEX_STRIDE, SparseIndex, point},
};

/// A verified frame.
#[derive(Clone, Debug)]
pub struct LoadedFrame {
    /// Where it starts.
    pub offset: u64,
    /// Its header.
    pub header: FrameHeader,
    /// LSN of its first entry (of the next one, for a control frame).
    pub lsn: Lsn,
    /// Its stored body.
    pub body: Bytes,
}

impl LoadedFrame {
    /// Where the next frame starts.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.header.frame_len())
    }

    /// Where the frame before starts; `None` for the first.
    #[must_use]
    pub fn previous(&self) -> Option<u64> {
        let len = u64::from(self.header.prev_units).checked_mul(8).filter(|len| *len > 0)?;
        self.offset.checked_sub(len).filter(|offset| *offset >= FIRST_FRAME)
    }
}

impl Segment {
    /// The bytes at `offset`: at most `len`, fewer at the end of what is durable or written. Those that are durable are
    /// not copied where the storage can do without.
    pub(super) fn window(&self, offset: u64, len: u64) -> Result<Bytes, SegmentError> {
        let wanted = offset.saturating_add(len);
        let durable = self.durable();
        if offset < durable {
            let end = wanted.min(durable);
            return match self.file.view(offset..end) {
                // The file is shorter than it was. What is left shows which frame is not there.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let end = end.min(self.file_len()?).max(offset);
                    self.file.view(offset..end)
                }
                viewed => viewed,
            }
            .with_context(|_| self.io("read"));
        }
        let len = wanted.min(self.written()).saturating_sub(offset);
        let mut copy = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        let read = self.file.read_at(offset, &mut copy).with_context(|_| self.io("read"))?;
        copy.truncate(read);
        Ok(copy.into())
    }

    /// All of it that is durable, every frame verified.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Frame`] where it is damaged; [`SegmentError::Io`].
    pub fn content(&self) -> Result<Bytes, SegmentError> {
        let content = self.window(0, self.durable())?;
        let mut scanner = Scanner::new();
        let mut pieces = content.chunks(256 << 10);
        loop {
            let piece = pieces.next();
            match piece {
                Some(piece) => scanner.feed(piece),
                None => scanner.end(),
            }
            while scanner.next().map_err(|source| SegmentError::header(&self.path, source))?.is_some() {}
            if piece.is_none() {
                break;
            }
        }
        let verdict = scanner.verdict();
        if verdict.end == self.durable() {
            return Ok(content);
        }
        let (path, offset, source) = (self.path.clone(), verdict.end, verdict.fault);
        Err(SegmentError::Frame { path, offset, source })
    }

    /// Where the frame that holds `lsn` starts; `None` when it is not among the written frames.
    ///
    /// The frame that is found has not been verified yet: load it with a [`FrameReader`].
    ///
    /// # Errors
    ///
    /// [`SegmentError`] when what lies on the way cannot be read or is damaged.
    pub fn locate(&self, lsn: Lsn) -> Result<Option<u64>, SegmentError> {
        self.delta_of(lsn).map_or(Ok(None), |delta| self.locate_delta(delta))
    }

    pub(super) fn locate_delta(&self, delta: u32) -> Result<Option<u64>, SegmentError> {
        let start = self.floor(delta)?;
        match self.hop(start, delta)? {
            Hop::Found(offset) => Ok(Some(offset)),
            Hop::Beyond => Ok(None),
            // The lengths lead nowhere: find the frame that lies, and say so.
            Hop::Astray => self.walk(start, delta),
        }
    }

    /// How headers of this segment write an LSN.
    pub(super) fn delta_of(&self, lsn: Lsn) -> Option<u32> {
        u32::try_from(lsn.since(self.base)?).ok()
    }

    pub(super) fn floor(&self, delta: u32) -> Result<u64, SegmentError> {
        Ok(self.around(delta)?.start)
    }

    /// Between which places of the index the frame that holds `delta` is; an empty range where only the first is known.
    pub(super) fn around(&self, delta: u32) -> Result<Range<u64>, SegmentError> {
        let Some(stretch) = self.index()?.around(delta) else { return Ok(FIRST_FRAME..FIRST_FRAME) };
        let start = stretch.from.offset();
        Ok(start..stretch.to.map_or(start, |to| to.offset()))
    }

    /// Whether the index in use is that of a file: no more than a hint, which was verified once.
    pub(super) fn has_filed_index(&self) -> bool {
        self.index_anew.get().is_none() && self.index.get().is_some_and(|index| index.are_filed())
    }

    /// Whether the next `len` bytes, or as many as are durable, are lent without being read.
    pub(super) fn lends(&self, offset: u64, len: u64) -> bool {
        let durable = self.durable();
        offset < durable && self.file.prefix(offset.saturating_add(len).min(durable)).is_some()
    }

    fn index(&self) -> Result<&Points, SegmentError> {
        if let Some(index) = self.index_anew.get().or_else(|| self.index.get()) {
            return Ok(index);
        }
        let _loading = self.loading.lock();
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let index = self.load_index()?;
        Ok(self.index.get_or_init(|| Box::new(index)))
    }

    fn load_index(&self) -> Result<Points, SegmentError> {
        let lent = self.directory.lend_index(&self.header, self.base, self.file_len()?);
        if let Some(points) = lent {
            // The segment may have been cut since they were written.
            let filed = Points::filed(points, self.written());
            if !filed.are_cut() {
                return Ok(filed);
            }
            // Or its writer has gone on further than this process knows: what comes is added.
            let points = Points::default();
            points.extend(&filed.to_vec(), &[], 0);
            return Ok(points);
        }
        self.make_index()
    }

    /// From now on a new index is used, of what is there.
    pub(super) fn index_anew(&self) -> Result<(), SegmentError> {
        let _loading = self.loading.lock();
        if self.index_anew.get().is_none() {
            let index = self.make_index()?;
            self.index_anew.get_or_init(|| Box::new(index));
        }
        Ok(())
    }

    fn make_index(&self) -> Result<Points, SegmentError> {
        let mut index = SparseIndex::default();
        self.index_from(FIRST_FRAME, &mut index)?;
        // With room for more: another process may still be writing it.
        let points = Points::default();
        points.extend(index.points(), &[], 0);
        Ok(points)
    }

    /// Walks all frame headers from an offset on. At damage it goes on with the next frame that verifies, which gets a
    /// point of its own, so that what lies behind stays within reach; looking for an entry that is gone finds the
    /// damage and says so.
    pub(super) fn index_from(&self, mut offset: u64, index: &mut SparseIndex) -> Result<(), SegmentError> {
        let mut window = Bytes::new();
        let mut start = offset;
        while offset < self.written() {
            let at = (offset - start) as usize;
            let Some(header) = window.get(at..).and_then(|rest| rest.first_chunk::<FRAME_HEADER_LEN>())
            else {
                window = self.window(offset, 256 << 10)?;
                start = offset;
                if window.len() < FRAME_HEADER_LEN {
                    break;
                }
                continue;
            };
            if let Ok(header) = FrameHeader::decode(header, self.key(), offset) {
                index.offer(header.lsn_delta, offset);
                offset += header.frame_len();
                continue;
            }
            let Some((next, lsn_delta)) = self.next_frame(offset)? else { break };
            index.extend(&[point(lsn_delta, next)]);
            (window, start, offset) = (Bytes::new(), next, next);
        }
        Ok(())
    }

    /// The next frame behind a place that holds none, and its first LSN relative to the base.
    fn next_frame(&self, behind: u64) -> Result<Option<(u64, u32)>, SegmentError> {
        let mut offset = behind;
        let mut window = Bytes::new();
        let mut start = offset;
        loop {
            offset += FRAME_ALIGN as u64;
            if offset + FRAME_HEADER_LEN as u64 > self.written() {
                return Ok(None);
            }
            let at = usize::try_from(offset - start).unwrap_or(usize::MAX);
            let rest = match window.get(at..) {
                Some(rest) if rest.len() >= FRAME_HEADER_LEN => rest,
                _ => {
                    (window, start) = (self.window(offset, 256 << 10)?, offset);
                    if window.len() < FRAME_HEADER_LEN {
                        return Ok(None);
                    }
                    &window
                }
            };
            // Zeros never verify; it is quicker not to ask.
            if rest.first_chunk() == Some(&[0; FRAME_ALIGN]) {
                continue;
            }
            match parse_frame(rest, self.key(), offset) {
                Parsed::Frame(header, _) => return Ok(Some((offset, header.lsn_delta))),
                Parsed::More(len) if offset.saturating_add(len) <= self.written() => {
                    let whole = self.window(offset, len)?;
                    match parse_frame(&whole, self.key(), offset) {
                        Parsed::Frame(header, _) => return Ok(Some((offset, header.lsn_delta))),
                        _ => offset += len - FRAME_ALIGN as u64,
                    }
                }
                // Inside of what a valid header says its frame covers there is nothing but payload.
                _ => {
                    let header = rest.first_chunk().map(|it| FrameHeader::decode(it, self.key(), offset));
                    if let Some(Ok(header)) = header {
                        offset += header.frame_len() - FRAME_ALIGN as u64;
                    }
                }
            }
        }
    }

    /// Follows unverified lengths from a frame start to the frame that holds `delta`.
    fn hop(&self, from: u64, delta: u32) -> Result<Hop, SegmentError> {
        let (mut offset, mut start, mut last) = (from, from, from);
        let mut window = self.window(from, 2 * INDEX_STRIDE)?;
        let written = self.written();
        while offset < written {
            let at = usize::try_from(offset - start).unwrap_or(usize::MAX);
            let Some(hint) = window.get(at..).and_then(hint_frame) else {
                if at == 0 {
                    return Ok(Hop::Astray);
                }
                window = self.window(offset, 2 * INDEX_STRIDE)?;
                start = offset;
                continue;
            };
            if hint.lsn_delta > delta {
                return Ok(Hop::Astray);
            }
            if delta - hint.lsn_delta < hint.count {
                return Ok(Hop::Found(offset));
            }
            last = offset;
            offset = offset.saturating_add(hint.frame_len);
        }
        // A damaged length may lead past everything that follows, and to the very end.
        let at = usize::try_from(last - start).unwrap_or(usize::MAX);
        let header = window.get(at..).and_then(|rest| rest.first_chunk());
        let is_last = header.is_some_and(|header| FrameHeader::decode(header, self.key(), last).is_ok());
        Ok(if offset == written && is_last { Hop::Beyond } else { Hop::Astray })
    }

    /// The same, verifying every frame on the way.
    fn walk(&self, from: u64, delta: u32) -> Result<Option<u64>, SegmentError> {
        let mut reader = FrameReader::new(64 << 10);
        let mut offset = from;
        while let Some(frame) = reader.read(self, offset)? {
            if frame.header.lsn_delta > delta {
                let source = FrameFault::OutOfOrder { what: "its lsn" };
                return Err(SegmentError::Frame { path: self.path.clone(), offset, source });
            }
            if delta - frame.header.lsn_delta < frame.header.count {
                return Ok(Some(offset));
            }
            offset = frame.end();
        }
        Ok(None)
    }
}

/// Follows unverified lengths from the start of a window to the frame that holds `delta`, and says how it describes
/// itself; `None` when it is not there.
/// Frames mostly have the length `likely`.
#[inline]
pub(super) fn hop_in(window: &[u8], delta: u32, likely: u64) -> Option<(u64, FrameHint)> {
    let mut at = 0_u64;
    loop {
        let hint = hint_frame(window.get(usize::try_from(at).ok()?..)?)?;
        if delta.checked_sub(hint.lsn_delta)? < hint.count {
            return Some((at, hint));
        }
        // The same number either way. But the processor, which guesses that they are equal, goes on to the next frame
        // without waiting for this one's length to come from memory.
        let len = if hint.frame_len == likely { black_box(likely) } else { hint.frame_len };
        at = at.checked_add(len)?;
    }
}

enum Hop {
    Found(u64),
    Beyond,
    Astray,
}
