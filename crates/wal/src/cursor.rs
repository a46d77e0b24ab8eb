//! Durable positions of consumers.

use wal_core::{CursorInfo, Durability};
use wal_format::Lsn;

use crate::{Error, Iter, Wal};

/// A named, durable position of one consumer. Made by [`Wal::cursor`]. Cheap to clone; clones and other handles of the
/// same name move the same cursor.
///
/// Retention keeps the entries that a cursor has not acknowledged, unless it is told how far it may pass one.
///
/// ```
/// use wal::Wal;
/// # let dir = tempfile::tempdir()?;
/// let wal = Wal::open(dir.path())?;
/// let jobs = wal.cursor("worker-1")?;
/// wal.append("job 1")?;
/// wal.append("job 2")?;
/// for entry in jobs.pending()?.take(1) {
///     let entry = entry?;
///     // ... do the work, then:
///     jobs.ack(entry.lsn)?;
/// }
/// drop((jobs, wal));
///
/// let wal = Wal::open(dir.path())?;
/// let jobs = wal.cursor("worker-1")?;
/// assert_eq!(jobs.pending()?.next().unwrap()?.payload, "job 2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cursor {
    wal: Wal,
    name: String,
}

impl Wal {
    /// The cursor with a name; made, durably, before the first entry of the log when there is none.
    ///
    /// # Errors
    ///
    /// Those of [`set_meta`](Self::set_meta).
    pub fn cursor(&self, name: &str) -> Result<Cursor, Error> {
        self.log.create_cursor(name, None).map_err(Error::append)?;
        Ok(Cursor { wal: self.clone(), name: name.to_owned() })
    }

    /// The cursor with a name; made, durably, before the entry `at` when there is none. `at` may be the next LSN.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when `at` is beyond the next LSN; those of
    /// [`cursor`](Self::cursor).
    pub fn cursor_at(&self, name: &str, at: Lsn) -> Result<Cursor, Error> {
        self.log.create_cursor(name, Some(at)).map_err(Error::append)?;
        Ok(Cursor { wal: self.clone(), name: name.to_owned() })
    }

    /// All cursors, by name, with how far they lag behind.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned) when they are not certain after a failure.
    pub fn cursors(&self) -> Result<Vec<CursorInfo>, Error> {
        self.log.cursors().map_err(Error::new)
    }

    /// Deletes a cursor; durable on return.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is none; those of [`set_meta`](Self::set_meta).
    pub fn delete_cursor(&self, name: &str) -> Result<(), Error> {
        self.log.delete_cursor(name).map_err(Error::append)
    }
}

impl Cursor {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first entry that was not acknowledged; the next LSN of the log when all were.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when the cursor was deleted;
    /// [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned).
    pub fn position(&self) -> Result<Lsn, Error> {
        self.wal.log.cursor(&self.name).map_err(Error::new)
    }

    /// The entries that are there now and were not acknowledged, in order.
    ///
    /// # Errors
    ///
    /// Those of [`position`](Self::position); [`ErrorKind::Truncated`](crate::ErrorKind::Truncated) when the next entry
    /// is gone: [`seek`](Self::seek) to [`Wal::first_lsn`] to go on behind the gap.
    pub fn pending(&self) -> Result<Iter, Error> {
        // Entries that are gone must not be passed over in silence.
        Iter::starting(&self.wal.log, self.position()?)
    }

    /// Acknowledges the entry `through` and all before it. A cursor that stands further stays there. As durable on
    /// return as an append: what is acknowledged is not pending again after a crash.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when the entry is not in the log yet, or the cursor was
    /// deleted; those of [`Wal::set_meta`].
    pub fn ack(&self, through: Lsn) -> Result<(), Error> {
        self.wal.log.acknowledge(&self.name, through, None).map_err(Error::append)
    }

    /// Acknowledges with another durability than the log's policy. Less is often enough: what a crash brings back is
    /// pending once more.
    ///
    /// # Errors
    ///
    /// Those of [`ack`](Self::ack).
    pub fn ack_with(&self, through: Lsn, durability: Durability) -> Result<(), Error> {
        self.wal.log.acknowledge(&self.name, through, Some(durability)).map_err(Error::append)
    }

    /// Moves the cursor before the entry `next`, forward or back. As durable on return as an append.
    ///
    /// # Errors
    ///
    /// Those of [`ack`](Self::ack).
    pub fn seek(&self, next: Lsn) -> Result<(), Error> {
        self.wal.log.move_cursor(&self.name, next, None).map_err(Error::append)
    }

    /// Deletes the cursor; durable on return. Retention does not wait for it any more.
    ///
    /// # Errors
    ///
    /// Those of [`Wal::delete_cursor`].
    pub fn delete(self) -> Result<(), Error> {
        self.wal.delete_cursor(&self.name)
    }
}
