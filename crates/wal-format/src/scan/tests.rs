use proptest::prelude::*;

use super::*;
use crate::example_segment;

type Listing = Vec<(u64, Vec<u8>)>;

/// Lists a segment fed in pieces; entries as (lsn, payload), then the verdict. All ways of reading must agree.
fn scan(bytes: &[u8], piece: usize) -> Result<(Listing, Verdict), DecodeError> {
    let scanned = scan_by(bytes, piece, Scanner::next, Scanner::feed);
    let notable = scan_by(bytes, piece, Scanner::next_notable, Scanner::feed);
    let sparse = scan_by(bytes, piece, Scanner::next, feed_what_matters);
    assert_eq!(format!("{sparse:?}"), format!("{scanned:?}"));
    let is_notable = |frame: &&(Frame<'static>, Vec<u8>)| {
        let header = frame.0.header;
        header.kind != FrameKind::Entries || header.count != 1 || header.codec != 0 || header.columns != 0
    };
    let expected = scanned.as_ref().map(|(found, verdict)| {
        let found: Vec<_> = found.iter().filter(is_notable).collect();
        (format!("{found:?}"), *verdict)
    });
    let passed = notable
        .as_ref()
        .map(|(found, verdict)| (format!("{:?}", found.iter().collect::<Vec<_>>()), *verdict));
    assert_eq!(passed, expected);
    let (found, verdict) = scanned?;
    let entries = found.into_iter().filter(|(frame, _)| frame.header.kind == FrameKind::Entries);
    Ok((entries.map(|(frame, body)| (frame.lsn.get(), body)).collect(), verdict))
}

/// Feeds a piece without the zeros at its front that can be passed over.
fn feed_what_matters(scanner: &mut Scanner, piece: &[u8]) {
    let zeros = piece.iter().take_while(|byte| **byte == 0).count();
    let passed = scanner.pass_zeros(zeros as u64) as usize;
    assert!(passed == if scanner.passes_zeros() { zeros / 8 * 8 } else { 0 });
    scanner.feed(&piece[passed..]);
}

type Found = Vec<(Frame<'static>, Vec<u8>)>;
type Next = for<'a> fn(&'a mut Scanner) -> Result<Option<Item<'a>>, DecodeError>;

/// The frames before the first bad place, and their bodies.
fn scan_by(
    bytes: &[u8],
    piece: usize,
    next: Next,
    feed: fn(&mut Scanner, &[u8]),
) -> Result<(Found, Verdict), DecodeError> {
    let mut scanner = Scanner::new();
    let mut found = Vec::new();
    let mut drain = |scanner: &mut Scanner| -> Result<(), DecodeError> {
        while let Some(item) = next(scanner)? {
            if let Item::Frame(frame) = item {
                found.push((Frame { body: &[], ..frame }, frame.body.to_vec()));
            }
        }
        Ok(())
    };
    for piece in bytes.chunks(piece.max(1)) {
        feed(&mut scanner, piece);
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

/// Appends a frame to a segment, in order, whatever its fields say.
fn push(bytes: &mut Vec<u8>, frame: FrameHeader, body: &[u8]) {
    let key = SegmentHeader::decode(bytes).unwrap().key();
    let frame = FrameHeader {
        body_len: u32::try_from(body.len()).unwrap(),
        body_crc: key.checksum.of(body),
        ..frame
    };
    bytes.extend_from_slice(&frame.encode(key, bytes.len() as u64));
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

const ENTRY: FrameHeader = FrameHeader {
    body_crc: 0,
    body_len: 0,
    lsn_delta: 3,
    count: 1,
    prev_units: 6,
    time: 0,
    proof_lag: None,
    kind: FrameKind::Entries,
    codec: 0,
    columns: 0,
    entry_kind: 0,
};

/// However long a segment is, no more of it is kept than a frame and what was fed last.
#[test]
fn what_was_taken_makes_room() {
    const LEN: usize = 1000;
    let mut bytes = example_segment();
    bytes.truncate(bytes.len() - 64);
    for n in 0..100 {
        let prev_units = if n == 0 { 6 } else { (LEN + crate::FRAME_HEADER_LEN) as u32 / 8 };
        push(&mut bytes, FrameHeader { lsn_delta: 3 + n, prev_units, ..ENTRY }, &[7; LEN]);
    }
    bytes.resize(bytes.len() + 100_000, 0);
    let mut scanner = Scanner::new();
    let mut frames = 0;
    for piece in bytes.chunks(500) {
        scanner.feed(piece);
        while scanner.next().unwrap().is_some() {
            frames += 1;
        }
        assert!(scanner.buffer.len() <= 2 * LEN, "{} bytes", scanner.buffer.len());
    }
    assert_eq!(frames, 1 + 1 + 3 + 100);
}

#[test]
fn entries_of_one_frame_are_numbered_and_other_frames_have_none() {
    let mut bytes = example_segment();
    bytes.truncate(bytes.len() - 64);
    let mut batch = crate::EntriesBuilder::default();
    for payload in [b"four".as_slice(), b"", b"six"] {
        batch.push(&crate::NewEntry::plain(payload)).unwrap();
    }
    let mut body = Vec::new();
    let crate::BodyShape { count, columns, entry_kind } = batch.finish(&mut body);
    push(&mut bytes, FrameHeader { count, columns, entry_kind, ..ENTRY }, &body);
    let mut scanner = Scanner::new();
    scanner.feed(&bytes);
    scanner.end();
    let mut found: Vec<Listing> = Vec::new();
    while let Some(item) = scanner.next().unwrap() {
        if let Item::Frame(frame) = item {
            let entries: Vec<_> = frame.entries().unwrap().map(Result::unwrap).collect();
            found.push(entries.iter().map(|(lsn, entry)| (lsn.get(), entry.payload.to_vec())).collect());
        }
    }
    let (one, two, three) = (b"one".to_vec(), b"two".to_vec(), b"three".to_vec());
    let last = vec![(4, b"four".to_vec()), (5, Vec::new()), (6, b"six".to_vec())];
    assert_eq!(found, [vec![], vec![(1, one)], vec![(2, two)], vec![(3, three)], last]);
}

/// A payload may hold anything, a whole frame made for its very place included. The writer put nothing else inside a
/// frame, so what is in there testifies to nothing; and a resync that went in would hash nested bodies again and again.
#[test]
fn nothing_inside_a_frame_is_evidence() {
    let mut bytes = example_segment();
    bytes.truncate(bytes.len() - 64);
    let outer = bytes.len();
    let mut forged = bytes.clone();
    forged.resize(outer + 40, 0);
    push(&mut forged, FrameHeader { proof_lag: Some(0), ..ENTRY }, b"");
    forged.extend_from_slice(b"the rest of it..");
    let body = forged.split_off(outer + 40);
    push(&mut bytes, ENTRY, &body);
    push(&mut bytes, FrameHeader { lsn_delta: 4, prev_units: 12, ..ENTRY }, b"behind");
    assert_eq!(scan(&bytes, 4096).unwrap().0.len(), 5);

    bytes[outer + 40 + 40 + 3] ^= 1;
    let (found, verdict) = scan(&bytes, 4096).unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(verdict.fault, FrameFault::BodyChecksum);
    assert_eq!(verdict.judgement(), Judgement::Torn);
    assert_eq!(verdict.resumes_at, Lsn::new(5), "the frame behind is found");

    bytes.truncate(outer + 40 + 48);
    let (_, verdict) = scan(&bytes, 64).unwrap();
    assert_eq!((verdict.fault, verdict.judgement()), (FrameFault::End, Judgement::Torn));
}

#[test]
fn a_close_counts_while_nothing_stands_behind_it() {
    let mut bytes = example_segment();
    bytes.truncate(bytes.len() - 64);
    let next = Lsn::new(4).unwrap();
    let close = FrameHeader { kind: FrameKind::Close, count: 0, proof_lag: Some(0), ..ENTRY };
    let mut body = Vec::new();
    crate::Close { next, state: None }.encode(&mut body).unwrap();
    push(&mut bytes, close, &body);
    let (_, verdict) = scan(&bytes, 4096).unwrap();
    assert!(verdict.is_proven() && verdict.is_closed());
    bytes.resize(bytes.len() + 100, 0);
    assert!(scan(&bytes, 4096).unwrap().1.is_closed());
    *bytes.last_mut().unwrap() = 1;
    let (_, verdict) = scan(&bytes, 4096).unwrap();
    assert!(verdict.is_proven() && !verdict.is_closed());
}

#[test]
fn an_lsn_beyond_the_greatest_is_refused() {
    let check = |base: u64, want: usize| {
        let mut bytes = example_segment();
        let mut opening = Opening::decode(&bytes[552..624]).unwrap();
        opening.base = Lsn::new(base).unwrap();
        let mut body = Vec::new();
        opening.encode(&mut body).unwrap();
        let rest = bytes.split_off(624);
        bytes.truncate(512);
        push(
            &mut bytes,
            FrameHeader { kind: FrameKind::Opening, count: 0, lsn_delta: 0, prev_units: 0, ..ENTRY },
            &body,
        );
        bytes.extend_from_slice(&rest);
        assert_eq!(scan(&bytes, 4096).unwrap().0.len(), want, "base {base}");
    };
    check(u64::MAX - 3, 3);
    check(u64::MAX - 2, 2);
}

/// What is known of a segment at an earlier length, and what follows: all that a scan of all of it says.
fn scan_on(bytes: &[u8], known: usize, piece: usize) {
    let (all, whole) = scan_by(bytes, 4096, Scanner::next, Scanner::feed).unwrap();
    let mut before = Scanner::new();
    before.feed(&bytes[..known]);
    before.end();
    let mut header = None;
    let mut known = 0;
    while let Some(item) = before.next().unwrap() {
        match item {
            Item::Header(found) => header = Some(found),
            Item::Frame(_) => known += 1,
            Item::Beyond(_) => {}
        }
    }
    let Some(opening) = before.opening() else { return assert_eq!(known, 0) };
    let mut scanner = Scanner::resume(&header.unwrap(), opening, before.verdict()).unwrap();
    let mut found = Vec::new();
    let mut drain = |scanner: &mut Scanner| {
        while let Some(item) = scanner.next().unwrap() {
            if let Item::Frame(frame) = item {
                found.push((Frame { body: &[], ..frame }, frame.body.to_vec()));
            }
        }
    };
    for piece in bytes[before.verdict().end as usize..].chunks(piece) {
        scanner.feed(piece);
        drain(&mut scanner);
    }
    scanner.end();
    drain(&mut scanner);
    assert_eq!(format!("{:?}", found), format!("{:?}", &all[known..]));
    assert_eq!((*scanner.verdict(), scanner.found_end()), (whole, true));
}

proptest! {
    /// Frames of all forms, mostly plain ones in order, and perhaps a flipped bit: [`scan`] compares both ways.
    #[test]
    fn passing_over_plain_frames_changes_nothing(
        frames in proptest::collection::vec(
            (0_u8..12, proptest::collection::vec(any::<u8>(), 0..60), proptest::option::of(0_u32..30)),
            1..20,
        ),
        flip in proptest::option::of(0_usize..20_000),
        piece in 1_usize..700,
        known in any::<prop::sample::Index>(),
    ) {
        let mut bytes = example_segment();
        bytes.truncate(bytes.len() - 64);
        let mut frame = ENTRY;
        for (form, body, proof_lag) in frames {
            let (kind, count, columns) = match form {
                0 => (FrameKind::Idle, 0, 0),
                1 => (FrameKind::Entries, 2, 0),
                2 => (FrameKind::Entries, 1, 1),
                _ => (FrameKind::Entries, 1, 0),
            };
            let wrong = u32::from(form == 3);
            let now = FrameHeader { kind, count, columns, proof_lag, lsn_delta: frame.lsn_delta + wrong, ..frame };
            push(&mut bytes, now, &body);
            frame.lsn_delta += count;
            frame.prev_units = (40 + u32::try_from(body.len()).unwrap().next_multiple_of(8)) / 8;
        }
        bytes.extend_from_slice(&[0; 64]);
        if let Some(bit) = flip.filter(|bit| bit / 8 < bytes.len()) {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        if scan(&bytes, piece).is_ok() {
            scan_on(&bytes, known.index(bytes.len()).max(SEGMENT_HEADER_LEN), piece);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1_usize..300) {
        let mut segment = example_segment();
        segment.truncate(600);
        segment.extend_from_slice(&bytes);
        let _ = scan(&bytes, piece);
        let _ = scan(&segment, piece);
    }
}
