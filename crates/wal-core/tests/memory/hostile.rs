//! Whole logs whose frames verify and lie about their lengths.

use std::{ops::ControlFlow, sync::Arc};

use wal_compress::{CodecId, Compression};
use wal_core::{
    AppendOptions, Environment, Log, LogError, Options, RecoveryMode, RepairOptions, examine, repair, salvage,
};
use wal_format::{EntriesBuilder, FIRST_FRAME, FrameHeader, NewEntry, SegmentHeader};
use wal_segment::{MemoryStorage, Storage};

use crate::peak;

type Files = Vec<(String, Vec<u8>)>;

/// Windows that reading and scanning go through, and an opening with as much metadata as may be: however long a log is.
const WINDOWS: usize = 3 << 20;
/// So many bytes may be in use for each byte that is there: the frame at hand, a few times, and an entry of an empty
/// payload, which takes four bytes in its frame.
const FOR_EACH_BYTE: usize = 40;
/// What the frames of these logs may hold when they are decompressed.
const RAW_LEN_MAX: u32 = 1 << 20;

fn options() -> Options {
    Options {
        segment_len: 64 << 10,
        first_segment_len: 64 << 10,
        buffer_len: 64 << 10,
        background_threads: false,
        compression: Compression {
            codec: CodecId::ZSTD,
            min_len: 2000,
            raw_len_max: RAW_LEN_MAX,
            ..Compression::default()
        },
        ..Options::default()
    }
}

fn environment(storage: &Arc<dyn Storage>) -> Environment {
    Environment::new(Arc::clone(storage))
}

fn specimen() -> Files {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    for round in 0..3 {
        let log = Log::open(environment(&storage), options()).unwrap();
        for n in 0..4 {
            log.append(&vec![n; if n == 3 { 20_000 } else { 100 }]).unwrap();
        }
        let mut batch = EntriesBuilder::default();
        for _ in 0..20 {
            batch.push(&NewEntry { term: Some(round), ..NewEntry::plain(b"in a batch") }).unwrap();
        }
        log.append_batch(&batch, &AppendOptions::default()).unwrap();
        let last = log.last_lsn().unwrap();
        log.truncate_after(last).unwrap();
        log.append(b"behind").unwrap();
    }
    let read = |name: String| {
        let file = storage.open(&name).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(0, &mut bytes).unwrap();
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() + 100);
        (name, bytes)
    };
    storage.list().unwrap().into_iter().map(read).collect()
}

/// Does everything that can be done to a directory, and says how much memory that took.
fn everything(files: &Files) -> usize {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    for (name, bytes) in files {
        storage.create(name).unwrap().write_at(0, bytes).unwrap();
    }
    let typed = |error: LogError| assert!(!error.to_string().is_empty());
    let looked = peak(|| {
        for recovery in [RecoveryMode::Refuse, RecoveryMode::CutTornTail, RecoveryMode::ReadToDamage] {
            match Log::open_read_only(environment(&storage), Options { recovery, ..options() }) {
                Ok(log) => {
                    log.range(..).take_while(Result::is_ok).for_each(drop);
                    log.range(..).rev().take_while(Result::is_ok).for_each(drop);
                    let first = log.first_lsn().unwrap_or(wal_format::Lsn::FIRST);
                    (0..40).for_each(|n| drop(log.get(first.plus(n))));
                }
                Err(error) => typed(error),
            }
        }
        let all = |_: &[wal_core::Entry]| ControlFlow::Continue(());
        let _ = salvage(Arc::clone(&storage), Default::default(), &options(), all).map_err(typed);
        let _ = examine(Arc::clone(&storage), Default::default(), &options()).map_err(typed);
        let plan = RepairOptions { cut_at_damage: true, quarantine: None };
        let _ = repair(environment(&storage), &options(), &plan).map_err(typed);
    });
    let written = peak(|| {
        if let Ok(log) = Log::open(environment(&storage), options()) {
            let _ = log.append(b"more").map_err(typed);
        }
    });
    looked.1.max(written.1)
}

fn check(files: &Files, what: &str) {
    let len: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let used = everything(files);
    let max = WINDOWS + FOR_EACH_BYTE * len + RAW_LEN_MAX as usize;
    assert!(used <= max, "{what}: {used} bytes for {len}, {max} at most");
}

/// Where the frames of a segment are.
fn frames(bytes: &[u8]) -> Vec<(usize, FrameHeader)> {
    let Ok(key) = SegmentHeader::decode(bytes).map(|header| header.key()) else { return Vec::new() };
    let mut at = FIRST_FRAME as usize;
    std::iter::from_fn(|| {
        let header = FrameHeader::decode(bytes.get(at..)?.first_chunk()?, key, at as u64).ok()?;
        let found = (at, header);
        at += header.frame_len() as usize;
        Some(found)
    })
    .collect()
}

pub(crate) fn frames_that_verify_and_lie_get_no_more_memory_than_their_bytes() {
    let files = specimen();
    check(&files, "whole");
    let mut lies = 0;
    for (file, (name, bytes)) in files.iter().enumerate() {
        let found = frames(bytes);
        for (at, header) in found {
            let key = SegmentHeader::decode(bytes).unwrap().key();
            let body_len = |body_len| FrameHeader { body_len, ..header };
            let count = |count| FrameHeader { count, ..header };
            for lie in [
                body_len((bytes.len() - at - 40) as u32),
                body_len(1 << 20),
                body_len(60 << 20),
                body_len(1 << 30),
                count(1 << 16),
                count(u32::MAX),
                FrameHeader { lsn_delta: u32::MAX, ..header },
                FrameHeader { columns: 0x1f, ..header },
                FrameHeader { codec: 1, ..header },
                FrameHeader { codec: 2, ..header },
            ] {
                let mut files = files.clone();
                files[file].1[at..at + 40].copy_from_slice(&lie.encode(key, at as u64));
                check(&files, &format!("{lie:?} at {at} of {name}"));
                lies += 1;
            }
            // What the body says of itself, under a checksum that holds.
            for value in [u32::MAX, 1 << 30, 1 << 29, 60 << 20, RAW_LEN_MAX, 70_000] {
                let mut files = files.clone();
                let bytes = &mut files[file].1;
                let Some(body) = bytes.get_mut(at + 40..at + 40 + header.body_len as usize) else { continue };
                let Some(place) = body.first_chunk_mut() else { continue };
                *place = value.to_le_bytes();
                let body_crc = key.checksum.of(body);
                let header = FrameHeader { body_crc, ..header };
                bytes[at..at + 40].copy_from_slice(&header.encode(key, at as u64));
                check(&files, &format!("{value} in the body at {at} of {name}"));
                lies += 1;
            }
        }
    }
    assert!(lies > 300, "{lies}");
}

pub(crate) fn entries_of_a_bomb_are_refused_by_the_limit_and_not_lost() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let generous = Compression { raw_len_max: 64 << 20, ..options().compression };
    let log = Log::open(environment(&storage), Options { compression: generous, ..options() }).unwrap();
    let lsn = log.append(&vec![0; 32 << 20]).unwrap();
    log.close().unwrap();
    drop(log);
    let log = Log::open_read_only(environment(&storage), options()).unwrap();
    let (refused, used) = peak(|| log.get(lsn).unwrap_err());
    assert!(!refused.is_damage(), "{refused:?}");
    assert!(used < WINDOWS, "{used}");
    let all = |_: &[wal_core::Entry]| ControlFlow::Continue(());
    let (refused, used) = peak(|| salvage(Arc::clone(&storage), Default::default(), &options(), all));
    assert!(refused.is_err_and(|error| !error.is_damage()) && used < WINDOWS, "{used}");
}
