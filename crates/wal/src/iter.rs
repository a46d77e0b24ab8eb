//! Walking the log.

use std::{iter::FusedIterator, ops::Bound};

use wal_core::{EntryRef, Log};
use wal_format::Lsn;

use crate::{Entry, Error};

/// The entries of a range, in order; from the back with [`rev`](Iterator::rev).
///
/// Made by [`Wal::iter`](crate::Wal::iter) and [`Wal::range`](crate::Wal::range). The range was fixed when the iterator
/// was made: entries appended later are not part of it. An error ends it: there are no items after one. Like a clone of
/// the [`Wal`](crate::Wal), it keeps the log open until it is dropped.
#[derive(Debug)]
pub struct Iter {
    log: Log,
    inner: wal_core::Iter,
    /// Nothing before this is left.
    front: Lsn,
    /// LSN after the last entry that is left.
    back: Lsn,
}

impl Iter {
    pub(crate) fn new(log: &Log, start: Bound<Lsn>, end: Bound<Lsn>) -> Self {
        let front = match start {
            Bound::Included(lsn) => lsn,
            Bound::Excluded(lsn) => lsn.next(),
            Bound::Unbounded => Lsn::FIRST,
        };
        let next = log.next_lsn();
        let back = match end {
            Bound::Included(lsn) => lsn.next().min(next),
            Bound::Excluded(lsn) => lsn.min(next),
            Bound::Unbounded => next,
        };
        Self { log: log.clone(), inner: log.range(front..back), front, back }
    }

    /// Leaves out the entries before `lsn`. Costs nothing: they are not read.
    ///
    /// ```
    /// use wal::{Lsn, Wal};
    /// # let dir = tempfile::tempdir()?;
    /// let wal = Wal::open(dir.path())?;
    /// for payload in ["one", "two", "three"] {
    ///     wal.append(payload)?;
    /// }
    /// let third = Lsn::new(3).unwrap();
    /// let last: Vec<_> = wal.iter().from(third).collect::<Result<_, _>>()?;
    /// assert_eq!(last.len(), 1);
    /// assert_eq!(last[0].payload, "three");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn from(self, lsn: Lsn) -> Self {
        if lsn <= self.front {
            return self;
        }
        let inner = self.log.range(lsn..self.back);
        Self { inner, front: lsn, ..self }
    }

    /// The next entry, lent until the iterator moves on: about a third faster than [`next`](Iterator::next) where
    /// entries are small, because nobody counts references.
    ///
    /// # Errors
    ///
    /// As the items of the iterator.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let wal = wal::Wal::open(dir.path())?;
    /// wal.append("one")?;
    /// wal.append("three")?;
    /// let (mut iter, mut total) = (wal.iter(), 0);
    /// while let Some(entry) = iter.next_ref() {
    ///     total += entry?.payload.len();
    /// }
    /// assert_eq!(total, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_ref(&mut self) -> Option<Result<EntryRef<'_>, Error>> {
        let item = self.inner.next_ref()?;
        if let Ok(entry) = &item {
            self.front = entry.lsn.next();
        }
        Some(item.map_err(Error::new))
    }
}

impl Iterator for Iter {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.inner.next()?;
        if let Ok(entry) = &item {
            self.front = entry.lsn.next();
        }
        Some(item.map_err(Error::new))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl DoubleEndedIterator for Iter {
    fn next_back(&mut self) -> Option<Self::Item> {
        let item = self.inner.next_back()?;
        if let Ok(entry) = &item {
            self.back = entry.lsn;
        }
        Some(item.map_err(Error::new))
    }
}

impl FusedIterator for Iter {}
