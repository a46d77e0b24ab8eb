//! Taking entries away.

use wal_core::Truncation;
use wal_format::Lsn;

use crate::{Error, Wal};

impl Wal {
    /// Removes the entries before `first`, for instance because a snapshot holds them; durable on return. Space is
    /// freed by whole segments. `first` may be the next LSN, which removes all entries. Iterators keep what they
    /// hold. Checkpoints and cursors stay where they are, even if the entries there are gone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when `first` is beyond the next LSN; those of
    /// [`sync`](Self::sync). Trimming works while the disk is full.
    pub fn truncate_before(&self, first: Lsn) -> Result<Truncation, Error> {
        self.log.truncate_before(first).map_err(Error::new)
    }

    /// Removes the entries after `last`; durable on return. The next append gets the LSN after `last`. Checkpoints
    /// beyond are deleted, and cursors beyond set to the end; the result names them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no entry `last` yet,
    /// [`ErrorKind::Truncated`](crate::ErrorKind::Truncated) when it lies further back than the one before the first
    /// entry; those of [`sync`](Self::sync).
    ///
    /// ```
    /// use wal::{Lsn, Wal};
    /// # let dir = tempfile::tempdir()?;
    /// let wal = Wal::open(dir.path())?;
    /// for payload in ["one", "two", "wrong"] {
    ///     wal.append(payload)?;
    /// }
    /// let removed = wal.truncate_after(Lsn::new(2).unwrap())?;
    /// assert_eq!(removed.entries, 1);
    /// assert_eq!(wal.append("three")?.get(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn truncate_after(&self, last: Lsn) -> Result<Truncation, Error> {
        self.log.truncate_after(last).map_err(Error::new)
    }

    /// Removes the entry `next` and those after it; durable on return. The next append gets this LSN. Like
    /// [`truncate_after`](Self::truncate_after), and able to remove the very first entry.
    ///
    /// # Errors
    ///
    /// Those of [`truncate_after`](Self::truncate_after).
    pub fn truncate_from(&self, next: Lsn) -> Result<Truncation, Error> {
        self.log.truncate_from(next).map_err(Error::new)
    }

    /// Removes all entries; durable on return. The next LSN stays what it is.
    ///
    /// # Errors
    ///
    /// Those of [`sync`](Self::sync).
    pub fn clear(&self) -> Result<Truncation, Error> {
        self.log.clear().map_err(Error::new)
    }

    /// Removes all entries and sets the LSN of the next append; durable on return. It may lie beyond the end, as after
    /// a replica took in a snapshot, or be one that was in use before. Checkpoints and cursors beyond it are treated
    /// as by [`truncate_after`](Self::truncate_after); what [`set_meta`](Self::set_meta) has set stays.
    ///
    /// # Errors
    ///
    /// Those of [`sync`](Self::sync).
    ///
    /// ```
    /// use wal::{Lsn, Wal};
    /// # let dir = tempfile::tempdir()?;
    /// let wal = Wal::open(dir.path())?;
    /// wal.append("this one is in the snapshot, too")?;
    /// wal.reset(Lsn::new(1000).unwrap())?; // the snapshot ends with entry 999
    /// assert_eq!(wal.append("the first after the snapshot")?.get(), 1000);
    /// assert_eq!(wal.iter().count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset(&self, next: Lsn) -> Result<Truncation, Error> {
        self.log.reset(next).map_err(Error::new)
    }
}
