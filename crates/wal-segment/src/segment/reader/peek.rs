//! Headers of frames, without a look at their bodies.

use std::sync::atomic::Ordering;

use wal_format::{DecodeError, FRAME_HEADER_LEN, FrameFault, FrameHeader, FrameKind, Lsn};

use super::FrameReader;
use crate::{INDEX_STRIDE, Segment, error::SegmentError};

impl FrameReader {
    /// The header of the frame at `offset`; `None` at or beyond the end of what is written. Only the checksum of the
    /// header is verified: the body may be damaged.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Frame`] when there is no valid header, [`SegmentError::Unsupported`] when it is that of a frame
    /// which must be understood and is not, [`SegmentError::Io`] when it cannot be read.
    pub fn peek(&mut self, segment: &Segment, offset: u64) -> Result<Option<FrameHeader>, SegmentError> {
        let written = segment.written();
        if offset >= written {
            return Ok(None);
        }
        let needed = FRAME_HEADER_LEN as u64;
        if !self.covers(segment, offset) || offset - self.start + needed > self.window.len() as u64 {
            let ahead = self.grow(segment, offset, offset, needed);
            self.fill(segment, offset, ahead)?;
        }
        let at = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let bytes = self.window.get(at..).and_then(|rest| rest.first_chunk::<FRAME_HEADER_LEN>());
        let whole = |header: &FrameHeader| offset.saturating_add(header.frame_len()) <= written;
        let source = match bytes.map(|bytes| FrameHeader::decode(bytes, segment.key(), offset)) {
            Some(Ok(header)) if whole(&header) => {
                segment.check_kind(&header)?;
                return Ok(Some(header));
            }
            Some(Err(fault)) => fault,
            Some(Ok(_)) | None => FrameFault::End,
        };
        Err(SegmentError::Frame { path: segment.path().to_owned(), offset, source })
    }

    /// Where the first frame with entries from `offset` on starts, if it is one of the next `frames`. Those on the way
    /// may be passed over. Only headers are read, and those before the first entry of a segment only once: however many
    /// there are, whoever comes to its beginning again begins behind them.
    ///
    /// # Errors
    ///
    /// Those of [`peek`](Self::peek).
    pub fn pass_control(
        &mut self,
        segment: &Segment,
        offset: u64,
        frames: usize,
    ) -> Result<Option<u64>, SegmentError> {
        let known = segment.passed.load(Ordering::Relaxed);
        let mut at = offset.max(known);
        let found = self.pass(segment, &mut at, frames);
        if offset <= known && known < at {
            segment.passed.fetch_max(at, Ordering::Relaxed);
        }
        found
    }

    /// The same, moving `at`, also where it ends with an error.
    fn pass(&mut self, segment: &Segment, at: &mut u64, frames: usize) -> Result<Option<u64>, SegmentError> {
        for _ in 0..frames {
            match self.peek(segment, *at)? {
                Some(header) if header.count == 0 => *at += header.frame_len(),
                found => return Ok(found.map(|_| *at)),
            }
        }
        Ok(None)
    }

    /// The header of the frame that holds `lsn`, with the place where it starts; `None` when it is not among the
    /// written frames.
    ///
    /// # Errors
    ///
    /// Those of [`Segment::locate`] and of [`peek`](Self::peek).
    pub fn peek_lsn(
        &mut self,
        segment: &Segment,
        lsn: Lsn,
    ) -> Result<Option<(u64, FrameHeader)>, SegmentError> {
        let Some(offset) = self.find(segment, lsn, 2 * INDEX_STRIDE)? else { return Ok(None) };
        Ok(self.peek(segment, offset)?.map(|header| (offset, header)))
    }
}

impl Segment {
    /// Whether a frame may be passed over: not one of a kind that a reader must know.
    #[inline]
    pub(super) fn check_kind(&self, header: &FrameHeader) -> Result<(), SegmentError> {
        match header.kind {
            FrameKind::Unknown(kind) if !header.kind.is_ignorable() => {
                let source = DecodeError::UnsupportedKind { kind };
                Err(SegmentError::Unsupported { path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }
}
