//! What keeps an iterator in one history of the log, from whichever end it is read and wherever it is sent.

use std::sync::Arc;

use wal_format::{FrameHeader, Lsn};

use super::{Cursor, Direction, Iter};
use crate::{
    LogError,
    crossing::Place,
    error::CutOffSnafu,
    history::{Seen, Witness},
    view::View,
};

/// What an iterator has given since it began, or began anew.
#[derive(Debug)]
pub(super) struct Given {
    /// LSN after the highest entry of those that were noted. From the front they are noted late, because the short way
    /// has no time for it.
    end: u64,
    /// The frame of that one, by its first entry. Only kept beside a writer; `None` when it is not in memory any more,
    /// because reading on failed behind it.
    frame: Option<(Lsn, Witness)>,
    /// Where the front began: when it is not there any more, the entry before it was given.
    from: u64,
    /// Where the front was when an error moved it.
    stopped: u64,
    /// Entries from this LSN on are of another history than one that was given.
    pub(super) limit: u64,
    /// It has ended because of that.
    cut_off: bool,
}

impl Given {
    pub(super) const fn nothing(front: u64) -> Self {
        Self { end: 0, frame: None, from: front, stopped: 0, limit: u64::MAX, cut_off: false }
    }

    /// The same, for who begins at `front`.
    pub(super) const fn going_on(before: &Self, front: u64) -> Self {
        Self { end: before.end, frame: before.frame, ..Self::nothing(front) }
    }

    pub(super) const fn noted(&mut self, end: u64, frame: Option<(Lsn, Witness)>) {
        (self.end, self.frame) = (end, frame);
    }

    /// The highest entry of those that were noted.
    pub(super) fn seen(&self) -> Option<Seen> {
        let end = Lsn::new(self.end)?;
        Some(Seen { end, frame: self.frame })
    }

    /// Leaves nothing between the ends.
    pub(super) const fn stop(&mut self, front: &mut u64, back: u64) {
        if *front > self.from {
            self.stopped = *front;
        }
        (*front, self.from) = (back, back);
    }
}

impl Iter {
    /// Whether another process writes the log.
    pub(super) fn is_beside(&self) -> bool {
        self.engine.look_again.is_some()
    }

    /// Whether it is noted that the entry before `end` was given, or a higher one. From the back the short way notes
    /// nothing: it leads only to entries below those.
    #[inline(always)]
    pub(super) const fn is_noted(&self, end: u64) -> bool {
        end <= self.given.end
    }

    /// An entry was given from the back.
    #[inline]
    pub(super) fn note_back(&mut self, lsn: Lsn) {
        if lsn.get() >= self.given.end {
            self.note(Direction::Backward, lsn.get() + 1);
        }
    }

    /// Entries were given from the front, up to where it is.
    pub(super) fn note_front(&mut self) {
        let end = if self.front > self.given.from { self.front } else { self.given.stopped };
        if end > self.given.end {
            self.note(Direction::Forward, end);
        }
    }

    fn note(&mut self, direction: Direction, end: u64) {
        let frame = if self.is_beside() { self.cursor(direction).frame(&self.view) } else { None };
        self.given.noted(end, frame);
    }

    /// The front moves without reading.
    pub(super) fn leave_front(&mut self, front: u64) {
        self.note_front();
        (self.front, self.given.from, self.given.stopped) = (front, front, 0);
        self.forward.leave_for(front);
    }

    /// Whoever moves an iterator after it was cut off has been told, and begins anew.
    pub(super) fn begin_anew(&mut self) {
        if self.given.cut_off {
            self.generation = self.engine.cuts.generation();
            self.given = Given::nothing(self.front);
            (self.forward, self.backward) = (Cursor::new(), Cursor::new());
            self.look();
        }
    }

    pub(super) fn end(&mut self, error: LogError) -> LogError {
        self.given.stop(&mut self.front, self.back);
        self.given.cut_off = matches!(error, LogError::CutOff { .. });
        self.engine.note_damage(&error);
        error
    }

    /// Reads on in the log as it is now.
    fn look(&mut self) {
        let view = self.engine.view();
        self.look_at(view);
    }

    /// Reads on in this view, from the frames on that were read last: what lies between those and the next entries must
    /// not be passed over unseen.
    pub(super) fn look_at(&mut self, view: Arc<View>) {
        // After the generation: a failure that is not seen here is noticed by that.
        self.certain = self.engine.certain_next().get();
        let [forward, backward] = [Direction::Forward, Direction::Backward].map(|direction| {
            let (place, first) = self.left(direction)?;
            place.in_later(&self.engine, &self.view, &view, first)
        });
        self.view = view;
        self.forward = Cursor { place: forward, ..Cursor::new() };
        self.backward = Cursor { place: backward, ..Cursor::new() };
    }

    /// The frame that was read last from one end, with the entry that was, unless the next one to give is in it, too.
    fn left(&self, direction: Direction) -> Option<(Place, Lsn)> {
        let (last, next) = match direction {
            Direction::Forward => (self.front.wrapping_sub(1), self.front),
            Direction::Backward => (self.back, self.back.wrapping_sub(1)),
        };
        let Cursor { place, shared, .. } = self.cursor(direction);
        if shared.holds(next) {
            return None;
        }
        Some(((*place)?, Lsn::new(last)?))
    }

    /// A cut behind the next entry only means that there are other segments now, unless one was given from there.
    #[cold]
    pub(super) fn notice_cuts(&mut self, lsn: Lsn) -> Result<(), LogError> {
        let cut = match self.engine.cuts.notice(&mut self.generation, lsn) {
            Ok(cut) => cut.map_or(u64::MAX, Lsn::get),
            Err(next) => return CutOffSnafu { lsn, next }.fail(),
        };
        self.note_front();
        if cut < self.given.end {
            self.given.limit = self.given.limit.min(cut);
        }
        self.look();
        Ok(())
    }

    /// An entry at or behind the limit.
    #[cold]
    pub(super) fn beyond(&self, lsn: Lsn) -> LogError {
        CutOffSnafu { lsn, next: Lsn::new(self.given.limit).unwrap_or(lsn) }.build()
    }

    /// A segment was superseded before it was first read: its entries are in another one. Both ends go on there, unless
    /// that is another history.
    #[cold]
    pub(super) fn renew(&mut self, lsn: Lsn) -> Result<(), LogError> {
        self.note_front();
        let view = self.engine.renewed(&self.view, self.given.seen(), lsn)?;
        self.look_at(view);
        Ok(())
    }
}

impl Cursor {
    /// The frame that was read last, by its first entry, as far as it is in memory.
    pub(super) fn frame(&self, view: &View) -> Option<(Lsn, Witness)> {
        if let Some(open) = &self.open {
            return Some((open.first(), Witness::from(open.header())));
        }
        let place = self.place?;
        let segment = view.segments.get(place.position)?;
        let at = place.offset.checked_sub(self.reader.window_start())?;
        let header = self.reader.window().get(usize::try_from(at).ok()?..)?.first_chunk()?;
        let header = FrameHeader::decode(header, segment.key(), place.offset).ok()?;
        Some((segment.base().plus(u64::from(header.lsn_delta)), Witness::from(&header)))
    }
}
