//! Daily benches of our own paths: `cargo bench -p wal-benches`. For ratios against the machine, run the binary.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make undocumented items; a failure should stop"
)]

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wal_benches::{sample::payload, subject::open};
use wal_core::{Options, SyncPolicy};
use wal_format::{ChecksumKind, Lsn};

const ENTRIES: u64 = 100_000;

fn background(checksum: ChecksumKind) -> Options {
    let interval = Duration::from_millis(200);
    Options { sync: SyncPolicy::Background { interval }, checksum, ..Options::default() }
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for (name, checksum) in [("crc32", ChecksumKind::Crc32), ("crc32c", ChecksumKind::Crc32c)] {
        let dir = tempfile::tempdir_in(".").unwrap();
        let log = open(dir.path(), background(checksum));
        let record = payload(128, 1);
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("buffered 128 B {name}"), |bencher| {
            bencher.iter(|| log.append(black_box(&record)).unwrap());
            // What was measured is not kept: the disk is not endless.
            log.clear().unwrap();
        });
    }
    let dir = tempfile::tempdir_in(".").unwrap();
    let log = open(dir.path(), Options::default());
    let record = payload(128, 1);
    group.bench_function("durable 128 B", |bencher| bencher.iter(|| log.append(black_box(&record)).unwrap()));
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let dir = tempfile::tempdir_in(".").unwrap();
    let log = open(dir.path(), background(ChecksumKind::Crc32));
    let record = payload(128, 1);
    for _ in 0..ENTRIES {
        log.append(&record).unwrap();
    }
    log.sync().unwrap();
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(ENTRIES));
    group.bench_function("forward, lent", |bencher| {
        bencher.iter(|| {
            let mut iter = log.range(..);
            let mut total = 0;
            while let Some(entry) = iter.next_ref() {
                total += entry.unwrap().payload.len();
            }
            total
        });
    });
    group.bench_function("forward, owned", |bencher| {
        bencher.iter(|| log.range(..).map(|entry| entry.unwrap().payload.len()).sum::<usize>());
    });
    group.bench_function("reverse, owned", |bencher| {
        bencher.iter(|| log.range(..).rev().map(|entry| entry.unwrap().payload.len()).sum::<usize>());
    });
    group.throughput(Throughput::Elements(1));
    let mut at = 1_u64;
    group.bench_function("get, random", |bencher| {
        bencher.iter(|| {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            log.get(Lsn::new(at % ENTRIES + 1).unwrap()).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, append, read);
criterion_main!(benches);
