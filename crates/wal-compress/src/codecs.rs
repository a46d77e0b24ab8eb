use std::sync::Arc;

use snafu::{OptionExt, ensure};

use crate::error::{
    DuplicateIdSnafu, FeatureDisabledSnafu, ReservedIdSnafu, UnknownCodecSnafu, WrongLengthSnafu,
};
use crate::{Codec, CodecId, CompressError, Identity};

/// The ids that are ours and may be left out of a build, with the features that bring them.
const OPTIONAL: [(CodecId, &str); 2] = [(CodecId::ZSTD, "zstd"), (CodecId::SNAPPY, "snappy")];

/// The codecs that are there, by id.
///
/// A clone shares the codecs.
///
/// ```
/// use std::sync::Arc;
/// use wal_compress::{Codec, CodecId, Codecs, CompressError};
///
/// #[derive(Debug)]
/// struct Flip;
///
/// impl Codec for Flip {
///     fn id(&self) -> CodecId {
///         CodecId(200)
///     }
///     fn name(&self) -> &str {
///         "flip"
///     }
///     fn compress(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
///         out.extend(raw.iter().map(|byte| !byte));
///         Ok(())
///     }
///     fn decompress(&self, stored: &[u8], _: usize, out: &mut Vec<u8>) -> Result<(), CompressError> {
///         self.compress(stored, out)
///     }
/// }
///
/// let mut codecs = Codecs::new();
/// codecs.register(Arc::new(Flip))?;
///
/// let mut raw = Vec::new();
/// codecs.decompress(CodecId(200), &[0xf0, 0x0f], 2, &mut raw)?;
/// assert_eq!(raw, [0x0f, 0xf0]);
/// # Ok::<(), CompressError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Codecs {
    /// A handful: they are looked through.
    table: Vec<(CodecId, Arc<dyn Codec>)>,
}

impl Codecs {
    /// Whether this build has a codec that compresses.
    pub const BUILT_IN: bool = cfg!(any(feature = "zstd", feature = "snappy"));

    /// The codecs of this build, each at its own default level.
    pub fn new() -> Self {
        #[cfg_attr(
            not(any(feature = "zstd", feature = "snappy")),
            expect(unused_mut, reason = "there are no others")
        )]
        let mut codecs = Self::none();
        #[cfg(feature = "zstd")]
        codecs.insert(Arc::new(crate::Zstd::default()));
        #[cfg(feature = "snappy")]
        codecs.insert(Arc::new(crate::Snappy::new()));
        codecs
    }

    /// None of the codecs of this build: nothing is compressed, and what was cannot be read, as in a build that leaves
    /// them out.
    ///
    /// ```
    /// let codecs = wal_compress::Codecs::none();
    /// assert!(!codecs.has_any());
    /// assert!(codecs.get(wal_compress::CodecId::IDENTITY).is_ok());
    /// ```
    pub fn none() -> Self {
        Self { table: vec![(CodecId::IDENTITY, Arc::new(Identity))] }
    }

    /// The codecs of this build at a level of [`Compression::LEVELS`](crate::Compression::LEVELS), where they have one.
    ///
    /// # Errors
    ///
    /// [`CompressError::InvalidLevel`], also when no codec of this build has levels.
    pub fn with_level(level: i32) -> Result<Self, CompressError> {
        crate::Compression { level, ..crate::Compression::default() }.validate()?;
        #[cfg_attr(not(feature = "zstd"), expect(unused_mut, reason = "only zstd has levels"))]
        let mut codecs = Self::new();
        #[cfg(feature = "zstd")]
        codecs.insert(Arc::new(crate::Zstd::new(level)?));
        Ok(codecs)
    }

    /// The same codecs, none of which shares dictionaries with these.
    #[must_use]
    pub fn unshared(&self) -> Self {
        let own = |(id, codec): &(CodecId, Arc<dyn Codec>)| {
            (*id, codec.unshared().unwrap_or_else(|| Arc::clone(codec)))
        };
        Self { table: self.table.iter().map(own).collect() }
    }

    /// Whether there is any codec that compresses.
    #[must_use]
    pub fn has_any(&self) -> bool {
        self.table.iter().any(|(id, _)| *id != CodecId::IDENTITY)
    }

    /// Adds a codec of the user's.
    ///
    /// # Errors
    ///
    /// [`CompressError::ReservedId`] for an id below 128, [`CompressError::DuplicateId`] for one that is taken; the
    /// table is then as it was.
    pub fn register(&mut self, codec: Arc<dyn Codec>) -> Result<(), CompressError> {
        let id = codec.id();
        ensure!(id.is_user(), ReservedIdSnafu { id });
        ensure!(self.find(id).is_none(), DuplicateIdSnafu { id });
        self.insert(codec);
        Ok(())
    }

    /// The codec with this id.
    ///
    /// # Errors
    ///
    /// [`CompressError::FeatureDisabled`] if the codec is ours and not in this build, [`CompressError::UnknownCodec`]
    /// if nobody has the id.
    pub fn get(&self, id: CodecId) -> Result<&Arc<dyn Codec>, CompressError> {
        if let Some(codec) = self.find(id) {
            return Ok(codec);
        }
        let left_out = OPTIONAL.iter().find(|(codec, _)| *codec == id);
        let (codec, feature) = *left_out.context(UnknownCodecSnafu { id })?;
        FeatureDisabledSnafu { codec, feature }.fail()
    }

    /// Decompresses with the codec of this id, and checks what a codec of the user's might get wrong: `out` grows by
    /// exactly `raw_len` bytes, or stays as it was.
    ///
    /// # Errors
    ///
    /// Those of [`Codecs::get`] and of [`Codec::decompress`].
    pub fn decompress(
        &self,
        id: CodecId,
        stored: &[u8],
        raw_len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), CompressError> {
        let start = out.len();
        let result = self.get(id)?.decompress(stored, raw_len, out).and_then(|()| {
            let actual = out.len().saturating_sub(start);
            ensure!(actual == raw_len, WrongLengthSnafu { codec: id, expected: raw_len, actual });
            Ok(())
        });
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn find(&self, id: CodecId) -> Option<&Arc<dyn Codec>> {
        self.table.iter().find(|(other, _)| *other == id).map(|(_, codec)| codec)
    }

    fn insert(&mut self, codec: Arc<dyn Codec>) {
        let id = codec.id();
        self.table.retain(|(other, _)| *other != id);
        self.table.push((id, codec));
    }
}

impl Default for Codecs {
    fn default() -> Self {
        Self::new()
    }
}
