//! How much memory bytes can ask for, whatever they say of themselves: `docs/DURABILITY.md`, C10.
//!
//! A binary of its own, because the allocator counts for all of it, and with a single test: the harness takes memory,
//! too, whenever a test begins or ends. What a codec takes from the C allocator for its own work is not counted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test should say so")]

mod cache;
mod hostile;
mod reading;

use peak_alloc::PeakAlloc;
use wal_compress::{CodecId, Codecs, CompressError};
use wal_format::{
    BODY_LEN_MAX, ChecksumKind, Close, FIRST_FRAME, FrameHeader, FrameKind, IndexPoint, LogId, Lsn, Metadata,
    Opening, Scanner, SegmentHeader, SegmentId, SegmentIndex,
};

#[global_allocator]
static COUNTED: PeakAlloc = PeakAlloc;

/// Runs `work` and returns the most memory, in bytes, that was in use during it beyond what was before.
pub(crate) fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = COUNTED.current_usage();
    COUNTED.reset_peak_usage();
    let result = work();
    (result, COUNTED.peak_usage() - before)
}

/// Runs `work` and returns how many bytes more are in use after it than before.
pub(crate) fn kept(work: impl FnOnce()) -> usize {
    let before = COUNTED.current_usage();
    work();
    COUNTED.current_usage().saturating_sub(before)
}

#[test]
fn bytes_get_no_more_memory_than_they_are_worth() {
    an_index_has_the_points_that_are_there();
    a_scanner_keeps_what_it_was_fed_and_not_what_a_header_declares();
    a_lie_about_the_raw_length_allocates_nothing_and_the_truth_just_that();
    numbers_inside_of_bodies_are_not_believed_either();
    damaged_golden_segments_take_no_more_than_their_length();
    hostile::entries_of_a_bomb_are_refused_by_the_limit_and_not_lost();
    hostile::frames_that_verify_and_lie_get_no_more_memory_than_their_bytes();
    reading::entries_of_sealed_segments_are_found_without_their_indexes_in_memory();
    cache::a_short_frame_is_not_kept_in_the_memory_of_a_long_one();
}

/// Small things of every kind: paths, messages, buffers of a kilobyte.
const SLACK: usize = 64 << 10;

/// What a scanner may use: what it was fed, in a buffer that doubles when it grows and is copied then.
fn scanner_max(fed: usize) -> usize {
    3 * fed + SLACK
}

fn header() -> SegmentHeader {
    SegmentHeader {
        checksum: ChecksumKind::Crc32,
        ignorable_flags: 0,
        log_id: LogId([3; 16]),
        segment: SegmentId(1),
        epoch: 1,
        salt: 5,
        created: 0,
    }
}

fn a_scanner_keeps_what_it_was_fed_and_not_what_a_header_declares() {
    for kind in [FrameKind::Opening, FrameKind::Entries, FrameKind::Close] {
        let frame = FrameHeader {
            body_crc: 0,
            body_len: BODY_LEN_MAX,
            lsn_delta: 0,
            count: u32::from(kind == FrameKind::Entries),
            prev_units: 0,
            time: 0,
            proof_lag: None,
            kind,
            codec: 0,
            columns: 0,
            entry_kind: 0,
        };
        let start = [&header().encode()[..], &frame.encode(header().key(), FIRST_FRAME)].concat();
        let piece = vec![7; 64 << 10];
        let mut scanner = Scanner::new();
        let (items, used) = peak(|| {
            scanner.feed(&start);
            let mut items = 0;
            for _ in 0..16 {
                scanner.feed(&piece);
                items += u32::from(scanner.next().unwrap().is_some());
            }
            items
        });
        assert_eq!(items, 1, "the header");
        let fed = start.len() + 16 * piece.len();
        assert!(used <= scanner_max(fed), "{kind:?}: {used} of {fed}");
        // Only an opening may stand there: for it alone the scanner waits.
        assert_eq!(used > fed / 2, kind == FrameKind::Opening, "{kind:?}: {used} of {fed}");
    }
}

fn a_lie_about_the_raw_length_allocates_nothing_and_the_truth_just_that() {
    let codecs = Codecs::new();
    let raw = vec![0; 16 << 20];
    for (id, gain) in [(CodecId::ZSTD, 32_768), (CodecId::SNAPPY, 22)] {
        let mut bomb = Vec::new();
        codecs.get(id).unwrap().compress(&raw, &mut bomb).unwrap();
        let lies = [BODY_LEN_MAX as usize, u32::MAX as usize, usize::MAX / 2, raw.len() + 1, raw.len() - 1];
        for (stored, raw_len) in lies.iter().flat_map(|len| [(&bomb[..], *len), (&bomb[..64], *len)]) {
            let mut out = Vec::new();
            let (refused, used) = peak(|| codecs.decompress(id, stored, raw_len, &mut out));
            let is_typed = matches!(
                refused,
                Err(CompressError::Damaged { .. }
                    | CompressError::WrongLength { .. }
                    | CompressError::OutOfMemory { .. })
            );
            assert!(is_typed, "{id}: {refused:?}");
            let believed = if raw_len <= gain * stored.len() { raw_len } else { 0 };
            assert!(used <= believed + SLACK, "{id}: {used} for {raw_len} of {}", stored.len());
        }
        let mut out = Vec::new();
        let (done, used) = peak(|| codecs.decompress(id, &bomb, raw.len(), &mut out));
        assert!(done.is_ok() && out == raw, "{id}: what gains as much as can be is no lie: {done:?}");
        assert!(used <= raw.len() + SLACK, "{id}: {used}");
    }
}

fn numbers_inside_of_bodies_are_not_believed_either() {
    let mut metadata = Vec::new();
    Metadata::default().encode(&mut metadata).unwrap();
    let golden: &[u8] = include_bytes!("../../../wal-format/tests/golden/v1/full.wal");
    let mut bodies = vec![metadata];
    // Every place of the golden segment that could be taken for the start of a body.
    bodies.extend((FIRST_FRAME as usize..golden.len()).step_by(8).map(|at| golden[at..].to_vec()));
    for body in &bodies {
        for at in (0..body.len().saturating_sub(8)).step_by(2) {
            for lie in [u64::MAX, 0xffff_ffff, 0x7fff_ffff, 0xffff, 1 << 24] {
                let mut body = body.clone();
                body[at..at + 8].copy_from_slice(&lie.to_le_bytes());
                let max = 4 * body.len() + 4096;
                let used =
                    peak(|| drop((Opening::decode(&body), Metadata::decode(&body), Close::decode(&body)))).1;
                assert!(used <= max, "{lie:#x} at {at}: {used} of {}", body.len());
            }
        }
    }
}

fn an_index_has_the_points_that_are_there() {
    let points = vec![IndexPoint { lsn_delta: 0, units: 64 }; 20];
    let index = SegmentIndex {
        log_id: LogId([3; 16]),
        segment: SegmentId(1),
        salt: 5,
        end: 9000,
        base: Lsn::FIRST,
        last_frame: 8992,
        points,
    };
    for count in [0, 19, 21, 1 << 20, u32::MAX] {
        let mut bytes = index.encode();
        bytes[12..16].copy_from_slice(&count.to_le_bytes());
        let crc = ChecksumKind::Crc32.of(&[&bytes[..72], &bytes[80..]].concat());
        bytes[72..76].copy_from_slice(&crc.to_le_bytes());
        let (refused, used) = peak(|| SegmentIndex::decode(&bytes));
        assert!(matches!(refused, Err(wal_format::DecodeError::Invalid { .. })), "{refused:?}");
        assert!(used <= 2 * bytes.len(), "{count}: {used}");
    }
}

fn damaged_golden_segments_take_no_more_than_their_length() {
    let golden: [&[u8]; 2] = [
        include_bytes!("../../../wal-format/tests/golden/v1/full.wal"),
        include_bytes!("../../../wal-format/tests/golden/v1/damaged.wal"),
    ];
    for bytes in golden {
        for bit in (0..bytes.len() * 8).step_by(3) {
            let mut damaged = bytes.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let ((), used) = peak(|| {
                let mut scanner = Scanner::new();
                scanner.feed(&damaged);
                scanner.end();
                while let Ok(Some(_)) = scanner.next() {}
            });
            assert!(used <= scanner_max(bytes.len()), "bit {bit}: {used}");
        }
    }
}
