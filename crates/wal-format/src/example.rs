//! A small segment for the documentation, made with nothing but the public parts of this crate.

use alloc::vec::Vec;

use crate::{
    ChecksumKind, FIRST_FRAME, FrameHeader, FrameKind, LogId, Lsn, Metadata, Opening, Position,
    SegmentHeader, SegmentId,
};

/// A segment with an opening and the three entries `one`, `two` and `three`, followed by zeros.
///
/// Also shows how frames are put together: body, checksum, header bound to its offset, padding.
#[must_use]
pub fn example_segment() -> Vec<u8> {
    let header = SegmentHeader {
        checksum: ChecksumKind::Crc32,
        ignorable_flags: 0,
        log_id: LogId([1; 16]),
        segment: SegmentId(1),
        epoch: 1,
        salt: 0x5a17,
        created: 0,
    };
    let mut segment = header.encode().to_vec();
    let opening = Opening {
        base: Lsn::FIRST,
        predecessor: None,
        durable: Position { segment: SegmentId(1), offset: FIRST_FRAME },
        first_retained: Lsn::FIRST,
        metadata: Metadata::default(),
    };
    let mut body = Vec::new();
    if opening.encode(&mut body).is_err() {
        return segment;
    }
    let mut previous = push_frame(&mut segment, &header, FrameKind::Opening, 0, 0, &body);
    for (delta, payload) in (0..).zip([b"one".as_slice(), b"two", b"three"]) {
        previous = push_frame(&mut segment, &header, FrameKind::Entries, delta, previous, payload);
    }
    segment.extend_from_slice(&[0; 64]);
    segment
}

fn push_frame(
    segment: &mut Vec<u8>,
    of: &SegmentHeader,
    kind: FrameKind,
    lsn_delta: u32,
    prev_units: u32,
    body: &[u8],
) -> u32 {
    let header = FrameHeader {
        body_crc: of.checksum.of(body),
        body_len: u32::try_from(body.len()).unwrap_or(u32::MAX),
        lsn_delta,
        count: u32::from(kind == FrameKind::Entries),
        prev_units,
        time: 0,
        proof_lag: None,
        kind,
        codec: 0,
        columns: 0,
        entry_kind: 0,
    };
    segment.extend_from_slice(&header.encode(of.key(), segment.len() as u64));
    segment.extend_from_slice(body);
    segment.resize(segment.len().next_multiple_of(8), 0);
    header.units()
}
