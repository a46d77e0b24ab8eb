//! A log, seen as a sequence of records.

use std::{
    fmt,
    iter::FusedIterator,
    marker::PhantomData,
    ops::{RangeBounds, RangeInclusive},
};

use wal_core::AppendOptions;
use wal_format::{Lsn, NewEntry};

use super::encode;
use crate::{Batch, Error, Iter, Record, Ticket, Transaction, TypedEntry, Wal};

impl Wal {
    /// This log, seen as a sequence of records. A cheap handle; a log may have several views at once, and entries that
    /// are none of a view's types are [`Unknown`](crate::Typed::Unknown) to it.
    #[must_use]
    pub fn typed<R: Record>(&self) -> TypedWal<R> {
        TypedWal { wal: self.clone(), record: PhantomData }
    }
}

impl Batch {
    /// Adds a record.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it cannot be encoded; those of [`push`](Self::push).
    pub fn push_record<R: Record>(&mut self, record: &R) -> Result<(), Error> {
        let mut buffer = Vec::new();
        self.push_entry(entry(record, &mut buffer)?)
    }
}

impl Transaction {
    /// Adds a record, and returns its place in the transaction, from 0.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it cannot be encoded; those of [`append`](Self::append).
    pub fn append_record<R: Record>(&self, record: &R) -> Result<u32, Error> {
        let mut buffer = Vec::new();
        self.append_entry(entry(record, &mut buffer)?)
    }
}

fn entry<'a, R: Record>(record: &R, buffer: &'a mut Vec<u8>) -> Result<NewEntry<'a>, Error> {
    let kind = record.kind();
    Ok(NewEntry { kind, ..NewEntry::plain(encode(record, buffer)?) })
}

/// A log, seen as a sequence of records. Made by [`Wal::typed`].
///
/// ```
/// use wal::{ErrorKind, Typed, Wal};
/// # use wal::{BoxError, Payload};
/// # #[derive(Debug, PartialEq)] struct Level(u8);
/// # impl Payload for Level {
/// #     const KIND: u8 = 3;
/// #     fn write(&self, out: &mut Vec<u8>) -> Result<(), BoxError> { out.push(self.0); Ok(()) }
/// #     fn read(payload: &[u8]) -> Result<Self, BoxError> { Ok(Self(<[u8; 1]>::try_from(payload)?[0])) }
/// # }
/// # let dir = tempfile::tempdir()?;
/// let wal = Wal::open(dir.path())?;
/// let levels = wal.typed::<Level>(); // a `Payload` of one byte, of kind 3
/// levels.append(&Level(9))?;
/// wal.append("of kind 0")?;
/// wal.append_with(wal::NewEntry { kind: 3, ..wal::NewEntry::plain(b"too long") }, &Default::default())?;
/// levels.append(&Level(10))?;
///
/// let read: Vec<_> = levels.iter().map(|entry| entry.map(|entry| entry.record)).collect();
/// assert_eq!(*read[0].as_ref().unwrap(), Typed::Known(Level(9)));
/// assert!(matches!(read[1].as_ref().unwrap(), Typed::Unknown { kind: 0, .. }));
/// let error = read[2].as_ref().unwrap_err();
/// assert_eq!((error.kind(), error.lsns().unwrap().start().get()), (ErrorKind::Undecodable, 3));
/// assert_eq!(*read[3].as_ref().unwrap(), Typed::Known(Level(10))); // reading went on
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TypedWal<R> {
    wal: Wal,
    record: PhantomData<fn() -> R>,
}

impl<R> TypedWal<R> {
    /// The log itself, for all that is not about records.
    #[must_use]
    pub const fn wal(&self) -> &Wal {
        &self.wal
    }
}

impl<R: Record> TypedWal<R> {
    /// Appends a record and returns its LSN. As durable on return as the policy says.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it cannot be encoded; those of [`Wal::append`].
    pub fn append(&self, record: &R) -> Result<Lsn, Error> {
        self.append_with(record, &AppendOptions::default())
    }

    /// Appends a record with another durability than the log's policy, or only if it gets a certain LSN.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append) and [`Wal::append_with`].
    pub fn append_with(&self, record: &R, options: &AppendOptions) -> Result<Lsn, Error> {
        let mut buffer = Vec::new();
        self.wal.append_with(entry(record, &mut buffer)?, options)
    }

    /// Appends a record and returns at once, with a [`Ticket`] for its durability.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append).
    pub fn submit(&self, record: &R) -> Result<Ticket, Error> {
        let mut buffer = Vec::new();
        self.wal.submit_with(entry(record, &mut buffer)?, None)
    }

    /// Appends records, all of them or none, and returns their LSNs.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append); [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when there are none.
    pub fn append_batch<'a>(
        &self,
        records: impl IntoIterator<Item = &'a R>,
    ) -> Result<RangeInclusive<Lsn>, Error>
    where
        R: 'a,
    {
        let (mut batch, mut buffer) = (Batch::new(), Vec::new());
        for record in records {
            batch.push_entry(entry(record, &mut buffer)?)?;
        }
        self.wal.append_batch(&batch)
    }

    /// The entry with this LSN.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Undecodable`](crate::ErrorKind::Undecodable) when it is not what the type expects; those of
    /// [`Wal::get`].
    pub fn get(&self, lsn: Lsn) -> Result<TypedEntry<R>, Error> {
        TypedEntry::new(self.wal.get(lsn)?, R::decode)
    }

    /// All entries that are there now, in order.
    #[must_use]
    pub fn iter(&self) -> TypedIter<R> {
        self.range(..)
    }

    /// The entries with these LSNs that are there now, in order. The range is cut to what is there.
    #[must_use]
    pub fn range(&self, range: impl RangeBounds<Lsn>) -> TypedIter<R> {
        TypedIter { inner: self.wal.range(range), record: PhantomData }
    }

    /// All entries from `first` on; an error when some are not there any more.
    pub(crate) fn starting(&self, first: Lsn) -> Result<TypedIter<R>, Error> {
        Ok(TypedIter { inner: Iter::starting(&self.wal.log, first)?, record: PhantomData })
    }

    /// Hands the entries with these LSNs that are there now to `each`, one at a time and in order, until it fails or
    /// all have been handed over. As with [`range`](Self::range), the range is cut to what is there. Batches, progress,
    /// a report to go on from and draining are for [`Wal::replay`].
    ///
    /// # Errors
    ///
    /// What `each` returned; what reading returned, of an entry that its type refuses as well.
    pub fn for_each<E: From<Error>>(
        &self,
        range: impl RangeBounds<Lsn>,
        mut each: impl FnMut(TypedEntry<R>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.range(range).try_for_each(|entry| each(entry?))
    }
}

impl<R> Clone for TypedWal<R> {
    fn clone(&self) -> Self {
        Self { wal: self.wal.clone(), record: PhantomData }
    }
}

impl<R> fmt::Debug for TypedWal<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedWal").field(&self.wal).finish()
    }
}

/// The entries of a range with what they hold, in order. Made by [`TypedWal::iter`] and [`TypedWal::range`].
///
/// An entry that its type refuses is an error of the kind [`Undecodable`](crate::ErrorKind::Undecodable), and the next
/// item is the entry behind it. Any other error ends the iterator.
pub struct TypedIter<R> {
    inner: Iter,
    record: PhantomData<fn() -> R>,
}

impl<R> TypedIter<R> {
    /// Leaves out the entries before `lsn`. Costs nothing: they are not read.
    #[must_use]
    pub fn from(self, lsn: Lsn) -> Self {
        Self { inner: self.inner.from(lsn), ..self }
    }
}

impl<R: Record> Iterator for TypedIter<R> {
    type Item = Result<TypedEntry<R>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.inner.next()?.and_then(|entry| TypedEntry::new(entry, R::decode)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<R: Record> DoubleEndedIterator for TypedIter<R> {
    fn next_back(&mut self) -> Option<Self::Item> {
        Some(self.inner.next_back()?.and_then(|entry| TypedEntry::new(entry, R::decode)))
    }
}

impl<R: Record> FusedIterator for TypedIter<R> {}

impl<R> fmt::Debug for TypedIter<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedIter").field(&self.inner).finish()
    }
}
