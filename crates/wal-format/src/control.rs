//! The small bodies of the other control frames.
//!
//! ```text
//! seal    0 | successor: segment id u64 | next lsn u64 |
//! close   0 | next lsn u64 | [ first retained lsn u64 | metadata records ]
//! idle    (empty)
//! trim    0 | first retained lsn u64 |
//! ```

use alloc::vec::Vec;

use crate::{DecodeError, Lsn, Metadata, SegmentId, le::Fields};

/// The last frame of a segment that was rotated: names a successor whose file was durable before this was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The segment that follows.
    pub successor: SegmentId,
    /// The LSN after the last one of this segment.
    pub next: Lsn,
}

impl Seal {
    /// Length of the body in bytes.
    pub const LEN: usize = 16;

    /// The body of the frame.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut body = [0; Self::LEN];
        let words = [self.successor.0, self.next.get()];
        for (to, from) in body.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *to = from.to_le_bytes();
        }
        body
    }

    /// Reads the body.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when it is none.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = exactly(body, Self::LEN)?;
        let short = DecodeError::Short { needed: Self::LEN, have: body.len() };
        let successor = SegmentId(fields.u64().ok_or(short)?);
        Ok(Self { successor, next: lsn(&mut fields)? })
    }
}

/// Written by a clean close, after everything before it was synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The LSN the next append would have got.
    pub next: Lsn,
    /// What the control frames of the segment add up to, so that nobody need read them; left out when there was no
    /// room.
    pub state: Option<CloseState>,
}

/// The state of a log at a clean close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseState {
    /// Entries before this one are no longer part of the log.
    pub first_retained: Lsn,
    /// All metadata.
    pub metadata: Metadata,
}

impl Close {
    /// Appends the body of the frame to `out`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Invalid`] when the metadata is longer than the format allows.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        out.extend_from_slice(&self.next.get().to_le_bytes());
        let Some(state) = &self.state else { return Ok(()) };
        out.extend_from_slice(&state.first_retained.get().to_le_bytes());
        state.metadata.encode(out)
    }

    /// Reads the body.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when it is none.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(body);
        let next = lsn(&mut fields)?;
        if fields.rest().is_empty() {
            return Ok(Self { next, state: None });
        }
        let first_retained = lsn(&mut fields)?;
        let metadata = Metadata::decode(fields.rest())?;
        Ok(Self { next, state: Some(CloseState { first_retained, metadata }) })
    }
}

/// Moves the first retained LSN forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// Entries before this one are no longer part of the log.
    pub first_retained: Lsn,
}

impl Trim {
    /// Length of the body in bytes.
    pub const LEN: usize = 8;

    /// The body of the frame.
    #[must_use]
    pub const fn encode(&self) -> [u8; Self::LEN] {
        self.first_retained.get().to_le_bytes()
    }

    /// Reads the body.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when it is none.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self { first_retained: lsn(&mut exactly(body, Self::LEN)?)? })
    }
}

const fn exactly(body: &[u8], len: usize) -> Result<Fields<'_>, DecodeError> {
    if body.len() == len {
        Ok(Fields::new(body))
    } else {
        Err(DecodeError::Invalid { what: "the length of a control frame", value: body.len() as u64 })
    }
}

fn lsn(fields: &mut Fields<'_>) -> Result<Lsn, DecodeError> {
    let number = fields.u64().unwrap_or(0);
    Lsn::new(number).ok_or(DecodeError::Invalid { what: "an lsn", value: number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MetadataRecord, Namespace};

    #[test]
    fn control_bodies_round_trip() {
        let next = Lsn::new(77).unwrap();
        let seal = Seal { successor: SegmentId(9), next };
        assert_eq!(Seal::decode(&seal.encode()), Ok(seal));
        let mut metadata = Metadata::default();
        metadata.apply(&MetadataRecord { namespace: Namespace::USER, name: b"vote", value: Some(b"3") });
        for state in [None, Some(CloseState { first_retained: Lsn::FIRST, metadata })] {
            let close = Close { next, state };
            let mut body = Vec::new();
            close.encode(&mut body).unwrap();
            assert_eq!(Close::decode(&body), Ok(close));
            body.push(1);
            assert!(Close::decode(&body).is_err(), "a byte too many");
        }
        assert_eq!(Trim::decode(&Trim { first_retained: next }.encode()), Ok(Trim { first_retained: next }));
        assert!(Close::decode(&[0; 8]).is_err(), "no lsn is zero");
        assert!(Seal::decode(&[1; 15]).is_err() && Trim::decode(&[1; 9]).is_err());
    }
}
