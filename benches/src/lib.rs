//! Benchmarks of the write-ahead log against raw system calls and a plain log, as ratios within one run.
//!
//! `cargo run --release -p wal-benches` prints the table, `-- --compression` that of compression, made of what it finds
//! in the working directory, `-- --objects` that of object storage, on a store in memory that answers late, and
//! `-- --only reading,rotation` some rows. Timed runs want an otherwise idle machine; on a shared one run them with
//! real-time priority (`chrt -f 20`), or a compiler next door makes a sync look forty times slower.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    reason = "a benchmark that fails should stop, and it is about time and files"
)]

pub mod batches;
pub mod compression;
pub mod following;
pub mod objects;
pub mod plain;
pub mod raw;
pub mod reading;
pub mod sample;
pub mod subject;
pub mod watched;
pub mod ways;
pub mod writing;
