use std::fmt;
use std::sync::Arc;

use crate::CompressError;
use crate::error::NoDictionariesSnafu;

/// The byte that names a codec in storage.
///
/// Once written, an id means the same algorithm for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodecId(pub u8);

impl CodecId {
    /// Bytes stored as they are.
    pub const IDENTITY: Self = Self(0);
    /// Zstandard, feature `zstd`.
    pub const ZSTD: Self = Self(1);
    /// Snappy's raw format, feature `snappy`.
    pub const SNAPPY: Self = Self(2);
    /// The first id that belongs to the user; every smaller one is this project's.
    pub const FIRST_USER: Self = Self(128);

    /// Whether the id is the user's to give: 128 to 255.
    ///
    /// ```
    /// use wal_compress::CodecId;
    ///
    /// assert!(CodecId(128).is_user());
    /// assert!(!CodecId(127).is_user());
    /// ```
    pub const fn is_user(self) -> bool {
        self.0 >= Self::FIRST_USER.0
    }
}

impl fmt::Display for CodecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A compression algorithm.
///
/// Implement it to bring your own, then give it to [`Codecs::register`](crate::Codecs::register). One value serves
/// many threads at once, so what is expensive to set up belongs into a pool or a thread-local inside it.
///
/// An implementation keeps these promises:
///
/// - `decompress` undoes `compress`, also for bytes that an older version of the codec made;
/// - neither panics, whatever the bytes, and neither looks at or changes what `out` held before;
/// - on an error `out` is as it was;
/// - what it says of dictionaries it says without calling the log, which holds a lock meanwhile.
pub trait Codec: fmt::Debug + Send + Sync {
    /// The id that is stored beside the bytes.
    fn id(&self) -> CodecId;

    /// A short name for people, such as `zstd`.
    fn name(&self) -> &str;

    /// Compresses `raw` and appends the result to `out`.
    ///
    /// The result may be longer than `raw`, by a bound that depends on the algorithm;
    /// [`worth_storing`](crate::worth_storing) tells whether it is worth keeping.
    ///
    /// # Errors
    ///
    /// [`CompressError::Compress`] when the algorithm refuses the input, [`CompressError::OutOfMemory`].
    fn compress(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError>;

    /// Decompresses `stored` and appends the result, exactly `raw_len` bytes, to `out`.
    ///
    /// The caller has compared `raw_len` with its own limit: an implementation allocates that much for the result and
    /// never more, whatever `stored` claims about itself. Better it allocates nothing when `stored` is too short for so
    /// much, as the codecs of this crate do.
    ///
    /// # Errors
    ///
    /// [`CompressError::WrongLength`] or [`CompressError::Damaged`] when `stored` does not hold exactly `raw_len` bytes
    /// of this codec, [`CompressError::OutOfMemory`].
    fn decompress(&self, stored: &[u8], raw_len: usize, out: &mut Vec<u8>) -> Result<(), CompressError>;

    /// Makes a dictionary known, so that what was compressed with it can be decompressed, and returns its id. Doing it
    /// again with the same bytes changes nothing. A codec has no dictionaries unless it says so.
    ///
    /// # Errors
    ///
    /// [`CompressError::NoDictionaries`]; [`CompressError::BadDictionary`] when the bytes are none,
    /// [`CompressError::DuplicateDictionary`] when another one has the id.
    fn add_dictionary(&self, dictionary: &[u8]) -> Result<u32, CompressError> {
        let _ = dictionary;
        NoDictionariesSnafu { codec: self.id() }.fail()
    }

    /// What [`add_dictionary`](Self::add_dictionary) would return now, without adding anything.
    ///
    /// # Errors
    ///
    /// Those of [`add_dictionary`](Self::add_dictionary).
    fn check_dictionary(&self, dictionary: &[u8]) -> Result<u32, CompressError> {
        let _ = dictionary;
        NoDictionariesSnafu { codec: self.id() }.fail()
    }

    /// Trains a dictionary of at most `len` bytes from samples that lie back to back in `samples`, each as long as
    /// `lens` says. It is not used before it is [added](Self::add_dictionary), and has an id that no other one has that
    /// was.
    ///
    /// # Errors
    ///
    /// [`CompressError::NoDictionaries`]; [`CompressError::TooFewSamples`] when nothing can be learned from these.
    fn train_dictionary(&self, samples: &[u8], lens: &[usize], len: usize) -> Result<Vec<u8>, CompressError> {
        let _ = (samples, lens, len);
        NoDictionariesSnafu { codec: self.id() }.fail()
    }

    /// The same codec without dictionaries, for somebody who will have others; `None` when nothing distinguishes the
    /// two, as in a codec that has no dictionaries.
    fn unshared(&self) -> Option<Arc<dyn Codec>> {
        None
    }

    /// Compresses with the dictionary of this id from now on, if it is known, and otherwise without any.
    fn use_dictionary(&self, id: Option<u32>) {
        let _ = id;
    }
}
