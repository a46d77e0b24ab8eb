//! The two checksums a log can be written with. The only file that names a CRC crate.

use crate::DecodeError;

/// Which cyclic redundancy check protects the frames of a log; an id byte in the segment header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChecksumKind {
    /// CRC-32 (ISO-HDLC, the one of zip and Ethernet). Always available.
    #[default]
    Crc32,
    /// CRC-32C (Castagnoli). Needs the feature `crc32c`.
    Crc32c,
}

impl ChecksumKind {
    /// The byte that stands for it in a segment header.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::Crc32 => 1,
            Self::Crc32c => 2,
        }
    }

    /// Reads the id byte back.
    ///
    /// # Errors
    ///
    /// [`DecodeError::UnsupportedChecksum`] when the id is unknown or its feature is compiled out.
    pub const fn from_id(id: u8) -> Result<Self, DecodeError> {
        match id {
            1 => Ok(Self::Crc32),
            2 if cfg!(feature = "crc32c") => Ok(Self::Crc32c),
            2 => Err(DecodeError::UnsupportedChecksum { id, feature: "crc32c" }),
            _ => Err(DecodeError::UnsupportedChecksum { id, feature: "" }),
        }
    }

    /// Whether this build can compute it.
    #[must_use]
    pub const fn is_available(self) -> bool {
        matches!(self, Self::Crc32) || cfg!(feature = "crc32c")
    }

    /// The checksum of `bytes`.
    ///
    /// ```
    /// assert_eq!(wal_format::ChecksumKind::Crc32.of(b"123456789"), 0xcbf4_3926);
    /// ```
    #[inline]
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> u32 {
        match self {
            Self::Crc32 => crc32fast::hash(bytes),
            Self::Crc32c => crc32c(bytes),
        }
    }
}

#[cfg(feature = "crc32c")]
#[inline]
fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// Without the feature no segment with this checksum can be opened or created, so the value is never compared.
#[cfg(not(feature = "crc32c"))]
const fn crc32c(_: &[u8]) -> u32 {
    0
}

/// What binds a frame header to its place: two headers with the same bytes validate in two places only if this
/// returns the same for both.
///
/// The segment's salt and the offset are mixed by two odd multiplications, so that neither near offsets nor related
/// salts give related results; the exact arithmetic is part of the format.
#[inline]
pub(crate) const fn place(salt: u64, offset: u64) -> u32 {
    let mixed = salt ^ offset.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed >> 32) as u32
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[cfg(feature = "crc32c")]
    #[test]
    fn castagnoli_check_value() {
        assert_eq!(ChecksumKind::Crc32c.of(b"123456789"), 0xe306_9283);
        assert_eq!(ChecksumKind::from_id(2), Ok(ChecksumKind::Crc32c));
    }

    #[test]
    fn unknown_ids_are_refused() {
        for id in [0, 3, 255] {
            assert!(ChecksumKind::from_id(id).is_err());
        }
        assert_eq!(ChecksumKind::from_id(1), Ok(ChecksumKind::Crc32));
    }

    #[test]
    fn places_differ() {
        let mut seen: Vec<u32> = (0..4096).map(|n| place(7, n * 8)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 4090, "neighbouring offsets must not share a place");
        assert_ne!(place(1, 512), place(2, 512));
    }
}
