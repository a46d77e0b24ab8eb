//! `cargo xtask instructions`: what each path costs in instructions, which no noise of the machine changes.

#![allow(missing_docs, reason = "the macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a failure should stop")]

use gungraun::{library_benchmark, library_benchmark_group, main};
use wal::{ChecksumKind, Lsn};
use wal_instructions::{CALLS, Ready};

#[library_benchmark]
#[bench::crc32(args = (ChecksumKind::Crc32), setup = Ready::buffered)]
#[bench::crc32c(args = (ChecksumKind::Crc32c), setup = Ready::buffered)]
fn thousand_appends_buffered(ready: Ready) -> Ready {
    for _ in 0..CALLS {
        ready.log.append(ready.payload).unwrap();
    }
    ready
}

#[library_benchmark]
#[bench::crc32(setup = Ready::durable)]
fn thousand_appends_durable(ready: Ready) -> Ready {
    for _ in 0..CALLS {
        ready.log.append(ready.payload).unwrap();
    }
    ready
}

#[library_benchmark]
#[bench::lent(setup = Ready::full)]
fn ten_thousand_forwards(ready: Ready) -> (Ready, usize) {
    let (mut entries, mut bytes) = (ready.log.iter(), 0);
    while let Some(entry) = entries.next_ref() {
        bytes += entry.unwrap().payload.len();
    }
    (ready, bytes)
}

#[library_benchmark]
#[bench::owned(setup = Ready::full)]
fn ten_thousand_backwards(ready: Ready) -> (Ready, usize) {
    let bytes = ready.log.iter().rev().map(|entry| entry.unwrap().payload.len()).sum();
    (ready, bytes)
}

#[library_benchmark]
#[bench::one_by_one(setup = Ready::full)]
fn thousand_gets(ready: Ready) -> (Ready, usize) {
    let bytes = Ready::lsns().map(|lsn| ready.log.get(lsn).unwrap().payload.len()).sum();
    (ready, bytes)
}

#[library_benchmark]
#[bench::at_once(setup = Ready::full)]
fn thousand_gets_many(ready: Ready) -> (Ready, usize) {
    let lsns: Vec<Lsn> = Ready::lsns().collect();
    (lsns.len() == CALLS as usize).then_some(()).unwrap();
    let bytes = ready.log.get_many(&lsns).unwrap().iter().map(|entry| entry.payload.len()).sum();
    (ready, bytes)
}

library_benchmark_group!(name = appends, benchmarks = [thousand_appends_buffered, thousand_appends_durable]);
library_benchmark_group!(
    name = reads,
    benchmarks = [ten_thousand_forwards, ten_thousand_backwards, thousand_gets, thousand_gets_many]
);

main!(library_benchmark_groups = [appends, reads]);
