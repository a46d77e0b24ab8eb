//! The items of an iterator, from both ends.

use std::iter::FusedIterator;

use wal_format::Lsn;

use super::{Direction, Iter};
use crate::{Entry, LogError};

impl Iterator for Iter {
    type Item = Result<Entry, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let lsn = Lsn::new(self.front)?;
        if self.engine.cuts.generation() == self.generation && self.forward.pass_plain(self.front) {
            self.front += 1;
            return self.forward.take_passed(lsn).map(Ok);
        }
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

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, usize::try_from(self.back.saturating_sub(self.front)).ok())
    }
}

impl DoubleEndedIterator for Iter {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let lsn = Lsn::new(self.back - 1)?;
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

impl FusedIterator for Iter {}
