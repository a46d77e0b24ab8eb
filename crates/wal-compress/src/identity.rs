use snafu::{ResultExt, ensure};

use crate::error::{OutOfMemorySnafu, WrongLengthSnafu};
use crate::{Codec, CodecId, CompressError};

/// Stores bytes as they are: codec 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity;

impl Codec for Identity {
    fn id(&self) -> CodecId {
        CodecId::IDENTITY
    }

    fn name(&self) -> &str {
        "none"
    }

    fn compress(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        append(raw, out)
    }

    fn decompress(&self, stored: &[u8], raw_len: usize, out: &mut Vec<u8>) -> Result<(), CompressError> {
        let actual = stored.len();
        ensure!(actual == raw_len, WrongLengthSnafu { codec: self.id(), expected: raw_len, actual });
        append(stored, out)
    }
}

fn append(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
    out.try_reserve(bytes.len()).context(OutOfMemorySnafu { len: bytes.len() })?;
    out.extend_from_slice(bytes);
    Ok(())
}
