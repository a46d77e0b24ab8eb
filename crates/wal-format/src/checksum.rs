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
}

/// The checksums of frame headers, one after the other, without the first four bytes of each, which hold it: the high
/// half of the first word, and the other words.
///
/// A checksum is a sum over the bits of what it is of. So two headers' differ by what the bits do in which the headers
/// differ, and of like frames that is the checksum of the body, the LSN, the time and the proof lag. Nothing is read
/// back from memory that has just been written there, which costs more than the checksum.
#[derive(Clone, Copy, Debug)]
pub struct HeaderSum {
    kind: ChecksumKind,
    words: [u64; HEADER_WORDS],
    sum: u32,
}

impl HeaderSum {
    /// Of a log that is written with this checksum, before its first header.
    #[inline]
    #[must_use]
    pub const fn new(kind: ChecksumKind) -> Self {
        let sum = match kind {
            ChecksumKind::Crc32 => const { of_zeros(CRC_32) },
            ChecksumKind::Crc32c => const { of_zeros(CRC_32C) },
        };
        Self { kind, words: [0; HEADER_WORDS], sum }
    }

    pub(crate) const fn kind(&self) -> ChecksumKind {
        self.kind
    }

    /// The checksum of a header.
    #[inline(always)]
    pub fn of(&mut self, words: [u64; HEADER_WORDS]) -> u32 {
        let ([a, b, c, d, e], [was_a, was_b, was_c, was_d, was_e]) = (words, self.words);
        self.words = words;
        let changed = [a ^ was_a, b ^ was_b, c ^ was_c, d ^ was_d, e ^ was_e];
        if let Some(tables) = TABLES.get(self.kind as usize) {
            self.sum ^= fold(tables, changed);
        }
        self.sum
    }
}

/// Those of the checksums in the order of their kinds: chosen by number, which a compiler does once for all of them.
static TABLES: [Tables; if cfg!(feature = "crc32c") { 2 } else { 1 }] = {
    let mut all = [tables(CRC_32C); _];
    all[0] = tables(CRC_32);
    all
};

/// The polynomials, the lowest power first.
const CRC_32: u32 = 0xedb8_8320;
const CRC_32C: u32 = 0x82f6_3b78;

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

/// The checksum of a header of zeros.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "computed by the compiler, which would not accept a panic"
)]
const fn of_zeros(polynomial: u32) -> u32 {
    let (mut rest, mut bit) = (u32::MAX, 0);
    while bit < 8 * (FRAME_HEADER_LEN - 4) {
        rest = (rest >> 1) ^ (polynomial & (rest & 1).wrapping_neg());
        bit += 1;
    }
    !rest
}

/// What these bits do to a checksum. No byte waits for another. The sum of each word is made by itself, which the
/// rotations keep a compiler from undoing: in one long sum every step would wait for the one before. Halves of words in
/// which nothing is set, mostly the same ones each time, cost a branch that is foreseen.
#[inline(always)]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "a byte is within a table of 256, and the lengths are constants"
)]
fn fold(tables: &Tables, [a, b, c, d, e]: [u64; HEADER_WORDS]) -> u32 {
    let half = |half: u32, behind: usize| {
        let [first, second, third, fourth] = half.to_le_bytes().map(usize::from);
        let low = tables[behind + 3][first] ^ tables[behind + 2][second];
        if half == 0 { 0 } else { low ^ (tables[behind + 1][third] ^ tables[behind][fourth]) }
    };
    let word = |word: u64, behind| half(word as u32, behind + 4) ^ half((word >> 32) as u32, behind);
    let (a, b) = (half((a >> 32) as u32, 32).rotate_right(4), word(b, 24).rotate_right(3));
    let (c, d) = (word(c, 16).rotate_right(2), word(d, 8).rotate_right(1));
    (a ^ b) ^ (c ^ d) ^ word(e, 0)
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
    fn a_header_has_the_checksum_of_its_bytes_whatever_came_before_it() {
        for kind in [ChecksumKind::Crc32, ChecksumKind::Crc32c].into_iter().filter(|kind| kind.is_available())
        {
            let mut sum = HeaderSum::new(kind);
            let mut check = |words: [u64; HEADER_WORDS]| {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                assert_eq!(sum.of(words), kind.of(&bytes[4..]), "{kind:?} of {words:x?}");
            };
            let mut words = [0_u64; HEADER_WORDS];
            for round in 0..200_u64 {
                check(words);
                // Like the one before but for one half of a word, at every place in turn.
                let (at, shift) = (usize::try_from(round / 2 % 5).unwrap(), round % 2 * 32);
                words[at] ^= 0x9e37_79b9 << shift;
                check(words);
                let mix = |word: u64| (word ^ round).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
                words = words.map(|word| mix(word) + round);
            }
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
