//! Reads alone, for a profiler.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a tool for profiling"
)]
use std::time::{Duration, Instant};
use wal_benches::{sample::payload, subject::open};
use wal_core::{Options, SyncPolicy};
fn main() {
    let dir = tempfile::tempdir_in(".").unwrap();
    let interval = Duration::from_millis(200);
    let options = Options {
        sync: SyncPolicy::Background { interval },
        first_segment_len: 64 << 20,
        ..Options::default()
    };
    let log = open(&dir.path().join("log"), options);
    let record = payload(128, 1);
    for _ in 0..300_000 {
        log.append(&record).unwrap();
    }
    log.sync().unwrap();
    for _ in 0..20 {
        let start = Instant::now();
        let total: usize = log.range(..).map(|entry| entry.unwrap().payload.len()).sum();
        let owned = start.elapsed();
        let start = Instant::now();
        let mut iter = log.range(..);
        let mut lent = 0;
        while let Some(entry) = iter.next_ref() {
            lent += entry.unwrap().payload.len();
        }
        assert_eq!(lent, total);
        println!("{} ns lent, ", start.elapsed().as_nanos() / 300_000);
        println!("{} ns, {total}", owned.as_nanos() / 300_000);
    }
}
