use alloc::vec::Vec;

use super::*;
use crate::ChecksumKind;

const KEY: SegmentKey = SegmentKey { checksum: ChecksumKind::Crc32, salt: 0x0123_4567_89ab_cdef };

fn header(body: &[u8]) -> FrameHeader {
    FrameHeader {
        body_crc: KEY.checksum.of(body),
        body_len: u32::try_from(body.len()).unwrap(),
        lsn_delta: 41,
        count: 1,
        prev_units: 6,
        time: 1_700_000_000_000_000_000,
        proof_lag: Some(3),
        kind: FrameKind::Entries,
        codec: 0,
        columns: 0,
        entry_kind: 200,
    }
}

fn frame(header: &FrameHeader, body: &[u8], offset: u64) -> Vec<u8> {
    let mut bytes = header.encode(KEY, offset).to_vec();
    bytes.extend_from_slice(body);
    bytes.resize(usize::try_from(header.frame_len()).unwrap(), 0);
    bytes
}

#[test]
fn a_frame_is_valid_only_whole_and_only_where_it_was_written() {
    let body = b"a body of 19 bytes.";
    let header = header(body);
    let bytes = frame(&header, body, 4096);
    assert_eq!(parse_frame(&bytes, KEY, 4096), Parsed::Frame(header, body));

    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(parse_frame(&damaged, KEY, 4096), Parsed::Fault(_)), "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(matches!(parse_frame(&bytes[..len], KEY, 4096), Parsed::More(_)), "cut at {len}");
    }
    let elsewhere = [(KEY, 4104), (SegmentKey { salt: 1, ..KEY }, 4096)];
    for (key, offset) in elsewhere {
        assert_eq!(parse_frame(&bytes, key, offset), Parsed::Fault(FrameFault::HeaderChecksum));
    }
}

#[test]
fn zeros_are_empty() {
    assert_eq!(parse_frame(&[0; 64], KEY, 4096), Parsed::Fault(FrameFault::Empty));
}

#[test]
fn impossible_fields_are_refused_even_with_a_good_checksum() {
    let good = header(b"");
    let check = |header: FrameHeader, offset: u64, what: &'static str| {
        let bytes = header.encode(KEY, offset);
        assert_eq!(FrameHeader::decode(&bytes, KEY, offset), Err(FrameFault::Implausible { what }));
    };
    check(FrameHeader { body_len: BODY_LEN_MAX + 1, ..good }, 4096, "body length");
    check(FrameHeader { count: 0, ..good }, 4096, "entry count");
    check(FrameHeader { kind: FrameKind::Idle, ..good }, 4096, "entry count");
    check(FrameHeader { proof_lag: Some(4096), ..good }, 4096, "proof lag");
    check(FrameHeader { proof_lag: Some((4096 - 512) / 8), ..good }, 4096, "proof lag");
    check(FrameHeader { kind: FrameKind::Opening, count: 0, ..good }, 4096, "place of an opening");
    check(FrameHeader { prev_units: 0, ..good }, 4096, "place of an opening");
    check(FrameHeader { proof_lag: None, ..good }, 512, "place of an opening");
    let opening = FrameHeader {
        proof_lag: None,
        kind: FrameKind::Opening,
        count: 0,
        prev_units: 0,
        lsn_delta: 0,
        ..good
    };
    assert!(matches!(parse_frame(&frame(&opening, b"", 512), KEY, 512), Parsed::Frame(..)));
    check(FrameHeader { lsn_delta: 1, ..opening }, 512, "lsn of an opening");
    check(FrameHeader { kind: FrameKind::Unknown(0), count: 0, ..good }, 4096, "kind");
}

#[test]
fn kinds_keep_their_numbers() {
    for id in 1..=255 {
        let kind = FrameKind::from_id(id).unwrap();
        assert_eq!(kind.id(), id);
        assert_eq!(kind.is_ignorable(), id >= 128);
    }
    assert_eq!(FrameKind::from_id(0), None);
}

#[test]
fn a_proof_points_backwards() {
    let mut header = header(b"");
    assert_eq!(header.proves(4096), Some(4096 - 24));
    header.proof_lag = Some(0);
    assert_eq!(header.proves(4096), Some(4096), "a lag of zero proves all before, not the frame itself");
    header.proof_lag = None;
    assert_eq!(header.proves(4096), None);
}

proptest::proptest! {
    /// The short ways and the long way through the decoder agree on every frame.
    #[test]
    fn frames_of_entries_are_exactly_those(
        body in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..40),
        (count, codec, columns, kind) in (0_u32..4, 0_u8..2, 0_u8..3, 0_u8..4),
        (prev_units, lag) in (0_u32..3, proptest::option::of(0_u32..2000)),
        entry_kind in proptest::arbitrary::any::<u8>(),
        offset in proptest::sample::select(vec![512_u64, 520, 4096]),
        flip in proptest::option::of(0_usize..700),
        before in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..40),
    ) {
        let Some(kind) = FrameKind::from_id(kind) else { return Ok(()) };
        let header = FrameHeader {
            count, codec, columns, kind, prev_units, proof_lag: lag, entry_kind, ..header(&body)
        };
        let mut bytes = frame(&header, &body, offset);
        if let Some(bit) = flip.filter(|bit| bit / 8 < bytes.len()) {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let long = match parse_frame(&bytes, KEY, offset) {
            Parsed::Frame(header, body) if header.kind == FrameKind::Entries && header.codec == 0 => {
                let FrameHeader { lsn_delta, count, prev_units, time, columns, entry_kind, .. } = header;
                let proves = header.proves(offset).unwrap_or(0);
                Some(EntriesFrame { lsn_delta, count, prev_units, time, proves, columns, entry_kind, body })
            }
            _ => None,
        };
        let plain = long.filter(|frame| frame.count == 1 && frame.columns == 0);
        proptest::prop_assert_eq!(parse_entries(&bytes, KEY, offset), long);
        // Whatever came before, and whether that was valid.
        let mut parser = EntriesParser::new(KEY);
        for other in [&bytes[..], &frame(&self::header(&before), &before, 520)[..], &bytes[8..]] {
            let _ = (parser.parse(other, 520), parser.parse_plain(other, 520));
            proptest::prop_assert_eq!(parser.parse(&bytes, offset), long);
            proptest::prop_assert_eq!(parser.parse_plain(&bytes, offset), plain);
        }
    }
}
