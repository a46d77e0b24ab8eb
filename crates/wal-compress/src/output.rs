//! The space that an algorithm writes into.

use snafu::{ResultExt, ensure};

use crate::error::{DamagedSnafu, OutOfMemorySnafu, WrongLengthSnafu};
use crate::{CodecId, CompressError};

/// Lets `write` fill up to `bound` bytes behind what `out` holds, and keeps as many as it says it wrote.
///
/// On an error `out` is as it was.
pub(crate) fn append_up_to(
    bound: usize,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut [u8]) -> Result<usize, CompressError>,
) -> Result<usize, CompressError> {
    let start = out.len();
    out.try_reserve(bound).context(OutOfMemorySnafu { len: bound })?;
    // A slice and not the spare capacity of the Vec: the algorithm then cannot exceed the bound, even where the Vec has
    // room for more. Zeroing it costs little beside any algorithm.
    out.resize(start + bound, 0);
    let written = write(&mut out[start..]);
    out.truncate(start + written.as_ref().map_or(0, |len| *len));
    written
}

/// Like [`append_up_to`], but `write` must fill `raw_len` bytes exactly, which is not even tried when `stored_len`
/// bytes cannot hold so many: each of them at most `gain_max`.
pub(crate) fn append_exactly(
    codec: CodecId,
    (stored_len, gain_max): (usize, usize),
    raw_len: usize,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut [u8]) -> Result<usize, CompressError>,
) -> Result<(), CompressError> {
    if raw_len > stored_len.saturating_mul(gain_max) {
        let source = format!("{stored_len} bytes cannot hold the {raw_len} that they declare");
        return Err(source.into()).context(DamagedSnafu { codec });
    }
    append_up_to(raw_len, out, |space| {
        let actual = write(space)?;
        ensure!(actual == raw_len, WrongLengthSnafu { codec, expected: raw_len, actual });
        Ok(actual)
    })
    .map(|_| ())
}
