use std::ops::RangeInclusive;

use snafu::ensure;

use crate::error::{InvalidGainSnafu, InvalidLevelSnafu, InvalidThreadsSnafu, TooLongSnafu};
use crate::{CodecId, CompressError};

/// Whether and how to compress: plain data, off by default.
///
/// ```
/// use wal_compress::{CodecId, Compression};
///
/// let settings = Compression { codec: CodecId::SNAPPY, ..Compression::default() };
/// assert!(settings.validate().is_ok());
/// assert!(settings.applies_to(4096));
/// assert!(!settings.applies_to(16));
/// assert!(!Compression::default().applies_to(4096));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The codec for new data. Default: [`CodecId::IDENTITY`], which compresses nothing. Stored data names its own
    /// codec, so a change of this leaves old data readable.
    pub codec: CodecId,
    /// How hard the codec tries, within [`Compression::LEVELS`]. Default: 0, which lets the codec choose (zstd takes
    /// 3). Greater is smaller and slower, negative is faster. Snappy has no levels and ignores it.
    pub level: i32,
    /// Shorter data is stored as it is. In bytes, any value. Default: 256, because below it codecs rarely gain what
    /// their call costs.
    pub min_len: usize,
    /// What compression must save for its result to be stored, in percent of the raw length, 0 to 100; see
    /// [`worth_storing`]. Default: 10. A greater value spares readers more work, at the price of space.
    pub min_gain_percent: u8,
    /// Records that are written together are compressed together, up to so many bytes, because small ones gain little
    /// one by one; see [`packs`](Self::packs). In bytes, any value, of which a log uses at most 16 MiB; 0 compresses
    /// each alone. Default: 64 KiB. What is read is decompressed by the pack.
    pub pack_len: usize,
    /// Longer data is stored as it is, and stored data that declares a greater raw length is not decompressed: see
    /// [`check_raw_len`](Self::check_raw_len). It bounds the memory that a few hostile bytes can ask for. In bytes, any
    /// value. Default: 64 MiB. Whoever has written with a greater value needs it for reading, too.
    pub raw_len_max: u32,
    /// Threads that compress packs beside those that append: 0 to 16. Default: 0, then whoever appends or waits does
    /// it. With threads an append to memory does not wait for the codec, as long as they keep up.
    pub threads: u32,
    /// What becomes of packs that these threads have no time for. Default: [`WhenBehind::Compress`].
    pub when_behind: WhenBehind,
}

/// What becomes of packs that wait while all threads that compress are busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenBehind {
    /// Whoever appends compresses them: everything is compressed, and appends are slowed down to what the codec can do.
    #[default]
    Compress,
    /// They are stored as they are: what there is time for is compressed, and appends go on. The log is longer the more
    /// is appended at a time. Means nothing without [`Compression::threads`].
    StorePlain,
}

impl Compression {
    /// The levels that [`Compression::level`] can take, whatever the codec.
    pub const LEVELS: RangeInclusive<i32> = -7..=22;

    /// The greatest value of [`Compression::threads`].
    pub const THREADS_MAX: u32 = 16;

    /// Whether data of this length, in bytes, is to be offered to the codec at all.
    pub fn applies_to(&self, raw_len: usize) -> bool {
        self.codec != CodecId::IDENTITY && raw_len >= self.min_len && raw_len <= self.raw_len_max as usize
    }

    /// Whether data of this length, in bytes, is to be packed with others before it is compressed.
    pub fn packs(&self, raw_len: usize) -> bool {
        self.codec != CodecId::IDENTITY && raw_len < self.pack_len
    }

    /// Checks what stored data declares to be its raw length, in bytes, before anything is decompressed.
    ///
    /// # Errors
    ///
    /// [`CompressError::TooLong`] beyond [`raw_len_max`](Self::raw_len_max).
    pub fn check_raw_len(&self, raw_len: u32) -> Result<(), CompressError> {
        let max = self.raw_len_max;
        ensure!(raw_len <= max, TooLongSnafu { len: raw_len, max });
        Ok(())
    }

    /// Checks the ranges. That the codec exists is for [`Codecs::get`](crate::Codecs::get) to say.
    ///
    /// # Errors
    ///
    /// [`CompressError::InvalidLevel`], [`CompressError::InvalidGain`] or [`CompressError::InvalidThreads`].
    pub fn validate(&self) -> Result<(), CompressError> {
        let (min, max) = Self::LEVELS.into_inner();
        ensure!((min..=max).contains(&self.level), InvalidLevelSnafu { level: self.level, min, max });
        ensure!(self.min_gain_percent <= 100, InvalidGainSnafu { percent: self.min_gain_percent });
        ensure!(self.threads <= Self::THREADS_MAX, InvalidThreadsSnafu { threads: self.threads });
        Ok(())
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            codec: CodecId::IDENTITY,
            level: 0,
            min_len: 256,
            min_gain_percent: 10,
            pack_len: 64 << 10,
            raw_len_max: 64 << 20,
            threads: 0,
            when_behind: WhenBehind::Compress,
        }
    }
}

/// Whether compressed bytes are to be stored instead of the raw ones.
///
/// They are if they are shorter, and by at least `min_gain_percent` of the raw length. Lengths are in bytes.
///
/// ```
/// use wal_compress::worth_storing;
///
/// assert!(worth_storing(1000, 900, 10));
/// assert!(!worth_storing(1000, 901, 10));
/// assert!(!worth_storing(1000, 1000, 0), "equal is no gain");
/// ```
pub fn worth_storing(raw_len: usize, stored_len: usize, min_gain_percent: u8) -> bool {
    // In 128 bits no length overflows when multiplied by a percentage.
    stored_len < raw_len
        && (raw_len - stored_len) as u128 * 100 >= raw_len as u128 * u128::from(min_gain_percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw_len: usize, stored_len: usize, min_gain_percent: u8, want: bool) {
        assert_eq!(worth_storing(raw_len, stored_len, min_gain_percent), want);
    }

    #[test]
    fn the_gain_decides_what_is_stored() {
        check(0, 0, 0, false);
        check(10, 9, 0, true);
        check(10, 11, 0, false);
        check(10, 9, 10, true);
        check(10, 9, 11, false);
        check(10, 0, 100, true);
        check(usize::MAX, usize::MAX - 1, 1, false);
        check(usize::MAX, 1, 99, true);
        check(100, 0, 255, false);
    }

    #[test]
    fn what_is_too_long_is_neither_compressed_nor_decompressed() {
        let settings = Compression { codec: CodecId::ZSTD, raw_len_max: 1000, ..Compression::default() };
        assert!(settings.applies_to(1000) && settings.check_raw_len(1000).is_ok());
        assert!(!settings.applies_to(1001));
        let refused = settings.check_raw_len(1001);
        assert!(matches!(refused, Err(CompressError::TooLong { len: 1001, max: 1000 })));
    }

    #[test]
    fn settings_outside_of_their_range_are_refused() {
        let level = |level| Compression { level, ..Compression::default() }.validate();
        assert!(matches!(level(23), Err(CompressError::InvalidLevel { level: 23, min: -7, max: 22 })));
        assert!(matches!(level(-8), Err(CompressError::InvalidLevel { .. })));
        let gain = Compression { min_gain_percent: 101, ..Compression::default() };
        assert!(matches!(gain.validate(), Err(CompressError::InvalidGain { percent: 101 })));
        let threads = Compression { threads: 17, ..Compression::default() };
        assert!(matches!(threads.validate(), Err(CompressError::InvalidThreads { threads: 17 })));
    }
}
