//! The log, as its users hold it.

use std::{
    fmt,
    ops::{RangeBounds, RangeInclusive},
    path::Path,
};

use wal_core::{AppendOptions, Entry, Log, RecoveryReport, SegmentSummary, Stats};
use wal_format::{LogId, Lsn, NewEntry};

use crate::{Batch, Error, Iter, Ticket, WalBuilder};

/// A write-ahead log.
///
/// A cheap handle: clones share one log, all methods take `&self`, and any number of threads may call them; appends at
/// the same time share syncs. When the last clone is dropped the log is closed, as by [`close`](Self::close), and
/// errors of that go unheard.
///
/// ```
/// use wal::Wal;
/// # let dir = tempfile::tempdir()?;
/// let wal = Wal::open(dir.path())?;
/// let lsn = wal.append("hello")?;
/// assert_eq!(wal.get(lsn)?.payload, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Wal {
    pub(crate) log: Log,
}

const _: () = {
    const fn shared<T: Clone + Send + Sync + fmt::Debug>() {}
    shared::<Wal>();
};

impl Wal {
    pub(crate) const fn new(log: Log) -> Self {
        Self { log }
    }

    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    /// Opens the log in a directory for writing, with the usual settings: every append is durable when it returns. Both
    /// the directory and the log are created when they are missing.
    ///
    /// This is where recovery happens; what it found is in [`recovery_report`](Self::recovery_report). What is there
    /// when this returns is durable. Files in the directory that are not the log's stay as they are.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Locked`](crate::ErrorKind::Locked): another writer has it.
    /// - [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt): acknowledged entries are damaged; nothing was changed.
    /// - [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported): it was written by another build.
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) and [`ErrorKind::Full`](crate::ErrorKind::Full).
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path().join("data/wal");
    /// let wal = wal::Wal::open(&dir)?;
    /// assert_eq!(wal.last_lsn(), None);
    /// let second = wal::Wal::open(&dir).unwrap_err();
    /// assert_eq!(second.kind(), wal::ErrorKind::Locked);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder(dir).open()
    }

    /// Opens the log in a directory for reading only, beside a live writer or without one. Takes no lock and changes
    /// nothing. Shows what was written when it was opened.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no directory, or no log in it; otherwise as
    /// [`open`](Self::open).
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let writer = wal::Wal::open(dir.path())?;
    /// writer.append("hello")?;
    /// let reader = wal::Wal::open_read_only(dir.path())?;
    /// assert_eq!(reader.last_lsn(), writer.last_lsn());
    /// assert_eq!(reader.append("no").unwrap_err().kind(), wal::ErrorKind::ReadOnly);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_read_only(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder(dir).open_read_only()
    }

    /// Opens a log with settings, or with other parts than the usual ones.
    pub fn builder(dir: impl AsRef<Path>) -> WalBuilder {
        WalBuilder::new(dir.as_ref())
    }

    /// Appends one entry and returns its LSN. An entry may be empty.
    ///
    /// Under [`SyncPolicy::Always`](crate::SyncPolicy::Always) the entry is durable when this returns. Otherwise a
    /// crash may lose it, but never an entry before it without it: what survives is always a prefix.
    ///
    /// # Errors
    ///
    /// [`Error::outcome`] says whether the entry may be in the log all the same.
    ///
    /// - [`ErrorKind::Full`](crate::ErrorKind::Full): free space, then append again when the outcome is
    ///   [`NotAppended`](crate::Outcome::NotAppended), or [`sync`](Self::sync) when it is
    ///   [`Unknown`](crate::Outcome::Unknown).
    /// - [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge): nothing was written.
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) and [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned): reopen the
    ///   log.
    /// - [`ErrorKind::Closed`](crate::ErrorKind::Closed) and [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly).
    pub fn append(&self, payload: impl AsRef<[u8]>) -> Result<Lsn, Error> {
        self.log.append(payload.as_ref()).map_err(Error::append)
    }

    /// Appends one entry with a kind, a term or a timestamp, or with another durability than the log's policy.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append); [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when another LSN was
    /// expected; [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a reserved term or timestamp.
    ///
    /// ```
    /// use wal::{AppendOptions, Durability, NewEntry, Wal};
    /// # let dir = tempfile::tempdir()?;
    /// let wal = Wal::open(dir.path())?;
    /// let entry = NewEntry { kind: 2, term: Some(7), ..NewEntry::plain(b"vote") };
    /// let options = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
    /// let lsn = wal.append_with(entry, &options)?; // in memory
    /// wal.sync()?; // durable
    /// assert_eq!(wal.get(lsn)?.term, Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn append_with(&self, entry: NewEntry<'_>, options: &AppendOptions) -> Result<Lsn, Error> {
        self.log.append_entry(&entry, options).map_err(Error::append)
    }

    /// Appends one entry if it gets this LSN, and nothing otherwise.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when the next LSN is another one; those of
    /// [`append`](Self::append).
    ///
    /// ```
    /// use wal::{ErrorKind, Lsn, Wal};
    /// # let dir = tempfile::tempdir()?;
    /// let wal = Wal::open(dir.path())?;
    /// assert_eq!(wal.append_at(Lsn::FIRST, "one")?, Lsn::FIRST);
    /// assert_eq!(wal.append_at(Lsn::FIRST, "one again").unwrap_err().kind(), ErrorKind::Conflict);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn append_at(&self, expected: Lsn, payload: impl AsRef<[u8]>) -> Result<Lsn, Error> {
        let options = AppendOptions { expected: Some(expected), ..AppendOptions::default() };
        self.append_with(NewEntry::plain(payload.as_ref()), &options)
    }

    /// Appends a batch and returns the LSNs of its entries. After a crash all of them are there, or none. As durable as
    /// the policy says.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append); [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for an empty batch.
    pub fn append_batch(&self, batch: &Batch) -> Result<RangeInclusive<Lsn>, Error> {
        self.append_batch_with(batch, &AppendOptions::default())
    }

    /// Appends a batch with another durability than the log's policy, or only if its first entry gets a certain LSN.
    ///
    /// # Errors
    ///
    /// Those of [`append_batch`](Self::append_batch); [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when another
    /// LSN was expected.
    pub fn append_batch_with(
        &self,
        batch: &Batch,
        options: &AppendOptions,
    ) -> Result<RangeInclusive<Lsn>, Error> {
        let (first, last) = self.log.append_batch(batch.entries(), options).map_err(Error::append)?;
        Ok(first..=last)
    }

    /// Appends one entry and returns at once, with a [`Ticket`] for its durability. The entry can be read, and keeps
    /// its place; it is durable when the ticket says so.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append); what happens later is for the ticket to tell.
    pub fn submit(&self, payload: impl AsRef<[u8]>) -> Result<Ticket, Error> {
        self.submit_with(NewEntry::plain(payload.as_ref()), None)
    }

    /// As [`submit`](Self::submit), for an entry with a kind, a term or a timestamp, and only if it gets the `expected`
    /// LSN when there is one.
    ///
    /// # Errors
    ///
    /// Those of [`submit`](Self::submit); [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when another LSN was
    /// expected.
    pub fn submit_with(&self, entry: NewEntry<'_>, expected: Option<Lsn>) -> Result<Ticket, Error> {
        self.log.submit(&entry, expected).map(Ticket::new).map_err(Error::append)
    }

    /// Appends a batch and returns at once, with a [`Ticket`] for its durability.
    ///
    /// # Errors
    ///
    /// Those of [`append_batch`](Self::append_batch); what happens later is for the ticket to tell.
    pub fn submit_batch(&self, batch: &Batch) -> Result<Ticket, Error> {
        self.submit_batch_with(batch, None)
    }

    /// As [`submit_batch`](Self::submit_batch), and only if the first entry gets the `expected` LSN when there is one.
    ///
    /// # Errors
    ///
    /// Those of [`submit_batch`](Self::submit_batch); [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when another
    /// LSN was expected.
    pub fn submit_batch_with(&self, batch: &Batch, expected: Option<Lsn>) -> Result<Ticket, Error> {
        self.log.submit_batch(batch.entries(), expected).map(Ticket::new).map_err(Error::append)
    }

    /// Makes everything appended before the call durable, whatever the policy.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full): not yet; free space and call again.
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) and [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned): what was not
    /// durable before may be lost; reopen the log.
    pub fn sync(&self) -> Result<(), Error> {
        self.log.sync().map_err(Error::new)
    }

    /// The entry with this LSN. Its payload is not copied where the storage can do without, and stays valid for as long
    /// as it is held.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Truncated`](crate::ErrorKind::Truncated) and [`ErrorKind::NotFound`](crate::ErrorKind::NotFound)
    /// when it is not in the log any more, or not yet; [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when it is
    /// damaged; [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned) when it is not certain after a failure.
    pub fn get(&self, lsn: Lsn) -> Result<Entry, Error> {
        self.log.get(lsn).map_err(Error::new)
    }

    /// All entries that are there now, in order; from the back with [`rev`](Iterator::rev), from a certain one with
    /// [`from`](Iter::from).
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let wal = wal::Wal::open(dir.path())?;
    /// wal.append("one")?;
    /// wal.append("two")?;
    /// let newest = wal.iter().next_back().unwrap()?;
    /// assert_eq!(newest.payload, "two");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn iter(&self) -> Iter {
        self.range(..)
    }

    /// The entries with these LSNs that are there now, in order. A range that begins before the first entry or ends
    /// behind the last is cut to what is there.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use wal::Lsn;
    /// let wal = wal::Wal::open(dir.path())?;
    /// for n in 1..=5 {
    ///     wal.append(n.to_string())?;
    /// }
    /// let two_to_four = Lsn::new(2).unwrap()..Lsn::new(5).unwrap();
    /// assert_eq!(wal.range(two_to_four).count(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn range(&self, range: impl RangeBounds<Lsn>) -> Iter {
        Iter::new(&self.log, range.start_bound().cloned(), range.end_bound().cloned())
    }

    /// The first entry of the log; `None` when it is empty.
    #[must_use]
    pub fn first_lsn(&self) -> Option<Lsn> {
        self.log.first_lsn()
    }

    /// The last entry appended, durable or not; `None` when the log is empty.
    #[must_use]
    pub fn last_lsn(&self) -> Option<Lsn> {
        self.log.last_lsn()
    }

    /// The last entry that survives power loss; `None` when none does.
    #[must_use]
    pub fn durable_lsn(&self) -> Option<Lsn> {
        self.log.durable_lsn()
    }

    /// The LSN that the next append will get, unless another thread is faster.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.log.next_lsn()
    }

    /// What the log has done since it was opened, and how it stands. Does no I/O.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let wal = wal::Wal::open(dir.path())?;
    /// wal.append("hello")?;
    /// let stats = wal.stats();
    /// assert_eq!((stats.entries, stats.syncs, stats.durable_lag_entries), (1, 1, 0));
    /// let slow = stats.sync_duration.quantile(0.99).unwrap();
    /// println!("99 of 100 syncs took {} us or less", slow / 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.log.stats()
    }

    /// What opening the log found and did.
    #[must_use]
    pub fn recovery_report(&self) -> &RecoveryReport {
        self.log.recovery_report()
    }

    /// The segments of the log, oldest first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when a file cannot be looked at.
    pub fn segments(&self) -> Result<Vec<SegmentSummary>, Error> {
        self.log.segments().map_err(Error::new)
    }

    /// The identity of the log, drawn when it was created; `None` when a log that was opened for reading has no
    /// segment.
    #[must_use]
    pub fn id(&self) -> Option<LogId> {
        self.log.id()
    }

    /// Looks again, on a log opened for reading: what a writer has appended, trimmed or cut since is seen from now on,
    /// also by clones. Iterators keep what they began with. On a log open for writing it does nothing.
    ///
    /// # Errors
    ///
    /// Those of [`open_read_only`](Self::open_read_only).
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let wal = wal::Wal::open(dir.path())?;
    /// wal.append("one")?;
    /// let reader = wal::Wal::open_read_only(dir.path())?;
    /// wal.append("two")?;
    /// assert_eq!(reader.iter().count(), 1);
    /// reader.refresh()?;
    /// assert_eq!(reader.iter().count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refresh(&self) -> Result<(), Error> {
        self.log.refresh().map_err(Error::new)
    }

    /// Does once what the log's threads would do. Only needed without
    /// [`Options::background_threads`](crate::Options::background_threads).
    ///
    /// # Errors
    ///
    /// Those of [`sync`](Self::sync).
    pub fn maintain(&self) -> Result<(), Error> {
        self.log.maintain().map_err(Error::new)
    }

    /// Closes the log for all clones: everything appended is durable on return, and the next open finds a clean end.
    /// Doing it again does nothing. Reading goes on to work.
    ///
    /// # Errors
    ///
    /// Those of [`sync`](Self::sync). The log is closed all the same.
    pub fn close(&self) -> Result<(), Error> {
        self.log.close().map_err(Error::new)
    }
}

impl fmt::Debug for Wal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wal")
            .field("id", &self.id())
            .field("first_lsn", &self.first_lsn())
            .field("next_lsn", &self.next_lsn())
            .field("durable_lsn", &self.durable_lsn())
            .finish_non_exhaustive()
    }
}
