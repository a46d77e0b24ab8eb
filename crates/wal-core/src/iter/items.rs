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
            self.give_from(Direction::Forward)
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
            self.give_from(Direction::Backward)
        }
    }
}

impl FusedIterator for Iter {}

impl Iter {
    #[inline(never)]
    fn give_from(&mut self, direction: Direction) -> Option<Result<Entry, LogError>> {
        let (lsn, found) = match self.step_from(direction)? {
            Ok(stepped) => stepped,
            Err(error) => return Some(Err(error)),
        };
        let given = self.cursor(direction).give(found, lsn);
        if given.is_err() {
            self.given.stop(&mut self.front, self.back);
        }
        Some(given.map_err(|error| self.cursor(direction).noted(&self.engine, &self.view, lsn, error)))
    }
}
