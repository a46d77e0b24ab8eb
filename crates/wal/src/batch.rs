//! Entries that are appended together.

use wal_core::{LogError, user_value};
use wal_format::{BODY_LEN_MAX, DecodeError, EntriesBuilder, NewEntry};

use crate::Error;

/// Entries that are appended together: after a crash all of them are there, or none.
///
/// A batch is one write and one sync, whatever it holds. It can be used again: [`clear`](Self::clear) keeps its memory.
///
/// ```
/// use wal::{Batch, NewEntry, Wal};
/// # let dir = tempfile::tempdir()?;
/// let wal = Wal::open(dir.path())?;
///
/// let mut batch = Batch::new();
/// batch.push("debit 5")?;
/// batch.push_entry(NewEntry { kind: 1, ..NewEntry::plain(b"credit 5") })?;
/// let lsns = wal.append_batch(&batch)?;
/// assert_eq!(lsns.end().get() - lsns.start().get() + 1, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batch {
    entries: EntriesBuilder,
}

impl Batch {
    /// A batch without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry of kind zero. Its bytes are copied; they may be none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) when the batch would exceed one gibibyte. The batch is then
    /// as it was. The log's own limit, [`Options::entry_len_max`](crate::Options::entry_len_max), is checked by the
    /// append.
    pub fn push(&mut self, payload: impl AsRef<[u8]>) -> Result<(), Error> {
        self.push_entry(NewEntry::plain(payload.as_ref()))
    }

    /// Adds an entry with a kind, a term or a timestamp.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push); [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for the term `u64::MAX` and
    /// the timestamp `i64::MIN`, which are reserved.
    pub fn push_entry(&mut self, entry: NewEntry<'_>) -> Result<(), Error> {
        self.entries.push(&entry).map_err(|source| match source {
            DecodeError::Invalid { what: "the body length", value } => {
                Error::new(LogError::TooLarge { len: value, max: u64::from(BODY_LEN_MAX) })
            }
            source => Error::new(LogError::Encoding { operation: "add an entry to a batch", source }),
        })
    }

    /// Sets a value of [`Wal::set_meta`](crate::Wal::set_meta) together with the entries: after a crash both are there,
    /// or neither. A batch that changes values is not compressed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a name that is empty or longer than 255 bytes, and for a
    /// value longer than 1 MiB. The log's own limit is checked by the append.
    ///
    /// ```
    /// use wal::{Batch, Wal};
    /// # let dir = tempfile::tempdir()?;
    /// let wal = Wal::open(dir.path())?;
    /// let mut batch = Batch::new();
    /// batch.push("set x to 1")?;
    /// batch.set_meta("applied", "1")?;
    /// wal.append_batch(&batch)?;
    /// assert_eq!(wal.meta("applied")?.as_deref(), Some(b"1".as_slice()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_meta(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.change_meta(name, Some(value.as_ref()))
    }

    /// Deletes a value of [`Wal::set_meta`](crate::Wal::set_meta) together with appending the entries.
    ///
    /// # Errors
    ///
    /// Those of [`set_meta`](Self::set_meta).
    pub fn delete_meta(&mut self, name: &str) -> Result<(), Error> {
        self.change_meta(name, None)
    }

    fn change_meta(&mut self, name: &str, value: Option<&[u8]>) -> Result<(), Error> {
        let record = user_value(name, value).map_err(Error::new)?;
        self.entries.add_metadata(&record);
        Ok(())
    }

    /// Number of entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry. Such a batch cannot be appended, even if it changes values.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of payload in all entries together.
    #[must_use]
    pub const fn payload_len(&self) -> usize {
        self.entries.payload_len()
    }

    /// Removes all entries and changes, and keeps the memory.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) const fn entries(&self) -> &EntriesBuilder {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn what_does_not_fit_is_refused_and_leaves_the_batch_as_it_was() {
        let mut batch = Batch::new();
        batch.push("one").unwrap();
        let huge = vec![0; BODY_LEN_MAX as usize];
        assert_eq!(batch.push(&huge).unwrap_err().kind(), ErrorKind::TooLarge);
        let reserved = NewEntry { term: Some(u64::MAX), ..NewEntry::plain(b"") };
        let error = batch.push_entry(reserved).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Invalid, None));
        assert_eq!((batch.len(), batch.payload_len()), (1, 3));
        batch.clear();
        assert!(batch.is_empty());
    }
}
