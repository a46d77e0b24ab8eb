//! A log of operations on keyed data: the durable half of an embedded database, ready to use.
//!
//! Every change of the database is an [`Operation`], put or deleted under an entity (a table, a collection) and a key.
//! The database applies it to what it has in memory, and from time to time writes all of that to a snapshot of its own
//! making. After a restart it loads the snapshot and replays the operations behind it.
//!
//! ```
//! use std::collections::BTreeMap;
//! use wal::{Wal, oplog::{Apply, Operation, OperationLog}};
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path().join("log");
//! let log = OperationLog::new(Wal::open(&dir)?);
//! log.append(&Operation::put("users", "ada", "1815"))?; // durable on return
//! log.append_batch(&[Operation::put("users", "bob", "1900"), Operation::delete("users", "ada")])?;
//!
//! // A snapshot: all that is in memory, and the LSN up to which it holds everything.
//! let mut state = BTreeMap::new();
//! let covered = log.replay_into(None, &mut state)?;
//! let snapshot = (covered, state.clone()); // ... written to a file, and synced
//! log.snapshot_taken(covered.unwrap())?; // the operations in it are not needed any more
//! log.append(&Operation::put("users", "eve", "1999"))?;
//! drop(log);
//!
//! // After a crash, wherever it was: the snapshot and what came after it.
//! let log = OperationLog::new(Wal::open(&dir)?);
//! let (covered, mut restored) = snapshot;
//! log.replay_into(covered, &mut restored)?;
//! assert_eq!(restored.len(), 2);
//! assert_eq!(restored[&("users".to_owned(), b"eve".to_vec())], b"1999");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Why nothing is applied twice, and nothing is left out
//!
//! Every operation has an LSN, which grows by one, and a snapshot names the last one that it holds.
//!
//! - A crash between the snapshot and [`snapshot_taken`](OperationLog::snapshot_taken) leaves operations in the log
//!   that are in the snapshot, too. [`replay`](OperationLog::replay) begins behind them.
//! - A snapshot from before the first entry of the log leaves a gap, and so does none at all once a log was trimmed:
//!   the error has the kind [`Truncated`](crate::ErrorKind::Truncated), and nothing is replayed.
//! - A snapshot that holds more than the log, because it was taken of operations that were not durable, would make
//!   later ones with the same LSNs disappear: the error has the kind [`NotFound`](crate::ErrorKind::NotFound). Under
//!   [`SyncPolicy::Always`](crate::SyncPolicy::Always) it cannot happen; under the other policies call
//!   [`Wal::sync`] before a snapshot.
//!
//! # Layout
//!
//! An operation is one entry. Its kind is the action: 1 puts, 2 deletes, any other is the program's own. Its payload,
//! little-endian:
//!
//! ```text
//!  0        1        4        8        12       16
//!  | version| zero   | entity | key    | data   |      lengths in bytes, u32 each
//!  16                         24
//!  | timestamp: i64           | entity, key, data      back to back, up to the end of the payload
//! ```
//!
//! The version is 1. A payload is valid if and only if the version and the zeros are as they must be, the three lengths
//! add up to what follows the first 24 bytes, and the entity is UTF-8.

mod operation;

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher,
    ops::RangeInclusive,
};

pub use operation::{Action, Operation};
use wal_core::LogError;
use wal_format::Lsn;

use crate::{Error, Ticket, Typed, TypedIter, TypedWal, Wal};

/// A log of [`Operation`]s. A cheap handle, for any number of threads.
#[derive(Clone, Debug)]
pub struct OperationLog {
    operations: TypedWal<Operation>,
}

/// What operations are applied to: for [`OperationLog::replay_into`]. Maps from entity and key to data know how.
pub trait Apply {
    /// Applies the operation with this LSN. Called once for each, in the order of the log.
    ///
    /// # Errors
    ///
    /// Ends the replay. Maps make none.
    fn apply(&mut self, lsn: Lsn, operation: Operation) -> Result<(), Error>;
}

/// Puts and deletes. Other actions are left to those who know them, and change nothing.
impl Apply for BTreeMap<(String, Vec<u8>), Vec<u8>> {
    fn apply(&mut self, _: Lsn, operation: Operation) -> Result<(), Error> {
        match operation.action {
            Action::Put => drop(self.insert((operation.entity, operation.key), operation.data)),
            Action::Delete => drop(self.remove(&(operation.entity, operation.key))),
            Action::Other(_) => {}
        }
        Ok(())
    }
}

/// Puts and deletes. Other actions are left to those who know them, and change nothing.
impl<S: BuildHasher> Apply for HashMap<(String, Vec<u8>), Vec<u8>, S> {
    fn apply(&mut self, _: Lsn, operation: Operation) -> Result<(), Error> {
        match operation.action {
            Action::Put => drop(self.insert((operation.entity, operation.key), operation.data)),
            Action::Delete => drop(self.remove(&(operation.entity, operation.key))),
            Action::Other(_) => {}
        }
        Ok(())
    }
}

impl OperationLog {
    /// Keeps operations in this log. All its entries must be operations.
    #[must_use]
    pub fn new(wal: Wal) -> Self {
        Self { operations: wal.typed() }
    }

    /// The log itself.
    #[must_use]
    pub const fn wal(&self) -> &Wal {
        self.operations.wal()
    }

    /// Appends an operation and returns its LSN. As durable on return as the policy says.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for an entity, a key or data of 4 GiB and more, and for
    /// [`Action::Other`] with the code of another action; those of [`Wal::append`]. Nothing is ever cut to fit.
    pub fn append(&self, operation: &Operation) -> Result<Lsn, Error> {
        self.operations.append(operation)
    }

    /// Appends operations, all of them or none, and returns their LSNs.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append) and [`Wal::append_batch`].
    pub fn append_batch<'a>(
        &self,
        operations: impl IntoIterator<Item = &'a Operation>,
    ) -> Result<RangeInclusive<Lsn>, Error> {
        self.operations.append_batch(operations)
    }

    /// Appends an operation and returns at once, with a [`Ticket`] for its durability.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append); what happens later is for the ticket to tell.
    pub fn submit(&self, operation: &Operation) -> Result<Ticket, Error> {
        self.operations.submit(operation)
    }

    /// Hands the operations to `each`, with their LSNs and in order: those after `snapshot`, the LSN that a snapshot
    /// names, or all of them from LSN 1 on. Returns the LSN of the last operation that is applied now, in the snapshot
    /// or by `each`: that which the next snapshot names. `each` may append.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Truncated`](crate::ErrorKind::Truncated) when operations between the snapshot and the log are
    /// missing, [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when the snapshot holds more than the log:
    /// nothing was replayed. [`ErrorKind::Undecodable`](crate::ErrorKind::Undecodable) for an entry that is no
    /// operation. What `each` returned, and what reading returned.
    pub fn replay<E: From<Error>>(
        &self,
        snapshot: Option<Lsn>,
        mut each: impl FnMut(Lsn, Operation) -> Result<(), E>,
    ) -> Result<Option<Lsn>, E> {
        let mut applied = snapshot;
        for entry in self.behind(snapshot)? {
            let entry = entry?;
            let (lsn, kind) = (entry.lsn(), entry.entry.kind);
            let Typed::Known(operation) = entry.record else {
                let source = "it is no operation".into();
                return Err(Error::new(LogError::UndecodableRecord { lsn, kind, source }).into());
            };
            each(lsn, operation)?;
            applied = Some(lsn);
        }
        Ok(applied)
    }

    /// Applies the operations after `snapshot` to what was loaded from it, as [`replay`](Self::replay) hands them over.
    ///
    /// # Errors
    ///
    /// Those of [`replay`](Self::replay).
    pub fn replay_into(&self, snapshot: Option<Lsn>, state: &mut impl Apply) -> Result<Option<Lsn>, Error> {
        self.replay(snapshot, |lsn, operation| state.apply(lsn, operation))
    }

    /// Says that a snapshot holds everything up to `lsn`, and is durable itself: the operations in it are removed from
    /// the log. Durable on return. A crash in between costs space, nothing else.
    ///
    /// # Errors
    ///
    /// Those of [`Wal::truncate_before`]: [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no
    /// operation `lsn` yet.
    pub fn snapshot_taken(&self, lsn: Lsn) -> Result<(), Error> {
        self.wal().truncate_before(lsn.next())?;
        Ok(())
    }

    /// The operations that are not in a snapshot, if all of them are there.
    fn behind(&self, snapshot: Option<Lsn>) -> Result<TypedIter<Operation>, Error> {
        let operations = self.operations.starting(snapshot.map_or(Lsn::FIRST, Lsn::next))?;
        // In this order: a cut from here on is noticed by the iterator.
        let next = self.wal().next_lsn();
        match snapshot.filter(|lsn| *lsn >= next) {
            Some(lsn) => Err(Error::new(LogError::OutOfRange { lsn, next })),
            None => Ok(operations),
        }
    }
}
