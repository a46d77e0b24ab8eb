//! File names: `{prefix}{segment id, 20 digits}.wal`, its `.idx` sidecar, and `.wal.tmp` while it is prepared.

use alloc::{format, string::String};

use crate::SegmentId;

const SEGMENT: &str = ".wal";
const INDEX: &str = ".idx";
const PREPARING: &str = ".wal.tmp";
const DIGITS: usize = 20;

/// What a file name says about a file. Names that fit none of these belong to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileName {
    /// A segment with a durable header.
    Segment(SegmentId),
    /// The index sidecar of a segment: a hint.
    Index(SegmentId),
    /// A segment whose preparation was cut short; never part of the log.
    Preparing(SegmentId),
}

impl FileName {
    /// The name with `prefix` in front.
    ///
    /// ```
    /// use wal_format::{FileName, SegmentId};
    /// assert_eq!(FileName::Segment(SegmentId(7)).with_prefix(""), "00000000000000000007.wal");
    /// ```
    #[must_use]
    pub fn with_prefix(self, prefix: &str) -> String {
        let (id, suffix) = match self {
            Self::Segment(id) => (id, SEGMENT),
            Self::Index(id) => (id, INDEX),
            Self::Preparing(id) => (id, PREPARING),
        };
        format!("{prefix}{:020}{suffix}", id.0)
    }

    /// Reads a name back. Anything but exactly what [`with_prefix`](Self::with_prefix) writes is `None`: a name with
    /// fewer digits, a sign or a space is a foreign file.
    ///
    /// ```
    /// use wal_format::{FileName, SegmentId};
    /// let name = FileName::parse("a-00000000000000000042.idx", "a-");
    /// assert_eq!(name, Some(FileName::Index(SegmentId(42))));
    /// assert_eq!(FileName::parse("42.wal", ""), None);
    /// ```
    #[must_use]
    pub fn parse(name: &str, prefix: &str) -> Option<Self> {
        let (digits, suffix) = name.strip_prefix(prefix)?.split_at_checked(DIGITS)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let id = SegmentId(digits.parse().ok()?);
        match suffix {
            SEGMENT => Some(Self::Segment(id)),
            INDEX => Some(Self::Index(id)),
            PREPARING => Some(Self::Preparing(id)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_strangers_are_strangers() {
        for id in [0, 1, u64::MAX] {
            for name in [
                FileName::Segment(SegmentId(id)),
                FileName::Index(SegmentId(id)),
                FileName::Preparing(SegmentId(id)),
            ] {
                for prefix in ["", "orders-", "ü"] {
                    assert_eq!(FileName::parse(&name.with_prefix(prefix), prefix), Some(name));
                }
            }
        }
        for stranger in [
            "",
            ".wal",
            "LOCK",
            "+0000000000000000001.wal",
            "00000000000000000001.wal~",
            "99999999999999999999.wal",
        ] {
            assert_eq!(FileName::parse(stranger, ""), None, "{stranger}");
        }
        assert_eq!(FileName::parse("x00000000000000000001.wal", "y"), None);
    }
}
