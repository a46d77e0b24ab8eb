//! The time, the chance and the scale of a run.

use std::{env, sync::Arc, time::Duration};

use parking_lot::Mutex;
use wal_core::{Clock, Entropy, Environment, Extras, Options};
use wal_segment::{Capabilities, Storage};
use wal_sim::{DiskOptions, Rng, VirtualTime};

use crate::codec::codecs;

#[derive(Debug)]
struct SimClock(Arc<VirtualTime>);

impl Clock for SimClock {
    fn now(&self) -> u64 {
        self.0.wall_ns()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.monotonic_ns())
    }
}

#[derive(Debug)]
struct SimEntropy(Mutex<Rng>);

impl Entropy for SimEntropy {
    fn next(&self) -> u64 {
        self.0.lock().next_u64()
    }
}

pub(crate) fn environment(storage: Arc<dyn Storage>, time: &Arc<VirtualTime>, seed: u64) -> Environment {
    Environment {
        storage,
        clock: Arc::new(SimClock(Arc::clone(time))),
        entropy: Arc::new(SimEntropy(Mutex::new(Rng::new(seed)))),
        codecs: codecs(),
        hooks: Default::default(),
        tier: None,
        extras: Extras::ALL,
    }
}

/// Segments as small as they may be, and no threads.
pub(crate) fn options() -> Options {
    Options {
        segment_len: 64 << 10,
        first_segment_len: 64 << 10,
        buffer_len: 256 << 10,
        background_threads: false,
        ..Options::default()
    }
}

/// A disk where nobody fills files ahead of use.
pub(crate) fn bare() -> DiskOptions {
    DiskOptions { capabilities: Capabilities::MEMORY, traced: false, ..DiskOptions::default() }
}

/// How much more than by default is to be tried.
pub(crate) fn scale() -> u64 {
    number("WAL_CRASH_STATES").unwrap_or(1).max(1)
}

/// What shifts every seed.
pub(crate) fn seed() -> u64 {
    number("WAL_CRASH_SEED").unwrap_or(0)
}

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}
