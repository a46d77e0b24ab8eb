//! The items of an iterator, from both ends.

use std::iter::FusedIterator;

use wal_format::Lsn;

use super::{Direction, Iter};
use crate::{Entry, LogError};

impl Iterator for Iter {
    type Item = Result<Entry, LogError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.pass() {
            self.forward.take_passed(Lsn::new(self.front - 1)?).map(Ok)
        } else {
            self.next_slowly()
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, usize::try_from(self.back.saturating_sub(self.front)).ok())
    }
}

impl DoubleEndedIterator for Iter {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.pass_back() {
            self.backward.take_passed(Lsn::new(self.back)?).map(Ok)
        } else {
            self.next_back_slowly()
        }
    }
}

impl FusedIterator for Iter {}

impl Iter {
    /// Moves to the next entry from the back if the short way leads there.
    #[inline]
    fn pass_back(&mut self) -> bool {
        let passes = self.front < self.back
            && self.engine.cuts.generation() == self.generation
            && self.backward.pass_plain_back(self.back - 1);
        self.back -= u64::from(passes);
        passes
    }

    #[inline(never)]
    fn next_slowly(&mut self) -> Option<Result<Entry, LogError>> {
        let lsn = Lsn::new(self.front).filter(|lsn| lsn.get() < self.back)?;
        match self.step(lsn, Direction::Forward) {
            Ok(found) => {
                self.front += 1;
                let given = self.forward.give(found, lsn);
                if given.is_err() {
                    self.front = self.back;
                }
                Some(given.map_err(|error| self.forward.noted(&self.engine, &self.view, lsn, error)))
            }
            Err(error) => Some(Err(self.end(error))),
        }
    }

    #[inline(never)]
    fn next_back_slowly(&mut self) -> Option<Result<Entry, LogError>> {
        let lsn = Lsn::new(self.back.wrapping_sub(1)).filter(|lsn| self.front <= lsn.get())?;
        match self.step(lsn, Direction::Backward) {
            Ok(found) => {
                self.back -= 1;
                let given = self.backward.give(found, lsn);
                if given.is_err() {
                    self.front = self.back;
                }
                Some(given.map_err(|error| self.backward.noted(&self.engine, &self.view, lsn, error)))
            }
            Err(error) => Some(Err(self.end(error))),
        }
    }
}
