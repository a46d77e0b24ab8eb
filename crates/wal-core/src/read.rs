//! From an LSN to an entry: among the segments, or among the frames still in memory.

use std::sync::Arc;

use wal_format::{FrameFault, FrameHeader, Lsn};
use wal_segment::{FrameReader, INDEX_STRIDE, LoadedFrame, Segment, SegmentError};

use crate::{
    Entry, EntryRef, LogError,
    beside::READ_ATTEMPTS,
    engine::Engine,
    entry::OpenFrame,
    error::{OutOfRangeSnafu, TruncatedSnafu},
    frame_cache::FramePlace,
    packs::{NO_PLACE, Part},
    view::View,
};

/// A single get reads so much at a time, or as much as it takes from one point of the index to the next; mapped
/// segments are not copied whatever it is.
const GET_LEN: u64 = 2 * INDEX_STRIDE;

impl Engine {
    /// The entry with this LSN, wherever it is.
    pub(crate) fn get(&self, lsn: Lsn) -> Result<Entry, LogError> {
        self.find(lsn, |open| open.into_entry(lsn))
    }

    /// Shows the entry with this LSN to `read`.
    pub(crate) fn get_with<T>(&self, lsn: Lsn, read: impl FnOnce(EntryRef<'_>) -> T) -> Result<T, LogError> {
        let mut read = Some(read);
        if let Some(done) = self.lend_settled(lsn, &mut read) {
            return Ok(done);
        }
        let shown = self.find(lsn, |open| {
            let entry = open.entry_ref(lsn)?;
            Ok(read.take().map(|read| read(entry)))
        });
        shown?.ok_or_else(|| self.gone(lsn))
    }

    /// What `take` makes of the frame that holds this LSN.
    fn find<T>(&self, lsn: Lsn, take: impl FnOnce(OpenFrame) -> Result<T, LogError>) -> Result<T, LogError> {
        self.check_readable(lsn)?;
        let mut view = self.view();
        let mut reader = FrameReader::new(GET_LEN);
        if self.frame_cache.is_used()
            && lsn < self.marks.durable_next()
            && let Some((position, offset, open)) = self.find_cached(&view, lsn, &mut reader)
        {
            return take(open).map_err(|error| undecodable(&view, position, offset, lsn, error));
        }
        let mut attempts = 0;
        let (position, frame) = loop {
            match self.load(&view, lsn, &mut reader, Part::Entry) {
                Err(error) if attempts < READ_ATTEMPTS && is_gone(&error) => {
                    // A segment that was superseded between two looks: its entries are in another one.
                    attempts += 1;
                    view = self.newer_view()?;
                    self.check_readable(lsn)?;
                }
                loaded => break loaded?,
            }
        };
        let offset = frame.offset;
        self.open_frame(Vec::new(), &view, position, frame)
            .and_then(take)
            .map_err(|error| undecodable(&view, position, offset, lsn, error))
    }

    /// The frame that holds this LSN, if it was decompressed lately, and where it is: only its header is read. Errors
    /// on the way are left to who reads the rest, too.
    fn find_cached(
        &self,
        view: &View,
        lsn: Lsn,
        reader: &mut FrameReader,
    ) -> Option<(usize, u64, OpenFrame)> {
        let position = view.position(lsn)?;
        let segment = view.segments.get(position)?;
        let (offset, header) = reader.peek_lsn(segment, lsn).ok()??;
        let first = segment.base().plus(u64::from(header.lsn_delta));
        let index = lsn.since(first).filter(|index| is_shared(&header) && *index < u64::from(header.count));
        let body = index.and_then(|_| self.cached(FramePlace::of(segment.id(), offset, &header)))?;
        Some((position, offset, OpenFrame::decoded(header, first, body)))
    }

    /// Opens a frame of which an entry is wanted that was looked up: into `memory`, unless it is kept.
    pub(crate) fn open_frame(
        &self,
        memory: Vec<u8>,
        view: &View,
        position: usize,
        frame: LoadedFrame,
    ) -> Result<OpenFrame, LogError> {
        let has_place = is_shared(&frame.header) && frame.offset != NO_PLACE;
        match view.segments.get(position).filter(|_| has_place) {
            Some(segment) => self.open_cached(segment.id(), frame),
            None => OpenFrame::in_memory(memory, frame.header, frame.lsn, frame.body, &self.payloads),
        }
    }

    /// Whether an entry is part of the log, and certain enough to be shown.
    pub(crate) fn check_readable(&self, lsn: Lsn) -> Result<(), LogError> {
        let first = self.first_retained();
        if lsn < first {
            return TruncatedSnafu { lsn, first }.fail();
        }
        let next = self.marks.next();
        if lsn >= next {
            if let Some(lost) = self.view().lost(lsn) {
                return Err(lost);
            }
            return OutOfRangeSnafu { lsn, next }.fail();
        }
        // After a failed sync only what is durable is certain.
        if lsn >= self.marks.durable_next()
            && let Some(error) = self.poisoned()
        {
            return Err(error);
        }
        Ok(())
    }

    /// The LSN after the last entry that may be shown.
    pub(crate) fn readable_next(&self) -> Lsn {
        if self.poisoned().is_some() { self.marks.durable_next() } else { self.marks.next() }
    }

    /// Entries from this LSN on are not certain, because the log has failed.
    pub(crate) fn certain_next(&self) -> Lsn {
        if self.is_poisoned() { self.marks.durable_next() } else { Lsn::MAX }
    }

    /// The frame that holds `lsn`, and the index of its segment in the view. Of what has no frame yet, only this part.
    pub(crate) fn load(
        &self,
        view: &View,
        lsn: Lsn,
        reader: &mut FrameReader,
        part: Part,
    ) -> Result<(usize, LoadedFrame), LogError> {
        // Those that are in memory are mostly not looked for in the file.
        if lsn < self.marks.filed_next()
            && let Some(found) = self.load_written(view, lsn, reader)?
        {
            return Ok(found);
        }
        let position = view.position(lsn).ok_or_else(|| self.gone(lsn))?;
        if let Some(frame) = self.pending(view, position, lsn, part) {
            return Ok((position, frame));
        }
        // Between the two looks the frame went from memory to the file.
        self.load_written(view, lsn, reader)?.ok_or_else(|| self.gone(lsn))
    }

    /// The frame in memory that holds `lsn`. Of a segment that was begun after the view it has no place there.
    pub(crate) fn pending(&self, view: &View, position: usize, lsn: Lsn, part: Part) -> Option<LoadedFrame> {
        let frame = self.appender.lock().pending_frame(lsn, part)?;
        let base = view.segments.get(position).map(|segment| segment.base());
        let delta = base.and_then(|base| frame.lsn.since(base));
        let is_there = delta == Some(u64::from(frame.header.lsn_delta));
        Some(LoadedFrame { offset: if is_there { frame.offset } else { NO_PLACE }, ..frame })
    }

    /// The same among what is written. Takes no lock that an append takes.
    pub(crate) fn load_written(
        &self,
        view: &View,
        lsn: Lsn,
        reader: &mut FrameReader,
    ) -> Result<Option<(usize, LoadedFrame)>, LogError> {
        let Some(position) = view.position(lsn) else { return Ok(None) };
        let Some(segment) = view.segments.get(position) else { return Ok(None) };
        Ok(self.written_frame(segment, lsn, reader)?.map(|frame| (position, frame)))
    }

    fn written_frame(
        &self,
        segment: &Arc<Segment>,
        lsn: Lsn,
        reader: &mut FrameReader,
    ) -> Result<Option<LoadedFrame>, LogError> {
        let frame = reader.seek(segment, lsn).map_err(|error| self.unreadable(lsn, error))?;
        match frame {
            Some(frame) if !holds(&frame, lsn) => {
                let (path, offset) = (segment.path().to_owned(), frame.offset);
                let source = FrameFault::OutOfOrder { what: "its lsn" };
                Err(self.unreadable(lsn, SegmentError::Frame { path, offset, source }))
            }
            frame => Ok(frame),
        }
    }

    /// An error on the way to an entry. The file of an entry that was trimmed away meanwhile is no loss.
    pub(crate) fn unreadable(&self, lsn: Lsn, source: SegmentError) -> LogError {
        let first = self.first_retained();
        if lsn < first {
            TruncatedSnafu { lsn, first }.build()
        } else if source.is_damage() {
            LogError::Lost { first: lsn, last: Some(lsn), source }
        } else {
            LogError::segment("read an entry", source)
        }
    }

    /// An entry that the marks promise and nobody has: trimmed or cut off between two looks.
    pub(crate) fn gone(&self, lsn: Lsn) -> LogError {
        match self.check_readable(lsn) {
            Err(error) => error,
            Ok(()) => self.view().lost(lsn).unwrap_or(LogError::CutOff { lsn, next: self.marks.next() }),
        }
    }
}

/// Whether what a frame is decompressed to is worth being kept: others may ask for other entries of it.
pub(crate) const fn is_shared(header: &FrameHeader) -> bool {
    header.codec != 0 && header.count > 1
}

fn holds(frame: &LoadedFrame, lsn: Lsn) -> bool {
    lsn.since(frame.lsn).is_some_and(|index| index < u64::from(frame.header.count))
}

/// Says where the frame is whose content cannot be decoded.
pub(crate) fn undecodable(view: &View, position: usize, offset: u64, lsn: Lsn, source: LogError) -> LogError {
    let path = view.segments.get(position).map_or("", |segment| segment.path()).to_owned();
    LogError::Undecodable { lsn, path, offset, source: Box::new(source) }
}

/// Whether a file was not there any more when it was to be opened.
pub(crate) fn is_gone(error: &LogError) -> bool {
    match error {
        LogError::Segment { source, .. } => {
            source.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        }
        _ => false,
    }
}
