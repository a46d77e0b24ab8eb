//! The body of an opening frame: where the segment stands in the log.
//!
//! ```text
//!       0       1       2       3       4       5       6       7
//!   0 | base lsn u64                                                  |
//!   8 | flags u32 (1: predecessor)    | metadata length u32           |
//!  16 | predecessor: segment id u64                                   |
//!  24 | predecessor: salt u64                                         |
//!  32 | predecessor: end offset u64                                   |
//!  40 | its last frame's header crc   | its last frame's length / 8   |
//!  48 | durable position: segment id u64                              |
//!  56 | durable position: offset u64                                  |
//!  64 | first retained lsn u64                                        |
//!  72 | metadata records                                              |
//! ```

use alloc::vec::Vec;

use crate::{
    DecodeError, Lsn, Metadata, Position, SegmentId,
    layout::{FIRST_FRAME, METADATA_LEN_MAX, OPENING_FIXED_LEN},
    le::Fields,
};

const HAS_PREDECESSOR: u32 = 1;

/// Where the segment before ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// Its number.
    pub segment: SegmentId,
    /// Its salt: a file of the same name that is not the same file is noticed.
    pub salt: u64,
    /// Its valid data ends here; what lies beyond is not, or no longer, part of the log.
    pub end: u64,
    /// The first four bytes of its last frame.
    pub last_header_crc: u32,
    /// Length of its last frame in units of eight bytes.
    pub last_units: u32,
}

impl Predecessor {
    /// Where its last frame starts; `None` when the fields contradict each other.
    #[must_use]
    pub fn last_frame(&self) -> Option<u64> {
        let len = u64::from(self.last_units).checked_mul(8)?;
        self.end.checked_sub(len).filter(|offset| *offset >= FIRST_FRAME && len > 0)
    }
}

/// The first frame of a segment: base LSN, predecessor, what was durable when it was written, and the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The LSN that the deltas of this segment count from.
    pub base: Lsn,
    /// The segment before, unless this is the first of the log.
    pub predecessor: Option<Predecessor>,
    /// Everything of the log before this position had been synced when this frame was written.
    pub durable: Position,
    /// Entries before this one are no longer part of the log.
    pub first_retained: Lsn,
    /// The metadata at the end of the predecessor (and of what was carried over from it).
    pub metadata: Metadata,
}

impl Opening {
    /// Appends the body of the frame to `out`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Invalid`] when the metadata is longer than the format allows.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let metadata_len = self.metadata.encoded_len();
        let too_long = DecodeError::Invalid { what: "the metadata length", value: metadata_len as u64 };
        let metadata_len = u32::try_from(metadata_len)
            .ok()
            .filter(|len| *len as usize <= METADATA_LEN_MAX)
            .ok_or(too_long)?;
        let none = Predecessor { segment: SegmentId(0), salt: 0, end: 0, last_header_crc: 0, last_units: 0 };
        let predecessor = self.predecessor.unwrap_or(none);
        let flags = if self.predecessor.is_some() { HAS_PREDECESSOR } else { 0 };
        out.extend_from_slice(&self.base.get().to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&metadata_len.to_le_bytes());
        out.extend_from_slice(&predecessor.segment.0.to_le_bytes());
        out.extend_from_slice(&predecessor.salt.to_le_bytes());
        out.extend_from_slice(&predecessor.end.to_le_bytes());
        out.extend_from_slice(&predecessor.last_header_crc.to_le_bytes());
        out.extend_from_slice(&predecessor.last_units.to_le_bytes());
        out.extend_from_slice(&self.durable.segment.0.to_le_bytes());
        out.extend_from_slice(&self.durable.offset.to_le_bytes());
        out.extend_from_slice(&self.first_retained.get().to_le_bytes());
        self.metadata.encode(out)
    }

    /// Length of the body in bytes: known before the predecessor's end is.
    #[must_use]
    pub fn body_len(&self) -> usize {
        OPENING_FIXED_LEN.saturating_add(self.metadata.encoded_len())
    }

    /// Reads the body of an opening frame.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when it contradicts itself.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::Short { needed: OPENING_FIXED_LEN, have: body.len() };
        let mut fields = Fields::new(body);
        let base = fields.u64().ok_or(short)?;
        let flags = fields.u32().ok_or(short)?;
        let metadata_len = fields.u32().ok_or(short)?;
        let predecessor = predecessor(&mut fields).ok_or(short)?;
        let durable =
            Position { segment: SegmentId(fields.u64().ok_or(short)?), offset: fields.u64().ok_or(short)? };
        let first_retained = fields.u64().ok_or(short)?;
        if flags & !HAS_PREDECESSOR != 0 {
            return Err(DecodeError::UnsupportedFlags { flags });
        }
        let has_predecessor = flags & HAS_PREDECESSOR != 0;
        if has_predecessor && predecessor.last_frame().is_none() {
            return Err(DecodeError::Invalid { what: "the predecessor's end", value: predecessor.end });
        }
        let metadata_bytes = fields.rest();
        if metadata_len as usize != metadata_bytes.len() || metadata_bytes.len() > METADATA_LEN_MAX {
            return Err(DecodeError::Invalid { what: "the metadata length", value: u64::from(metadata_len) });
        }
        let lsn = |what, number| Lsn::new(number).ok_or(DecodeError::Invalid { what, value: number });
        Ok(Self {
            base: lsn("the base lsn", base)?,
            predecessor: has_predecessor.then_some(predecessor),
            durable,
            first_retained: lsn("the first retained lsn", first_retained)?,
            metadata: Metadata::decode(metadata_bytes)?,
        })
    }
}

fn predecessor(fields: &mut Fields<'_>) -> Option<Predecessor> {
    Some(Predecessor {
        segment: SegmentId(fields.u64()?),
        salt: fields.u64()?,
        end: fields.u64()?,
        last_header_crc: fields.u32()?,
        last_units: fields.u32()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MetadataRecord, Namespace};

    fn opening() -> Opening {
        let mut metadata = Metadata::default();
        metadata.apply(&MetadataRecord {
            namespace: Namespace::CHECKPOINT,
            name: b"nightly",
            value: Some(b"42"),
        });
        Opening {
            base: Lsn::new(1000).unwrap(),
            predecessor: Some(Predecessor {
                segment: SegmentId(4),
                salt: 99,
                end: 4096,
                last_header_crc: 0xabcd,
                last_units: 6,
            }),
            durable: Position { segment: SegmentId(4), offset: 4096 },
            first_retained: Lsn::new(17).unwrap(),
            metadata,
        }
    }

    #[test]
    fn openings_round_trip() {
        for opening in [opening(), Opening { predecessor: None, metadata: Metadata::default(), ..opening() }]
        {
            let mut body = Vec::new();
            opening.encode(&mut body).unwrap();
            assert_eq!(body.len(), opening.body_len());
            assert_eq!(Opening::decode(&body).unwrap(), opening);
            for len in 0..body.len() {
                assert!(Opening::decode(&body[..len]).is_err(), "cut at {len}");
            }
        }
        assert_eq!(opening().predecessor.unwrap().last_frame(), Some(4096 - 48));
    }

    #[test]
    fn contradictions_are_refused() {
        let mut body = Vec::new();
        opening().encode(&mut body).unwrap();
        for (at, value) in [(0, 0), (8, 0xff), (32, 0), (44, 0), (64, 0), (12, 1)] {
            let mut damaged = body.clone();
            damaged[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
            if at == 0 || at == 64 || at == 32 {
                damaged[at + 4..at + 8].fill(0);
            }
            assert!(Opening::decode(&damaged).is_err(), "field at {at}");
        }
    }
}
