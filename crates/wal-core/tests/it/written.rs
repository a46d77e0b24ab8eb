//! Appends whose bytes are with the operating system on return: stamped and written in one go.

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use wal_core::{
    AppendOptions, Durability, Environment, Log, LogError, Options, SyncPolicy, TailFrom, TailOptions,
    Visibility,
};
use wal_format::{Lsn, NewEntry};
use wal_segment::{MemoryStorage, Storage};
use wal_sim::VirtualTime;

use crate::{
    hooked::Hooked,
    reading::TestClock,
    support::{check, environment, fill, on_all, open, payload, small},
};

fn options() -> Options {
    let sync = SyncPolicy::OsCache { interval: Duration::from_secs(3600) };
    Options { sync, background_threads: false, ..small() }
}

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

#[test]
fn what_was_written_last_is_not_found_any_more_once_it_is_cut_off() {
    on_all(|storage| {
        let log = open(&storage, &options()).unwrap();
        fill(&log, 1..=3);
        log.truncate_from(lsn(3)).unwrap();
        assert!(matches!(log.get(lsn(3)), Err(LogError::OutOfRange { .. })));
        let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
        log.append_entry(&NewEntry::plain(b"another"), &buffered).unwrap();
        assert_eq!(log.get(lsn(3)).unwrap().payload, b"another"[..]);
        log.append(b"a fourth").unwrap();
        assert_eq!(log.get(lsn(3)).unwrap().payload, b"another"[..]);
    });
}

#[test]
fn entries_for_which_there_was_no_space_are_read_from_memory_and_written_later() {
    let hooked = Hooked::new(Arc::new(MemoryStorage::new()));
    let storage: Arc<dyn Storage> = Arc::new(hooked.clone());
    let log = open(&storage, &options()).unwrap();
    fill(&log, 1..=3);
    hooked.set(|called, _| if called == "write" { Err(ErrorKind::StorageFull.into()) } else { Ok(()) });
    for n in 4..=6 {
        let error = log.append(&payload(n)).unwrap_err();
        assert!(matches!(&error, LogError::Unconfirmed { first, .. } if *first == lsn(n)), "{error:?}");
        check(&log, 1, n + 1);
    }
    let stats = log.stats();
    assert_eq!((stats.write_errors, stats.writes, stats.append_duration.count()), (3, 3, 3));
    hooked.set(|_, _| Ok(()));
    fill(&log, [7]);
    assert_eq!(log.stats().writes, 4);
    check(&log, 1, 8);
    log.close().unwrap();
    check(&open(&storage, &options()).unwrap(), 1, 8);
}

#[test]
fn threads_that_write_and_threads_that_sync_find_their_entries_at_once() {
    on_all(|storage| {
        let log = open(&storage, &options()).unwrap();
        let append = |nth: usize| {
            let durability = [Durability::Written, Durability::Written, Durability::Durable][nth];
            let options = AppendOptions { durability: Some(durability), ..AppendOptions::default() };
            for n in 0..300 {
                let payload = payload(1000 * nth as u64 + n);
                let lsn = log.append_entry(&NewEntry::plain(&payload), &options).unwrap();
                assert_eq!(log.get(lsn).unwrap().payload, payload);
            }
        };
        thread::scope(|scope| (0..3).for_each(|nth| drop(scope.spawn(move || append(nth)))));
        assert_eq!(log.range(..).map(Result::unwrap).count(), 900);
        log.close().unwrap();
        assert_eq!(open(&storage, &options()).unwrap().next_lsn(), lsn(901));
    });
}

/// Appends when it is woken, once.
struct Appending(Log, AtomicBool);

impl Wake for Appending {
    fn wake(self: Arc<Self>) {
        if !self.1.swap(true, Ordering::SeqCst) {
            self.0.append(b"by the one who was woken").unwrap();
        }
    }
}

#[test]
fn who_is_woken_by_an_append_may_append() {
    on_all(|storage| {
        let log = open(&storage, &options()).unwrap();
        let options = TailOptions { from: TailFrom::Start, visibility: Visibility::Written };
        let mut tail = log.tail(options);
        let task = Arc::new(Appending(log.clone(), AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&task));
        assert!(tail.poll_item(&mut Context::from_waker(&waker)).is_pending());
        log.append(b"first").unwrap();
        assert!(task.1.load(Ordering::SeqCst), "the task is told within the append");
        assert_eq!(log.get(lsn(2)).unwrap().payload, b"by the one who was woken"[..]);
    });
}

/// Where nobody has synced for too long, those pay who would go on: a power cut would cost more than was promised. The
/// short ways of an append to the operating system must not pass that by.
#[test]
fn appends_wait_once_the_oldest_without_a_sync_is_too_old() {
    let interval = Duration::from_secs(3600);
    for sync in [SyncPolicy::OsCache { interval }, SyncPolicy::Background { interval }] {
        on_all(|storage| {
            let time = Arc::new(VirtualTime::new(1 << 60));
            let clock = Arc::new(TestClock(Arc::clone(&time)));
            let options = Options { sync, unsynced_age_max: 2 * interval, ..options() };
            let log = Log::open(Environment { clock, ..environment(storage) }, options).unwrap();
            // The clock is looked at with one frame of 64.
            fill(&log, 1..=10);
            time.advance(2 * interval);
            fill(&log, 11..=80);
            assert_eq!(log.durable_lsn(), None, "{sync:?}");
            time.advance(Duration::from_secs(1));
            fill(&log, 81..=150);
            assert!(log.durable_lsn() > Some(lsn(80)), "{sync:?}: {:?}", log.durable_lsn());
        });
    }
}
