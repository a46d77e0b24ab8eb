//! Looking at the headers of frames, without reading, verifying or decompressing what they hold.

use std::sync::Arc;

use wal_compress::CodecId;
use wal_format::{FrameFault, FrameHeader, Lsn, SegmentId};
use wal_segment::{FrameReader, SegmentError};

use crate::{
    LogError,
    engine::Engine,
    error::CutOffSnafu,
    history::Seen,
    log::Log,
    packs::{NO_PLACE, Part},
    view::View,
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
    position: usize,
    offset: u64,
    pub(crate) first: Lsn,
    pub(crate) header: FrameHeader,
}

impl Peeked {
    /// LSN after its last entry.
    pub(crate) fn next(&self) -> Lsn {
        self.first.plus(u64::from(self.header.count))
    }

    fn holds(&self, lsn: Lsn) -> bool {
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
        let engine = Arc::clone(self.engine());
        let generation = engine.cuts.generation();
        let end = engine.readable_next().min(to);
        let front = from.max(engine.first_retained());
        let view = engine.view();
        let reader = FrameReader::new(PEEK_LEN);
        Headers { view, engine, generation, front, end, seen: None, place: None, reader }
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
        if let Some(frame) = self.appender.lock().pending_frame(lsn, Part::Whole) {
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
pub struct Headers {
    engine: Arc<Engine>,
    view: Arc<View>,
    generation: u64,
    front: Lsn,
    end: Lsn,
    /// The last frame.
    seen: Option<Seen>,
    /// The segment of the last frame, as its index in the view, and where that frame ends.
    place: Option<(usize, u64)>,
    reader: FrameReader,
}

impl Headers {
    fn step(&mut self) -> Result<FrameInfo, LogError> {
        let peeked = loop {
            let peeked = self.find()?;
            // What was appended behind a cut was not there before the cut could be seen here.
            if self.engine.cuts.generation() == self.generation {
                break peeked;
            }
        };
        let placed = peeked.offset != NO_PLACE;
        self.place = placed.then(|| (peeked.position, peeked.offset + peeked.header.frame_len()));
        self.front = peeked.next();
        self.seen = Some(Seen::of(self.front, peeked.first, &peeked.header));
        Ok(peeked.info(&self.view))
    }

    fn find(&mut self) -> Result<Peeked, LogError> {
        let generation = self.engine.cuts.generation();
        if generation != self.generation {
            if let Some(next) = self.engine.cuts.since(self.generation).filter(|next| *next <= self.front) {
                return CutOffSnafu { lsn: self.front, next }.fail();
            }
            (self.generation, self.view, self.place) = (generation, self.engine.view(), None);
        }
        match self.neighbour()? {
            Some(peeked) => Ok(peeked),
            None => {
                let Self { engine, view, front, seen, place, reader, .. } = self;
                view.check_way_to(*front, *place, reader)
                    .map_err(|error| engine.unreadable(*front, error))?;
                engine.find_in(view, *front, *seen, |view| engine.peek_once(view, *front, reader))
            }
        }
    }

    /// The frame behind the last one, passing over control frames that may be passed over. Where it cannot be read, the
    /// way through the index says why.
    fn neighbour(&mut self) -> Result<Option<Peeked>, LogError> {
        let Some((position, mut offset)) = self.place else { return Ok(None) };
        let Some(segment) = self.view.segments.get(position) else { return Ok(None) };
        if self.view.bound(position).is_some_and(|bound| bound <= self.front) {
            return Ok(None);
        }
        loop {
            let header = match self.reader.peek(segment, offset) {
                Ok(Some(header)) => header,
                Err(error @ SegmentError::Unsupported { .. }) => {
                    return Err(self.engine.unreadable(self.front, error));
                }
                _ => return Ok(None),
            };
            let first = segment.base().plus(u64::from(header.lsn_delta));
            let peeked = Peeked { position, offset, first, header };
            if peeked.holds(self.front) {
                return Ok(Some(peeked));
            }
            if header.count > 0 {
                return Ok(None);
            }
            offset += header.frame_len();
        }
    }
}

impl Iterator for Headers {
    type Item = Result<FrameInfo, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.front >= self.end {
            return None;
        }
        let item = self.step();
        if item.is_err() {
            self.front = self.end;
        }
        Some(item)
    }
}

impl std::iter::FusedIterator for Headers {}
