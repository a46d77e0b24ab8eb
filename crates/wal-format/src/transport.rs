//! A frame on its way from one log to another: the stored body with what its header says, without the place it had.
//!
//! ```text
//!       0       1       2       3       4       5       6       7
//!   0 | magic 'W' 'A' 'L' 'F'         | version u16   | chk   | codec |
//!   8 | first lsn u64                                                 |
//!  16 | time u64                                                      |
//!  24 | entry count u32               | body length u32               |
//!  32 | body crc u32                  | cols  | ekind | reserved      |
//!  40 | reserved                      | crc u32: CRC-32 of 0..44      |
//!  48 | body                                                          |
//! ```

use alloc::vec::Vec;

use crate::{
    ChecksumKind, DecodeError, Lsn,
    entries::column,
    layout::{BODY_LEN_MAX, TRANSPORT_HEADER_LEN, TRANSPORT_MAGIC, TRANSPORT_VERSION},
    le::Fields,
};

/// An entries frame in transport, borrowed. `docs/FORMAT.md` section 10 defines when one is valid.
///
/// ```
/// use wal_format::{ChecksumKind, Lsn, TransportFrame};
/// let frame = TransportFrame {
///     first: Lsn::FIRST,
///     time: 1_700_000_000_000_000_000,
///     count: 1,
///     columns: 0,
///     entry_kind: 7,
///     codec: 0,
///     checksum: ChecksumKind::Crc32,
///     body_crc: ChecksumKind::Crc32.of(b"payload"),
///     body: b"payload",
/// };
/// let mut bytes = Vec::new();
/// frame.encode(&mut bytes);
/// bytes.extend_from_slice(b"the next one");
///
/// let (parsed, len) = TransportFrame::parse(&bytes)?;
/// assert_eq!((parsed, &bytes[len..]), (frame, b"the next one".as_slice()));
/// # Ok::<(), wal_format::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportFrame<'a> {
    /// LSN of its first entry in the log that it comes from.
    pub first: Lsn,
    /// When it was appended there, in nanoseconds since 1970.
    pub time: u64,
    /// Entries in the body: at least one.
    pub count: u32,
    /// Which optional columns the body has.
    pub columns: u8,
    /// The user's kind of every entry, unless the body has a column of kinds.
    pub entry_kind: u8,
    /// How the body is compressed; zero for not at all.
    pub codec: u8,
    /// What its checksum is computed with.
    pub checksum: ChecksumKind,
    /// Checksum of the body.
    pub body_crc: u32,
    /// The body as it is stored.
    pub body: &'a [u8],
}

impl<'a> TransportFrame<'a> {
    /// Appends the bytes to `out`. The body must not be longer than [`BODY_LEN_MAX`](crate::BODY_LEN_MAX).
    pub fn encode(&self, out: &mut Vec<u8>) {
        let body_len = u32::try_from(self.body.len()).unwrap_or(u32::MAX);
        let mut header = Vec::with_capacity(TRANSPORT_HEADER_LEN);
        header.extend_from_slice(&TRANSPORT_MAGIC);
        header.extend_from_slice(&TRANSPORT_VERSION.to_le_bytes());
        header.extend_from_slice(&[self.checksum.id(), self.codec]);
        header.extend_from_slice(&self.first.get().to_le_bytes());
        header.extend_from_slice(&self.time.to_le_bytes());
        header.extend_from_slice(&self.count.to_le_bytes());
        header.extend_from_slice(&body_len.to_le_bytes());
        header.extend_from_slice(&self.body_crc.to_le_bytes());
        header.extend_from_slice(&[self.columns, self.entry_kind, 0, 0, 0, 0, 0, 0]);
        let crc = ChecksumKind::Crc32.of(&header);
        out.reserve(TRANSPORT_HEADER_LEN.saturating_add(self.body.len()));
        out.extend_from_slice(&header);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(self.body);
    }

    /// Reads and verifies the frame at the start of `bytes`, and says how long it is. Nothing is copied, and a length
    /// is believed only after the header that holds it was verified.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Short`] when there are not enough bytes, and then how many are needed; [`DecodeError::Magic`],
    /// [`DecodeError::HeaderChecksum`], [`DecodeError::BodyChecksum`] and [`DecodeError::Invalid`] for bytes that are
    /// none; [`DecodeError::UnsupportedVersion`], [`DecodeError::UnsupportedColumns`] and
    /// [`DecodeError::UnsupportedChecksum`] for those of another build.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), DecodeError> {
        let short = |needed| DecodeError::Short { needed, have: bytes.len() };
        let begins = bytes.iter().zip(TRANSPORT_MAGIC).all(|(byte, magic)| *byte == magic);
        if !begins {
            return Err(DecodeError::Magic);
        }
        let (header, rest) =
            bytes.split_at_checked(TRANSPORT_HEADER_LEN).ok_or_else(|| short(TRANSPORT_HEADER_LEN))?;
        let (frame, body_len) = Self::header(header)?;
        let len = TRANSPORT_HEADER_LEN.saturating_add(body_len);
        let body = rest.get(..body_len).ok_or_else(|| short(len))?;
        let frame = Self { body, ..frame };
        frame.verify()?;
        Ok((frame, len))
    }

    /// Checks everything that can be checked without a codec.
    ///
    /// # Errors
    ///
    /// [`DecodeError::BodyChecksum`], [`DecodeError::Invalid`] and [`DecodeError::UnsupportedColumns`].
    pub fn verify(&self) -> Result<(), DecodeError> {
        let invalid = |what, value| Err(DecodeError::Invalid { what, value });
        if self.count == 0 {
            return invalid("the entry count", 0);
        }
        if self.body.len() > BODY_LEN_MAX as usize {
            return invalid("the body length", self.body.len() as u64);
        }
        if self.columns & !column::KNOWN != 0 {
            return Err(DecodeError::UnsupportedColumns { columns: self.columns & !column::KNOWN });
        }
        if self.columns & column::METADATA != 0 && self.codec != 0 {
            return invalid("the codec of a body with metadata", u64::from(self.codec));
        }
        if self.first.get().checked_add(u64::from(self.count)).is_none() {
            return invalid("the first LSN", self.first.get());
        }
        let computed = self.checksum.of(self.body);
        if computed == self.body_crc {
            Ok(())
        } else {
            Err(DecodeError::BodyChecksum { stored: self.body_crc, computed })
        }
    }

    fn header(bytes: &[u8]) -> Result<(Self, usize), DecodeError> {
        let short = DecodeError::Short { needed: TRANSPORT_HEADER_LEN, have: bytes.len() };
        let (covered, crc) = bytes.split_last_chunk::<4>().ok_or(short)?;
        let (stored, computed) = (u32::from_le_bytes(*crc), ChecksumKind::Crc32.of(covered));
        if stored != computed {
            return Err(DecodeError::HeaderChecksum { stored, computed });
        }
        let mut fields = Fields::new(covered);
        let read = |fields: &mut Fields<'_>| {
            fields.u32()?;
            Some((fields.u16()?, fields.u8()?, fields.u8()?))
        };
        let (version, checksum, codec) = read(&mut fields).ok_or(short)?;
        if version != TRANSPORT_VERSION {
            return Err(DecodeError::UnsupportedVersion { version });
        }
        let checksum = ChecksumKind::from_id(checksum)?;
        let first = fields.u64().ok_or(short)?;
        let first = Lsn::new(first).ok_or(DecodeError::Invalid { what: "the first LSN", value: first })?;
        let time = fields.u64().ok_or(short)?;
        let (count, body_len) = fields.u32().zip(fields.u32()).ok_or(short)?;
        if body_len > BODY_LEN_MAX {
            return Err(DecodeError::Invalid { what: "the body length", value: u64::from(body_len) });
        }
        let body_crc = fields.u32().ok_or(short)?;
        let (columns, entry_kind) = fields.u8().zip(fields.u8()).ok_or(short)?;
        let frame = Self { first, time, count, columns, entry_kind, codec, checksum, body_crc, body: &[] };
        Ok((frame, body_len as usize))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(body: &[u8]) -> Vec<u8> {
        let checksum = ChecksumKind::Crc32;
        let (first, body_crc) = (Lsn::FIRST.plus(41), checksum.of(body));
        let frame = TransportFrame {
            first,
            time: 9,
            count: 1,
            columns: 0,
            entry_kind: 3,
            codec: 0,
            checksum,
            body_crc,
            body,
        };
        let mut out = Vec::new();
        frame.encode(&mut out);
        assert_eq!(TransportFrame::parse(&out), Ok((frame, out.len())));
        out
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let bytes = bytes(b"abc");
        let mut want = b"WALF\x01\0\x01\0".to_vec();
        for word in [42_u64, 9, 1 | (3 << 32), u64::from(ChecksumKind::Crc32.of(b"abc")) | (0x300 << 32)] {
            want.extend_from_slice(&word.to_le_bytes());
        }
        want.extend_from_slice(&[0; 4]);
        want.extend_from_slice(&ChecksumKind::Crc32.of(&want).to_le_bytes());
        want.extend_from_slice(b"abc");
        assert_eq!(bytes, want);
    }

    #[test]
    fn every_bit_and_every_cut_is_noticed() {
        let whole = bytes(b"some bytes");
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(TransportFrame::parse(&bytes).is_err(), "bit {bit}");
        }
        for len in 0..whole.len() {
            let parsed = TransportFrame::parse(&whole[..len]);
            assert!(matches!(parsed, Err(DecodeError::Short { needed, .. }) if needed > len), "{len} bytes");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_or_whole(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..160),
            sealed in any::<bool>(),
        ) {
            // With a checksum that holds, what the fields say is what is looked at.
            if sealed && bytes.len() >= TRANSPORT_HEADER_LEN {
                bytes[..4].copy_from_slice(&TRANSPORT_MAGIC);
                bytes[4..7].copy_from_slice(&[1, 0, 1]);
                let crc = ChecksumKind::Crc32.of(&bytes[..TRANSPORT_HEADER_LEN - 4]);
                bytes[TRANSPORT_HEADER_LEN - 4..TRANSPORT_HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
            }
            if let Ok((frame, len)) = TransportFrame::parse(&bytes) {
                prop_assert!(len <= bytes.len() && frame.body.len() < len);
                prop_assert!(frame.verify().is_ok());
            }
        }
    }
}
