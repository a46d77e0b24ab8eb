//! A storage that panics in the middle of a write or a sync.
#![expect(clippy::disallowed_methods, reason = "a thread that hangs must not hold the test up")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use wal_core::{
    AppendOptions, Clock, Durability, Environment, Hooks, Log, LogError, LogEvent, Options, Retention,
    SyncPolicy, SystemClock, TailFrom, TailOptions, Visibility,
};
use wal_format::{Lsn, NewEntry};
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
    for operation in ["sync", "sync_names"] {
        let (_, hooked, log) = hooked(quiet());
        panics_once(&hooked, operation);
        let fill = || while log.append(&[7; 1000]).is_ok() && log.segments().unwrap().len() < 3 {};
        let _ = catch_unwind(AssertUnwindSafe(fill));
        let (done, ended) = mpsc::channel();
        let other = log.clone();
        thread::spawn(move || {
            let _ = done.send(other.append(b"after"));
        });
        let after = ended.recv_timeout(LONG).expect("nobody leads any more");
        assert!(matches!(after, Err(LogError::Poisoned { .. })), "{operation}: {after:?}");
    }
}

#[test]
fn nothing_is_acknowledged_after_names_of_removed_files_could_not_be_synced() {
    let (_, hooked, log) = hooked(quiet());
    while log.segments().unwrap().len() < 3 {
        log.append(&[7; 1000]).unwrap();
    }
    panics_once(&hooked, "sync_names");
    let _ = catch_unwind(AssertUnwindSafe(|| log.truncate_before(log.next_lsn())));
    let after = log.append(b"after");
    assert!(matches!(after, Err(LogError::Poisoned { .. })), "{after:?}");
}

/// A log with threads, whose events are heard.
fn watched() -> (Arc<dyn Storage>, Hooked, Log, mpsc::Receiver<LogEvent>) {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let hooked = Hooked::new(Arc::clone(&memory));
    let (told, heard) = mpsc::channel();
    let hooks = Hooks::default().on_event(move |event| drop(told.send(event.clone())));
    let environment = Environment { hooks, ..environment(Arc::new(hooked.clone())) };
    (memory, hooked, Log::open(environment, small()).unwrap(), heard)
}

/// The close is the last event, and the thread that tells of events ends with it.
#[track_caller]
fn check_told(heard: &mpsc::Receiver<LogEvent>) {
    let last = std::iter::from_fn(|| heard.recv_timeout(LONG).ok()).last();
    assert_eq!(last, Some(LogEvent::Closed { clean: false }));
}

#[test]
fn a_close_that_panicked_keeps_neither_the_lock_nor_a_thread() {
    let (memory, hooked, log, heard) = watched();
    log.append(b"first").unwrap();
    panics_once(&hooked, "sync");
    let closed = log.close_timeout(LONG);
    assert!(matches!(closed, Err(LogError::Thread { .. })), "{closed:?}");
    assert_eq!(open(&memory, &quiet()).unwrap().next_lsn().get(), 2);
    drop(log);
    check_told(&heard);
}

#[test]
fn a_close_is_told_of_although_every_call_panics_from_its_sync_on() {
    let (memory, hooked, log, heard) = watched();
    let (meet, met) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let (closing, broken) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
    let is_closing = Arc::clone(&closing);
    hooked.set(move |called, name| {
        let indexes = called == "remove" && name.ends_with(".idx");
        if indexes && thread::current().name() == Some("wal-prepare") {
            // It is busy with one segment: the next that is sealed is left to whoever closes the log.
            let _ = meet.send(());
            let _ = released.lock().unwrap().recv_timeout(LONG);
        }
        if called == "sync" && is_closing.load(Ordering::SeqCst) {
            broken.store(true, Ordering::SeqCst);
        }
        if called != "close" && broken.load(Ordering::SeqCst) {
            if indexes {
                let _ = release.send(());
            }
            panic!("the storage panics");
        }
        Ok(())
    });
    let fill = |segments| {
        while log.segments().unwrap().len() < segments {
            log.append(&[7; 1000]).unwrap();
        }
        log.append(b"and all before is sealed").unwrap();
    };
    fill(2);
    met.recv_timeout(LONG).unwrap();
    fill(3);
    let next = log.next_lsn();
    closing.store(true, Ordering::SeqCst);
    let closed = log.close_timeout(LONG);
    assert!(matches!(closed, Err(LogError::Thread { .. })), "{closed:?}");
    assert_eq!(open(&memory, &quiet()).unwrap().next_lsn(), next);
    drop(log);
    check_told(&heard);
}

#[test]
fn appends_with_a_deadline_outlive_a_panic_in_the_thread_that_works_for_them() {
    for operation in ["create", "rename"] {
        let (_, hooked, log) = hooked(small());
        panics_once(&hooked, operation);
        let in_time = AppendOptions { timeout: Some(LONG), ..AppendOptions::default() };
        let mut failed = 0;
        for _ in 0..200 {
            match log.append_entry(&NewEntry::plain(&[7; 1000]), &in_time) {
                Err(LogError::TimedOut { .. }) => panic!("nobody works for it"),
                appended => failed += usize::from(appended.is_err()),
            }
        }
        assert!(failed <= 1, "{failed} appends failed, and the storage once");
        assert!(log.segments().unwrap().len() > 1);
    }
}

#[test]
fn a_thread_in_which_the_storage_panics_each_time_does_not_try_without_end() {
    let interval = Duration::from_millis(200);
    let retention = Retention { max_segments: Some(9), interval, ..Retention::default() };
    let (_, hooked, log) = hooked(Options { retention, ..small() });
    let tries = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&tries);
    hooked.set(move |called, _| {
        if called == "create" && thread::current().name() == Some("wal-prepare") {
            counted.fetch_add(1, Ordering::SeqCst);
            panic!("the storage panics");
        }
        Ok(())
    });
    // The next segment is due, and then a pass of retention.
    for _ in 0..40 {
        log.append(&[7; 1000]).unwrap();
    }
    thread::sleep(5 * interval);
    let tries = tries.load(Ordering::SeqCst);
    assert!((1..50).contains(&tries), "{tries} tries in a second");
}

/// Panics once when it is to, in the thread that syncs.
#[derive(Debug, Default)]
struct Fails(AtomicBool);

impl Clock for Fails {
    fn now(&self) -> u64 {
        SystemClock.now()
    }

    fn monotonic(&self) -> Duration {
        let is_it = thread::current().name() == Some("wal-sync");
        assert!(!is_it || !self.0.swap(false, Ordering::SeqCst), "the clock panics");
        SystemClock.monotonic()
    }
}

#[test]
fn intervals_are_kept_after_a_panic_of_the_clock() {
    let clock = Arc::new(Fails::default());
    let environment =
        Environment { clock: Arc::<Fails>::clone(&clock), ..environment(Arc::new(MemoryStorage::new())) };
    let sync = SyncPolicy::OsCache { interval: Duration::from_millis(20) };
    let log = Log::open(environment, Options { sync, ..small() }).unwrap();
    log.append(b"first").unwrap();
    clock.0.store(true, Ordering::SeqCst);
    let mut patience = LONG.as_millis() / 5;
    let mut wait = |what| {
        thread::sleep(Duration::from_millis(5));
        patience -= 1;
        assert!(patience > 0, "{what}");
    };
    while clock.0.load(Ordering::SeqCst) {
        log.append(b"entry").unwrap();
        wait("nobody looks at the clock");
    }
    let last = log.append(b"last").unwrap();
    while log.durable_lsn() < Some(last) {
        wait("not durable long after the interval");
    }
}

/// The log goes on, at an earlier LSN than the tail waits for.
#[test]
fn a_tail_hears_of_what_follows_a_cut_that_panicked() {
    let (_, hooked, log) = hooked(Options { sync: SyncPolicy::OsCache { interval: LONG * 60 }, ..quiet() });
    for _ in 0..20 {
        log.append(&[7; 8 << 10]).unwrap();
    }
    log.sync().unwrap();
    let mut tail = log.tail(TailOptions { from: TailFrom::End, visibility: Visibility::Durable });
    let (told, heard) = mpsc::channel();
    thread::spawn(move || drop(told.send(tail.wait().map(|entry| entry.lsn))));
    // That it sleeps by then is likely, and not needed.
    for _ in 0..1000 {
        thread::yield_now();
    }
    panics_once(&hooked, "remove");
    assert!(catch_unwind(AssertUnwindSafe(|| log.truncate_after(Lsn::new(4).unwrap()))).is_err());
    hooked.set(|_, _| Ok(()));
    assert_eq!(log.append(b"next").unwrap(), Lsn::new(5).unwrap());
    log.sync().unwrap();
    assert_eq!(heard.recv_timeout(LONG).unwrap().unwrap(), Lsn::new(5).unwrap());
}
