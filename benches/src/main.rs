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
    compression, objects,
    plain::{PlainLog, read_all},
    raw::RawFile,
    sample::{Sample, median, payload},
    subject::open,
};
use wal_core::{Log, Options, SyncPolicy};
use wal_format::{ChecksumKind, Lsn};

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
    println!("| workload | this log | compared with | ratio |");
    println!("|---|---|---|---|");
    for len in [128, 4096] {
        durable(dir.path(), len, 500 * scale);
    }
    group(dir.path(), Duration::from_millis(200 * scale as u64));
    buffered(dir.path(), 300_000 * scale);
    reading(dir.path(), 300_000 * scale);
    opening(dir.path(), if quick { 128 } else { 1024 });
}

fn row(what: &str, ours: &str, theirs: &str, ratio: f64) {
    println!("| {what} | {ours} | {theirs} | {ratio:.2} |");
}

fn always() -> Options {
    Options { first_segment_len: 64 << 20, ..Options::default() }
}

fn background() -> Options {
    let interval = Duration::from_millis(200);
    Options { sync: SyncPolicy::Background { interval }, first_segment_len: 64 << 20, ..Options::default() }
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

/// Sequential and random reads of warm, verified entries.
fn reading(dir: &Path, count: usize) {
    let record = payload(128, 1);
    let path = dir.join("plain");
    let mut plain = PlainLog::create(&path);
    (0..count).for_each(|_| plain.append(&record));
    plain.flush();
    let log_dir = dir.join("reading");
    let log = open(&log_dir, background());
    (0..count).for_each(|_| {
        log.append(&record).unwrap();
    });
    log.sync().unwrap();
    let per = |start: Instant| start.elapsed().as_nanos() as f64 / count as f64;
    let (mut theirs, mut lent, mut forward) = (Vec::new(), Vec::new(), Vec::new());
    let (mut reverse, mut random) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let start = Instant::now();
        assert_eq!(read_all(&path), count as u64 * 128);
        theirs.push(per(start));
        let start = Instant::now();
        let mut iter = log.range(..);
        let mut total = 0;
        while let Some(entry) = iter.next_ref() {
            total += entry.unwrap().payload.len();
        }
        assert_eq!(total, count * 128);
        lent.push(per(start));
        let start = Instant::now();
        assert_eq!(log.range(..).map(|entry| entry.unwrap().payload.len()).sum::<usize>(), count * 128);
        forward.push(per(start));
        let start = Instant::now();
        assert_eq!(log.range(..).rev().map(|entry| entry.unwrap().payload.len()).sum::<usize>(), count * 128);
        reverse.push(per(start));
        let mut at = 1_u64;
        let start = Instant::now();
        for _ in 0..count {
            at = (at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
                % count as u64;
            assert_eq!(log.get(Lsn::new(at + 1).unwrap()).unwrap().payload.len(), 128);
        }
        random.push(per(start));
    }
    drop(log);
    std::fs::remove_dir_all(log_dir).unwrap();
    std::fs::remove_file(path).unwrap();
    let (theirs, forward) = (median(&theirs), median(&forward));
    let plain = format!("BufReader + crc32fast {theirs:.0} ns");
    let lent = median(&lent);
    row("sequential read 128 B, lent (times faster)", &format!("{lent:.0} ns"), &plain, theirs / lent);
    row("sequential read 128 B, owned (times faster)", &format!("{forward:.0} ns"), &plain, theirs / forward);
    let (reverse, random) = (median(&reverse), median(&random));
    row(
        "reverse read 128 B",
        &format!("{reverse:.0} ns"),
        &format!("forward {forward:.0} ns"),
        reverse / forward,
    );
    row(
        "random get 128 B",
        &format!("{random:.0} ns"),
        &format!("forward {forward:.0} ns"),
        random / forward,
    );
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
