//! The index sidecar of a sealed segment: every so many bytes, which LSN starts where. A hint: a reader verifies the
//! frame it is led to, and does without when the file is missing or does not verify.
//!
//! ```text
//!       0       1       2       3       4       5       6       7
//!   0 | magic  89 'W' 'A' 'L' 'X' 0d 0a 1a                            |
//!   8 | version u16   | zeros         | point count u32               |
//!  16 | log id (16 bytes)                                             |
//!  32 | segment id u64                                                |
//!  40 | segment salt u64                                              |
//!  48 | end offset of the segment's data u64                          |
//!  56 | base lsn u64                                                  |
//!  64 | last frame's offset u64                                       |
//!  72 | crc u32 of 0..72 and all points | zeros                       |
//!  80 | points: lsn u32 relative to the base, offset u32 / 8          |
//! ```

use alloc::vec::Vec;

use crate::{
    DecodeError, LogId, Lsn, SegmentId,
    layout::{FORMAT_VERSION, INDEX_HEADER_LEN, INDEX_MAGIC, INDEX_POINT_LEN},
    le::Fields,
};

const CRC_AT: usize = 72;

/// One point of an index: the frame at `offset` starts with entry `lsn_delta` (or, a control frame, stands before it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexPoint {
    /// LSN relative to the base of the segment.
    pub lsn_delta: u32,
    /// Offset in units of eight bytes.
    pub units: u32,
}

impl IndexPoint {
    /// The offset in bytes.
    #[must_use]
    pub const fn offset(self) -> u64 {
        (self.units as u64).wrapping_mul(8)
    }

    /// A point as it stands in a sidecar.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each half of the word is taken on purpose")]
    pub const fn decode(bytes: [u8; INDEX_POINT_LEN]) -> Self {
        let word = u64::from_le_bytes(bytes);
        Self { lsn_delta: word as u32, units: (word >> 32) as u32 }
    }
}

/// The index of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentIndex {
    /// The log of the segment.
    pub log_id: LogId,
    /// The segment.
    pub segment: SegmentId,
    /// Its salt.
    pub salt: u64,
    /// Where its data ends.
    pub end: u64,
    /// Its base LSN.
    pub base: Lsn,
    /// Where its last frame starts.
    pub last_frame: u64,
    /// Points in ascending order.
    pub points: Vec<IndexPoint>,
}

impl SegmentIndex {
    /// The bytes of the sidecar.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let count = u32::try_from(self.points.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(
            INDEX_HEADER_LEN.saturating_add(self.points.len().saturating_mul(INDEX_POINT_LEN)),
        );
        bytes.extend_from_slice(&INDEX_MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&self.log_id.0);
        for word in [self.segment.0, self.salt, self.end, self.base.get(), self.last_frame] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        let points = self
            .points
            .iter()
            .flat_map(|point| (u64::from(point.lsn_delta) | (u64::from(point.units) << 32)).to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes);
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend(points);
        hasher.update(bytes.get(INDEX_HEADER_LEN..).unwrap_or(&[]));
        let crc = hasher.finalize().to_le_bytes();
        for (to, from) in bytes.iter_mut().skip(CRC_AT).zip(crc) {
            *to = from;
        }
        bytes
    }

    /// Reads a sidecar back.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when it is none; whoever asked does without it.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(SegmentIndexRef::parse(bytes)?.to_owned())
    }
}

/// The index of one segment, in the bytes of its sidecar.
///
/// ```
/// use wal_format::{IndexPoint, LogId, Lsn, SegmentId, SegmentIndex, SegmentIndexRef};
///
/// let index = SegmentIndex {
///     log_id: LogId([3; 16]),
///     segment: SegmentId(2),
///     salt: 5,
///     end: 9000,
///     base: Lsn::FIRST,
///     last_frame: 8992,
///     points: vec![IndexPoint { lsn_delta: 0, units: 64 }, IndexPoint { lsn_delta: 30, units: 600 }],
/// };
/// let bytes = index.encode();
/// let read = SegmentIndexRef::parse(&bytes)?;
/// assert_eq!(read.points.len(), 2);
/// assert_eq!(IndexPoint::decode(read.points[1]), index.points[1]);
/// assert_eq!(read.to_owned(), index);
/// # Ok::<(), wal_format::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SegmentIndexRef<'a> {
    /// The log of the segment.
    pub log_id: LogId,
    /// The segment.
    pub segment: SegmentId,
    /// Its salt.
    pub salt: u64,
    /// Where its data ends.
    pub end: u64,
    /// Its base LSN.
    pub base: Lsn,
    /// Where its last frame starts.
    pub last_frame: u64,
    /// [Points](IndexPoint::decode) in ascending order.
    pub points: &'a [[u8; INDEX_POINT_LEN]],
}

impl<'a> SegmentIndexRef<'a> {
    /// Reads a sidecar without copying its points.
    ///
    /// # Errors
    ///
    /// Those of [`SegmentIndex::decode`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::Short { needed: INDEX_HEADER_LEN, have: bytes.len() };
        let (header, points) = bytes.split_at_checked(INDEX_HEADER_LEN).ok_or(short)?;
        let mut fields = Fields::new(header);
        if fields.array() != Some(INDEX_MAGIC) {
            return Err(DecodeError::Magic);
        }
        let version = fields.u16().ok_or(short)?;
        if version != FORMAT_VERSION {
            return Err(DecodeError::UnsupportedVersion { version });
        }
        fields.u16().ok_or(short)?;
        let count = fields.u32().ok_or(short)?;
        let log_id = LogId(fields.array().ok_or(short)?);
        let mut word = || fields.u64().ok_or(short);
        let (segment, salt, end, base, last_frame) = (word()?, word()?, word()?, word()?, word()?);
        let stored = fields.u32().ok_or(short)?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(header.get(..CRC_AT).ok_or(short)?);
        hasher.update(points);
        let computed = hasher.finalize();
        if stored != computed {
            return Err(DecodeError::HeaderChecksum { stored, computed });
        }
        let (points, rest) = points.as_chunks::<INDEX_POINT_LEN>();
        if points.len() != count as usize || !rest.is_empty() {
            return Err(DecodeError::Invalid { what: "the number of index points", value: u64::from(count) });
        }
        let base = Lsn::new(base).ok_or(DecodeError::Invalid { what: "the base lsn", value: base })?;
        Ok(Self { log_id, segment: SegmentId(segment), salt, end, base, last_frame, points })
    }

    /// The same with points of its own.
    #[must_use]
    pub fn to_owned(&self) -> SegmentIndex {
        let Self { log_id, segment, salt, end, base, last_frame, points } = *self;
        let points = points.iter().map(|point| IndexPoint::decode(*point)).collect();
        SegmentIndex { log_id, segment, salt, end, base, last_frame, points }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let index = SegmentIndex {
            log_id: LogId([3; 16]),
            segment: SegmentId(2),
            salt: 5,
            end: 9000,
            base: Lsn::FIRST,
            last_frame: 8992,
            points: vec![IndexPoint { lsn_delta: 0, units: 64 }, IndexPoint { lsn_delta: 30, units: 600 }],
        };
        let bytes = index.encode();
        assert_eq!(SegmentIndex::decode(&bytes), Ok(index.clone()));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // The four bytes behind the checksum are not covered and not read.
            assert!(SegmentIndex::decode(&damaged).is_err() || (76 * 8..80 * 8).contains(&bit), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(SegmentIndex::decode(&bytes[..len]).is_err(), "cut at {len}");
        }
    }
}
