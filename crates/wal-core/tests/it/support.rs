//! A log on a storage in memory or in a temporary directory.

use std::{path::Path, sync::Arc};

use wal_core::{Environment, Log, LogError, Options};
use wal_segment::{LocalOptions, LocalStorage, MemoryStorage, Storage, WriteMode};

pub(crate) fn environment(storage: Arc<dyn Storage>) -> Environment {
    Environment::new(storage)
}

pub(crate) fn open(storage: &Arc<dyn Storage>, options: &Options) -> Result<Log, LogError> {
    Log::open(environment(Arc::clone(storage)), options.clone())
}

/// Runs a test on every kind of storage.
pub(crate) fn on_all(test: impl Fn(Arc<dyn Storage>)) {
    test(Arc::new(MemoryStorage::new()));
    let dir = tempfile::tempdir().unwrap();
    test(Arc::new(LocalStorage::open(dir.path(), LocalOptions::default()).unwrap()));
    let dir = tempfile::tempdir().unwrap();
    test(Arc::new(mapped(dir.path())));
}

/// A directory where what is to be with the operating system is stored in mapped pages.
pub(crate) fn mapped(dir: &Path) -> LocalStorage {
    let options = LocalOptions { write_mode: WriteMode::Mmap, ..LocalOptions::default() };
    LocalStorage::open(dir, options).unwrap()
}

pub(crate) fn small() -> Options {
    Options { segment_len: 64 << 10, first_segment_len: 64 << 10, ..Options::default() }
}

pub(crate) fn payload(n: u64) -> Vec<u8> {
    format!("entry {n} {}", "x".repeat((n % 300) as usize)).into_bytes()
}

/// Appends `payload(n)` for each of the numbers.
pub(crate) fn fill(log: &Log, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        log.append(&payload(n)).unwrap();
    }
}

/// The log holds exactly `payload(n)` for the entries `first..next`.
#[track_caller]
pub(crate) fn check(log: &Log, first: u64, next: u64) {
    let lsns: Vec<u64> = log
        .range(..)
        .map(|entry| {
            let entry = entry.unwrap();
            assert_eq!(entry.payload, payload(entry.lsn.get()), "{}", entry.lsn);
            entry.lsn.get()
        })
        .collect();
    assert_eq!(lsns, (first..next).collect::<Vec<_>>());
    let back: Vec<u64> = log.range(..).rev().map(|entry| entry.unwrap().lsn.get()).collect();
    assert_eq!(back, (first..next).rev().collect::<Vec<_>>());
    assert_eq!(log.next_lsn().get(), next);
    for lsn in lsns {
        let lsn = wal_format::Lsn::new(lsn).unwrap();
        assert_eq!(log.get(lsn).unwrap().payload, payload(lsn.get()));
    }
}
