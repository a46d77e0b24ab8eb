//! A storage that panics in the middle of a write or a sync.
#![expect(clippy::disallowed_methods, reason = "a thread that hangs must not hold the test up")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use wal_core::{AppendOptions, Durability, Log, LogError, Options, SyncPolicy};
use wal_format::NewEntry;
use wal_segment::{MemoryStorage, Storage};

use crate::{
    hooked::Hooked,
    support::{environment, open, small},
};

/// Far longer than anything takes.
const LONG: Duration = Duration::from_secs(60);

fn quiet() -> Options {
    Options { background_threads: false, ..small() }
}

fn hooked(options: Options) -> (Arc<dyn Storage>, Hooked, Log) {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let hooked = Hooked::new(Arc::clone(&memory));
    let log = Log::open(environment(Arc::new(hooked.clone())), options).unwrap();
    log.append(b"first").unwrap();
    (memory, hooked, log)
}

/// The next call of this operation panics.
fn panics_once(hooked: &Hooked, operation: &'static str) {
    let done = AtomicBool::new(false);
    hooked.set(move |called, _| {
        assert!(called != operation || done.swap(true, Ordering::SeqCst), "the storage panics");
        Ok(())
    });
}

#[test]
fn nothing_is_acknowledged_over_a_write_that_panicked() {
    let (memory, hooked, log) = hooked(Options {
        sync: SyncPolicy::OsCache { interval: LONG * 60 },
        unsynced_age_max: LONG * 120,
        ..quiet()
    });
    let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
    log.append_entry(&NewEntry::plain(b"buffered"), &buffered).unwrap();
    panics_once(&hooked, "write");
    catch_unwind(AssertUnwindSafe(|| log.append(b"panics"))).unwrap_err();
    let acknowledged = log.append(b"after").ok();
    let synced = log.sync();
    drop(log);
    let next = open(&memory, &quiet()).unwrap().next_lsn();
    assert!(
        acknowledged.is_none_or(|lsn| lsn < next),
        "{acknowledged:?} is gone: the log goes on with {next}"
    );
    assert!(matches!(synced, Err(LogError::Poisoned { .. })), "{synced:?}");
}

#[test]
fn nothing_is_acknowledged_after_a_sync_that_panicked() {
    let (_, hooked, log) = hooked(quiet());
    panics_once(&hooked, "sync");
    catch_unwind(AssertUnwindSafe(|| log.append(b"panics"))).unwrap_err();
    let (done, ended) = mpsc::channel();
    let other = log.clone();
    thread::spawn(move || {
        let _ = done.send(other.append(b"after"));
    });
    let after = ended.recv_timeout(LONG).expect("nobody leads any more");
    assert!(matches!(after, Err(LogError::Poisoned { .. })), "{after:?}");
}
