//! The unit of atomicity, checksum and compression: a 40-byte header, a body, zero padding to a multiple of eight.
//!
//! ```text
//!       0       1       2       3       4       5       6       7
//!   0 | header crc u32                | body crc u32                  |
//!   8 | body length u32               | lsn u32, relative to the base |
//!  16 | entry count u32               | previous frame's length / 8   |
//!  24 | time u64, nanoseconds since 1970                              |
//!  32 | proof lag u32, / 8            | kind  | codec | cols  | ekind |
//! ```

use crate::{
    FrameFault, SegmentKey,
    checksum::{self, HeaderSum},
    layout::{BODY_LEN_MAX, FIRST_FRAME, FRAME_HEADER_LEN, IGNORABLE_KINDS, NO_PROOF, frame_len},
    le::Fields,
};

mod entries;

pub use entries::{EntriesFrame, EntriesParser, parse_entries};

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrameKind {
    /// One or more entries of the user.
    Entries,
    /// The first frame of a segment: base LSN, predecessor, metadata.
    Opening,
    /// The last frame of a segment that has a successor.
    Seal,
    /// Written by a clean close.
    Close,
    /// Written when the log goes idle, so that what precedes it is proven.
    Idle,
    /// Moves the first retained LSN.
    Trim,
    /// Changes metadata: checkpoints, cursors, user metadata, dictionaries.
    Metadata,
    /// A kind that this version does not know. From 128 on it may be skipped.
    Unknown(u8),
}

impl FrameKind {
    /// The byte in the header.
    #[inline]
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::Entries => 1,
            Self::Opening => 2,
            Self::Seal => 3,
            Self::Close => 4,
            Self::Idle => 5,
            Self::Trim => 6,
            Self::Metadata => 7,
            Self::Unknown(id) => id,
        }
    }

    /// Reads the byte; `None` for zero, which no frame has.
    #[inline]
    #[must_use]
    pub const fn from_id(id: u8) -> Option<Self> {
        Some(match id {
            0 => return None,
            1 => Self::Entries,
            2 => Self::Opening,
            3 => Self::Seal,
            4 => Self::Close,
            5 => Self::Idle,
            6 => Self::Trim,
            7 => Self::Metadata,
            id => Self::Unknown(id),
        })
    }

    /// Whether a reader that does not know this kind may pass over the frame.
    #[must_use]
    pub const fn is_ignorable(self) -> bool {
        self.id() >= IGNORABLE_KINDS
    }
}

/// The header of a frame. `docs/FORMAT.md` section 3 defines when it is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Checksum of the stored body.
    pub body_crc: u32,
    /// Length of the stored body in bytes, padding excluded.
    pub body_len: u32,
    /// LSN of the first entry, or for a control frame of the next one, less the base LSN of the segment.
    pub lsn_delta: u32,
    /// Entries in the body: at least one in an entries frame, zero in a control frame.
    pub count: u32,
    /// Length of the frame before this one in units of eight bytes; zero for the opening.
    pub prev_units: u32,
    /// When the frame was stamped, in nanoseconds since 1970. Never smaller than in an earlier frame of the log.
    pub time: u64,
    /// How far behind this frame the durable end of this segment lay when it was stamped, in units of eight bytes:
    /// everything before `offset - 8 * lag` had been synced. `None` claims nothing.
    pub proof_lag: Option<u32>,
    /// What the frame is for.
    pub kind: FrameKind,
    /// How the body is compressed; zero for not at all.
    pub codec: u8,
    /// Which optional columns an entries body has.
    pub columns: u8,
    /// The user's kind of every entry, unless the body has a column of kinds.
    pub entry_kind: u8,
}

impl FrameHeader {
    /// The header's bytes, bound to a place.
    #[inline]
    #[must_use]
    pub fn encode(&self, key: SegmentKey, offset: u64) -> [u8; FRAME_HEADER_LEN] {
        let mut bytes = [0; FRAME_HEADER_LEN];
        let words = self.encode_words(key, offset).map(u64::to_le_bytes);
        for (to, from) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *to = from;
        }
        bytes
    }

    /// The same as little-endian words, of which the low half of the first one is the header's checksum.
    #[inline]
    #[must_use]
    pub fn encode_words(&self, key: SegmentKey, offset: u64) -> [u64; FRAME_HEADER_LEN / 8] {
        self.encode_after(&mut HeaderSum::new(key.checksum), key, offset)
    }

    /// The same for the next header of many of one segment. `sum` is of headers with the checksum of `key`, or the
    /// result verifies nowhere.
    #[inline]
    #[must_use]
    pub fn encode_after(
        &self,
        sum: &mut HeaderSum,
        key: SegmentKey,
        offset: u64,
    ) -> [u64; FRAME_HEADER_LEN / 8] {
        debug_assert_eq!(sum.kind(), key.checksum, "a sum of other headers");
        let word = |low: u32, high: u32| u64::from(low) | (u64::from(high) << 32);
        let tail = u32::from_le_bytes([self.kind.id(), self.codec, self.columns, self.entry_kind]);
        let mut words = [
            word(0, self.body_crc),
            word(self.body_len, self.lsn_delta),
            word(self.count, self.prev_units),
            self.time,
            word(self.proof_lag.unwrap_or(NO_PROOF), tail),
        ];
        words[0] |= u64::from(sum.of(words) ^ checksum::place(key.salt, offset));
        words
    }

    /// Reads and verifies a header that stands at `offset`.
    ///
    /// # Errors
    ///
    /// [`FrameFault::Empty`] for zeros, [`FrameFault::HeaderChecksum`] for anything that was not written here, and
    /// [`FrameFault::Implausible`] for a header that verifies and cannot be.
    #[inline]
    pub fn decode(bytes: &[u8; FRAME_HEADER_LEN], key: SegmentKey, offset: u64) -> Result<Self, FrameFault> {
        let (crc, rest) = bytes.split_first_chunk::<4>().ok_or(FrameFault::End)?;
        if u32::from_le_bytes(*crc) != key.checksum.of(rest) ^ checksum::place(key.salt, offset) {
            let empty = bytes.iter().all(|byte| *byte == 0);
            return Err(if empty { FrameFault::Empty } else { FrameFault::HeaderChecksum });
        }
        let header = Self::fields(bytes).ok_or(FrameFault::Implausible { what: "kind" })?;
        header.plausible(offset)?;
        Ok(header)
    }

    /// Takes the fields out of whole words: reading each from memory would wait for the others to be written.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "each part of a word is taken on purpose")]
    fn fields(bytes: &[u8; FRAME_HEADER_LEN]) -> Option<Self> {
        let mut words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let (crcs, lens, counts) = (words.next()?, words.next()?, words.next()?);
        let (time, tail) = (words.next()?, words.next()?);
        let lag = tail as u32;
        Some(Self {
            body_crc: (crcs >> 32) as u32,
            body_len: lens as u32,
            lsn_delta: (lens >> 32) as u32,
            count: counts as u32,
            prev_units: (counts >> 32) as u32,
            time,
            proof_lag: if lag == NO_PROOF { None } else { Some(lag) },
            kind: FrameKind::from_id((tail >> 32) as u8)?,
            codec: (tail >> 40) as u8,
            columns: (tail >> 48) as u8,
            entry_kind: (tail >> 56) as u8,
        })
    }

    #[inline]
    fn plausible(&self, offset: u64) -> Result<(), FrameFault> {
        let implausible = |what| Err(FrameFault::Implausible { what });
        if self.body_len > BODY_LEN_MAX {
            return implausible("body length");
        }
        if (self.kind == FrameKind::Entries) != (self.count > 0) {
            return implausible("entry count");
        }
        if self.proof_lag.is_some() && self.proves(offset).is_none() {
            return implausible("proof lag");
        }
        let is_first = offset == FIRST_FRAME;
        if is_first != (self.kind == FrameKind::Opening) || is_first != (self.prev_units == 0) {
            return implausible("place of an opening");
        }
        if is_first && self.lsn_delta != 0 {
            return implausible("lsn of an opening");
        }
        Ok(())
    }

    /// Where the durable end of this segment lay when this frame, at `offset`, was stamped: everything before it had
    /// been synced. `None` when the frame claims nothing (or something impossible).
    #[inline]
    #[must_use]
    pub fn proves(&self, offset: u64) -> Option<u64> {
        Self::claim(self.proof_lag?, offset)
    }

    #[inline]
    fn claim(lag: u32, offset: u64) -> Option<u64> {
        let lag = u64::from(lag).checked_mul(8)?;
        offset.checked_sub(lag).filter(|end| *end > FIRST_FRAME)
    }

    /// Whether the entries of this frame were committed together with metadata records. Such a body is not compressed.
    #[must_use]
    pub const fn has_metadata(&self) -> bool {
        self.columns & crate::entries::column::METADATA != 0
    }

    /// Length of the whole frame in bytes.
    #[inline]
    #[must_use]
    pub const fn frame_len(&self) -> u64 {
        frame_len(self.body_len)
    }

    /// Length of the whole frame in units of eight bytes: what the next frame repeats.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a frame is at most 1 GiB and 48 bytes long")]
    pub const fn units(&self) -> u32 {
        (self.frame_len() / 8) as u32
    }
}

/// Where a frame leads, read without verifying anything: for hopping from frame to frame towards one that will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHint {
    /// LSN of its first entry, relative to the base.
    pub lsn_delta: u32,
    /// How many entries it has.
    pub count: u32,
    /// Length of the whole frame in bytes.
    pub frame_len: u64,
    /// Length of the frame before it in bytes.
    pub prev_len: u64,
}

/// Reads the lengths of the frame at the start of `window`. Believe nothing of it before
/// [`parse_frame`] says that the frame it led to is valid. `None` when the window is too short.
#[inline]
#[must_use]
pub fn hint_frame(window: &[u8]) -> Option<FrameHint> {
    let mut fields = Fields::new(window.get(8..FRAME_HEADER_LEN)?);
    let body_len = fields.u32()?;
    Some(FrameHint {
        frame_len: frame_len(body_len),
        lsn_delta: fields.u32()?,
        count: fields.u32()?,
        prev_len: u64::from(fields.u32()?).saturating_mul(8),
    })
}

/// What stands at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A valid frame.
    Frame(FrameHeader, &'a [u8]),
    /// The window ends too early: so many bytes are needed from the offset on.
    More(u64),
    /// No valid frame.
    Fault(FrameFault),
}

/// Reads the frame at the start of `window`, which stands at `offset` of its segment: header, body and padding are
/// verified, nothing is copied, and a length is believed only after the header that holds it has been.
#[inline]
#[must_use]
pub fn parse_frame(window: &[u8], key: SegmentKey, offset: u64) -> Parsed<'_> {
    let Some((header, rest)) = window.split_first_chunk::<FRAME_HEADER_LEN>() else {
        return Parsed::More(FRAME_HEADER_LEN as u64);
    };
    let header = match FrameHeader::decode(header, key, offset) {
        Ok(header) => header,
        Err(fault) => return Parsed::Fault(fault),
    };
    let padded = header.frame_len().saturating_sub(FRAME_HEADER_LEN as u64);
    let body = usize::try_from(padded).ok().and_then(|padded| rest.get(..padded));
    let Some((body, padding)) = body.and_then(|body| body.split_at_checked(header.body_len as usize)) else {
        return Parsed::More(header.frame_len());
    };
    if key.checksum.of(body) != header.body_crc {
        return Parsed::Fault(FrameFault::BodyChecksum);
    }
    if padding.iter().any(|byte| *byte != 0) {
        return Parsed::Fault(FrameFault::Padding);
    }
    Parsed::Frame(header, body)
}

#[cfg(test)]
mod tests;
