//! Walking the log in both directions.

use std::{iter::FusedIterator, sync::Arc};

use wal_format::Lsn;
use wal_segment::{FrameReader, LoadedFrame};

use crate::{Entry, LogError, engine::Engine, entry::OpenFrame, error::CutOffSnafu, view::View};

/// An iterator reads so much at a time; mapped segments are not copied whatever it is.
const ITER_LEN: u64 = 256 << 10;

/// The entries of a range, in order; from the back with [`rev`](Iterator::rev).
///
/// The range was fixed when the iterator was made: entries appended later are not part of it. Entries that are trimmed
/// meanwhile stay readable as far as their files are open; when the log is cut at or before the next entry, the next
/// item is an error. After an error there are no more items.
#[derive(Debug)]
pub struct Iter {
    engine: Arc<Engine>,
    view: Arc<View>,
    generation: u64,
    /// LSN of the next entry from the front.
    front: u64,
    /// LSN after the next entry from the back.
    back: u64,
    forward: Cursor,
    backward: Cursor,
}

/// Where one end of an iterator stands.
#[derive(Debug)]
struct Cursor {
    reader: FrameReader,
    place: Option<Place>,
    /// The frame at that place, when it holds more than one entry.
    open: Option<OpenFrame>,
}

/// A frame, by where it and its neighbours are.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Index of the segment in the view.
    position: usize,
    offset: u64,
    end: u64,
    previous: Option<u64>,
}

impl Cursor {
    const fn new() -> Self {
        Self { reader: FrameReader::new(ITER_LEN), place: None, open: None }
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Forward,
    Backward,
}

impl Iter {
    pub(crate) fn new(engine: Arc<Engine>, from: Lsn, to: Lsn) -> Self {
        let generation = engine.cuts.generation();
        let view = engine.view();
        Self {
            engine,
            view,
            generation,
            front: from.get(),
            back: to.get(),
            forward: Cursor::new(),
            backward: Cursor::new(),
        }
    }

    fn step(&mut self, lsn: u64, direction: Direction) -> Result<Entry, LogError> {
        let lsn = Lsn::new(lsn).unwrap_or(Lsn::FIRST);
        self.notice_cuts(lsn)?;
        let Self { engine, view, forward, backward, .. } = self;
        let cursor = match direction {
            Direction::Forward => forward,
            Direction::Backward => backward,
        };
        if let Some(open) = cursor.open.as_ref().filter(|open| open.holds(lsn)) {
            return open.entry(lsn);
        }
        // The neighbour is nearly always the one; looking it up finds it where it is not.
        let neighbour =
            cursor.neighbour(view, lsn, direction).map_err(|error| engine.unreadable(lsn, error))?;
        let (position, frame) = match neighbour {
            Some(found) => found,
            None => {
                engine.check_readable(lsn)?;
                engine.load(view, lsn, &mut cursor.reader)?
            }
        };
        cursor.place =
            Some(Place { position, offset: frame.offset, end: frame.end(), previous: frame.previous() });
        let open = OpenFrame::new(frame, &engine.payloads)?;
        if open.is_plain() {
            cursor.open = None;
            return open.into_entry(lsn);
        }
        cursor.open.insert(open).entry(lsn)
    }

    /// A cut behind the next entry only means that there are other segments now.
    fn notice_cuts(&mut self, lsn: Lsn) -> Result<(), LogError> {
        let generation = self.engine.cuts.generation();
        if generation == self.generation {
            return Ok(());
        }
        if let Some(next) = self.engine.cuts.since(self.generation).filter(|next| *next <= lsn) {
            return CutOffSnafu { lsn, next }.fail();
        }
        self.generation = generation;
        self.view = self.engine.view();
        (self.forward, self.backward) = (Cursor::new(), Cursor::new());
        Ok(())
    }

    fn end(&mut self) {
        self.front = self.back;
    }
}

impl Cursor {
    /// The frame next to the last one, passing over control frames, if it holds `lsn`.
    fn neighbour(
        &mut self,
        view: &View,
        lsn: Lsn,
        direction: Direction,
    ) -> Result<Option<(usize, LoadedFrame)>, wal_segment::SegmentError> {
        let Some(place) = self.place else { return Ok(None) };
        let position = place.position;
        let Some(segment) = view.segments.get(position) else { return Ok(None) };
        if lsn < segment.base() || view.bound(position).is_some_and(|bound| lsn >= bound) {
            return Ok(None);
        }
        let mut end = place.offset;
        let mut offset = match direction {
            Direction::Forward => Some(place.end),
            Direction::Backward => place.previous,
        };
        while let Some(at) = offset {
            let frame = match direction {
                Direction::Forward => self.reader.read(segment, at)?,
                Direction::Backward => self.reader.read_backwards(segment, at, end)?,
            };
            let Some(frame) = frame else { return Ok(None) };
            let index = lsn.since(frame.lsn);
            if index.is_some_and(|index| index < u64::from(frame.header.count)) {
                return Ok(Some((position, frame)));
            }
            if frame.header.count > 0 {
                return Ok(None);
            }
            end = frame.offset;
            offset = match direction {
                Direction::Forward => Some(frame.end()),
                Direction::Backward => frame.previous(),
            };
        }
        Ok(None)
    }
}

impl Iterator for Iter {
    type Item = Result<Entry, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let item = self.step(self.front, Direction::Forward);
        if item.is_ok() {
            self.front += 1
        } else {
            self.end()
        }
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = usize::try_from(self.back.saturating_sub(self.front)).ok();
        (0, most)
    }
}

impl DoubleEndedIterator for Iter {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let item = self.step(self.back - 1, Direction::Backward);
        if item.is_ok() {
            self.back -= 1
        } else {
            self.end()
        }
        Some(item)
    }
}

impl FusedIterator for Iter {}
