//! Frames that were decompressed lately, where others come into their place, or are in memory.

use std::{ops::RangeInclusive, sync::Arc};

use wal_compress::{CodecId, Compression};
use wal_core::{AppendOptions, Durability, Log, Options};
use wal_format::{EntriesBuilder, NewEntry};
use wal_segment::MemoryStorage;

use crate::{
    hooked::Hooked,
    reading::lsn,
    support::{environment, small},
};

fn log() -> (Hooked, Log) {
    cached(4 << 20)
}

/// With a cache of so many bytes.
fn cached(frame_cache_len: usize) -> (Hooked, Log) {
    let storage = Hooked::new(Arc::new(MemoryStorage::new()));
    let compression = Compression { codec: CodecId::ZSTD, ..Compression::default() };
    let options = Options { compression, background_threads: false, frame_cache_len, ..small() };
    (storage.clone(), Log::open(environment(Arc::new(storage)), options).unwrap())
}

fn content(kind: u8, n: u64) -> Vec<u8> {
    format!("{n:05} {}", char::from(kind).to_string().repeat(100)).into_bytes()
}

/// Entries of one frame.
fn append(log: &Log, kind: u8, numbers: RangeInclusive<u64>, durability: Durability) {
    let mut batch = EntriesBuilder::default();
    numbers.for_each(|n| batch.push(&NewEntry::plain(&content(kind, n))).unwrap());
    let options = AppendOptions { durability: Some(durability), ..AppendOptions::default() };
    log.append_batch(&batch, &options).unwrap();
}

/// Reads one by one, in parts from both ends, and all.
fn check(log: &Log, kinds: impl Fn(u64) -> u8, next: u64) {
    let right = |entry: wal_core::Entry| {
        let n = entry.lsn.get();
        assert_eq!(entry.payload, content(kinds(n), n), "entry {n}");
    };
    for n in 1..next {
        right(log.get(lsn(n)).unwrap());
        log.range(lsn(n)..).take(3).for_each(|entry| right(entry.unwrap()));
        log.range(..lsn(n + 1)).rev().take(3).for_each(|entry| right(entry.unwrap()));
        log.get_many(&[lsn(n), lsn(1)]).unwrap().into_iter().for_each(right);
    }
    assert_eq!(log.range(..).map(|entry| right(entry.unwrap())).count() as u64, next - 1);
}

#[test]
fn of_a_frame_that_was_cut_only_what_is_left_is_found_in_the_cache() {
    for durability in [Durability::Buffered, Durability::Written, Durability::Durable] {
        let (_, log) = log();
        append(&log, b'a', 1..=100, Durability::Durable);
        check(&log, |_| b'a', 101);
        let mut before = log.range(lsn(20)..);
        assert_eq!(before.next().unwrap().unwrap().payload, content(b'a', 20));
        log.truncate_after(lsn(40)).unwrap();
        assert!(log.get(lsn(41)).is_err());
        append(&log, b'b', 41..=100, durability);
        // What an iterator leaves that began before the cut is not what is there now.
        drop(before);
        check(&log, |n| if n > 40 { b'b' } else { b'a' }, 101);
        log.reset(lsn(1)).unwrap();
        append(&log, b'c', 1..=100, durability);
        check(&log, |_| b'c', 101);
        assert!(log.stats().cache_hits > 0);
    }
}

#[test]
fn what_is_in_memory_is_not_looked_for_among_frames_that_were_decompressed() {
    let (storage, log) = log();
    append(&log, b'a', 1..=100, Durability::Durable);
    assert_eq!(log.get(lsn(50)).unwrap().payload, content(b'a', 50));
    append(&log, b'b', 101..=200, Durability::Buffered);
    let before = storage.bytes_read();
    for n in 101..=200 {
        assert_eq!(log.get(lsn(n)).unwrap().payload, content(b'b', n));
    }
    assert_eq!(storage.bytes_read(), before);
}

#[test]
fn what_was_read_to_its_end_and_what_holds_one_entry_is_not_kept() {
    // Four frames, of some ten thousand bytes each.
    let (_, log) = cached(48 << 10);
    for n in 1..=20 {
        append(&log, b'a', n * 100 - 99..=n * 100, Durability::Durable);
    }
    for n in 2..=20 {
        assert_eq!(log.range(..=lsn(n * 100)).count() as u64, n * 100);
        assert_eq!(log.range(lsn(n * 100 - 99)..=lsn(2000)).rev().count() as u64, 2100 - n * 100);
    }
    // Each walk began in one of two frames.
    assert_eq!(log.stats().cache_misses, 2);
    let single = log.append(&[7; 5000]).unwrap();
    assert_ne!(log.headers(single, single.next()).next().unwrap().unwrap().codec, CodecId::IDENTITY);
    for _ in 0..2 {
        assert_eq!(log.get(single).unwrap().payload, [7; 5000][..]);
        assert_eq!(log.range(single..).count(), 1);
    }
    assert_eq!((log.stats().cache_misses, log.stats().cache_hits), (2, 36));
}
