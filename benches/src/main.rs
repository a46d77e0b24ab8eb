//! Prints the table of ratios.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark that fails should stop, and it is about time"
)]

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use wal_benches::{
    batches, compression, following, objects,
    plain::PlainLog,
    raw::RawFile,
    reading,
    sample::{Sample, median, payload, row},
    subject::open,
    watched, ways, writing,
};
use wal_core::{Log, Options, SyncPolicy};
use wal_format::ChecksumKind;

/// Repetitions of each row, the rivals of a row in turn.
const REPEATS: usize = 5;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let dir = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    if std::env::args().any(|argument| argument == "--compression") {
        return compression::table(dir.path(), &std::env::current_dir().unwrap(), quick);
    }
    if std::env::args().any(|argument| argument == "--objects") {
        return objects::table(quick);
    }
    let scale = if quick { 1 } else { 4 };
    let only = std::env::args().skip_while(|argument| argument != "--only").nth(1);
    let wanted = |name| only.as_deref().is_none_or(|only| only.split(',').any(|one| one == name));
    println!("| workload | this log | compared with | ratio |");
    println!("|---|---|---|---|");
    if wanted("durable") {
        durable(dir.path(), 128, 500 * scale);
        durable(dir.path(), 4096, 500 * scale);
    }
    if wanted("group") {
        group(dir.path(), Duration::from_millis(200 * scale as u64));
    }
    if wanted("batch") {
        writing::batch(dir.path(), 250 * scale);
    }
    if wanted("rotation") {
        writing::rotation(dir.path(), 12 * scale);
    }
    if wanted("buffered") {
        buffered(dir.path(), 300_000 * scale);
    }
    if wanted("written") {
        writing::written(dir.path(), 20_000 * scale);
    }
    if wanted("bandwidth") {
        writing::bandwidth(dir.path(), 1024, (48 * scale) << 20);
        writing::bandwidth(dir.path(), 64 << 10, (48 * scale) << 20);
        writing::sustained(dir.path(), (64 * scale) << 20);
    }
    if wanted("reading") {
        reading::table(dir.path(), if quick { 256 } else { 1024 });
    }
    if wanted("batches") {
        batches::table(dir.path());
    }
    if wanted("following") {
        following::table(dir.path());
    }
    if wanted("watched") {
        watched::table(dir.path());
    }
    if wanted("ways") {
        ways::table(dir.path());
    }
    if wanted("opening") {
        opening(dir.path(), if quick { 128 } else { 1024 });
    }
}

fn always() -> Options {
    Options { first_segment_len: 64 << 20, ..Options::default() }
}

fn background() -> Options {
    let interval = Duration::from_millis(200);
    // One segment: a change of segments waits for a sync, and what that costs is a row of its own.
    let len = 256 << 20;
    let sync = SyncPolicy::Background { interval };
    Options { sync, segment_len: len, first_segment_len: len, ..Options::default() }
}

/// One thread, every append durable.
fn durable(dir: &Path, len: usize, count: usize) {
    let record = payload(len, 1);
    let mut framed = record.clone();
    framed.resize(len + 40, 7);
    let mut raw = RawFile::zero_filled(&dir.join("raw"), 64 << 20);
    let log_dir = dir.join("durable");
    let log = open(&log_dir, always());
    log.append(&record).unwrap();
    let (mut ours, mut floor) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..REPEATS {
        let sample = Sample::take(count, |_| raw.write_durably(&framed));
        floor[0].push(sample.quantile(500));
        floor[1].push(sample.quantile(990));
        let sample = Sample::take(count, |_| {
            log.append(&record).unwrap();
        });
        ours[0].push(sample.quantile(500));
        ours[1].push(sample.quantile(990));
    }
    let appended = log.next_lsn();
    drop(log);
    assert_eq!(open(&log_dir, always()).next_lsn(), appended, "what was acknowledged is there");
    std::fs::remove_dir_all(log_dir).unwrap();
    for (at, name) in ["p50", "p99"].into_iter().enumerate() {
        let (ours, floor) = (median(&ours[at]) / 1e3, median(&floor[at]) / 1e3);
        let what = format!("durable append {len} B, 1 thread, {name}");
        row(&what, &format!("{ours:.1} us"), &format!("pwrite+fdatasync {floor:.1} us"), ours / floor);
    }
}

/// Many threads, every append durable.
fn group(dir: &Path, time: Duration) {
    let threads = [1, 4, 16, 64];
    let mut rates = vec![Vec::new(); threads.len()];
    let log_dir = dir.join("group");
    let log = open(&log_dir, always());
    let mut syncs = vec![0.0; threads.len()];
    for _ in 0..REPEATS {
        for (at, threads) in threads.into_iter().enumerate() {
            let before = log.stats();
            rates[at].push(group_rate(&log, threads, time));
            let after = log.stats();
            syncs[at] = (after.entries - before.entries) as f64 / (after.syncs - before.syncs).max(1) as f64;
        }
    }
    let appended = log.next_lsn();
    drop(log);
    assert_eq!(open(&log_dir, always()).next_lsn(), appended);
    std::fs::remove_dir_all(log_dir).unwrap();
    let one = median(&rates[0]);
    for (at, threads) in threads.into_iter().enumerate().skip(1) {
        let rate = median(&rates[at]);
        let ours = format!("{rate:.0}/s, {:.1} a sync", syncs[at]);
        row(
            &format!("durable append 128 B, {threads} threads"),
            &ours,
            &format!("1 thread {one:.0}/s"),
            rate / one,
        );
    }
}

fn group_rate(log: &Log, threads: usize, time: Duration) -> f64 {
    let total = AtomicU64::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for n in 0..threads {
            let total = &total;
            let record = payload(128, n as u64);
            scope.spawn(move || {
                let mut count = 0;
                while start.elapsed() < time {
                    log.append(&record).unwrap();
                    count += 1;
                }
                total.fetch_add(count, Ordering::Relaxed);
            });
        }
    });
    total.into_inner() as f64 / start.elapsed().as_secs_f64()
}

/// Appends that return before anything is durable.
fn buffered(dir: &Path, count: usize) {
    let record = payload(128, 1);
    let per = |start: Instant| start.elapsed().as_nanos() as f64 / count as f64;
    let (mut plain, mut four) = (Vec::new(), Vec::new());
    let mut ours = [Vec::new(), Vec::new()];
    for _ in 0..REPEATS {
        let path = dir.join("plain");
        let start = Instant::now();
        let mut log = PlainLog::create(&path);
        (0..count).for_each(|_| log.append(&record));
        log.flush();
        plain.push(per(start));
        std::fs::remove_file(path).unwrap();
        for (at, checksum) in [ChecksumKind::Crc32, ChecksumKind::Crc32c].into_iter().enumerate() {
            let log_dir = dir.join("buffered");
            let log = open(&log_dir, Options { checksum, ..background() });
            log.append(&record).unwrap();
            let start = Instant::now();
            (0..count).for_each(|_| {
                log.append(&record).unwrap();
            });
            ours[at].push(per(start));
            if at == 0 {
                let start = Instant::now();
                thread::scope(|scope| {
                    for _ in 0..4 {
                        scope.spawn(|| {
                            (0..count / 4).for_each(|_| {
                                log.append(&record).unwrap();
                            })
                        });
                    }
                });
                four.push(per(start));
            }
            drop(log);
            std::fs::remove_dir_all(log_dir).unwrap();
        }
    }
    let plain = median(&plain);
    let theirs = format!("BufWriter + crc32fast {plain:.0} ns");
    for (ours, what) in
        [(&ours[0], "CRC-32, 1 thread"), (&ours[1], "CRC-32C, 1 thread"), (&four, "CRC-32, 4 threads")]
    {
        let ours = median(ours);
        row(&format!("buffered append 128 B, {what}"), &format!("{ours:.0} ns"), &theirs, ours / plain);
    }
}

/// Opening a large log after a clean close.
fn opening(dir: &Path, mebibytes: usize) {
    let record = payload(1024, 1);
    let log_dir = dir.join("opening");
    let log = open(&log_dir, background());
    (0..mebibytes * 1024).for_each(|_| {
        log.append(&record).unwrap();
    });
    log.close().unwrap();
    let next = log.next_lsn();
    drop(log);
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let start = Instant::now();
        let log = open(&log_dir, background());
        times.push(start.elapsed().as_secs_f64() * 1e3);
        assert_eq!(log.next_lsn(), next);
    }
    std::fs::remove_dir_all(log_dir).unwrap();
    let time = median(&times);
    row(&format!("open {mebibytes} MiB after a clean close"), &format!("{time:.2} ms"), "20 ms", time / 20.0);
}
