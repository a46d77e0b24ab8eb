//! What a tail needs of an iterator: a range that grows with the log, and a history that errors do not end.

use std::sync::Arc;

use wal_format::Lsn;
use wal_segment::FrameReader;

use super::{Iter, history::Given};
use crate::{LogError, history::Witness, peek::PEEK_LEN, view::View};

impl Iter {
    /// Begins behind an entry as if it had given that: beside a writer the entry tells later whether this is still the
    /// same history.
    pub(crate) fn begin_behind(&mut self) {
        let Some(last) = self.front().previous().filter(|_| self.is_beside()) else { return };
        let found = self.engine.peek_once(&self.view, last, &mut FrameReader::new(PEEK_LEN));
        // Without it, only the segment tells.
        let frame = found.ok().map(|found| (found.first, Witness::from(&found.header)));
        self.given.noted(self.front, frame);
    }

    /// Goes on in a newer view, or stays in its own where that may be of another history.
    ///
    /// # Errors
    ///
    /// Those of [`check_history`](crate::engine::Engine::check_history).
    pub(crate) fn go_on_in(&mut self, view: Arc<View>) -> Result<(), LogError> {
        if !Arc::ptr_eq(&self.view, &view) {
            self.note_front();
            self.engine.check_history(&self.view, &view, self.given.seen(), self.front())?;
            self.look_at(view);
        }
        Ok(())
    }

    /// Goes on at `front`, up to `back`, which may be entries that came since.
    pub(crate) fn stretch(&mut self, front: Lsn, back: Lsn) {
        self.note_front();
        if self.front != front.get() {
            self.leave_front(front.get());
        }
        self.back = back.get();
        self.range = self.front..self.back;
    }

    /// Has nothing to give until it is [stretched](Self::stretch) from `front`, whatever has ended it: in its own
    /// history beside a writer, and in the log as it is now in the writer's process.
    pub(crate) fn resume(&mut self, front: Lsn) {
        self.note_front();
        self.generation = self.engine.cuts.generation();
        let view = if self.is_beside() { Arc::clone(&self.view) } else { self.engine.view() };
        self.given = Given::going_on(&self.given, front.get());
        (self.front, self.back) = (front.get(), front.get());
        self.range = self.front..self.back;
        self.look_at(view);
    }
}
