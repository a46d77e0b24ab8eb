//! What the log's own threads do, and that they do nothing else.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use wal_core::{
    AppendOptions, Clock, Durability, Environment, Log, LogError, Options, Retention, SyncPolicy, SystemClock,
};
use wal_format::{Lsn, NewEntry};
use wal_segment::{MemoryStorage, Storage};
use wal_sim::VirtualTime;

use crate::{
    hooked::Hooked,
    reading::TestClock,
    support::{environment, small},
};

/// Counts how often somebody asks what time it is: a thread that wakes asks.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Clock for Counting {
    fn now(&self) -> u64 {
        SystemClock.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.fetch_add(1, Ordering::Relaxed);
        SystemClock.monotonic()
    }
}

#[expect(clippy::disallowed_methods, reason = "that nothing happens can only be seen by waiting")]
fn wait(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

/// A log and its clock.
fn counted(storage: Arc<dyn Storage>, options: Options) -> (Log, Arc<Counting>) {
    let clock = Arc::new(Counting::default());
    let environment = Environment { clock: Arc::<Counting>::clone(&clock), ..environment(storage) };
    (Log::open(environment, options).unwrap(), clock)
}

/// Nobody looks at the clock more than now and then.
#[track_caller]
fn check_idle(clock: &Counting) {
    wait(100);
    let before = clock.0.load(Ordering::Relaxed);
    wait(500);
    let looks = clock.0.load(Ordering::Relaxed) - before;
    assert!(looks < 50, "{looks} looks at the clock in half a second of idleness");
}

#[test]
fn an_idle_log_sleeps() {
    let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
    let background = SyncPolicy::Background { interval: Duration::from_secs(3) };
    for (sync, options) in [(background, AppendOptions::default()), (SyncPolicy::Always, buffered)] {
        let (log, clock) = counted(Arc::new(MemoryStorage::new()), Options { sync, ..small() });
        log.append(b"first").unwrap();
        log.append_entry(&NewEntry::plain(b"second"), &options).unwrap();
        check_idle(&clock);
    }
}

#[test]
fn a_failed_log_sleeps() {
    let hooked = Hooked::new(Arc::new(MemoryStorage::new()));
    let (log, clock) = counted(Arc::new(hooked.clone()), small());
    log.append(b"first").unwrap();
    hooked.set(|operation, _| if operation == "sync" { Err(io::Error::other("bad")) } else { Ok(()) });
    log.append(b"second").unwrap_err();
    check_idle(&clock);
}

/// By which a pass of retention takes a second for each time that it asks what time it is.
#[derive(Debug, Default)]
struct SlowPasses(AtomicU64);

impl Clock for SlowPasses {
    fn now(&self) -> u64 {
        if thread::current().name() == Some("wal-prepare") {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        SystemClock.now()
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic() + Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn a_pass_that_takes_longer_than_its_interval_is_not_followed_by_another_at_once() {
    let clock = Arc::new(SlowPasses::default());
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let environment = Environment { clock: Arc::<SlowPasses>::clone(&clock), ..environment(storage) };
    let interval = Duration::from_millis(100);
    let retention = Retention { max_segments: Some(9), interval, ..Retention::default() };
    let log = Log::open(environment, Options { retention, ..small() }).unwrap();
    log.append(b"first").unwrap();
    wait(1000);
    let looks = clock.0.load(Ordering::SeqCst);
    assert!((1..100).contains(&looks), "{looks} looks at the time by passes in a second");
}

#[test]
fn intervals_are_kept_whatever_the_idle_mark() {
    let interval = Duration::from_millis(50);
    for idle_mark in [Duration::from_secs(60), Duration::MAX, Duration::ZERO] {
        let options = Options { sync: SyncPolicy::Background { interval }, idle_mark, ..small() };
        let log = Log::open(environment(Arc::new(MemoryStorage::new())), options).unwrap();
        for n in 1..4 {
            log.append(b"entry").unwrap();
            let mut patience = 2400;
            while log.durable_lsn() != Lsn::new(n) {
                patience -= 1;
                assert!(patience > 0, "not durable long after the interval ({idle_mark:?})");
                wait(25);
            }
        }
    }
}

#[test]
fn much_that_is_written_is_synced_before_the_interval_and_the_end_of_the_segment() {
    let interval = Duration::from_secs(3600);
    let policies = [SyncPolicy::OsCache { interval }, SyncPolicy::Background { interval }];
    for sync in policies {
        let segment_len = 64 << 20;
        let options = Options {
            sync,
            segment_len,
            first_segment_len: segment_len,
            unsynced_age_max: 2 * interval,
            ..Options::default()
        };
        let log = Log::open(environment(Arc::new(MemoryStorage::new())), options).unwrap();
        let entry = vec![b'x'; 1 << 20];
        for _ in 0..16 {
            log.append(&entry).unwrap();
        }
        let mut patience = 2400;
        while log.durable_lsn() < Lsn::new(8) {
            patience -= 1;
            assert!(patience > 0, "durable up to {:?} only ({sync:?})", log.durable_lsn());
            wait(25);
        }
        assert_eq!(log.stats().segments, 1);
    }
}

#[test]
fn a_sync_that_nobody_asked_for_fails_like_any_other() {
    let interval = Duration::from_secs(3600);
    let segment_len = 64 << 20;
    let options = Options {
        sync: SyncPolicy::OsCache { interval },
        segment_len,
        first_segment_len: segment_len,
        unsynced_age_max: 2 * interval,
        ..Options::default()
    };
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let hooked = Hooked::new(Arc::clone(&storage));
    let log = Log::open(environment(Arc::new(hooked.clone())), options.clone()).unwrap();
    log.append_entry(
        &NewEntry::plain(b"acknowledged"),
        &AppendOptions { durability: Some(Durability::Durable), ..AppendOptions::default() },
    )
    .unwrap();
    hooked.fail("sync");
    // Nothing but the early sync meets the failure: the segment has room for all of them.
    (0..9).for_each(|_| drop(log.append(&vec![b'x'; 1 << 20])));
    let refused = (0..2400).find_map(|_| {
        wait(25);
        log.append(b"y").err()
    });
    assert!(refused.is_some(), "nobody heard of the failure");
    assert_eq!(log.durable_lsn(), Lsn::new(1), "nothing that a failed sync left in doubt counts");
    log.sync().unwrap_err();
    drop(log);
    let log = Log::open(environment(storage), options).unwrap();
    assert_eq!(log.get(Lsn::FIRST).unwrap().payload, b"acknowledged"[..]);
}

#[test]
fn an_append_to_the_operating_system_looks_at_the_clock_twice() {
    let sync = SyncPolicy::OsCache { interval: Duration::from_secs(3600) };
    let (log, clock) = counted(
        Arc::new(MemoryStorage::new()),
        Options { sync, background_threads: false, ..Options::default() },
    );
    log.append(b"begins an interval").unwrap();
    let before = clock.0.load(Ordering::Relaxed);
    for _ in 0..100 {
        log.append(b"entry").unwrap();
    }
    let looks = clock.0.load(Ordering::Relaxed) - before;
    // Now and then, or each time on a machine that hardly gets on, one more for the age of what is not synced. The way
    // of those that wait for another's write takes four.
    assert!((200..=310).contains(&looks), "{looks} looks: it is to stamp and write in one go");
}

#[test]
fn tickets_complete_without_idle_marks() {
    let options = Options { idle_mark: Duration::MAX, ..small() };
    let log = Log::open(environment(Arc::new(MemoryStorage::new())), options).unwrap();
    log.append(b"1").unwrap();
    wait(50);
    let ticket = log.submit(&NewEntry::plain(b"2"), None).unwrap();
    assert!(ticket.wait_timeout(Duration::from_secs(60)).unwrap());
}

/// The stamps of a coarse clock are alike for milliseconds: the entry has that of the one before, whose age was looked
/// at.
#[test]
fn an_entry_that_comes_during_a_sync_begins_an_interval() {
    let interval = Duration::from_millis(1);
    for sync in [SyncPolicy::OsCache { interval }, SyncPolicy::Background { interval }] {
        let hooked = Hooked::new(Arc::new(MemoryStorage::new()));
        let clock = Arc::new(TestClock(Arc::new(VirtualTime::new(1_000_000_000))));
        let environment = Environment { clock, ..environment(Arc::new(hooked.clone())) };
        let log = Log::open(environment, Options { sync, background_threads: false, ..small() }).unwrap();
        let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
        let append = move |log: &Log, payload| {
            log.append_entry(&NewEntry::plain(payload), &buffered).unwrap();
        };
        append(&log, b"before");
        let (writer, done) = (log.clone(), AtomicBool::new(false));
        hooked.set(move |operation, _| {
            if operation == "sync" && !done.swap(true, Ordering::SeqCst) {
                append(&writer, b"meanwhile");
            }
            Ok(())
        });
        log.sync().unwrap();
        assert_eq!((log.durable_lsn(), log.last_lsn()), (Lsn::new(1), Lsn::new(2)), "{sync:?}");
        log.maintain().unwrap();
        assert_eq!(log.durable_lsn(), Lsn::new(2), "nobody syncs it ({sync:?})");
    }
}

#[test]
fn an_append_to_a_closed_log_starts_no_threads() {
    let memory = Arc::new(MemoryStorage::new());
    let used = Arc::downgrade(&memory);
    let log = Log::open(environment(memory), small()).unwrap();
    log.close_timeout(Duration::from_secs(60)).unwrap();
    assert!(matches!(log.append(b"late"), Err(LogError::Closed)));
    // Dropping it does not wait for anything.
    drop(log);
    let mut patience = 2400;
    while used.strong_count() > 0 {
        patience -= 1;
        assert!(patience > 0, "somebody still has the log");
        wait(25);
    }
}

/// Nobody is told of entries that never were, not even for a moment.
#[test]
fn a_log_that_is_to_go_on_at_a_later_lsn_has_no_entries_before_that() {
    let log = Log::open(
        environment(Arc::new(MemoryStorage::new())),
        Options { background_threads: false, ..small() },
    );
    let (log, over) = (log.unwrap(), AtomicBool::new(false));
    thread::scope(|scope| {
        let looks = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert_eq!((log.first_lsn(), log.durable_lsn(), log.last_lsn()), (None, None, None));
            }
        });
        let reset = |n: u64| log.reset(Lsn::new(n * 1000).unwrap()).map(drop);
        let ended = (1..=10_000).try_for_each(reset);
        over.store(true, Ordering::Relaxed);
        ended.unwrap();
        looks.join().unwrap();
    });
}
