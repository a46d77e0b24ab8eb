//! Entries that are collected by several threads, and committed together or not at all.

use std::{ops::RangeInclusive, time::Duration};

use wal_core::{AppendOptions, TransactionId, TransactionOptions, TransactionState};
use wal_format::{Lsn, NewEntry};

use crate::{Error, Wal};

impl Wal {
    /// Begins a transaction that may be open for `timeout`, with the usual limits. Writes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a timeout of zero;
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed), [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly),
    /// [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned).
    ///
    /// ```
    /// use std::{thread, time::Duration};
    /// use wal::{TransactionState, Wal};
    /// # let dir = tempfile::tempdir()?;
    /// let wal = Wal::open(dir.path())?;
    /// let transfer = wal.begin(Duration::from_secs(30))?;
    /// thread::scope(|scope| {
    ///     scope.spawn(|| transfer.append("debit 5"));
    ///     scope.spawn(|| transfer.append("credit 5"));
    /// });
    /// assert_eq!(wal.last_lsn(), None); // not yet
    /// let lsns = transfer.commit()?; // both, durable
    /// assert!(wal.range(lsns).all(|entry| entry.unwrap().transaction == Some(transfer.id().0)));
    ///
    /// let regretted = wal.begin(Duration::from_secs(30))?;
    /// regretted.append("never mind")?;
    /// let id = regretted.id();
    /// drop(regretted);
    /// assert_eq!(wal.transaction_state(id), TransactionState::RolledBack);
    /// assert_eq!(wal.iter().count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn begin(&self, timeout: Duration) -> Result<Transaction, Error> {
        self.begin_with(&TransactionOptions { timeout, ..TransactionOptions::default() })
    }

    /// Begins a transaction with limits of its own.
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Self::begin); [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a limit of no entries.
    pub fn begin_with(&self, options: &TransactionOptions) -> Result<Transaction, Error> {
        self.log().begin(options).map(|inner| Transaction { inner }).map_err(Error::new)
    }

    /// What became of a transaction of this process. The last 1024 that ended are remembered; older ones, and those of
    /// other processes, are [`Unknown`](TransactionState::Unknown): look for the id among the entries.
    #[must_use]
    pub fn transaction_state(&self, id: TransactionId) -> TransactionState {
        self.log().transaction_state(id)
    }

    /// How many transactions are open. Those past their time do not count.
    #[must_use]
    pub fn active_transactions(&self) -> usize {
        self.log().active_transactions()
    }

    /// Ends the transactions that are past their time, and says how many those were. Needed by nobody: they can do
    /// nothing any more, and the log's thread or [`maintain`](Self::maintain) gives their memory back.
    pub fn expire_transactions(&self) -> usize {
        self.log().expire_transactions()
    }
}

/// Entries that are appended together when it is committed, and not at all otherwise. Made by [`Wal::begin`].
///
/// A cheap handle: clones share one transaction, all methods take `&self`, and any number of threads may append to it.
/// Its entries are in memory until the commit, which writes them at once: a crash before leaves nothing of them, a
/// crash after all of them. Other appends go on meanwhile and come first in the log.
///
/// It ends with a commit, a rollback, when the last clone is dropped, when its time is over or when the log is closed:
/// in all cases but the first there is nothing of it in the log. Like a clone of the [`Wal`], it keeps the log open.
#[derive(Clone, Debug)]
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction {
    inner: wal_core::Transaction,
}

const _: () = {
    const fn shared<T: Clone + Send + Sync>() {}
    shared::<Transaction>();
};

impl Transaction {
    /// Its name, which its entries carry: [`Entry::transaction`](crate::Entry::transaction).
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.inner.id()
    }

    /// What became of it so far.
    #[must_use]
    pub fn state(&self) -> TransactionState {
        self.inner.state()
    }

    /// Adds an entry of kind zero, and returns its place in the transaction, from 0: its LSN will be the first of the
    /// commit plus that. Its bytes are copied; they may be none.
    ///
    /// # Errors
    ///
    /// Nothing is added then, and what was added before stays.
    ///
    /// - [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge): a limit of the transaction or of the log.
    /// - [`ErrorKind::Expired`](crate::ErrorKind::Expired): it was open for too long. Begin it again.
    /// - [`ErrorKind::Invalid`](crate::ErrorKind::Invalid): it was committed or rolled back, or is being committed.
    /// - [`ErrorKind::Closed`](crate::ErrorKind::Closed): the log was closed.
    pub fn append(&self, payload: impl AsRef<[u8]>) -> Result<u32, Error> {
        self.append_entry(NewEntry::plain(payload.as_ref()))
    }

    /// Adds an entry with a kind, a term or a timestamp.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append); [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a reserved term or
    /// timestamp.
    pub fn append_entry(&self, entry: NewEntry<'_>) -> Result<u32, Error> {
        self.inner.append(&entry).map_err(Error::append)
    }

    /// Number of entries so far; 0 once it has ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether it holds no entry. Such a transaction cannot be committed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Appends its entries and returns their LSNs. After a crash all of them are there, or none. As durable on return
    /// as the policy says.
    ///
    /// # Errors
    ///
    /// With the outcome [`Unknown`](crate::Outcome::Unknown) it has ended, and [`Error::lsns`] says where its entries
    /// are if they are there; or another call is committing it, which says what became of it. With the outcome
    /// [`NotAppended`](crate::Outcome::NotAppended) it is what it was before: as long as it is active, it has all its
    /// entries and can be committed again, for instance after [`ErrorKind::Full`](crate::ErrorKind::Full).
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it has no entries; those of [`append`](Self::append) when
    /// it has ended already, with the outcome [`Unknown`](crate::Outcome::Unknown) when another call has committed it
    /// or is about to; those of [`Wal::append`].
    pub fn commit(&self) -> Result<RangeInclusive<Lsn>, Error> {
        self.commit_with(&AppendOptions::default())
    }

    /// Commits with another durability than the log's policy, or only if the first entry gets a certain LSN.
    ///
    /// # Errors
    ///
    /// Those of [`commit`](Self::commit); [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when another LSN was
    /// expected: the transaction is still active then.
    pub fn commit_with(&self, options: &AppendOptions) -> Result<RangeInclusive<Lsn>, Error> {
        let (first, last) = self.inner.commit(options).map_err(Error::commit)?;
        Ok(first..=last)
    }

    /// Ends it and leaves nothing of it, for all clones. Doing it again does nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it is committed, is being committed, or may be.
    pub fn rollback(&self) -> Result<(), Error> {
        self.inner.rollback().map_err(Error::new)
    }
}
