//! Dictionaries: compressing small entries one by one.

use wal_core::{Dictionary, DictionaryOptions};

use crate::{Error, Wal};

/// A dictionary holds what entries have in common, so that each compresses well alone. Entries that are written
/// together are packed and compressed together without one, see
/// [`Compression::pack_len`](crate::Compression::pack_len).
impl Wal {
    /// Trains a dictionary from the newest entries, makes it durable with the log, and compresses with it from now on,
    /// also after the log is opened again. Older dictionaries stay, for the entries that need them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when the log's codec has no dictionaries: of ours,
    /// zstd has; [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when nothing can be learned from the entries, or
    /// another thread has trained one meanwhile;
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) when
    /// [`Options::metadata_len_max`](crate::Options::metadata_len_max) has no room for it; those of
    /// [`append`](Self::append).
    ///
    /// ```
    /// # #[cfg(feature = "zstd")] {
    /// use wal::{Batch, CodecId, Compression, DictionaryOptions, Options, Wal};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let compression = Compression { codec: CodecId::ZSTD, min_len: 64, ..Compression::default() };
    /// let options = Options { compression, ..Options::default() };
    /// let wal = Wal::builder(dir.path()).options(options).open()?;
    /// let mut batch = Batch::new();
    /// for n in 0..2000_u64 {
    ///     batch.push(format!(r#"{{"id":{n},"name":"package {}","ok":true}}"#, n * 7919 % 1000))?;
    /// }
    /// wal.append_batch(&batch)?;
    /// let trained = wal.train_dictionary(&DictionaryOptions { len: 4096, ..DictionaryOptions::default() })?;
    /// assert!(trained.len <= 4096);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn train_dictionary(&self, options: &DictionaryOptions) -> Result<Dictionary, Error> {
        self.log.train_dictionary(options).map_err(Error::new)
    }
}
