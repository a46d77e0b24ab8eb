//! From frame to frame, forwards: for those who list frames and those who copy them.

use std::sync::Arc;

use wal_format::Lsn;
use wal_segment::{FrameReader, Segment, SegmentError};

use crate::{
    LogError, crossing::Place, engine::Engine, error::CutOffSnafu, history::Seen, peek::Peeked, view::View,
};

/// What is read of a frame.
pub(crate) trait Look: Sized {
    /// What there is at this offset in a segment, which is at `position` in the view; `None` at the end.
    fn read(
        reader: &mut FrameReader,
        segment: &Segment,
        position: usize,
        offset: u64,
    ) -> Result<Option<Self>, SegmentError>;

    /// The same of the frame that holds `lsn`.
    fn look_up(engine: &Engine, view: &View, lsn: Lsn, reader: &mut FrameReader) -> Result<Self, LogError>;

    /// Whether `lsn`, which is in the frame behind the last one, need not be looked up to be shown.
    fn is_shown(engine: &Engine, lsn: Lsn) -> bool;

    /// Which frame it is.
    fn peeked(&self) -> Peeked;
}

/// The frames of a range, in order and of one history of the log. An error ends it.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) engine: Arc<Engine>,
    pub(crate) view: Arc<View>,
    generation: u64,
    front: Lsn,
    end: Lsn,
    /// The last frame.
    seen: Option<Seen>,
    /// Where that is.
    place: Option<Place>,
    reader: FrameReader,
}

impl Walk {
    /// Through what is readable of a range now; `prepare` is called before the segments are listed.
    pub(crate) fn new(
        engine: &Arc<Engine>,
        from: Lsn,
        to: Lsn,
        read_len: u64,
        prepare: impl FnOnce(&Engine),
    ) -> Self {
        let generation = engine.cuts.generation();
        let end = engine.readable_next().min(to);
        let front = from.max(engine.first_retained());
        prepare(engine);
        let (engine, view) = (Arc::clone(engine), engine.view());
        let reader = FrameReader::new(read_len);
        Self { engine, view, generation, front, end, seen: None, place: None, reader }
    }

    /// The next frame, and the entry that it was read for: the first one of all may be in the middle of it.
    pub(crate) fn next<T: Look>(&mut self) -> Option<Result<(Lsn, T), LogError>> {
        if self.front >= self.end {
            return None;
        }
        let lsn = self.front;
        let stepped = self.step().inspect_err(|_| self.end());
        Some(stepped.map(|frame| (lsn, frame)))
    }

    /// Gives nothing more.
    pub(crate) const fn end(&mut self) {
        self.front = self.end;
    }

    fn step<T: Look>(&mut self) -> Result<T, LogError> {
        let found: T = loop {
            let found = self.find()?;
            // What was appended behind a cut was not there before the cut could be seen here.
            if self.engine.cuts.generation() == self.generation {
                break found;
            }
        };
        let peeked = found.peeked();
        self.place = Place::new(&self.view, peeked.position, peeked.offset, &peeked.header);
        self.front = peeked.next();
        self.seen = Some(Seen::of(self.front, peeked.first, &peeked.header));
        Ok(found)
    }

    fn find<T: Look>(&mut self) -> Result<T, LogError> {
        let (lsn, generation) = (self.front, self.engine.cuts.generation());
        if generation != self.generation {
            if let Some(next) = self.engine.cuts.since(self.generation).filter(|next| *next <= lsn) {
                return CutOffSnafu { lsn, next }.fail();
            }
            let view = self.engine.view();
            self.place = in_later(&self.engine, self.place, self.seen, &self.view, &view);
            (self.generation, self.view) = (generation, view);
        }
        match self.neighbour()? {
            Some(found) => Ok(found),
            None => {
                let Self { engine, view, seen, place, reader, .. } = self;
                let (left, before) = (*place, Arc::clone(view));
                engine.find_in(view, lsn, *seen, |view| {
                    *place = in_later(engine, left, *seen, &before, view);
                    let checked = view.check_way_to(lsn, *place, reader);
                    checked.map_err(|error| engine.unreadable(lsn, error))?;
                    T::look_up(engine, view, lsn, reader)
                })
            }
        }
    }

    /// The frame behind the last one, passing over control frames that may be passed over. Where it cannot be read, the
    /// way through the index says why.
    fn neighbour<T: Look>(&mut self) -> Result<Option<T>, LogError> {
        let Some(Place { position, bound, end: mut offset, .. }) = self.place else { return Ok(None) };
        let Some(segment) = self.view.segments.get(position) else { return Ok(None) };
        if bound <= self.front.get() || !T::is_shown(&self.engine, self.front) {
            return Ok(None);
        }
        loop {
            let found = match T::read(&mut self.reader, segment, position, offset) {
                Ok(Some(found)) => found,
                Err(error @ SegmentError::Unsupported { .. }) => {
                    return Err(self.engine.unreadable(self.front, error));
                }
                _ => return Ok(None),
            };
            let peeked: Peeked = found.peeked();
            if peeked.header.count > 0 {
                return Ok(peeked.holds(self.front).then_some(found));
            }
            offset += peeked.header.frame_len();
        }
    }
}

/// The place of the frame that was `seen` last, in a later view.
fn in_later(
    engine: &Engine,
    place: Option<Place>,
    seen: Option<Seen>,
    view: &View,
    later: &View,
) -> Option<Place> {
    let (first, _) = seen?.frame?;
    place?.in_later(engine, view, later, first)
}
