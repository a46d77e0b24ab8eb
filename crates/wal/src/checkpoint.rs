//! Named places in the log.

use wal_core::{Checkpoint, CheckpointOptions};

use crate::{Error, Wal};

/// Checkpoints: named and numbered places between two entries, durable and atomic. A replay can begin and end at them.
impl Wal {
    /// Makes a checkpoint at the end of the log, or moves the one that has the name. On return it is durable, and so
    /// are all entries before it, whatever the policy.
    ///
    /// # Errors
    ///
    /// Those of [`set_meta`](Self::set_meta).
    ///
    /// ```
    /// use wal::Wal;
    /// # let dir = tempfile::tempdir()?;
    /// let wal = Wal::open(dir.path())?;
    /// wal.append("before")?;
    /// let nightly = wal.checkpoint("nightly")?;
    /// wal.append("after")?;
    ///
    /// let since = wal.range(nightly.lsn..).next().unwrap()?;
    /// assert_eq!(since.payload, "after");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn checkpoint(&self, name: &str) -> Result<Checkpoint, Error> {
        self.checkpoint_with(name, CheckpointOptions::default())
    }

    /// Makes a checkpoint elsewhere than at the end, or one that retention must not pass.
    ///
    /// # Errors
    ///
    /// Those of [`checkpoint`](Self::checkpoint); [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) and
    /// [`ErrorKind::Truncated`](crate::ErrorKind::Truncated) when there is no such place in the log.
    pub fn checkpoint_with(&self, name: &str, options: CheckpointOptions) -> Result<Checkpoint, Error> {
        self.log.checkpoint(name, options).map_err(Error::append)
    }

    /// All checkpoints, by their place in the log, then by number. The entries before one may be gone, or those after
    /// it, if they were truncated.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned) when they are not certain after a failure.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>, Error> {
        self.log.checkpoints().map_err(Error::new)
    }

    /// The checkpoint with a name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is none; those of
    /// [`checkpoints`](Self::checkpoints).
    pub fn find_checkpoint(&self, name: &str) -> Result<Checkpoint, Error> {
        self.log.find_checkpoint(name).map_err(Error::new)
    }

    /// Deletes a checkpoint; durable on return. The entries stay.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is none; those of [`set_meta`](Self::set_meta).
    pub fn delete_checkpoint(&self, name: &str) -> Result<(), Error> {
        self.log.delete_checkpoint(name).map_err(Error::append)
    }
}
