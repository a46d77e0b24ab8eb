//! Reading back: single entries, many at once, in both directions, and the scan after a crash.
//!
//! The rivals work on the same mapped bytes and verify the same two checksums: a table of offsets that is asked for a
//! slice, and a scan that hops from length to length.

#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::{
    fs,
    hint::black_box,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use wal_core::{Log, Options, SyncPolicy};
use wal_format::{FIRST_FRAME, FRAME_HEADER_LEN, FileName, Lsn, frame_len};
use wal_segment::{LocalOptions, LocalStorage, Storage, scan_notable};

use crate::{
    sample::{median, payload},
    subject::open,
};

/// Repetitions of each row, the rivals of a row in turn.
const REPEATS: usize = 5;
/// Entries of a set that fits into the caches.
const HOT: u64 = 10_000;
/// How many entries are asked for at once.
const MANY: usize = 1000;

/// Prints the rows. `mebibytes` is the size of the log beyond the caches.
pub fn table(dir: &Path, mebibytes: u64) {
    for len in [128, 1024] {
        walking(&dir.join("walking"), len, 48_000_000 / (len + 40));
    }
    single(&dir.join("single"), mebibytes);
    for len in [128, 4096] {
        recovering(&dir.join("recovering"), len);
    }
}

fn row(what: &str, ours: f64, theirs: &str, rival: f64) {
    println!("| {what} | {ours:.1} ns | {theirs} {rival:.1} ns | {:.2} |", ours / rival);
}

fn options() -> Options {
    let interval = Duration::from_millis(200);
    Options { sync: SyncPolicy::Background { interval }, first_segment_len: 64 << 20, ..Options::default() }
}

fn filled(dir: &Path, len: usize, count: usize) -> Log {
    let log = open(dir, options());
    let record = payload(len, 1);
    for _ in 0..count {
        log.append(&record).unwrap();
    }
    log.sync().unwrap();
    log
}

/// Nanoseconds for each of `count`.
fn per(count: u64, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / count as f64
}

/// Mapped segments and where each entry stands in them: what a log would be that does nothing but read.
struct Rival {
    maps: Vec<Bytes>,
    /// Index of the map, offset of the frame.
    places: Vec<(u32, u32)>,
}

impl Rival {
    fn of(dir: &Path, log: &Log) -> Self {
        let storage = LocalStorage::create(dir, LocalOptions::default()).unwrap();
        let (mut ids, mut maps, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for header in log.headers(Lsn::FIRST, Lsn::MAX) {
            let header = header.unwrap();
            if ids.last() != Some(&header.segment) {
                ids.push(header.segment);
                let file = storage.open(&FileName::Segment(header.segment).with_prefix("")).unwrap();
                maps.push(file.view(0..file.len().unwrap()).unwrap());
            }
            places.push((ids.len() as u32 - 1, header.offset as u32));
        }
        Self { maps, places }
    }

    fn get(&self, at: usize) -> &[u8] {
        let (map, offset) = self.places[at];
        verified(&self.maps[map as usize][offset as usize..])
    }

    /// Hops from frame to frame of the whole log; returns how many bytes of payload there were.
    fn scan(&self) -> usize {
        let mut total = 0;
        let mut places = self.places.iter().peekable();
        for (at, map) in (0..).zip(&self.maps) {
            let Some((_, offset)) = places.next_if(|(map, _)| *map == at) else { continue };
            let mut rest = &map[*offset as usize..];
            total += verified(rest).len();
            while places.next_if(|(map, _)| *map == at).is_some() {
                let len = verified(rest).len();
                rest = &rest[frame_len(len as u32) as usize..];
                total += len;
            }
        }
        total
    }
}

/// The body of the frame at the front. Both checksums are computed; the header's is that of its place and only looked
/// at.
#[inline]
fn verified(bytes: &[u8]) -> &[u8] {
    let word = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    let body = &bytes[FRAME_HEADER_LEN..FRAME_HEADER_LEN + word(8) as usize];
    black_box(crc32fast::hash(&bytes[4..FRAME_HEADER_LEN]));
    assert_eq!(crc32fast::hash(body), word(4));
    body
}

/// A walk through all entries, forward and back.
fn walking(dir: &Path, len: usize, count: usize) {
    let log = filled(dir, len, count);
    let rival = Rival::of(dir, &log);
    let mut figures: [Vec<f64>; 5] = Default::default();
    for _ in 0..REPEATS {
        let total = count * len;
        figures[0].push(per(count as u64, || assert_eq!(rival.scan(), total)));
        figures[1].push(per(count as u64, || {
            let (mut iter, mut read) = (log.range(..), 0);
            while let Some(entry) = iter.next_ref() {
                read += entry.unwrap().payload.len();
            }
            assert_eq!(read, total);
        }));
        figures[2].push(per(count as u64, || {
            assert_eq!(log.range(..).map(|entry| entry.unwrap().payload.len()).sum::<usize>(), total);
        }));
        figures[3].push(per(count as u64, || {
            assert_eq!(log.range(..).rev().map(|entry| entry.unwrap().payload.len()).sum::<usize>(), total);
        }));
        figures[4].push(per(count as u64, || {
            let (mut iter, mut read) = (log.range(..), 0);
            while let Some(entry) = iter.next_back_ref() {
                read += entry.unwrap().payload.len();
            }
            assert_eq!(read, total);
        }));
    }
    let [bare, lent, owned, back, back_lent] = figures.map(|figures| median(&figures));
    row(&format!("sequential read {len} B, lent"), lent, "mmap + crc32fast", bare);
    row(&format!("sequential read {len} B, owned"), owned, "mmap + crc32fast", bare);
    row(&format!("reverse read {len} B, lent"), back_lent, "forward", lent);
    row(&format!("reverse read {len} B, owned"), back, "forward", owned);
    drop(log);
    fs::remove_dir_all(dir).unwrap();
}

/// LSNs here and there from a range.
struct Random {
    state: u64,
    first: u64,
    count: u64,
}

impl Random {
    const fn of(first: u64, count: u64, seed: u64) -> Self {
        Self { state: seed, first, count }
    }

    /// Depends on what was read last, as keys that lead to keys do: nobody may begin with the next one before that.
    fn after(&mut self, payload: &[u8]) -> Lsn {
        self.state = self.state.wrapping_add(payload.first().copied().unwrap_or(0).into());
        self.next()
    }

    const fn next(&mut self) -> Lsn {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = ((self.state >> 32) * self.count) >> 32;
        Lsn::new(self.first + at).unwrap()
    }
}

const GETS: u64 = 400_000;

fn gets(log: &Log, mut random: Random) -> f64 {
    let mut payload = Bytes::new();
    per(GETS, || {
        for _ in 0..GETS {
            payload = log.get(random.after(&payload)).unwrap().payload;
            assert_eq!(payload.len(), 128);
        }
    })
}

fn lent(log: &Log, mut random: Random) -> f64 {
    let mut first = [0];
    per(GETS, || {
        for _ in 0..GETS {
            first[0] = log.get_with(random.after(&first), |entry| entry.payload[0]).unwrap();
        }
    })
}

fn slices(rival: &Rival, mut random: Random) -> f64 {
    let mut payload: &[u8] = &[];
    per(GETS, || {
        for _ in 0..GETS {
            payload = rival.get(random.after(payload).get() as usize - 1);
            assert_eq!(payload.len(), 128);
        }
    })
}

fn many(log: &Log, mut random: Random) -> f64 {
    per(GETS, || {
        for _ in 0..GETS / MANY as u64 {
            let lsns: Vec<Lsn> = (0..MANY).map(|_| random.next()).collect();
            assert!(log.get_many(&lsns).unwrap().iter().all(|entry| entry.payload.len() == 128));
        }
    })
}

fn many_lent(log: &Log, mut random: Random) -> f64 {
    per(GETS, || {
        for _ in 0..GETS / MANY as u64 {
            let lsns: Vec<Lsn> = (0..MANY).map(|_| random.next()).collect();
            let mut bytes = 0;
            log.get_many_with(&lsns, |_, entry| bytes += entry.payload.len()).unwrap();
            assert_eq!(bytes, 128 * MANY);
        }
    })
}

/// Single entries of 128 B, by their LSN.
fn single(dir: &Path, mebibytes: u64) {
    let count = (mebibytes << 20) / 168;
    let log = filled(dir, 128, count as usize);
    let rival = Rival::of(dir, &log);
    let sealed = |seed| Random::of(1, HOT, seed);
    let active = |seed| Random::of(count - HOT, HOT, seed);
    let all = |seed| Random::of(1, count, seed);
    let mut figures: [Vec<f64>; 14] = Default::default();
    for seed in 0..REPEATS as u64 {
        figures[0].push(slices(&rival, sealed(seed)));
        figures[1].push(gets(&log, sealed(seed)));
        figures[2].push(gets(&log, active(seed)));
        figures[3].push(many(&log, sealed(seed)));
        figures[4].push(slices(&rival, all(seed)));
        figures[5].push(gets(&log, all(seed)));
        figures[6].push(many(&log, all(seed)));
        figures[10].push(lent(&log, sealed(seed)));
        figures[11].push(many_lent(&log, sealed(seed)));
        figures[12].push(lent(&log, all(seed)));
        figures[13].push(many_lent(&log, all(seed)));
    }
    for seed in 0..REPEATS as u64 {
        figures[7].push(gets(&log, sealed(seed)));
        let (beside_sealed, appended) = beside(&log, || gets(&log, sealed(seed)));
        figures[8].push(beside_sealed);
        figures[9].push(appended);
    }
    let [slice, hot, tail, many_hot, cold_slice, cold, many_cold, alone, beside, appended, rest @ ..] =
        figures.map(|figures| median(&figures));
    let [shown, many_shown, cold_shown, many_cold_shown] = rest;
    row("random get, in cache, sealed", hot, "slice + table", slice);
    row("random get, in cache, lent", shown, "slice + table", slice);
    row("random get, in cache, active", tail, "slice + table", slice);
    row("get_many, in cache", many_hot, "get", hot);
    row("get_many, in cache, lent", many_shown, "get, lent", shown);
    row(&format!("random get, {mebibytes} MiB"), cold, "slice + table", cold_slice);
    row(&format!("get_many, {mebibytes} MiB"), many_cold, "get", cold);
    row(&format!("get_many, {mebibytes} MiB, lent"), many_cold_shown, "get, lent", cold_shown);
    row(&format!("random get, a writer beside ({appended:.0} ns an append)"), beside, "alone", alone);
    drop(log);
    fs::remove_dir_all(dir).unwrap();
}

/// The figure of `work` beside a thread that appends as fast as it can, and what an append took it.
fn beside(log: &Log, work: impl FnOnce() -> f64) -> (f64, f64) {
    let (stop, appended) = (AtomicBool::new(false), AtomicU64::new(0));
    let record = payload(128, 2);
    let start = Instant::now();
    let figure = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                log.append(&record).unwrap();
                appended.fetch_add(1, Ordering::Relaxed);
            }
        });
        thread::sleep(Duration::from_millis(5));
        let figure = work();
        stop.store(true, Ordering::Relaxed);
        figure
    });
    let took = start.elapsed().as_nanos() as f64;
    log.sync().unwrap();
    (figure, took / appended.into_inner().max(1) as f64)
}

/// The scan of the last segment after a crash.
fn recovering(dir: &Path, len: usize) {
    let count = (60 << 20) / (len + 40);
    let log = filled(dir, len, count);
    let first = log.headers(Lsn::FIRST, Lsn::MAX).next().unwrap().unwrap();
    let storage = LocalStorage::create(dir, LocalOptions::default()).unwrap();
    let file = storage.open(&FileName::Segment(first.segment).with_prefix("")).unwrap();
    let mut rates = Vec::new();
    for _ in 0..REPEATS {
        let start = Instant::now();
        let verdict = scan_notable(&*file, "the segment", |item| {
            black_box(item);
            Ok(())
        })
        .unwrap();
        assert!(verdict.end > FIRST_FRAME + (count * len) as u64);
        rates.push(verdict.end as f64 / start.elapsed().as_nanos() as f64);
    }
    let rate = median(&rates);
    println!("| scan after a crash, {len} B | {rate:.2} GB/s | 5 GB/s | {:.2} |", rate / 5.0);
    drop(log);
    fs::remove_dir_all(dir).unwrap();
}
