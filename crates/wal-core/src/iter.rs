//! Walking the log in both directions.

mod follow;
mod history;
mod items;
mod lent;
mod seek;
mod shared;
mod short;

use std::{mem, ops::Range, sync::Arc};

use bytes::Bytes;
use snafu::ResultExt;
use wal_format::{EntriesLayout, FIRST_FRAME, FrameHeader, Lsn};
use wal_segment::{FrameReader, LoadedFrame, SegmentError};

use self::{
    history::Given,
    shared::Shared,
    short::{Passed, Short},
};
use crate::{
    Entry, EntryRef, LogError,
    beside::READ_ATTEMPTS,
    crossing::Place,
    engine::Engine,
    entry::{OpenFrame, is_plain, plain, plain_ref},
    error::{DECODE, EncodingSnafu},
    frame_cache::FramePlace,
    packs::{NO_PLACE, Part},
    read::{is_gone, is_shared, undecodable},
    view::View,
};

/// An iterator reads so much where it begins, and so much at a time in the end; mapped segments are not copied whatever
/// it is.
const BEGIN_LEN: u64 = 4 << 10;
const ITER_LEN: u64 = 256 << 10;

/// The entries of a range, in order; from the back with [`rev`](Iterator::rev).
///
/// The range was fixed when the iterator was made: entries appended later are not part of it. Entries that are trimmed
/// meanwhile stay readable as far as their files are open; when the log is cut at or before the next entry, the next
/// item is an error. After an error there are no more items.
///
/// All items are of one history of the log, whichever end they are from and wherever the iterator was
/// [sent](Self::seek): what was appended behind a cut never follows an entry that the cut removed, nor the other way
/// round. That is [`LogError::CutOff`]. Beside a writer, it is also what is said when nobody can tell, because the
/// files were replaced and the highest entry that was given was trimmed away.
///
/// [`next_ref`](Self::next_ref) lends entries instead of giving them away, which is faster for small ones.
#[derive(Debug)]
pub struct Iter {
    engine: Arc<Engine>,
    view: Arc<View>,
    generation: u64,
    /// Entries from this LSN on are not certain: the log has failed.
    certain: u64,
    /// LSN of the next entry from the front.
    front: u64,
    /// LSN after the next entry from the back.
    back: u64,
    /// The range that it was made for.
    range: Range<u64>,
    given: Given,
    forward: Cursor,
    backward: Cursor,
}

/// Where one end of an iterator stands.
#[derive(Debug)]
struct Cursor {
    reader: FrameReader,
    place: Option<Place>,
    /// The frame at that place, when it is not in the reader's window, or compressed there.
    open: Option<OpenFrame>,
    /// Memory of an earlier one, for the next to be decompressed into.
    spare: Vec<u8>,
    /// What is known of the frame at that place, when it is not a plain one.
    shared: Shared,
    /// The entry that the short way has just led to.
    passed: Passed,
    short: Short,
}

/// Where the entry asked for is.
enum Found {
    /// A plain frame in the reader's window.
    Window(FrameHeader, Range<usize>),
    /// In the frame that the cursor knows the entries of.
    Shared,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

impl Iter {
    pub(crate) fn new(engine: Arc<Engine>, from: Lsn, to: Lsn) -> Self {
        let generation = engine.cuts.generation();
        // In this order: a failure that is not seen here is noticed by the generation.
        let certain = engine.certain_next().get();
        let view = engine.view();
        Self {
            engine,
            view,
            generation,
            certain,
            front: from.get(),
            back: to.get(),
            range: from.get()..to.get().max(from.get()),
            given: Given::nothing(from.get()),
            forward: Cursor::new(),
            backward: Cursor::new(),
        }
    }

    /// The next entry from one end, and where it is. `None` at the end of the range.
    fn step_from(&mut self, direction: Direction) -> Option<Result<(Lsn, Found), LogError>> {
        let next = if direction == Direction::Forward { self.front } else { self.back.wrapping_sub(1) };
        let lsn = Lsn::new(next).filter(|_| self.front < self.back)?;
        match direction {
            Direction::Forward => self.forward.passed = Passed::NONE,
            Direction::Backward => self.backward.passed = Passed::NONE,
        }
        let stepped = self.step(lsn, direction).map_err(|error| self.end(error));
        Some(stepped.map(|found| {
            match direction {
                Direction::Forward => self.front += 1,
                Direction::Backward => {
                    self.back -= 1;
                    self.note_back(lsn);
                }
            }
            (lsn, found)
        }))
    }

    /// The cursor at one end.
    fn cursor(&self, direction: Direction) -> &Cursor {
        match direction {
            Direction::Forward => &self.forward,
            Direction::Backward => &self.backward,
        }
    }

    fn step(&mut self, lsn: Lsn, direction: Direction) -> Result<Found, LogError> {
        let mut attempts = 0;
        let mut found = self.find(lsn, direction);
        loop {
            match &found {
                // What was appended behind a cut was not there before the cut could be seen here.
                Ok(_) if self.engine.cuts.generation() == self.generation => return found,
                Ok(_) => found = self.find(lsn, direction),
                Err(error) if attempts < READ_ATTEMPTS && is_gone(error) => {
                    attempts += 1;
                    found = self.renew(lsn).and_then(|()| self.find(lsn, direction));
                }
                Err(_) => return found,
            }
        }
    }

    fn find(&mut self, lsn: Lsn, direction: Direction) -> Result<Found, LogError> {
        if self.engine.cuts.generation() != self.generation {
            self.notice_cuts(lsn)?;
        }
        if lsn.get() >= self.given.limit {
            return Err(self.beyond(lsn));
        }
        if lsn.get() >= self.certain
            && let Some(error) = self.engine.poisoned()
        {
            return Err(error);
        }
        let until = self.certain.min(self.given.limit);
        let Self { engine, view, forward, backward, .. } = self;
        let cursor = match direction {
            Direction::Forward => forward,
            Direction::Backward => backward,
        };
        if cursor.shared.holds(lsn.get()) {
            return Ok(Found::Shared);
        }
        // The neighbour is nearly always the one; looking it up finds it where it is not.
        let neighbour =
            cursor.neighbour(view, lsn, direction, until).map_err(|error| engine.unreadable(lsn, error))?;
        match neighbour {
            Some(found) => cursor.open_in_window(engine, view, lsn, found, until),
            None => cursor.open_other(engine, view, lsn, direction, until),
        }
    }
}

/// What was decompressed is left to the one that reads the next part of the log.
impl Drop for Iter {
    fn drop(&mut self) {
        let Self { engine, view, forward, backward, front, back, .. } = self;
        forward.leave_behind(engine, view, *front);
        backward.leave_behind(engine, view, back.wrapping_sub(1));
    }
}

impl Cursor {
    const fn new() -> Self {
        Self {
            reader: FrameReader::growing(BEGIN_LEN, ITER_LEN),
            place: None,
            open: None,
            spare: Vec::new(),
            shared: Shared::NONE,
            passed: Passed::NONE,
            short: Short::NONE,
        }
    }

    /// The frame next to the last one, passing over control frames, if it holds `lsn`.
    #[inline]
    fn neighbour(
        &mut self,
        view: &View,
        lsn: Lsn,
        direction: Direction,
        until: u64,
    ) -> Result<Option<(FrameHeader, Range<usize>)>, SegmentError> {
        let Some(mut place) = self.place else { return Ok(None) };
        let Some(segment) = view.segments.get(place.position) else { return Ok(None) };
        if lsn < segment.base() || lsn.get() >= place.bound {
            return Ok(None);
        }
        // Reading may move the window, whatever comes of it.
        self.shared.forget();
        self.short = Short::NONE;
        loop {
            let (offset, loaded) = match (direction, place.previous()) {
                (Direction::Forward, _) => (place.end, self.reader.load(segment, place.end)?),
                (Direction::Backward, Some(previous)) => {
                    (previous, self.reader.load_backwards(segment, previous, place.offset)?)
                }
                (Direction::Backward, None) => return Ok(None),
            };
            let Some((header, body)) = loaded else { return Ok(None) };
            place = place.moved(offset, &header);
            let first = segment.base().plus(u64::from(header.lsn_delta));
            if lsn.since(first).is_some_and(|index| index < u64::from(header.count)) {
                self.place = Some(place);
                self.close();
                self.shorten(segment, place.bound.min(until));
                return Ok(Some((header, body)));
            }
            if header.count > 0 {
                return Ok(None);
            }
        }
    }

    fn close(&mut self) {
        self.shared = Shared::NONE;
        if let Some(open) = self.open.take() {
            self.spare = open.into_memory();
        }
    }

    /// Opens the frame that the cursor has just moved to, in the reader's window.
    fn open_in_window(
        &mut self,
        engine: &Engine,
        view: &View,
        lsn: Lsn,
        (header, body): (FrameHeader, Range<usize>),
        until: u64,
    ) -> Result<Found, LogError> {
        if is_plain(&header) {
            return Ok(Found::Window(header, body));
        }
        let first = lsn_of(view, self.place, &header);
        let opened = self.open_shared(engine, (first, header, body), until);
        opened.map_err(|error| self.undecodable(view, lsn, error))
    }

    /// The same of a frame that is not a plain one, by its first entry.
    fn open_shared(
        &mut self,
        engine: &Engine,
        (first, header, body): (Lsn, FrameHeader, Range<usize>),
        until: u64,
    ) -> Result<Found, LogError> {
        if header.codec == 0 {
            let bytes = self.reader.window().get(body.clone()).unwrap_or(&[]);
            let context = EncodingSnafu { operation: DECODE };
            let layout = EntriesLayout::parse(header.count, header.columns, header.entry_kind, bytes);
            let ends = (self.bound(), until);
            self.shared = Shared::new(layout.context(context)?, first, header.time, body, ends);
            return Ok(Found::Shared);
        }
        let memory = mem::take(&mut self.spare);
        let body = self.reader.window().slice(body);
        self.open(OpenFrame::in_memory(memory, header, first, body, &engine.payloads)?, until)
    }

    /// Opens the frame that holds `lsn`, which is not the next one.
    fn open_other(
        &mut self,
        engine: &Engine,
        view: &View,
        lsn: Lsn,
        direction: Direction,
        until: u64,
    ) -> Result<Found, LogError> {
        self.close();
        self.short = Short::NONE;
        engine.check_readable(lsn)?;
        let (position, frame) = match direction {
            Direction::Forward => self.look_up(engine, view, lsn)?,
            Direction::Backward => self.look_up_back(engine, view, lsn)?,
        };
        self.place = Place::new(view, position, frame.offset, &frame.header);
        if frame.header.codec == 0
            && let Some((place, segment)) = self.place.zip(view.segments.get(position))
            && let Some(body) = self.reader.body_of(segment, &frame)
        {
            // It goes on from here as from a neighbour.
            self.shorten(segment, place.bound.min(until));
            return self.open_in_window(engine, view, lsn, (frame.header, body), until);
        }
        // Others begin in the same frame, who read the log in parts.
        let open = engine.open_frame(mem::take(&mut self.spare), view, position, frame);
        open.and_then(|open| self.open(open, until)).map_err(|error| self.undecodable(view, lsn, error))
    }

    fn open(&mut self, open: OpenFrame, until: u64) -> Result<Found, LogError> {
        self.short = Short::NONE;
        let (header, body) = (open.header(), 0..open.bytes().len());
        let ends = (self.bound(), until);
        self.shared = Shared::new(open.layout()?, open.first(), header.time, body, ends);
        self.open = Some(open);
        Ok(Found::Shared)
    }

    /// Leaves what was decompressed to whoever reads on, if `lsn` is in it, too.
    fn leave_behind(&mut self, engine: &Engine, view: &View, lsn: u64) {
        let open = self.open.take().filter(|open| is_shared(open.header()) && self.shared.holds(lsn));
        if let Some((open, place)) = open.zip(self.place)
            && let Some(segment) = view.segments.get(place.position)
        {
            engine.keep(FramePlace::of(segment.id(), place.offset, open.header()), open.body());
        }
    }

    /// Entries from this LSN on are in no frame of the segment that the cursor stands in.
    fn bound(&self) -> u64 {
        self.place.map_or(u64::MAX, |place| place.bound)
    }

    /// The frame that holds `lsn`, in this segment or at the beginning of a later one.
    fn look_up(&mut self, engine: &Engine, view: &View, lsn: Lsn) -> Result<(usize, LoadedFrame), LogError> {
        let checked = view.check_way_to(lsn, self.place, &mut self.reader);
        checked.map_err(|error| engine.unreadable(lsn, error))?;
        engine.load(view, lsn, &mut self.reader, Part::From)
    }

    /// The same on the way back: in this segment or at the end of an earlier one.
    fn look_up_back(
        &mut self,
        engine: &Engine,
        view: &View,
        lsn: Lsn,
    ) -> Result<(usize, LoadedFrame), LogError> {
        let unreadable = |error| engine.unreadable(lsn, error);
        let left = self.place.map(|place| place.position).filter(|left| view.position(lsn) < Some(*left));
        let Some((left, to)) = left.zip(view.position(lsn)) else {
            return engine.load(view, lsn, &mut self.reader, Part::Whole);
        };
        view.check_between((to + 1, FIRST_FRAME), left, &mut self.reader).map_err(unreadable)?;
        let (position, frame) = engine.load(view, lsn, &mut self.reader, Part::Whole)?;
        if frame.offset != NO_PLACE {
            view.check_between((position, frame.end()), position, &mut self.reader).map_err(unreadable)?;
        }
        Ok((position, frame))
    }

    /// The error of an entry that cannot be decoded, which counts as damage.
    fn noted(&self, engine: &Engine, view: &View, lsn: Lsn, error: LogError) -> LogError {
        let error = self.undecodable(view, lsn, error);
        engine.note_damage(&error);
        error
    }

    fn undecodable(&self, view: &View, lsn: Lsn, error: LogError) -> LogError {
        let (position, offset) = self.place.map_or((0, 0), |place| (place.position, place.offset));
        undecodable(view, position, offset, lsn, error)
    }

    /// The bytes that the frame at the cursor's place is read from.
    #[inline]
    fn bytes(&self) -> &Bytes {
        self.open.as_ref().map_or_else(|| self.reader.window(), OpenFrame::bytes)
    }

    fn lend(&self, found: Found, lsn: Lsn) -> Result<EntryRef<'_>, LogError> {
        match found {
            Found::Window(header, body) => Ok(plain_ref(lsn, &header, &self.reader.window()[body])),
            Found::Shared => self.shared.lend(self.bytes(), lsn),
        }
    }

    fn give(&self, found: Found, lsn: Lsn) -> Result<Entry, LogError> {
        match found {
            Found::Window(header, body) => Ok(plain(lsn, &header, self.reader.window().slice(body))),
            Found::Shared => self.shared.give(self.bytes(), lsn),
        }
    }
}

fn lsn_of(view: &View, place: Option<Place>, header: &FrameHeader) -> Lsn {
    let segment = place.and_then(|place| view.segments.get(place.position));
    segment.map_or(Lsn::FIRST, |segment| segment.base().plus(u64::from(header.lsn_delta)))
}
