//! The end of the segment that takes appends.

use std::sync::Arc;

use wal_format::{FIRST_FRAME, FRAME_HEADER_LEN, FrameHeader, FrameKind, HeaderSum, Lsn, Predecessor};
use wal_segment::Segment;

use super::Draft;
use crate::{
    chunk::{CHUNK_LEN, Chunk},
    prepare::pace,
};

/// Where the next frame goes.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) segment: Arc<Segment>,
    pub(crate) offset: u64,
    pub(crate) capacity: u64,
    pub(crate) prev_units: u32,
    pub(crate) last_crc: u32,
    pub(crate) last_kind: FrameKind,
    pub(crate) sum: HeaderSum,
    /// Where the segment's index has its last point.
    pub(crate) indexed: Option<u64>,
    /// Once the data reaches this, the log's own thread has something to do here or about the successor.
    pub(crate) prepare_at: u64,
    /// The same about the successor alone.
    pub(crate) succeed_at: u64,
    /// Frames of this segment must be written.
    pub(crate) refuses_stores: bool,
    /// Some were stored.
    pub(crate) has_stored: bool,
}

impl Tail {
    /// The end of the segment as its successor names it.
    pub(crate) fn predecessor(&self) -> Predecessor {
        Predecessor {
            segment: self.segment.id(),
            salt: self.segment.header().salt,
            end: self.offset,
            last_header_crc: self.last_crc,
            last_units: self.prev_units,
        }
    }
}

impl Tail {
    /// The start of a new segment.
    pub(crate) fn at_start(segment: Arc<Segment>, capacity: u64) -> Self {
        let sum = HeaderSum::new(segment.key().checksum);
        Self {
            segment,
            offset: FIRST_FRAME,
            capacity,
            prev_units: 0,
            last_crc: 0,
            last_kind: FrameKind::Opening,
            sum,
            indexed: None,
            prepare_at: pace::begins_at(capacity),
            succeed_at: pace::begins_at(capacity),
            refuses_stores: false,
            has_stored: false,
        }
    }

    /// Whether the next frame is added to this chunk. Memory that was a pack's is not made longer: that would copy it.
    #[inline]
    pub(crate) fn goes_on_in(&self, chunk: &Chunk) -> bool {
        let has_room = chunk.bytes.len() < CHUNK_LEN && chunk.bytes.capacity() >= CHUNK_LEN;
        has_room && Arc::ptr_eq(&chunk.segment, &self.segment)
    }

    /// Each header's checksum follows from the one before: should memory ever lie, then for one chunk and not for good.
    pub(crate) fn begin_chunk(&mut self) {
        self.sum = HeaderSum::new(self.segment.key().checksum);
    }

    /// The header of the next frame, and its bytes as little-endian words.
    #[inline]
    pub(crate) fn header(
        &mut self,
        draft: &Draft<'_>,
        lsn: Lsn,
        time: u64,
    ) -> (FrameHeader, [u64; FRAME_HEADER_LEN / 8]) {
        let durable = self.segment.durable();
        let lsn_delta =
            lsn.since(self.segment.base()).and_then(|delta| u32::try_from(delta).ok()).unwrap_or(u32::MAX);
        let header = FrameHeader {
            body_crc: draft.body_crc,
            body_len: draft.body.len() as u32,
            lsn_delta,
            count: draft.shape.count,
            prev_units: self.prev_units,
            time,
            proof_lag: proof_lag(self.offset, durable),
            kind: draft.kind,
            codec: draft.codec,
            columns: draft.shape.columns,
            entry_kind: draft.shape.entry_kind,
        };
        (header, header.encode_after(&mut self.sum, self.segment.key(), self.offset))
    }

    /// Goes on behind the frame with this header. Returns its length.
    #[inline]
    pub(crate) fn advance(&mut self, header: &FrameHeader, words: [u64; FRAME_HEADER_LEN / 8]) -> u64 {
        let len = header.frame_len();
        self.offset += len;
        self.prev_units = header.units();
        self.last_crc = words[0] as u32;
        self.last_kind = header.kind;
        len
    }
}

/// Length of a frame with this body in bytes.
pub(crate) const fn padded(body_len: usize) -> u64 {
    (FRAME_HEADER_LEN + body_len.next_multiple_of(8)) as u64
}

/// What a frame at `offset` may claim when everything of its segment before `durable` has been synced.
pub(crate) fn proof_lag(offset: u64, durable: u64) -> Option<u32> {
    if durable <= FIRST_FRAME {
        return None;
    }
    u32::try_from(offset.checked_sub(durable)? / 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_claims_only_what_was_synced_of_its_own_segment() {
        assert_eq!(proof_lag(4096, FIRST_FRAME), None, "nothing but the header is durable");
        assert_eq!(proof_lag(4096, 4096), Some(0));
        assert_eq!(proof_lag(4096, 4000), Some(12));
    }
}
