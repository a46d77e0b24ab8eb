use proptest::prelude::*;

use super::*;
use crate::example_segment;

type Listing = Vec<(u64, Vec<u8>)>;

/// Lists a segment fed in pieces; entries as (lsn, payload), then the verdict.
fn scan(bytes: &[u8], piece: usize) -> Result<(Listing, Verdict), DecodeError> {
    let mut scanner = Scanner::new();
    let mut found = Vec::new();
    let mut drain = |scanner: &mut Scanner| -> Result<(), DecodeError> {
        while let Some(item) = scanner.next()? {
            if let Item::Frame(frame) = item
                && frame.header.kind == FrameKind::Entries
            {
                found.push((frame.lsn.get(), frame.body.to_vec()));
            }
        }
        Ok(())
    };
    for piece in bytes.chunks(piece.max(1)) {
        scanner.feed(piece);
        drain(&mut scanner)?;
    }
    scanner.end();
    drain(&mut scanner)?;
    Ok((found, *scanner.verdict()))
}

#[test]
fn a_whole_segment_is_read_in_pieces_of_any_size() {
    let bytes = example_segment();
    let whole = scan(&bytes, bytes.len()).unwrap();
    assert_eq!(whole.0, [(1, b"one".to_vec()), (2, b"two".to_vec()), (3, b"three".to_vec())]);
    assert_eq!(whole.1.judgement(), Judgement::Clean);
    assert_eq!(whole.1.end, bytes.len() as u64 - 64);
    assert_eq!(whole.1.fault, FrameFault::Empty);
    for piece in 1..100 {
        assert_eq!(scan(&bytes, piece).unwrap(), whole, "pieces of {piece}");
    }
}

#[test]
fn every_cut_yields_a_prefix() {
    let bytes = example_segment();
    let (all, whole) = scan(&bytes, 4096).unwrap();
    for len in SEGMENT_HEADER_LEN..bytes.len() {
        let (found, verdict) = scan(&bytes[..len], 64).unwrap();
        assert_eq!(found, all[..found.len()], "cut at {len}");
        assert_ne!(verdict.judgement(), Judgement::Damaged);
        assert!(verdict.end <= len as u64 && (len as u64) < whole.end || verdict.end == whole.end);
    }
}

#[test]
fn every_flipped_bit_yields_a_prefix_and_nothing_wrong() {
    let bytes = example_segment();
    let (all, _) = scan(&bytes, 4096).unwrap();
    for bit in 0..(bytes.len() - 64) * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok((found, verdict)) = scan(&damaged, 4096) {
            assert!(found.len() < all.len(), "bit {bit} went unnoticed");
            assert_eq!(found, all[..found.len()], "bit {bit}");
            assert_eq!(verdict.judgement(), Judgement::Torn, "nothing was proven durable");
        } else {
            assert!(bit < SEGMENT_HEADER_LEN * 8);
        }
    }
}

/// Rewrites the frame at `offset` with another proof lag.
fn prove(bytes: &mut [u8], offset: usize, lag: Option<u32>) {
    let header = SegmentHeader::decode(bytes).unwrap();
    let old = bytes[offset..].first_chunk().unwrap();
    let mut frame = FrameHeader::decode(old, header.key(), offset as u64).unwrap();
    frame.proof_lag = lag;
    bytes[offset..offset + 40].copy_from_slice(&frame.encode(header.key(), offset as u64));
}

#[test]
fn a_later_frame_is_damage_only_if_it_proves_the_bad_place() {
    let bytes = example_segment();
    let first = 512 + 40 + 72;
    let second = first + 48;
    let third = second + 48;
    let check = |lag: Option<u32>, want: Judgement| {
        let mut bytes = bytes.clone();
        prove(&mut bytes, third, lag);
        bytes[second + 41] ^= 1;
        let (found, verdict) = scan(&bytes, 4096).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(verdict.end, second as u64);
        assert_eq!(verdict.judgement(), want, "lag {lag:?}");
        assert_eq!(verdict.resumes_at, Lsn::new(3));
    };
    check(None, Judgement::Torn);
    check(Some(0), Judgement::Damaged);
    check(Some(6), Judgement::Torn);
    check(Some(5), Judgement::Damaged);
}

#[test]
fn a_lost_opening_is_no_segment_but_its_frames_still_testify() {
    let mut bytes = example_segment();
    let third = 512 + 40 + 72 + 96;
    prove(&mut bytes, third, Some(2));
    bytes[520] ^= 1;
    let (found, verdict) = scan(&bytes, 4096).unwrap();
    assert!(found.is_empty());
    assert_eq!(verdict.next, None);
    assert_eq!(verdict.judgement(), Judgement::Damaged);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1_usize..300) {
        let mut segment = example_segment();
        segment.truncate(600);
        segment.extend_from_slice(&bytes);
        let _ = scan(&bytes, piece);
        let _ = scan(&segment, piece);
    }
}
