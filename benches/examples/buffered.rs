//! Buffered appends alone, for a profiler.
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
    for round in 0..5 {
        let options = Options {
            sync: SyncPolicy::Background { interval },
            first_segment_len: 64 << 20,
            ..Options::default()
        };
        let path = dir.path().join(round.to_string());
        let log = open(&path, options);
        let record = payload(128, 1);
        log.append(&record).unwrap();
        let start = Instant::now();
        for _ in 0..300_000 {
            log.append(&record).unwrap();
        }
        println!("{} ns", start.elapsed().as_nanos() / 300_000);
        drop(log);
        std::fs::remove_dir_all(path).unwrap();
    }
}
