//! The two checksums a log can be written with. The only file that names a CRC crate.

use crate::{DecodeError, layout::FRAME_HEADER_LEN};

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

    /// The checksum of a frame's header without the first four bytes, which hold it: the high half of the first word,
    /// and the other words. Nothing is read back from memory that has just been written there, which costs more than
    /// the checksum.
    #[inline]
    pub(crate) fn of_header(self, words: [u64; HEADER_WORDS]) -> u32 {
        TABLES.get(self as usize).map_or(0, |tables| fold(tables, words))
    }
}

/// Those of the checksums in the order of their kinds: chosen by number, which a compiler does once for all of them.
static TABLES: [Tables; if cfg!(feature = "crc32c") { 2 } else { 1 }] = {
    let mut all = [tables(0x82f6_3b78); _];
    all[0] = tables(0xedb8_8320);
    all
};

const HEADER_WORDS: usize = FRAME_HEADER_LEN / 8;

/// What each byte of a header does to its checksum, by the number of bytes that follow. Those of each word are rotated
/// by its own number of bits.
type Tables = [[u32; 256]; FRAME_HEADER_LEN - 4];

#[expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "computed by the compiler, which would not accept a panic"
)]
const fn tables(polynomial: u32) -> Tables {
    let mut tables = [[0; 256]; FRAME_HEADER_LEN - 4];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte as u32;
        let mut at = 0;
        while at < tables.len() {
            let mut bit = 0;
            while bit < 8 {
                rest = (rest >> 1) ^ (polynomial & (rest & 1).wrapping_neg());
                bit += 1;
            }
            tables[at][byte] = rest.rotate_left(at as u32 / 8);
            at += 1;
        }
        byte += 1;
    }
    tables
}

/// No byte waits for another: a checksum is a sum. That of each word is made by itself, which the rotations keep a
/// compiler from undoing: in one long sum every step would wait for the one before.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "a byte is within a table of 256, and the lengths are constants"
)]
fn fold(tables: &Tables, words: [u64; HEADER_WORDS]) -> u32 {
    let [first, words @ ..] = words;
    // It begins with all bits set, which is the same as inverting the first four bytes.
    let first = u64::from(!((first >> 32) as u32)).to_le_bytes();
    let (tables, last) = tables.as_chunks::<8>();
    let sum = |bytes: &[u8], tables: &[[u32; 256]]| {
        bytes.iter().zip(tables.iter().rev()).fold(0, |sum, (byte, table)| sum ^ table[usize::from(*byte)])
    };
    let mut all = !sum(&first[..last.len()], last).rotate_right(tables.len() as u32);
    for (at, (word, tables)) in words.iter().rev().zip(tables).enumerate() {
        all ^= sum(&word.to_le_bytes(), tables).rotate_right(at as u32);
    }
    all
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
    fn a_header_folded_from_words_has_the_checksum_of_its_bytes() {
        let mut words = [0_u64; HEADER_WORDS];
        for round in 0..200_u64 {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            for kind in
                [ChecksumKind::Crc32, ChecksumKind::Crc32c].into_iter().filter(|kind| kind.is_available())
            {
                assert_eq!(kind.of_header(words), kind.of(&bytes[4..]), "{kind:?} of {words:x?}");
            }
            words =
                words.map(|word| (word ^ round).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) + round);
        }
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
