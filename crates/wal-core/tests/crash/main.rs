//! What survives a crash: the engine on a simulated disk, beside a model that knows what it promised.
//!
//! Everything follows from seeds. `WAL_CRASH_STATES` multiplies how much is tried (1 by default), `WAL_CRASH_SEED`
//! shifts every seed; with `--nocapture` each test says how many states it has seen. `cargo xtask crash` runs `slice`
//! alone, for as many states as one likes. `plants` shows that the search finds what it is there for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed test should say so, and any test how much it has seen"
)]

mod codec;
mod copying;
mod damage;
mod draining;
mod exhaustive;
mod faults;
mod full;
mod metadata;
mod model;
mod planted;
mod plants;
mod props;
mod protocol;
mod random;
mod regressions;
mod repair;
mod retention;
mod rig;
mod slice;
mod surroundings;
mod tally;
mod threads;
mod transactions;
mod workloads;
