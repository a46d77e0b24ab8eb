use snafu::{ResultExt, ensure};
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use crate::error::{CompressSnafu, DamagedSnafu, WrongLengthSnafu};
use crate::output::{append_exactly, append_up_to};
use crate::pool::Pool;
use crate::{BoxError, Codec, CodecId, CompressError};

/// Nothing gives more than a copy of 64 bytes, which takes three.
const GAIN_MAX: usize = 64 / 3 + 1;

/// Snappy in its raw format, without the framing of `.sz` files: codec 2.
///
/// Takes at most 2^32 - 1 bytes at a time.
///
/// ```
/// use wal_compress::{Codec, Snappy};
///
/// let snappy = Snappy::new();
/// let mut stored = Vec::new();
/// snappy.compress(&[7; 1000], &mut stored)?;
/// assert!(stored.len() < 100);
///
/// let mut raw = Vec::new();
/// snappy.decompress(&stored, 1000, &mut raw)?;
/// assert_eq!(raw, [7; 1000]);
/// # Ok::<(), wal_compress::CompressError>(())
/// ```
#[derive(Debug)]
pub struct Snappy {
    encoders: Pool<Box<Encoder>>,
}

impl Snappy {
    /// The codec; there is nothing to set.
    pub const fn new() -> Self {
        Self { encoders: Pool::new() }
    }
}

impl Default for Snappy {
    fn default() -> Self {
        Self::new()
    }
}

impl Codec for Snappy {
    fn id(&self) -> CodecId {
        CodecId::SNAPPY
    }

    fn name(&self) -> &str {
        "snappy"
    }

    fn compress(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        append_up_to(max_compress_len(raw.len()), out, |space| {
            self.encoders
                .with(|| Ok(Box::new(Encoder::new())), |encoder| encoder.compress(raw, space))
                .map_err(BoxError::from)
                .context(CompressSnafu { codec: CodecId::SNAPPY })
        })
        .map(|_| ())
    }

    fn decompress(&self, stored: &[u8], raw_len: usize, out: &mut Vec<u8>) -> Result<(), CompressError> {
        let damaged = DamagedSnafu { codec: CodecId::SNAPPY };
        let actual = decompress_len(stored).map_err(BoxError::from).context(damaged)?;
        ensure!(actual == raw_len, WrongLengthSnafu { codec: CodecId::SNAPPY, expected: raw_len, actual });
        append_exactly(CodecId::SNAPPY, (stored.len(), GAIN_MAX), raw_len, out, |space| {
            Decoder::new().decompress(stored, space).map_err(BoxError::from).context(damaged)
        })
    }
}
