//! Dictionaries: what records of one kind have in common, learned once.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use snafu::{OptionExt, ResultExt, ensure};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe;

use crate::error::{BadDictionarySnafu, DuplicateDictionarySnafu, TooFewSamplesSnafu};
use crate::pool::Pool;
use crate::{BoxError, CompressError, Zstd};

/// A dictionary with the contexts that have loaded it.
#[derive(Debug)]
pub(crate) struct Trained {
    bytes: Arc<[u8]>,
    level: i32,
    compressors: Pool<Compressor<'static>>,
    decompressors: Pool<Decompressor<'static>>,
}

impl Trained {
    pub(crate) fn compress(&self, raw: &[u8], space: &mut [u8]) -> std::io::Result<usize> {
        let make = || {
            let compressor = Compressor::with_dictionary(self.level, &self.bytes)?;
            crate::zstd::bare(compressor)
        };
        self.compressors.with(make, |context| context.compress_to_buffer(raw, space))
    }

    pub(crate) fn decompress(&self, stored: &[u8], space: &mut [u8]) -> std::io::Result<usize> {
        let make = || Decompressor::with_dictionary(&self.bytes);
        self.decompressors.with(make, |context| context.decompress_to_buffer(stored, space))
    }
}

/// The dictionaries of one codec, by id, and the one that compresses.
#[derive(Debug, Default)]
pub(crate) struct Dictionaries(RwLock<Table>);

#[derive(Debug, Default)]
struct Table {
    known: BTreeMap<u32, Arc<Trained>>,
    used: Option<Arc<Trained>>,
}

impl Dictionaries {
    /// The id of a dictionary that may be added.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<u32, CompressError> {
        let id = zstd_safe::get_dict_id_from_dict(bytes).context(BadDictionarySnafu)?.get();
        if let Some(known) = self.get(id) {
            ensure!(*known.bytes == *bytes, DuplicateDictionarySnafu { id });
        }
        Ok(id)
    }

    /// Makes a dictionary known, for decompression. Returns its id.
    pub(crate) fn add(&self, bytes: &[u8], level: i32) -> Result<u32, CompressError> {
        let id = zstd_safe::get_dict_id_from_dict(bytes).context(BadDictionarySnafu)?.get();
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = table.known.get(&id) {
            ensure!(*known.bytes == *bytes, DuplicateDictionarySnafu { id });
            return Ok(id);
        }
        let trained =
            Trained { bytes: bytes.into(), level, compressors: Pool::new(), decompressors: Pool::new() };
        table.known.insert(id, Arc::new(trained));
        Ok(id)
    }

    /// An id that no dictionary has yet: a small one, which takes a byte of each frame where zstd's own take four.
    pub(crate) fn free_id(&self) -> u32 {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (1..).find(|id| !table.known.contains_key(id)).unwrap_or(u32::MAX)
    }

    /// Compresses with a dictionary that is known from now on; with another id, without any.
    pub(crate) fn use_for_compression(&self, id: Option<u32>) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        table.used = id.and_then(|id| table.known.get(&id).cloned());
    }

    pub(crate) fn used(&self) -> Option<Arc<Trained>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).used.clone()
    }

    pub(crate) fn get(&self, id: u32) -> Option<Arc<Trained>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).known.get(&id).cloned()
    }
}

impl Zstd {
    /// Trains a dictionary of at most `len` bytes from samples that lie back to back in `samples`, each as long as
    /// `lens` says. It pays for records of some hundred bytes that resemble one another, and needs about a hundred
    /// times its length of them. Lengths are in bytes.
    ///
    /// The same samples make the same dictionary.
    ///
    /// # Errors
    ///
    /// [`CompressError::TooFewSamples`] when nothing can be learned from these.
    ///
    /// # Examples
    ///
    /// ```
    /// use wal_compress::{CompressError, Zstd};
    ///
    /// let record = |n: u64| format!(r#"{{"id":{n},"path":"/srv/{}","ok":true}}"#, n.wrapping_mul(0x9e37_79b9_7f4a));
    /// let records: Vec<String> = (0..2000).map(record).collect();
    /// let lens: Vec<usize> = records.iter().map(String::len).collect();
    /// let dictionary = Zstd::train(records.concat().as_bytes(), &lens, 4096)?;
    /// assert!(dictionary.len() <= 4096);
    ///
    /// assert!(matches!(Zstd::train(b"abc", &[3], 4096), Err(CompressError::TooFewSamples { .. })));
    /// # Ok::<(), CompressError>(())
    /// ```
    pub fn train(samples: &[u8], lens: &[usize], len: usize) -> Result<Vec<u8>, CompressError> {
        let trained = zstd::dict::from_continuous(samples, lens, len);
        trained.map_err(BoxError::from).context(TooFewSamplesSnafu { samples: lens.len() })
    }
}
