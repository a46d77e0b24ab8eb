//! Real faults on real files: processes that are killed, limits, directories that go away, readers beside writers.
//!
//! What a kill shows is that a log comes up again with everything acknowledged; what reached the disk it cannot show:
//! the simulated disk of `wal-sim` is there for that. What is ignored here needs preparations or root and is run by
//! `cargo xtask faults`. Inheritance of a log over `fork` is left out, because a test of it cannot be written in safe
//! code; a child that is executed inherits nothing, since all files are opened close-on-exec.
#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests look at the files behind the log's back, and take time"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails panics, also in its parts and in other processes"
)]
#![expect(clippy::print_stdout, reason = "the figures of a run, for those who ask for them")]

mod beside;
mod child;
mod churn;
mod clock;
mod content;
mod directory;
mod disk;
mod killed;
mod limit;
mod locked;
mod preloaded;
