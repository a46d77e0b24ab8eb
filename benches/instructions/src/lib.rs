//! A log that a thousand operations can be counted on, with nothing going on beside them.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a failure should stop")]

use std::time::Duration;

use rustix as _;
use tempfile::TempDir;
use wal::{ChecksumKind, Lsn, Options, SyncPolicy, Wal};

/// Operations that are counted together.
pub const CALLS: u64 = 1000;
/// Entries of a log that is read.
pub const ENTRIES: u64 = 10_000;

/// A log in a directory that goes with it.
pub struct Ready {
    /// The log.
    pub log: Wal,
    /// What is appended.
    pub payload: [u8; 128],
    _dir: TempDir,
}

impl Ready {
    /// A log with some entries, so that what happens once has happened.
    #[must_use]
    pub fn new(sync: SyncPolicy, checksum: ChecksumKind, entries: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { sync, checksum, background_threads: false, ..Options::default() };
        let log = Wal::builder(dir.path()).options(options).open().unwrap();
        let payload = std::array::from_fn(|at| at as u8);
        for _ in 0..entries {
            log.append(payload).unwrap();
        }
        Self { log, payload, _dir: dir }
    }

    /// A log whose appends only gather in memory.
    #[must_use]
    pub fn buffered(checksum: ChecksumKind) -> Self {
        Self::new(SyncPolicy::Background { interval: Duration::from_secs(60) }, checksum, 100)
    }

    /// A log whose appends are durable on return.
    #[must_use]
    pub fn durable() -> Self {
        Self::new(SyncPolicy::Always, ChecksumKind::Crc32, 100)
    }

    /// A log to read from: every entry is synced, and has been read once.
    #[must_use]
    pub fn full() -> Self {
        let interval = Duration::from_secs(60);
        let ready = Self::new(SyncPolicy::Background { interval }, ChecksumKind::Crc32, ENTRIES);
        ready.log.sync().unwrap();
        assert_eq!(ready.log.iter().count() as u64, ENTRIES);
        ready
    }

    /// LSNs all over the log, the same in every run.
    pub fn lsns() -> impl Iterator<Item = Lsn> {
        (0..CALLS).map(|n| Lsn::new(n * 7919 % ENTRIES + 1).unwrap())
    }
}
