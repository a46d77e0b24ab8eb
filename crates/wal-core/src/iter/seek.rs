//! Moving the ends of an iterator.

use wal_format::Lsn;

use super::{Cursor, Iter, Passed, Short};

impl Iter {
    /// Moves the front: the next entry from there is `lsn`, forward or back, or the nearest one in the range that the
    /// iterator was made for and that was not yet taken from the back. Reads nothing. After an error the iterator goes
    /// on from here: in the same history of the log, but after [`LogError::CutOff`](crate::LogError::CutOff) in the log
    /// as it is known to be then, as a new iterator would.
    pub fn seek(&mut self, lsn: Lsn) {
        self.begin_anew();
        let front = lsn.get().clamp(self.range.start, self.back.max(self.range.start));
        if front != self.front {
            self.leave_front(front);
        }
    }

    /// Moves the back: the next entry from there is `lsn`, or the nearest one in the range that the iterator was made
    /// for and that was not yet taken from the front. Reads nothing. It stays in its history of the log as with
    /// [`seek`](Self::seek).
    pub fn seek_back(&mut self, lsn: Lsn) {
        self.begin_anew();
        let back = lsn.next().get().clamp(self.front.min(self.range.end), self.range.end);
        if back != self.back {
            self.back = back;
            self.backward.leave_for(back.wrapping_sub(1));
        }
    }

    /// LSN of the next entry from the front.
    #[must_use]
    pub fn front(&self) -> Lsn {
        Lsn::new(self.front).unwrap_or(Lsn::FIRST)
    }

    /// LSN after the next entry from the back.
    #[must_use]
    pub fn back(&self) -> Lsn {
        Lsn::new(self.back).unwrap_or(Lsn::FIRST)
    }
}

impl Cursor {
    /// The next entry is this one, and not the neighbour. Within the frame that was read last the place stays: that is
    /// where the iterator will have been.
    pub(super) fn leave_for(&mut self, lsn: u64) {
        self.passed = Passed::NONE;
        if !self.shared.holds(lsn) {
            self.close();
            self.place = None;
            self.short = Short::NONE;
        }
    }
}
