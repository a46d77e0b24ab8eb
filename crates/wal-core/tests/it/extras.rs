//! Logs that are opened without what their options and codecs need.

use std::{
    sync::{Arc, mpsc::channel},
    time::Duration,
};

use wal_compress::{CodecId, Codecs, Compression};
use wal_core::{
    AppendOptions, Environment, Extras, Hooks, Log, LogError, LogEvent, Options, Retention,
    TransactionOptions, TransactionState,
};
use wal_format::{Lsn, NewEntry};
use wal_segment::{MemoryStorage, Storage};
use wal_sim::SimDisk;

use crate::support::{check, environment, fill, on_all, open, payload, small};

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

/// What a log is opened with of which nothing is asked.
fn without(storage: &Arc<dyn Storage>) -> Environment {
    Environment { extras: Extras::NONE, codecs: Codecs::none(), ..environment(Arc::clone(storage)) }
}

/// There is no code for this, which is an error that says so.
#[track_caller]
fn refused(opened: Result<Log, LogError>, what: &str) {
    match opened {
        Err(LogError::InvalidOption { option: "extras", why }) => {
            assert!(why.contains(what) && why.contains("Extras::ALL"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_log_never_does_less_than_it_was_asked_for() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    open(&storage, &Options::default()).unwrap().append(b"hello").unwrap();
    let plain = || Environment { extras: Extras::NONE, ..environment(Arc::clone(&storage)) };
    let retention = Retention { max_segments: Some(3), ..Retention::default() };
    let retaining = Options { retention, ..Options::default() };
    refused(Log::open(plain(), retaining.clone()), "retention");
    // This build has codecs.
    refused(Log::open(plain(), Options::default()), "compression");
    refused(Log::open_read_only(plain(), Options::default()), "compression");
    // Who only reads removes nothing.
    Log::open_read_only(without(&storage), retaining.clone()).unwrap();
    let compression = Compression { codec: CodecId::ZSTD, ..Compression::default() };
    let missing = Log::open(without(&storage), Options { compression, ..Options::default() });
    assert!(matches!(missing, Err(LogError::Compression { .. })), "{missing:?}");
    Log::open(environment(storage), retaining).unwrap();
}

#[test]
fn a_log_without_extras_rotates_and_is_found_again() {
    on_all(|storage| {
        let log = Log::open(without(&storage), small()).unwrap();
        fill(&log, 1..2001);
        assert!(log.segments().unwrap().len() > 4);
        check(&log, 1, 2001);
        log.close().unwrap();
        drop(log);
        let log = Log::open(without(&storage), small()).unwrap();
        assert!(log.recovery_report().clean);
        log.truncate_before(lsn(1001)).unwrap();
        log.truncate_from(lsn(1901)).unwrap();
        fill(&log, 1901..2101);
        check(&log, 1001, 2101);
        check(&Log::open_read_only(without(&storage), small()).unwrap(), 1001, 2101);
        log.clear().unwrap();
        fill(&log, 2101..2111);
        log.sync().unwrap();
        drop(log);
        check(&Log::open(without(&storage), small()).unwrap(), 2101, 2111);
    });
}

#[test]
fn a_log_without_extras_recovers() {
    let disk = SimDisk::new(1);
    let log = Log::open(without(&disk.storage()), small()).unwrap();
    fill(&log, 1..501);
    disk.crash(1);
    drop(log);
    let log = Log::open(without(&disk.storage()), small()).unwrap();
    assert!(!log.recovery_report().clean);
    fill(&log, 501..601);
    check(&log, 1, 601);
}

#[test]
fn a_log_without_extras_has_transactions() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = Log::open(without(&storage), small()).unwrap();
    let [one, other, late] = [60, 60, 1].map(|minutes| {
        let timeout = Duration::from_secs(minutes * 60);
        log.begin(&TransactionOptions { timeout, ..TransactionOptions::default() }).unwrap()
    });
    for n in 1..4 {
        one.append(&NewEntry::plain(&payload(n))).unwrap();
        other.append(&NewEntry::plain(b"never there")).unwrap();
    }
    assert_eq!(one.commit(&AppendOptions::default()).unwrap(), (lsn(1), lsn(3)));
    other.rollback().unwrap();
    log.close().unwrap();
    assert_eq!(late.state(), TransactionState::RolledBack);
    drop((one, other, late, log));
    check(&Log::open(without(&storage), small()).unwrap(), 1, 4);
}

#[test]
fn a_log_without_extras_calls_hooks() {
    let (told, heard) = channel();
    let (event, commit) = (told.clone(), told);
    let hooks = Hooks::default()
        .on_event(move |happened| drop(event.send(Ok(happened.clone()))))
        .on_commit(move |entries| drop(commit.send(Err(entries.last))));
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = Log::open(Environment { hooks, ..without(&storage) }, small()).unwrap();
    fill(&log, 1..501);
    log.close().unwrap();
    drop(log);
    // Until the hooks' thread has ended.
    let (events, commits): (Vec<_>, Vec<_>) = heard.iter().partition(Result::is_ok);
    assert_eq!(commits.last(), Some(&Err(lsn(500))));
    assert!(matches!(events.first(), Some(Ok(LogEvent::Rotated { .. }))), "{events:?}");
    assert_eq!(events.last(), Some(&Ok(LogEvent::Closed { clean: true })));
}
