use std::num::NonZeroU32;
use std::sync::Arc;

use snafu::{OptionExt, ResultExt, ensure};
use zstd::bulk::{Compressor, Decompressor};

use crate::dictionary::Dictionaries;
use crate::error::{
    CompressSnafu, DamagedSnafu, InvalidLevelSnafu, MissingDictionarySnafu, OutOfMemorySnafu,
};
use crate::output::{append_exactly, append_up_to};
use crate::pool::Pool;
use crate::{BoxError, Codec, CodecId, CompressError, Compression};

/// What a frame of zstd begins with. Without it a frame begins with its descriptor, in which bit 3 is 0; so the first
/// byte tells the two apart.
const MAGIC: [u8; 4] = zstd::zstd_safe::MAGICNUMBER.to_le_bytes();
const _: () = assert!(MAGIC[0] & 1 << 3 != 0, "no descriptor looks like it");
/// Memory for longer frames is not kept.
const FRAME_KEPT: usize = 1 << 20;
/// A block holds at most 128 KiB and takes at least four bytes.
const GAIN_MAX: usize = (128 << 10) / 4;

/// Zstandard: codec 1.
///
/// Stored bytes are one zstd frame without magic number, checksum and content size: whoever stores them has as much. A
/// frame with its magic number is decompressed, too. The contexts, megabytes at the high levels, are kept for the next
/// use, at most eight of each kind. What was compressed with a [dictionary](Codec::add_dictionary) names it by its id
/// and can only be decompressed with it.
///
/// ```
/// use wal_compress::{Codec, Zstd};
///
/// let zstd = Zstd::new(3)?;
/// let mut stored = Vec::new();
/// zstd.compress(&[7; 1000], &mut stored)?;
/// assert!(stored.len() < 100);
///
/// let mut raw = Vec::new();
/// zstd.decompress(&stored, 1000, &mut raw)?;
/// assert_eq!(raw, [7; 1000]);
/// # Ok::<(), wal_compress::CompressError>(())
/// ```
#[derive(Debug)]
pub struct Zstd {
    level: i32,
    compressors: Pool<Compressor<'static>>,
    decompressors: Pool<Decompressor<'static>>,
    /// Memory for frames that get their magic number back.
    frames: Pool<Vec<u8>>,
    dictionaries: Dictionaries,
}

impl Zstd {
    /// The codec at a level of [`Compression::LEVELS`]; 0 is zstd's own default, 3.
    ///
    /// The level matters to compression alone: any level decompresses what any other compressed.
    ///
    /// # Errors
    ///
    /// [`CompressError::InvalidLevel`].
    pub fn new(level: i32) -> Result<Self, CompressError> {
        let (min, max) = Compression::LEVELS.into_inner();
        ensure!((min..=max).contains(&level), InvalidLevelSnafu { level, min, max });
        Ok(Self { level, ..Self::default() })
    }

    /// The level at which it compresses.
    pub fn level(&self) -> i32 {
        self.level
    }

    /// Decompresses a frame with its magic number.
    fn decompress_frame(
        &self,
        stored: &[u8],
        raw_len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), CompressError> {
        let dictionary = match zstd::zstd_safe::get_dict_id_from_frame(stored).map(NonZeroU32::get) {
            Some(id) => Some(self.dictionaries.get(id).context(MissingDictionarySnafu { id })?),
            None => None,
        };
        append_exactly(CodecId::ZSTD, (stored.len(), GAIN_MAX), raw_len, out, |space| {
            let written = match dictionary {
                Some(dictionary) => dictionary.decompress(stored, space),
                None => self
                    .decompressors
                    .with(Decompressor::new, |context| context.decompress_to_buffer(stored, space)),
            };
            written.map_err(BoxError::from).context(DamagedSnafu { codec: CodecId::ZSTD })
        })
    }
}

impl Default for Zstd {
    fn default() -> Self {
        Self {
            level: 0,
            compressors: Pool::new(),
            decompressors: Pool::new(),
            frames: Pool::new(),
            dictionaries: Dictionaries::default(),
        }
    }
}

impl Codec for Zstd {
    fn id(&self) -> CodecId {
        CodecId::ZSTD
    }

    fn name(&self) -> &str {
        "zstd"
    }

    fn compress(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        append_up_to(zstd::compress_bound(raw.len()), out, |space| {
            let written = match self.dictionaries.used() {
                Some(dictionary) => dictionary.compress(raw, space),
                None => {
                    let make = || bare(Compressor::new(self.level)?);
                    self.compressors.with(make, |context| context.compress_to_buffer(raw, space))
                }
            };
            let written = written.map_err(BoxError::from).context(CompressSnafu { codec: CodecId::ZSTD })?;
            space.copy_within(MAGIC.len().min(written)..written, 0);
            Ok(written.saturating_sub(MAGIC.len()))
        })
        .map(|_| ())
    }

    fn decompress(&self, stored: &[u8], raw_len: usize, out: &mut Vec<u8>) -> Result<(), CompressError> {
        if stored.starts_with(&MAGIC) {
            return self.decompress_frame(stored, raw_len, out);
        }
        let make = || Ok(Vec::new());
        self.frames.with(make, |frame| {
            frame.clear();
            frame.try_reserve(MAGIC.len() + stored.len()).context(OutOfMemorySnafu { len: stored.len() })?;
            frame.extend_from_slice(&MAGIC);
            frame.extend_from_slice(stored);
            let decompressed = self.decompress_frame(frame, raw_len, out);
            if frame.capacity() > FRAME_KEPT {
                *frame = Vec::new();
            }
            decompressed
        })
    }

    fn add_dictionary(&self, dictionary: &[u8]) -> Result<u32, CompressError> {
        self.dictionaries.add(dictionary, self.level)
    }

    fn check_dictionary(&self, dictionary: &[u8]) -> Result<u32, CompressError> {
        self.dictionaries.check(dictionary)
    }

    fn train_dictionary(&self, samples: &[u8], lens: &[usize], len: usize) -> Result<Vec<u8>, CompressError> {
        let mut trained = Self::train(samples, lens, len)?;
        // Magic number, id, what was learned.
        if let Some(id) = trained.get_mut(4..8) {
            id.copy_from_slice(&self.dictionaries.free_id().to_le_bytes());
        }
        Ok(trained)
    }

    fn unshared(&self) -> Option<Arc<dyn Codec>> {
        Some(Arc::new(Self { level: self.level, ..Self::default() }))
    }

    fn use_dictionary(&self, id: Option<u32>) {
        self.dictionaries.use_for_compression(id);
    }
}

/// Without what whoever stores the bytes has already.
pub(crate) fn bare(mut compressor: Compressor<'static>) -> std::io::Result<Compressor<'static>> {
    compressor.include_checksum(false)?;
    compressor.include_contentsize(false)?;
    Ok(compressor)
}
