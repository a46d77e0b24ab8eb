use snafu::{ResultExt, ensure};
use zstd::bulk::{Compressor, Decompressor};

use crate::error::{CompressSnafu, DamagedSnafu, InvalidLevelSnafu};
use crate::output::{append_exactly, append_up_to};
use crate::pool::Pool;
use crate::{BoxError, Codec, CodecId, CompressError, Compression};

/// A block holds at most 128 KiB and takes at least four bytes.
const GAIN_MAX: usize = (128 << 10) / 4;

/// Zstandard: codec 1.
///
/// Stored bytes are one zstd frame without checksum and without content size: whoever stores them has both. The
/// contexts, megabytes at the high levels, are kept for the next use, at most eight of each kind.
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
}

impl Default for Zstd {
    fn default() -> Self {
        Self { level: 0, compressors: Pool::new(), decompressors: Pool::new() }
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
            self.compressors
                .with(|| compressor(self.level), |context| context.compress_to_buffer(raw, space))
                .map_err(BoxError::from)
                .context(CompressSnafu { codec: CodecId::ZSTD })
        })
        .map(|_| ())
    }

    fn decompress(&self, stored: &[u8], raw_len: usize, out: &mut Vec<u8>) -> Result<(), CompressError> {
        append_exactly(CodecId::ZSTD, (stored.len(), GAIN_MAX), raw_len, out, |space| {
            self.decompressors
                .with(Decompressor::new, |context| context.decompress_to_buffer(stored, space))
                .map_err(BoxError::from)
                .context(DamagedSnafu { codec: CodecId::ZSTD })
        })
    }
}

fn compressor(level: i32) -> std::io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(level)?;
    compressor.include_checksum(false)?;
    compressor.include_contentsize(false)?;
    Ok(compressor)
}
