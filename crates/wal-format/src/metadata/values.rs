//! The values that the log itself keeps among its metadata: checkpoints and cursors.
//!
//! ```text
//! checkpoint    0 | lsn u64 | number u64 | time u64 | flags u32 (1: protected) |
//! cursor        0 | next lsn u64 | time u64 |
//! ```
//!
//! A later version may append fields; a reader takes those that it knows.

use alloc::vec::Vec;

use crate::{DecodeError, Lsn, le::Fields};

const PROTECTED: u32 = 1;

/// What the name of a checkpoint stands for.
///
/// ```
/// use wal_format::{Checkpoint, Lsn};
/// let checkpoint = Checkpoint { lsn: Lsn::FIRST, number: 7, time: 0, protected: true };
/// assert_eq!(Checkpoint::decode(&checkpoint.encode())?, checkpoint);
/// # Ok::<(), wal_format::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The LSN that came next when it was made: it stands between the entry before and this one.
    pub lsn: Lsn,
    /// Its number, greater than those of all checkpoints that were there when it was made.
    pub number: u64,
    /// When it was made, in nanoseconds since 1970.
    pub time: u64,
    /// Retention keeps the entries from here on.
    pub protected: bool,
}

impl Checkpoint {
    /// The value of the metadata record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let flags = if self.protected { PROTECTED } else { 0 };
        let mut value = Vec::with_capacity(28);
        value.extend_from_slice(&self.lsn.get().to_le_bytes());
        value.extend_from_slice(&self.number.to_le_bytes());
        value.extend_from_slice(&self.time.to_le_bytes());
        value.extend_from_slice(&flags.to_le_bytes());
        value
    }

    /// Reads the value of a metadata record. Flags that are not known are ignored.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when it is too short, or the LSN is zero.
    pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::Short { needed: 28, have: value.len() };
        let mut fields = Fields::new(value);
        let lsn = fields.u64().ok_or(short)?;
        let number = fields.u64().ok_or(short)?;
        let time = fields.u64().ok_or(short)?;
        let flags = fields.u32().ok_or(short)?;
        let lsn =
            Lsn::new(lsn).ok_or(DecodeError::Invalid { what: "the lsn of a checkpoint", value: lsn })?;
        Ok(Self { lsn, number, time, protected: flags & PROTECTED != 0 })
    }
}

/// What the name of a cursor stands for.
///
/// ```
/// use wal_format::{CursorPosition, Lsn};
/// let position = CursorPosition { next: Lsn::FIRST, time: 0 };
/// assert_eq!(CursorPosition::decode(&position.encode())?, position);
/// # Ok::<(), wal_format::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorPosition {
    /// The first entry that its consumer has not acknowledged.
    pub next: Lsn,
    /// When it was moved, in nanoseconds since 1970.
    pub time: u64,
}

impl CursorPosition {
    /// The value of the metadata record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(16);
        value.extend_from_slice(&self.next.get().to_le_bytes());
        value.extend_from_slice(&self.time.to_le_bytes());
        value
    }

    /// Reads the value of a metadata record.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when it is too short, or the LSN is zero.
    pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::Short { needed: 16, have: value.len() };
        let mut fields = Fields::new(value);
        let next = fields.u64().ok_or(short)?;
        let time = fields.u64().ok_or(short)?;
        let next = Lsn::new(next).ok_or(DecodeError::Invalid { what: "the lsn of a cursor", value: next })?;
        Ok(Self { next, time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_too_short_or_name_no_entry_are_errors() {
        let checkpoint = Checkpoint { lsn: Lsn::FIRST, number: 1, time: 2, protected: false };
        let cursor = CursorPosition { next: Lsn::FIRST, time: 2 };
        for len in 0..28 {
            assert!(Checkpoint::decode(&checkpoint.encode()[..len]).is_err(), "{len} bytes");
        }
        for len in 0..16 {
            assert!(CursorPosition::decode(&cursor.encode()[..len]).is_err(), "{len} bytes");
        }
        assert!(Checkpoint::decode(&[0; 28]).is_err() && CursorPosition::decode(&[0; 16]).is_err());
    }

    #[test]
    fn a_later_version_may_add_fields() {
        let cursor = CursorPosition { next: Lsn::FIRST, time: 2 };
        let mut longer = cursor.encode();
        longer.extend_from_slice(b"more");
        assert_eq!(CursorPosition::decode(&longer), Ok(cursor));
    }
}
