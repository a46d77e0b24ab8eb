//! Rows about writing, beside the bare system calls that move the same bytes.

use std::{
    fs::{File, remove_dir_all, remove_file},
    io::Write,
    mem,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use wal_core::{AppendOptions, Log, Options, SyncPolicy};
use wal_format::{EntriesBuilder, NewEntry};
use wal_segment::WriteMode;

use crate::{
    raw::RawFile,
    sample::{Sample, median, payload, row},
    subject::{open, open_with},
};

const REPEATS: usize = 5;
const INTERVAL: Duration = Duration::from_millis(200);
/// What a frame has besides its payload.
const HEADER: usize = 40;

/// Closes the log, and sees that every entry is there when it is opened again.
fn verify(log: Log, dir: &Path, options: Options) {
    let next = log.next_lsn();
    drop(log);
    assert_eq!(open(dir, options).next_lsn(), next, "what was acknowledged is there");
    remove_dir_all(dir).unwrap();
}

/// A hundred entries that become durable together, and one write of as many bytes.
pub fn batch(dir: &Path, count: usize) {
    let mut batch = EntriesBuilder::default();
    (0..100).for_each(|n| batch.push(&NewEntry::plain(&payload(128, n))).unwrap());
    let (log_dir, options) =
        (dir.join("batch"), Options { first_segment_len: 64 << 20, ..Options::default() });
    let log = open(&log_dir, options.clone());
    let append = || assert!(log.append_batch(&batch, &AppendOptions::default()).is_ok());
    append();
    let before = log.stats().written_bytes;
    append();
    let bytes = payload((log.stats().written_bytes - before) as usize, 1);
    let mut raw = RawFile::zero_filled(&dir.join("raw"), 64 << 20);
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        floor.push(Sample::take(count, |_| raw.write_durably(&bytes)).quantile(500));
        ours.push(Sample::take(count, |_| append()).quantile(500));
    }
    verify(log, &log_dir, options);
    let (ours, floor) = (median(&ours) / 1e3, median(&floor) / 1e3);
    let theirs = format!("pwrite+fdatasync of {} B {floor:.1} us", bytes.len());
    row("durable batch of 100 x 128 B, p50", &format!("{ours:.1} us"), &theirs, ours / floor);
}

/// Durable appends through segments of 1 MiB: those that change segments, and the slowest, beside the others.
pub fn rotation(dir: &Path, segments: usize) {
    let record = payload(1024, 1);
    let framed = payload(1024 + HEADER, 1);
    let len = 1 << 20;
    let count = segments * len / framed.len();
    let mut raw = RawFile::zero_filled(&dir.join("raw"), 64 << 20);
    let (log_dir, options) =
        (dir.join("rotation"), Options { segment_len: len as u64, ..Options::default() });
    let log = open(&log_dir, options.clone());
    let [mut ours, mut floor] = [(); 2].map(|()| [500, 999].map(|per_mille| (per_mille, Vec::new())));
    let mut changes = Sample::default();
    let mut index = 0;
    for _ in 0..REPEATS {
        let sample = Sample::take(count, |_| raw.write_durably(&framed));
        floor.iter_mut().for_each(|(at, figures)| figures.push(sample.quantile(*at)));
        let mut sample = Sample::default();
        for _ in 0..count {
            let start = Instant::now();
            log.append(&record).unwrap();
            let took = start.elapsed();
            sample.add(took);
            if mem::replace(&mut index, log.stats().segment_index) != index {
                changes.add(took);
            }
        }
        ours.iter_mut().for_each(|(at, figures)| figures.push(sample.quantile(*at)));
    }
    verify(log, &log_dir, options);
    let [[p50, p999], [_, theirs]] = [ours, floor].map(|figures| figures.map(|(_, of)| median(&of) / 1e3));
    let theirs = format!("its p50 {p50:.1} us (pwrite+fdatasync p99.9 {theirs:.1} us)");
    let what = format!("durable append 1 KiB through {} changes of segments, p99.9", changes.len());
    row(&what, &format!("{p999:.1} us"), &theirs, p999 / p50);
    for (per_mille, name) in [(500, "p50"), (900, "p90")] {
        let change = changes.quantile(per_mille) / 1e3;
        let what = format!("durable append 1 KiB that changes segments, {name}");
        row(&what, &format!("{change:.1} us"), &theirs, change / p50);
    }
}

const WRITE_MODES: [WriteMode; 2] = [WriteMode::Pwrite, WriteMode::Mmap];

/// Appends that return when the operating system has the bytes, by one thread and by four.
pub fn written(dir: &Path, count: usize) {
    let (record, framed) = (payload(128, 1), payload(128 + HEADER, 1));
    let options = Options { sync: SyncPolicy::OsCache { interval: INTERVAL }, ..Options::default() };
    let options = Options { first_segment_len: 64 << 20, ..options };
    for threads in [1, 4] {
        let per = |start: Instant| start.elapsed().as_nanos() as f64 / (count * threads) as f64;
        let (mut ours, mut floor) = ([Vec::new(), Vec::new()], Vec::new());
        for _ in 0..REPEATS {
            let path = dir.join("raw");
            let file = File::create(&path).unwrap();
            let next = AtomicU64::new(0);
            let start = Instant::now();
            let write = |_| {
                let offset = next.fetch_add(framed.len() as u64, Ordering::Relaxed);
                file.write_all_at(&framed, offset).unwrap();
            };
            thread::scope(|scope| {
                (0..threads).for_each(|_| drop(scope.spawn(|| (0..count).for_each(write))));
            });
            floor.push(per(start));
            remove_file(path).unwrap();
            for (mode, ours) in WRITE_MODES.into_iter().zip(&mut ours) {
                let log_dir = dir.join("written");
                let log = open_with(&log_dir, mode, options.clone());
                log.append(&record).unwrap();
                let start = Instant::now();
                let append = |_| assert!(log.append(&record).is_ok());
                thread::scope(|scope| {
                    (0..threads).for_each(|_| drop(scope.spawn(|| (0..count).for_each(append))));
                });
                ours.push(per(start));
                verify(log, &log_dir, options.clone());
            }
        }
        let floor = median(&floor);
        for (mode, ours) in WRITE_MODES.into_iter().zip(ours.map(|ours| median(&ours))) {
            let what = format!("append 128 B to the operating system, {threads} threads, {mode:?}");
            let theirs = format!("pwrite by {threads} threads {floor:.0} ns");
            row(&what, &format!("{ours:.0} ns"), &theirs, ours / floor);
        }
    }
}

/// Writes `total` bytes in pieces of 64 KiB, and syncs after every `sync`. Returns megabytes a second.
fn raw_bandwidth(path: &Path, total: usize, sync: usize) -> f64 {
    let piece = payload(64 << 10, 1);
    let start = Instant::now();
    let mut file = File::create(path).unwrap();
    for n in 1..=total / piece.len() {
        file.write_all(&piece).unwrap();
        if (n * piece.len()).is_multiple_of(sync) {
            file.sync_data().unwrap();
        }
    }
    let rate = total as f64 / start.elapsed().as_secs_f64() / 1e6;
    remove_file(path).unwrap();
    rate
}

/// Appends `total` bytes. Returns megabytes a second.
fn append_bandwidth(log: &Log, len: usize, total: usize, sync: bool) -> f64 {
    let record = payload(len, 1);
    let start = Instant::now();
    (0..total / len).for_each(|_| assert!(log.append(&record).is_ok()));
    if sync {
        log.sync().unwrap();
    }
    total as f64 / start.elapsed().as_secs_f64() / 1e6
}

/// Buffered appends, and bare writes into the page cache.
pub fn bandwidth(dir: &Path, len: usize, total: usize) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (log_dir, segment_len) = (dir.join("bandwidth"), 256 << 20);
    let sync = SyncPolicy::Background { interval: INTERVAL };
    let options = Options { sync, segment_len, first_segment_len: segment_len, ..Options::default() };
    for _ in 0..REPEATS {
        theirs.push(raw_bandwidth(&dir.join("raw"), total, usize::MAX));
        let log = open(&log_dir, options.clone());
        log.append(b"first").unwrap();
        ours.push(append_bandwidth(&log, len, total, false));
        verify(log, &log_dir, options.clone());
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    let what = format!("buffered append {len} B (times as fast)");
    row(&what, &format!("{ours:.0} MB/s"), &format!("write of 64 KiB {theirs:.0} MB/s"), ours / theirs);
}

/// Buffered appends through many segments until all is durable, and bare writes with a sync for each segment.
pub fn sustained(dir: &Path, total: usize) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (log_dir, segment_len) = (dir.join("sustained"), 8 << 20);
    let sync = SyncPolicy::Background { interval: INTERVAL };
    let options = Options {
        sync,
        segment_len: segment_len as u64,
        first_segment_len: segment_len as u64,
        ..Options::default()
    };
    for _ in 0..REPEATS {
        theirs.push(raw_bandwidth(&dir.join("raw"), total, segment_len));
        let log = open(&log_dir, options.clone());
        log.append(b"first").unwrap();
        ours.push(append_bandwidth(&log, 1024, total, true));
        verify(log, &log_dir, options.clone());
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    let what = "buffered append 1 KiB, segments of 8 MiB, until durable (times as fast)";
    row(what, &format!("{ours:.0} MB/s"), &format!("write+fdatasync {theirs:.0} MB/s"), ours / theirs);
}
