//! What is kept here of a segment that is in the tier: enough to open the log without a request.

use bytes::{BufMut, Bytes, BytesMut};
use wal_format::{
    ChecksumKind, FIRST_FRAME, METADATA_LEN_MAX, Parsed, SEGMENT_HEADER_LEN, SegmentHeader, parse_frame,
};

//  0                8                16       20       24
//  | "WALSTUB1"     | len            | head   | tail   | head bytes, tail bytes, crc |
//
// Little-endian; `len` is that of the segment in bytes, `head` and `tail` are the lengths of what follows, `crc` is the
// CRC-32 of everything before it.
const MAGIC: &[u8; 8] = b"WALSTUB1";
const FIXED_LEN: usize = 24;
const CRC_LEN: usize = 4;

/// Opening a log reads so much at each end of a segment, and more only for an opening that is longer.
const END_LEN: usize = 4096;
/// More than any stub is long.
pub(super) const STUB_LEN_MAX: u64 = METADATA_LEN_MAX as u64 + (64 << 10);

/// The beginning and the end of a segment that is in the tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stub {
    /// Length of the segment in bytes.
    pub len: u64,
    /// Its first bytes: the header and the whole opening frame.
    pub head: Bytes,
    /// Its last bytes.
    pub tail: Bytes,
}

impl Stub {
    /// The stub of a segment with this content.
    #[must_use]
    pub fn of(content: &Bytes) -> Self {
        let head_len = opening_end(content).unwrap_or(0).max(END_LEN).min(content.len());
        let tail_start = content.len().saturating_sub(END_LEN);
        Self { len: content.len() as u64, head: content.slice(..head_len), tail: content.slice(tail_start..) }
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(FIXED_LEN + self.head.len() + self.tail.len() + CRC_LEN);
        bytes.put_slice(MAGIC);
        bytes.put_u64_le(self.len);
        bytes.put_u32_le(self.head.len() as u32);
        bytes.put_u32_le(self.tail.len() as u32);
        bytes.put_slice(&self.head);
        bytes.put_slice(&self.tail);
        let crc = ChecksumKind::Crc32.of(&bytes);
        bytes.put_u32_le(crc);
        bytes.freeze()
    }

    /// `None` when these are not the bytes of a stub.
    pub(super) fn decode(bytes: &Bytes) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<CRC_LEN>()?;
        let word = |at: usize| Some(u32::from_le_bytes(*body.get(at..)?.first_chunk()?));
        let len = u64::from_le_bytes(*body.get(8..)?.first_chunk()?);
        let (head, tail) = (word(16)? as usize, word(20)? as usize);
        let fits = FIXED_LEN.checked_add(head)?.checked_add(tail)? == body.len();
        let within = head as u64 <= len && tail as u64 <= len;
        let sound = body.starts_with(MAGIC) && ChecksumKind::Crc32.of(body) == u32::from_le_bytes(*crc);
        (fits && within && sound).then(|| Self {
            len,
            head: bytes.slice(FIXED_LEN..FIXED_LEN + head),
            tail: bytes.slice(FIXED_LEN + head..FIXED_LEN + head + tail),
        })
    }

    /// The bytes from `start` to `end`, if they are here.
    pub(super) fn slice(&self, start: u64, end: u64) -> Option<Bytes> {
        if end <= self.head.len() as u64 {
            return Some(self.head.slice(start as usize..end as usize));
        }
        let tail_start = self.len - self.tail.len() as u64;
        let at = start.checked_sub(tail_start).filter(|_| end <= self.len)?;
        Some(self.tail.slice(at as usize..(end - tail_start) as usize))
    }

    /// The header of the segment; `None` when it is none that can be read.
    #[must_use]
    pub fn header(&self) -> Option<SegmentHeader> {
        SegmentHeader::decode(&self.head).ok()
    }
}

/// Where the opening frame ends.
fn opening_end(content: &[u8]) -> Option<usize> {
    let header = SegmentHeader::decode(content).ok()?;
    let Parsed::Frame(frame, _) = parse_frame(content.get(SEGMENT_HEADER_LEN..)?, header.key(), FIRST_FRAME)
    else {
        return None;
    };
    usize::try_from(FIRST_FRAME + frame.frame_len()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_nothing_else_does() {
        for len in [0, 1, 4096, 5000, 100_000] {
            let content: Bytes = (0..len).map(|n: usize| n as u8).collect();
            let stub = Stub::of(&content);
            let bytes = stub.encode();
            assert_eq!(Stub::decode(&bytes).as_ref(), Some(&stub));
            for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
                assert_eq!(Stub::decode(&bytes.slice(..cut)), None);
            }
            for at in (0..bytes.len()).step_by(97) {
                let mut flipped = bytes.to_vec();
                flipped[at] ^= 1;
                assert_eq!(Stub::decode(&flipped.into()), None);
            }
            for (start, end) in
                [(0, 1), (4000, 4096), (4090, 4100), ((len as u64).saturating_sub(1), len as u64)]
            {
                if len > 0 && end <= len as u64 {
                    let want = content.slice(start as usize..end as usize);
                    assert!(stub.slice(start, end).is_none_or(|found| found == want));
                }
            }
        }
        let long: Bytes = vec![1; 100_000].into();
        let stub = Stub::of(&long);
        assert!(stub.slice(0, 4096).is_some() && stub.slice(95_904, 100_000).is_some());
        assert!(stub.slice(0, 4097).is_none() && stub.slice(95_903, 100_000).is_none());
        assert!(stub.slice(99_999, 100_001).is_none());
    }
}
