//! Transactions: entries that several threads collect in memory, and that one commit appends together.
//!
//! Nothing of a transaction reaches the log before its commit, which is one frame. So there is nothing to undo: one
//! that was rolled back, expired, or open when the process ended has left nothing behind.
//!
//! - A transaction is active until exactly one of commit, rollback and expiry ends it; who finds it past its deadline
//!   ends it, be it a caller, [`Log::maintain`] or the log's thread.
//! - While a commit is under way its entries are out of reach: nothing can be added to them, and they cannot expire. A
//!   commit that appended nothing puts them back.
//! - The lock of a transaction comes before that of the registry. Neither is held while an entry is written.

mod pending;
mod registry;

use std::{fmt, sync::Arc, time::Duration};

use pending::Pending;
pub(crate) use registry::Transactions;
use wal_format::{BODY_LEN_MAX, DecodeError, EntriesBuilder, Lsn, NewEntry};

use crate::{
    AppendOptions, Log, LogError,
    engine::Engine,
    error::{InvalidArgumentSnafu, TransactionFullSnafu},
};

/// The name of a transaction: 128 random bits, drawn when it begins. Every entry that it commits carries them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 16]);

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransactionId({self})")
    }
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionState {
    /// It takes entries.
    Active,
    /// A commit is under way.
    Committing,
    /// Its entries are in the log, as durable as was asked for.
    Committed {
        /// LSN of the first.
        first: Lsn,
        /// LSN of the last.
        last: Lsn,
    },
    /// Its entries got their LSNs and could not be confirmed. After the log is reopened all of them are there, or none.
    Uncertain {
        /// LSN of the first.
        first: Lsn,
        /// LSN of the last.
        last: Lsn,
    },
    /// It was rolled back, dropped, or open when the log was closed: there is nothing of it.
    RolledBack,
    /// It was open for too long: there is nothing of it.
    Expired,
    /// This process began no such transaction since it opened the log, or has forgotten it: the last 1024 that ended
    /// are remembered.
    Unknown,
}

impl fmt::Display for TransactionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("active"),
            Self::Committing => f.write_str("being committed"),
            Self::Committed { first, last } => write!(f, "committed as entries {first} to {last}"),
            Self::Uncertain { first, last } => write!(f, "not confirmed as entries {first} to {last}"),
            Self::RolledBack => f.write_str("rolled back"),
            Self::Expired => f.write_str("expired"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// How long a transaction may be open, and how much it may hold. Its memory is bounded by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionOptions {
    /// Time from begin to commit, not zero; after it the transaction is gone. Default: 30 s.
    pub timeout: Duration,
    /// Greatest number of entries, at least 1; each takes some 20 bytes of memory beside its payload. Default: 100,000.
    pub entries_max: u32,
    /// Greatest payload of all entries together in bytes. [`Options::entry_len_max`](crate::Options::entry_len_max)
    /// bounds it, too. Default: 64 MiB.
    pub bytes_max: u32,
}

impl Default for TransactionOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), entries_max: 100_000, bytes_max: 64 << 20 }
    }
}

impl Log {
    /// Begins a transaction. Nothing is written before it is committed.
    ///
    /// # Errors
    ///
    /// [`LogError::InvalidArgument`] for a timeout or a number of entries of zero; [`LogError::Closed`],
    /// [`LogError::ReadOnly`], [`LogError::Poisoned`], [`LogError::Thread`].
    pub fn begin(&self, options: &TransactionOptions) -> Result<Transaction, LogError> {
        if options.timeout.is_zero() || options.entries_max == 0 {
            let why = "a transaction must have some time and hold at least one entry";
            return InvalidArgumentSnafu { why }.fail();
        }
        self.start_threads()?;
        let engine = self.engine();
        let bytes_max = options.bytes_max.min(engine.options.entry_len_max);
        let deadline = engine.clock.monotonic().checked_add(options.timeout);
        let limits = TransactionOptions { bytes_max, ..*options };
        let (pending, is_sooner) = {
            // Under the lock that closing takes, so that a log that is closed has no open transaction.
            let appender = engine.appender.lock();
            engine.check_writable(&appender)?;
            let entropy = engine.preparer()?.entropy();
            engine.transactions.registry().begin(|id| Pending::new(id, deadline, limits), entropy)?
        };
        self.wake_for_deadline(is_sooner);
        Ok(Transaction { owner: Arc::new(Owner { log: self.clone(), pending }) })
    }

    /// What became of a transaction of this process.
    #[must_use]
    pub fn transaction_state(&self, id: TransactionId) -> TransactionState {
        let engine = self.engine();
        engine.transactions.registry().state(id, engine.clock.monotonic())
    }

    /// How many transactions are open. Those past their time do not count.
    #[must_use]
    pub fn active_transactions(&self) -> usize {
        self.expire_transactions();
        self.engine().transactions.registry().active()
    }

    /// Ends the transactions that are past their time, which happens by itself, too, and says how many those were.
    pub fn expire_transactions(&self) -> usize {
        self.engine().expire_transactions()
    }

    /// The log's thread sleeps until the first deadline that it knows.
    fn wake_for_deadline(&self, is_sooner: bool) {
        if let Some(driver) = self.engine().driver.get().filter(|_| is_sooner) {
            driver.kick();
        }
    }
}

impl Engine {
    pub(crate) fn expire_transactions(&self) -> usize {
        self.transactions.expire(self.clock.monotonic())
    }
}

/// Entries that are appended together when it is committed, and not at all otherwise.
///
/// A cheap handle: clones share one transaction, and any number of threads may append to it. When the last clone is
/// dropped, what was not committed is rolled back. It keeps the log open.
#[derive(Clone, Debug)]
pub struct Transaction {
    owner: Arc<Owner>,
}

/// What the handles of a transaction share.
#[derive(Debug)]
struct Owner {
    log: Log,
    pending: Arc<Pending>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let transactions = self.log.engine().transactions.registry();
        let rolled_back = transactions.roll_back(&self.pending);
        // A commit that nobody waits for any more has panicked, in somebody else's codec for instance.
        if matches!(rolled_back, Err(LogError::TransactionEnded { state: TransactionState::Committing, .. }))
        {
            transactions.settle(&self.pending, TransactionState::Unknown);
        }
    }
}

impl Transaction {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.owner.pending.id
    }

    /// What became of it. Never forgotten, unlike what [`Log::transaction_state`] says.
    #[must_use]
    pub fn state(&self) -> TransactionState {
        self.engine().transactions.registry().look(&self.owner.pending, self.engine().clock.monotonic())
    }

    /// Adds an entry, and returns its place in the transaction, from 0: it will have the first LSN of the commit plus
    /// that.
    ///
    /// # Errors
    ///
    /// Nothing is added then. [`LogError::TransactionFull`] when a limit would be exceeded,
    /// [`LogError::TransactionExpired`] and [`LogError::TransactionEnded`] when it takes no entries any more,
    /// [`LogError::Closed`] when the log was closed; [`LogError::Encoding`] for a reserved term or timestamp.
    pub fn append(&self, entry: &NewEntry<'_>) -> Result<u32, LogError> {
        let Pending { id, limits, .. } = *self.owner.pending;
        self.change(|entries| {
            let full = |what, max: u32| TransactionFullSnafu { id, what, max: u64::from(max) }.fail();
            if entries.len() as u64 >= u64::from(limits.entries_max) {
                return full("entries", limits.entries_max);
            }
            if (entries.payload_len() as u64).saturating_add(entry.payload.len() as u64)
                > u64::from(limits.bytes_max)
            {
                return full("bytes of payload", limits.bytes_max);
            }
            let place = u32::try_from(entries.len()).unwrap_or(u32::MAX);
            match entries.push(entry) {
                Ok(()) => Ok(place),
                Err(DecodeError::Invalid { what: "the body length", .. }) => full("bytes", BODY_LEN_MAX),
                Err(source) => Err(LogError::Encoding { operation: "add an entry to a transaction", source }),
            }
        })
    }

    /// Number of entries so far; 0 once it has ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.change(|entries| Ok(entries.len())).unwrap_or(0)
    }

    /// Whether it holds no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends its entries to the log, all or none whatever happens, and returns the LSNs of the first and the last.
    /// As durable as the policy or `options` say.
    ///
    /// # Errors
    ///
    /// After [`LogError::Unconfirmed`] the transaction has ended as [`TransactionState::Uncertain`]. After any other
    /// error nothing was appended; if it was active, it still is, with all its entries: commit it again.
    /// [`LogError::InvalidArgument`] when it has no entries; [`LogError::TransactionExpired`] and
    /// [`LogError::TransactionEnded`] when there is nothing to commit any more; those of [`Log::append_batch`].
    pub fn commit(&self, options: &AppendOptions) -> Result<(Lsn, Lsn), LogError> {
        let Owner { log, pending } = &*self.owner;
        log.start_threads()?;
        let transactions = log.engine().transactions.registry();
        let mut entries = transactions.take(pending, self.now()).map_err(|error| self.closed_or(error))?;
        entries.set_transaction(pending.id.0);
        let appended = log.append_batch(&entries, options);
        match &appended {
            Ok((first, last)) => {
                transactions.settle(pending, TransactionState::Committed { first: *first, last: *last });
            }
            Err(LogError::Unconfirmed { first, last, .. }) => {
                transactions.settle(pending, TransactionState::Uncertain { first: *first, last: *last });
            }
            Err(_) => {
                log.wake_for_deadline(transactions.put_back(pending, entries));
                // Closing rolled back what it found, and may not have found this one.
                if log.engine().appender.lock().closed {
                    let _ = transactions.roll_back(pending);
                }
            }
        }
        appended
    }

    /// Ends it, and leaves nothing of it. Doing it again does nothing.
    ///
    /// # Errors
    ///
    /// [`LogError::TransactionEnded`] when it is committed, being committed, or not certain not to be.
    pub fn rollback(&self) -> Result<(), LogError> {
        self.engine().transactions.registry().roll_back(&self.owner.pending)
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut EntriesBuilder) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let changed = self.engine().transactions.registry().change(&self.owner.pending, self.now(), change);
        changed.map_err(|error| self.closed_or(error))
    }

    fn engine(&self) -> &Engine {
        self.owner.log.engine()
    }

    fn now(&self) -> Duration {
        self.engine().clock.monotonic()
    }

    /// A transaction that ended because the log was closed says so.
    fn closed_or(&self, error: LogError) -> LogError {
        match error {
            LogError::TransactionEnded { state: TransactionState::RolledBack, .. }
                if self.engine().appender.lock().closed =>
            {
                LogError::Closed
            }
            error => error,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
