//! Whole segments in slices of any length: the same frames and the same verdict as from one slice, whatever the bytes,
//! and whether zeros are read or passed over.
//!
//! The first byte of the input chooses how much of it is made to verify, the second seeds the lengths of the slices.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wal_format::{DecodeError, FIRST_FRAME, FrameHeader, FrameKind, Item, Scanner, Verdict, example_segment};
use wal_fuzz::{chain_frames, seal_header};

fuzz_target!(|input: &[u8]| {
    let [mode, seed, bytes @ ..] = input else { return };
    let segment = segment(mode % 4, bytes);
    // In one slice nothing is passed over.
    let whole = scan(&segment, Scanner::next, |_| segment.len().max(1));
    let mut state = u64::from(*seed) | 1;
    let mut slice = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Mostly short slices, some empty, a few that hold several frames.
        if state >> 60 == 0 { (state >> 40) as usize % 700 } else { (state >> 40) as usize % 30 }
    };
    let pieces = scan(&segment, Scanner::next, &mut slice);
    assert_eq!(whole, pieces);
    let notable = scan(&segment, Scanner::next_notable, slice);
    let is_plain = |header: &FrameHeader| {
        header.kind == FrameKind::Entries && header.count == 1 && header.codec == 0 && header.columns == 0
    };
    let of_whole = whole.frames.iter().filter(|(beyond, _, header, ..)| *beyond || !is_plain(header));
    assert!(notable.end == whole.end && notable.frames.iter().eq(of_whole));
    check(&segment, &whole);
});

fn segment(mode: u8, bytes: &[u8]) -> Vec<u8> {
    let mut segment = match mode {
        // As it comes.
        0 => return bytes.to_vec(),
        // A good header and opening in front.
        1 => {
            let mut segment = example_segment();
            segment.truncate(624);
            segment.extend_from_slice(bytes);
            return segment;
        }
        // All of it, with a good header in front.
        2 => {
            let mut segment = example_segment();
            segment.truncate(512);
            segment.extend_from_slice(bytes);
            segment
        }
        // All of it, header included.
        _ => bytes.to_vec(),
    };
    seal_header(&mut segment);
    chain_frames(&mut segment);
    segment
}

#[derive(Debug, PartialEq)]
struct Scanned {
    frames: Vec<(bool, u64, FrameHeader, u64, Vec<u8>)>,
    end: Result<Verdict, DecodeError>,
}

type Next = for<'a> fn(&'a mut Scanner) -> Result<Option<Item<'a>>, DecodeError>;

fn scan(bytes: &[u8], take: Next, mut len: impl FnMut(usize) -> usize) -> Scanned {
    let mut scanner = Scanner::new();
    let mut frames = Vec::new();
    let mut at = 0;
    let end = loop {
        match take(&mut scanner) {
            Err(error) => break Err(error),
            Ok(Some(Item::Header(_))) => {}
            Ok(Some(Item::Frame(frame))) => {
                frames.push((false, frame.offset, frame.header, frame.lsn.get(), frame.body.to_vec()));
            }
            Ok(Some(Item::Beyond(frame))) => {
                frames.push((true, frame.offset, frame.header, frame.lsn.get(), frame.body.to_vec()));
            }
            Ok(None) if at < bytes.len() => {
                let next = at.saturating_add(len(at)).min(bytes.len());
                let zeros = bytes[at..next].iter().take_while(|byte| **byte == 0).count();
                let passed = scanner.pass_zeros(zeros as u64) as usize;
                scanner.feed(&bytes[at + passed..next]);
                at = next;
                if at == bytes.len() {
                    scanner.end();
                }
            }
            Ok(None) if bytes.is_empty() && at == 0 => {
                scanner.end();
                at = 1;
            }
            Ok(None) => break Ok(*scanner.verdict()),
        }
    };
    Scanned { frames, end }
}

fn check(segment: &[u8], scanned: &Scanned) {
    let mut end = FIRST_FRAME;
    let mut next = None;
    for (beyond, offset, header, lsn, body) in &scanned.frames {
        assert!(*offset >= end, "frames overlap");
        assert!(*beyond || *offset == end, "a gap inside the log");
        assert!(*beyond || next.is_none_or(|next| next == *lsn), "an lsn is missing or doubled");
        next = Some(lsn.saturating_add(u64::from(header.count)));
        end = offset + header.frame_len();
        assert!(end <= segment.len() as u64);
        assert_eq!(body, &segment[*offset as usize + 40..][..header.body_len as usize]);
    }
    let Ok(verdict) = &scanned.end else { return };
    let last = scanned.frames.iter().rfind(|frame| !frame.0);
    assert_eq!(verdict.end, last.map_or(FIRST_FRAME, |last| last.1 + last.2.frame_len()));
    assert!(verdict.proven < verdict.end, "nothing proves itself");
    assert_eq!(verdict.next.is_some(), last.is_some());
    assert!(!verdict.is_closed() || verdict.is_proven());
    assert_eq!(verdict.beyond.is_some(), scanned.frames.iter().any(|frame| frame.0));
}
