//! The first 512 bytes of a segment: what is known when the file is prepared, before anything is appended.
//!
//! ```text
//!       0       1       2       3       4       5       6       7
//!   0 | magic  89 'W' 'A' 'L' 'S' 0d 0a 1a                            |
//!   8 | version u16   | chk u8 | 0    | required flags u32            |
//!  16 | ignorable flags u32           | first frame offset u32 = 512  |
//!  24 | log id (16 bytes)                                             |
//!  40 | segment id u64                                                |
//!  48 | writer epoch u64                                              |
//!  56 | salt u64                                                      |
//!  64 | created u64, nanoseconds since 1970                           |
//!  72 | zeros (ignored by readers, covered by the checksum)           |
//! 504 | zeros                         | crc u32: CRC-32 of 0..508     |
//! ```

use crate::{
    ChecksumKind, DecodeError, LogId, SegmentId,
    layout::{FIRST_FRAME, FORMAT_VERSION, SEGMENT_HEADER_CRC_AT, SEGMENT_HEADER_LEN, SEGMENT_MAGIC},
    le::Fields,
};

const FIRST_FRAME_U32: u32 = 512;
const _: () = assert!(FIRST_FRAME_U32 as u64 == FIRST_FRAME);

/// The header of a segment file. Its layout stands in `docs/FORMAT.md`, section 2.
///
/// ```
/// use wal_format::{ChecksumKind, LogId, SegmentHeader, SegmentId};
/// let header = SegmentHeader {
///     checksum: ChecksumKind::Crc32,
///     ignorable_flags: 0,
///     log_id: LogId([7; 16]),
///     segment: SegmentId(3),
///     epoch: 1,
///     salt: 0x1234,
///     created: 1_700_000_000_000_000_000,
/// };
/// assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// What protects the frames of this segment.
    pub checksum: ChecksumKind,
    /// Flags that a reader may ignore: [`FENCE`](Self::FENCE).
    pub ignorable_flags: u32,
    /// The log this segment belongs to.
    pub log_id: LogId,
    /// The number in the file name, repeated.
    pub segment: SegmentId,
    /// Which opening-for-write of the log created this segment; never smaller than in an older segment.
    pub epoch: u64,
    /// Random bits that bind every frame header to this very file.
    pub salt: u64,
    /// When the file was prepared, in nanoseconds since 1970. For people; nothing depends on it.
    pub created: u64,
}

/// What verifying a frame of a segment takes, apart from its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentKey {
    /// What protects the frames.
    pub checksum: ChecksumKind,
    /// The salt of the segment header.
    pub salt: u64,
}

/// The first segment that a writer publishes behind its fence has an id greater by so much: `docs/FORMAT.md`, section
/// 6.
pub const FENCE_GAP: u64 = 64;

impl SegmentHeader {
    /// The ignorable flag of a fence: a segment that holds its opening alone, and says that its writer goes on
    /// [`FENCE_GAP`] ids later.
    pub const FENCE: u32 = 1;

    /// Whether this is a fence.
    #[must_use]
    pub const fn is_fence(&self) -> bool {
        self.ignorable_flags & Self::FENCE != 0
    }

    /// What the frames of this segment are verified with.
    #[must_use]
    pub const fn key(&self) -> SegmentKey {
        SegmentKey { checksum: self.checksum, salt: self.salt }
    }

    /// The header block.
    #[must_use]
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_LEN] {
        let mut block = [0; SEGMENT_HEADER_LEN];
        let mut at = 0_usize;
        let mut put = |bytes: &[u8]| {
            for (to, from) in block.iter_mut().skip(at).zip(bytes) {
                *to = *from;
            }
            at = at.saturating_add(bytes.len());
        };
        put(&SEGMENT_MAGIC);
        put(&FORMAT_VERSION.to_le_bytes());
        put(&[self.checksum.id(), 0]);
        put(&0_u32.to_le_bytes());
        put(&self.ignorable_flags.to_le_bytes());
        put(&FIRST_FRAME_U32.to_le_bytes());
        put(&self.log_id.0);
        put(&self.segment.0.to_le_bytes());
        put(&self.epoch.to_le_bytes());
        put(&self.salt.to_le_bytes());
        put(&self.created.to_le_bytes());
        if let Some((body, crc)) = block.split_last_chunk_mut::<4>() {
            *crc = crc32fast::hash(body).to_le_bytes();
        }
        block
    }

    /// Reads a header block. `bytes` may be longer.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Short`], [`Magic`](DecodeError::Magic) and [`HeaderChecksum`](DecodeError::HeaderChecksum) say
    /// that this is no (longer a) header; the `Unsupported…` errors that it is a whole one for a newer or differently
    /// built reader.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::Short { needed: SEGMENT_HEADER_LEN, have: bytes.len() };
        let block = bytes.get(..SEGMENT_HEADER_LEN).ok_or(short)?;
        let mut fields = Fields::new(block);
        if fields.array() != Some(SEGMENT_MAGIC) {
            return Err(DecodeError::Magic);
        }
        verify_crc(block)?;
        Self::decode_fields(fields).ok_or(short)?
    }

    fn decode_fields(mut fields: Fields<'_>) -> Option<Result<Self, DecodeError>> {
        let version = fields.u16()?;
        if version != FORMAT_VERSION {
            return Some(Err(DecodeError::UnsupportedVersion { version }));
        }
        let checksum = match ChecksumKind::from_id(fields.u8()?) {
            Ok(checksum) => checksum,
            Err(error) => return Some(Err(error)),
        };
        fields.u8()?;
        let flags = fields.u32()?;
        if flags != 0 {
            return Some(Err(DecodeError::UnsupportedFlags { flags }));
        }
        let ignorable_flags = fields.u32()?;
        let first_frame = fields.u32()?;
        if u64::from(first_frame) != FIRST_FRAME {
            let value = u64::from(first_frame);
            return Some(Err(DecodeError::Invalid { what: "the first frame's offset", value }));
        }
        Some(Ok(Self {
            checksum,
            ignorable_flags,
            log_id: LogId(fields.array()?),
            segment: SegmentId(fields.u64()?),
            epoch: fields.u64()?,
            salt: fields.u64()?,
            created: fields.u64()?,
        }))
    }
}

fn verify_crc(block: &[u8]) -> Result<(), DecodeError> {
    let short = DecodeError::Short { needed: SEGMENT_HEADER_LEN, have: block.len() };
    let (body, crc) = block.split_at_checked(SEGMENT_HEADER_CRC_AT).ok_or(short)?;
    let stored = Fields::new(crc).u32().ok_or(short)?;
    let computed = crc32fast::hash(body);
    if stored == computed { Ok(()) } else { Err(DecodeError::HeaderChecksum { stored, computed }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        checksum: ChecksumKind::Crc32,
        ignorable_flags: 0x8000_0001,
        log_id: LogId(*b"0123456789abcdef"),
        segment: SegmentId(u64::MAX),
        epoch: 9,
        salt: 0xdead_beef_0bad_f00d,
        created: 1,
    };

    fn with(change: impl FnOnce(&mut [u8])) -> Result<SegmentHeader, DecodeError> {
        let mut block = HEADER.encode();
        change(&mut block);
        let crc = crc32fast::hash(&block[..SEGMENT_HEADER_CRC_AT]);
        block[SEGMENT_HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        SegmentHeader::decode(&block)
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let block = HEADER.encode();
        assert_eq!(SegmentHeader::decode(&block), Ok(HEADER));
        for bit in 0..block.len() * 8 {
            let mut damaged = block;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&damaged).is_err(), "bit {bit}");
        }
        for len in 0..block.len() {
            assert!(SegmentHeader::decode(&block[..len]).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn newer_is_not_damaged() {
        assert_eq!(with(|b| b[8] = 2), Err(DecodeError::UnsupportedVersion { version: 2 }));
        assert_eq!(with(|b| b[12] = 4), Err(DecodeError::UnsupportedFlags { flags: 4 }));
        assert!(matches!(with(|b| b[10] = 77), Err(DecodeError::UnsupportedChecksum { id: 77, .. })));
        assert!(matches!(with(|b| b[20] = 8), Err(DecodeError::Invalid { .. })));
        assert_eq!(with(|b| b[100] = 1), Ok(HEADER), "reserved bytes are ignored");
    }
}
