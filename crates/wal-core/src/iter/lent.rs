//! The entries of an iterator, lent one after the other.
//!
//! Most are found by the short way, in the caller's own code: a result that holds an entry or an error is put together
//! in memory and taken apart again, which takes longer than a checksum. That is why [`pass`](Iter::pass) and
//! [`passed`](Iter::passed) can be called by themselves.

use wal_format::Lsn;

use super::{Direction, Iter};
use crate::{EntryRef, LogError};

impl Iter {
    /// The next entry, lent until the iterator moves on.
    ///
    /// # Errors
    ///
    /// As the iterator's items.
    #[inline]
    pub fn next_ref(&mut self) -> Option<Result<EntryRef<'_>, LogError>> {
        if self.pass() { self.passed().map(Ok) } else { self.next_ref_slowly() }
    }

    /// The next entry from the back, lent until the iterator moves on.
    ///
    /// # Errors
    ///
    /// As the iterator's items.
    #[inline]
    pub fn next_back_ref(&mut self) -> Option<Result<EntryRef<'_>, LogError>> {
        if self.pass_back() { self.passed_back().map(Ok) } else { self.next_back_ref_slowly() }
    }

    /// Moves to the next entry if the short way leads there, which is so for most.
    #[inline(always)]
    pub fn pass(&mut self) -> bool {
        let passes = self.front < self.back
            && self.engine.cuts.generation() == self.generation
            && self.forward.pass(self.front);
        self.front += u64::from(passes);
        passes
    }

    /// The same from the back.
    #[inline(always)]
    pub fn pass_back(&mut self) -> bool {
        let passes = self.front < self.back
            && self.is_noted(self.back)
            && self.engine.cuts.generation() == self.generation
            && self.backward.pass_back(self.back - 1);
        self.back -= u64::from(passes);
        passes
    }

    /// The entry that [`pass`](Self::pass) moved to last; `None` if the iterator was moved in another way since.
    #[inline(always)]
    #[must_use]
    pub fn passed(&self) -> Option<EntryRef<'_>> {
        self.forward.passed(Lsn::new(self.front.wrapping_sub(1))?)
    }

    /// The entry that [`pass_back`](Self::pass_back) moved to last; `None` if that end was moved in another way since.
    #[inline(always)]
    #[must_use]
    pub fn passed_back(&self) -> Option<EntryRef<'_>> {
        self.backward.passed(Lsn::new(self.back)?)
    }

    /// [`next_ref`](Self::next_ref) where the short way does not lead.
    ///
    /// # Errors
    ///
    /// As the iterator's items.
    #[inline(never)]
    pub fn next_ref_slowly(&mut self) -> Option<Result<EntryRef<'_>, LogError>> {
        self.lend_from(Direction::Forward)
    }

    /// [`next_back_ref`](Self::next_back_ref) where the short way does not lead.
    ///
    /// # Errors
    ///
    /// As the iterator's items.
    #[inline(never)]
    pub fn next_back_ref_slowly(&mut self) -> Option<Result<EntryRef<'_>, LogError>> {
        self.lend_from(Direction::Backward)
    }

    fn lend_from(&mut self, direction: Direction) -> Option<Result<EntryRef<'_>, LogError>> {
        let (lsn, found) = match self.step_from(direction)? {
            Ok(stepped) => stepped,
            Err(error) => return Some(Err(error)),
        };
        let cursor = match direction {
            Direction::Forward => &self.forward,
            Direction::Backward => &self.backward,
        };
        let lent = cursor.lend(found, lsn);
        if lent.is_err() {
            self.given.stop(&mut self.front, self.back);
        }
        Some(lent.map_err(|error| cursor.noted(&self.engine, &self.view, lsn, error)))
    }
}
