//! Small named values beside the entries.

use wal_core::Durability;

use crate::{Error, Wal};

/// Values that the log keeps for you: votes, applied indexes, the name of the last snapshot. They are changed in order
/// with the entries, are as durable, and survive truncation and retention. All of them together, with checkpoints and
/// cursors, are bounded by [`Options::metadata_len_max`](crate::Options::metadata_len_max).
///
/// To change one atomically with entries, see [`Batch::set_meta`](crate::Batch::set_meta).
impl Wal {
    /// Sets a value. As durable on return as an append.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) when all metadata would exceed the limit, and nothing was
    /// changed then; [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a name that is empty or longer than 255
    /// bytes; those of [`append`](Self::append). [`Error::outcome`] says whether the value may have been set all the
    /// same.
    ///
    /// ```
    /// use wal::Wal;
    /// # let dir = tempfile::tempdir()?;
    /// let wal = Wal::open(dir.path())?;
    /// wal.set_meta("vote", "7 for node 2")?;
    /// drop(wal);
    ///
    /// let wal = Wal::open(dir.path())?;
    /// assert_eq!(wal.meta("vote")?.as_deref(), Some(b"7 for node 2".as_slice()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_meta(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.log.set_meta(name, Some(value.as_ref()), None).map_err(Error::append)
    }

    /// Sets a value, or deletes it (`None`), with another durability than the log's policy.
    ///
    /// # Errors
    ///
    /// Those of [`set_meta`](Self::set_meta).
    pub fn set_meta_with(
        &self,
        name: &str,
        value: Option<&[u8]>,
        durability: Durability,
    ) -> Result<(), Error> {
        self.log.set_meta(name, value, Some(durability)).map_err(Error::append)
    }

    /// Deletes a value. That there is none is no error. As durable on return as an append.
    ///
    /// # Errors
    ///
    /// Those of [`set_meta`](Self::set_meta).
    pub fn delete_meta(&self, name: &str) -> Result<(), Error> {
        self.log.set_meta(name, None, None).map_err(Error::append)
    }

    /// The value of a name, as it was set last, durable or not; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned) when the metadata is not certain after a failure.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.log.meta(name).map_err(Error::new)
    }

    /// The names of all values, in ascending order.
    ///
    /// # Errors
    ///
    /// Those of [`meta`](Self::meta).
    pub fn meta_names(&self) -> Result<Vec<String>, Error> {
        self.log.meta_names().map_err(Error::new)
    }
}
