//! Looking at the headers of frames, without reading, verifying or decompressing what they hold.

use wal_compress::CodecId;
use wal_format::{FrameFault, FrameHeader, Lsn, SegmentId};
use wal_segment::{FrameReader, Segment, SegmentError};

use crate::{
    LogError,
    engine::Engine,
    log::Log,
    packs::Part,
    view::View,
    walk::{Look, Walk},
};

/// Headers are read so much at a time; mapped segments are not copied whatever it is.
pub(crate) const PEEK_LEN: u64 = 4 << 10;

/// What the header of a frame says: of one append, batch or transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameInfo {
    /// LSN of its first entry.
    pub first: Lsn,
    /// How many entries it holds: at least one.
    pub count: u32,
    /// The kind of its entries; `None` when they differ.
    pub kind: Option<u8>,
    /// When it was appended, in nanoseconds since 1970.
    pub time: u64,
    /// Length of its body as stored, in bytes.
    pub body_len: u32,
    /// What its body is compressed with.
    pub codec: CodecId,
    /// The segment it stands in.
    pub segment: SegmentId,
    /// Where it starts in the segment, in bytes.
    pub offset: u64,
}

impl FrameInfo {
    /// LSN of its last entry.
    #[must_use]
    pub fn last(&self) -> Lsn {
        self.first.plus(u64::from(self.count.saturating_sub(1)))
    }
}

/// A header and where it was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peeked {
    /// Index of the segment in the view.
    pub(crate) position: usize,
    pub(crate) offset: u64,
    pub(crate) first: Lsn,
    pub(crate) header: FrameHeader,
}

impl Peeked {
    /// LSN after its last entry.
    pub(crate) fn next(&self) -> Lsn {
        self.first.plus(u64::from(self.header.count))
    }

    pub(crate) fn holds(&self, lsn: Lsn) -> bool {
        self.first <= lsn && lsn < self.next()
    }

    fn info(&self, view: &View) -> FrameInfo {
        let header = &self.header;
        FrameInfo {
            first: self.first,
            count: header.count,
            kind: header.common_kind(),
            time: header.time,
            body_len: header.body_len,
            codec: CodecId(header.codec),
            segment: view.segments.get(self.position).map_or(SegmentId(0), |segment| segment.id()),
            offset: self.offset,
        }
    }
}

impl Log {
    /// The headers of the frames that hold entries between `from` and `to`, the end not included, as the log is now.
    #[must_use]
    pub fn headers(&self, from: Lsn, to: Lsn) -> Headers {
        Headers(Walk::new(self.engine(), from, to, PEEK_LEN, |_| {}))
    }
}

impl Engine {
    /// The header of the frame that holds `lsn`.
    pub(crate) fn peek(&self, lsn: Lsn) -> Result<Peeked, LogError> {
        let reader = &mut FrameReader::new(PEEK_LEN);
        self.find_in(&mut self.view(), lsn, None, |view| self.peek_once(view, lsn, reader))
    }

    /// The same, in this view alone.
    pub(crate) fn peek_once(
        &self,
        view: &View,
        lsn: Lsn,
        reader: &mut FrameReader,
    ) -> Result<Peeked, LogError> {
        let position = view.position(lsn).ok_or_else(|| self.gone(lsn))?;
        if let Some(written) = self.peek_written(view, position, lsn, reader)? {
            return Ok(written);
        }
        if let Some(frame) = self.pending(view, position, lsn, Part::Whole) {
            return Ok(Peeked { position, offset: frame.offset, first: frame.lsn, header: frame.header });
        }
        // Between the two looks the frame went from memory to the file.
        self.peek_written(view, position, lsn, reader)?.ok_or_else(|| self.gone(lsn))
    }

    fn peek_written(
        &self,
        view: &View,
        position: usize,
        lsn: Lsn,
        reader: &mut FrameReader,
    ) -> Result<Option<Peeked>, LogError> {
        let Some(segment) = view.segments.get(position) else { return Ok(None) };
        let peeked = reader.peek_lsn(segment, lsn).map_err(|error| self.unreadable(lsn, error))?;
        let Some((offset, header)) = peeked else { return Ok(None) };
        let first = segment.base().plus(u64::from(header.lsn_delta));
        let peeked = Peeked { position, offset, first, header };
        if peeked.holds(lsn) {
            return Ok(Some(peeked));
        }
        let source = FrameFault::OutOfOrder { what: "its lsn" };
        Err(self.unreadable(lsn, SegmentError::Frame { path: segment.path().to_owned(), offset, source }))
    }
}

/// The headers of the frames of a range, in order. An error ends it.
///
/// Only the checksums of the headers are verified: a frame whose body is damaged is listed like any other. The range
/// was fixed when this was made. All are of one history of the log, as with [`Iter`](crate::Iter).
#[derive(Debug)]
pub struct Headers(Walk);

impl Look for Peeked {
    fn read(
        reader: &mut FrameReader,
        segment: &Segment,
        position: usize,
        offset: u64,
    ) -> Result<Option<Self>, SegmentError> {
        let peeked = |header: FrameHeader| {
            let first = segment.base().plus(u64::from(header.lsn_delta));
            Self { position, offset, first, header }
        };
        Ok(reader.peek(segment, offset)?.map(peeked))
    }

    fn look_up(engine: &Engine, view: &View, lsn: Lsn, reader: &mut FrameReader) -> Result<Self, LogError> {
        engine.peek_once(view, lsn, reader)
    }

    fn is_shown(_: &Engine, _: Lsn) -> bool {
        true
    }

    fn peeked(&self) -> Peeked {
        *self
    }
}

impl Iterator for Headers {
    type Item = Result<FrameInfo, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.0.next::<Peeked>()?;
        Some(found.map(|(_, peeked)| peeked.info(&self.0.view)))
    }
}

impl std::iter::FusedIterator for Headers {}
