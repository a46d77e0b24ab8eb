//! The user's code, called when something happens.

use std::{
    iter,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use wal_core::{
    CommitEvent, DeletionReason, Environment, Hooks, Log, LogError, LogEvent, Options, Retention, SyncPolicy,
    Tail, TailOptions,
};
use wal_format::{Lsn, SegmentId};
use wal_segment::{MemoryStorage, Storage};
use wal_sim::{DiskOptions, SimDisk};

use crate::{
    hooked::Hooked,
    support::{environment, small},
};

/// Far longer than anything takes.
const LONG: Duration = Duration::from_secs(60);

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

fn hooked(storage: &Arc<dyn Storage>, options: Options, hooks: Hooks) -> Log {
    Log::open(Environment { hooks, ..environment(Arc::clone(storage)) }, options).unwrap()
}

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new())
}

fn commits() -> (Hooks, Receiver<CommitEvent>) {
    let (told, heard) = channel();
    (Hooks::default().on_commit(move |commit| assert!(told.send(*commit).is_ok())), heard)
}

fn events() -> (Hooks, Receiver<LogEvent>) {
    let (told, heard) = channel();
    (Hooks::default().on_event(move |event| drop(told.send(event.clone()))), heard)
}

#[test]
fn every_entry_is_told_once_and_in_order() {
    let (hooks, heard) = commits();
    let log = hooked(&memory(), small(), hooks);
    for n in 0..500_u64 {
        log.append(&n.to_le_bytes()).unwrap();
    }
    log.close().unwrap();
    let mut next = Lsn::FIRST;
    while next < lsn(501) {
        let commit = heard.recv_timeout(LONG).unwrap();
        assert!(commit.first == next && commit.last >= next && commit.durable, "{commit:?} after {next}");
        next = commit.last.next();
    }
    assert_eq!(next, lsn(501));
    drop(log);
    assert!(heard.recv_timeout(LONG).is_err(), "the thread has ended, and its hook with it");
}

#[test]
fn under_a_weaker_policy_written_comes_before_durable() {
    let (hooks, heard) = commits();
    let interval = Duration::from_secs(3600);
    let sync = SyncPolicy::OsCache { interval };
    let log = hooked(&memory(), Options { sync, background_threads: false, ..small() }, hooks);
    log.append(b"one").unwrap();
    log.append(b"two").unwrap();
    assert!(heard.try_recv().is_err(), "a log without threads tells when it is maintained");
    log.maintain().unwrap();
    let told: Vec<_> = heard.try_iter().map(|commit| (commit.first, commit.last, commit.durable)).collect();
    assert_eq!(told, [(lsn(1), lsn(2), false), (lsn(1), lsn(2), true)]);
    log.truncate_from(lsn(2)).unwrap();
    log.append(b"other two").unwrap();
    log.maintain().unwrap();
    let told: Vec<_> = heard.try_iter().map(|commit| (commit.first, commit.last, commit.durable)).collect();
    assert_eq!(told, [(lsn(2), lsn(2), false), (lsn(2), lsn(2), true)], "another entry has its number now");
}

#[test]
fn the_life_of_a_log_is_told() {
    let (hooks, heard) = events();
    let storage = memory();
    let log = hooked(&storage, small(), hooks.clone());
    for _ in 0..20 {
        log.append(&[b'S'; 9000]).unwrap();
    }
    log.truncate_before(lsn(15)).unwrap();
    log.clear().unwrap();
    log.close().unwrap();
    let told: Vec<LogEvent> =
        heard.iter().take_while(|event| !matches!(event, LogEvent::Closed { .. })).collect();
    assert_eq!(told[0], LogEvent::Rotated { segment: SegmentId(1), first: lsn(1) });
    assert_eq!(told[1], LogEvent::Rotated { segment: SegmentId(2), first: lsn(7) });
    let has = |event: &LogEvent| assert!(told.contains(event), "no {event:?} in {told:#?}");
    has(&LogEvent::Truncated { lsn: lsn(15), reason: DeletionReason::Trimmed });
    has(&LogEvent::Truncated { lsn: lsn(21), reason: DeletionReason::Cleared });
    let removed = |why| {
        let is_it = |event: &LogEvent| match event {
            LogEvent::Removed { reason, bytes, .. } => *reason == why && *bytes > 0,
            _ => false,
        };
        told.iter().any(is_it)
    };
    assert!(removed(DeletionReason::Trimmed) && removed(DeletionReason::Cleared));
    drop(log);
    let log = hooked(&storage, small(), hooks.clone());
    log.append(b"entry").unwrap();
    std::mem::forget(log);
}

#[test]
fn retention_that_passes_a_cursor_is_told() {
    let (hooks, heard) = events();
    let retention = Retention { max_segments: Some(1), cursor_max_bytes: Some(1), ..Retention::default() };
    let log = hooked(&memory(), Options { retention, background_threads: false, ..small() }, hooks);
    log.create_cursor("slow", Some(lsn(1))).unwrap();
    for _ in 0..30 {
        log.append(&[b'S'; 9000]).unwrap();
    }
    let done = log.retain().unwrap();
    assert_eq!(done.passed, ["slow"]);
    log.maintain().unwrap();
    let passed = LogEvent::Passed { cursor: "slow".to_owned(), first: done.first_retained };
    let told: Vec<_> = heard.try_iter().collect();
    assert_eq!(told.iter().filter(|event| **event == passed).count(), 1);
    let truncated = LogEvent::Truncated { lsn: done.first_retained, reason: DeletionReason::Count };
    assert!(told.contains(&truncated), "nobody trimmed it: {told:#?}");
}

/// Where space is taken as it is written to, a trim may have to wait for some. Retention completes it.
#[test]
fn a_trim_that_had_to_wait_is_told_as_one() {
    let disk = SimDisk::with_options(5, DiskOptions { copy_on_write: true, ..DiskOptions::default() });
    let (hooks, heard) = events();
    let log = hooked(&disk.storage(), Options { background_threads: false, ..small() }, hooks);
    for _ in 0..30 {
        log.append(&[b'S'; 9000]).unwrap();
    }
    disk.set_capacity_bytes(Some(0));
    assert!(matches!(log.truncate_before(lsn(20)), Err(LogError::Full { .. })));
    disk.set_capacity_bytes(None);
    log.retain_with(&Retention { max_segments: Some(9), ..Retention::default() }).unwrap();
    assert_eq!(log.first_lsn(), Some(lsn(20)));
    log.maintain().unwrap();
    let told: Vec<_> = heard.try_iter().collect();
    let trimmed = LogEvent::Truncated { lsn: lsn(20), reason: DeletionReason::Trimmed };
    assert!(told.contains(&trimmed), "{told:#?}");
    let removed = told.iter().filter_map(|event| match event {
        LogEvent::Removed { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(removed.collect::<Vec<_>>(), [DeletionReason::Trimmed]);
}

struct Closes(Arc<Log>, Mutex<Sender<()>>);

impl Wake for Closes {
    fn wake(self: Arc<Self>) {
        self.0.close().unwrap();
        self.1.lock().unwrap().send(()).unwrap();
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a thread that hangs must not hold the test up")]
fn a_task_that_closing_wakes_may_close_the_log_too() {
    let log = Arc::new(hooked(&memory(), small(), Hooks::default()));
    let mut tail = log.tail(TailOptions::default());
    let (closed, heard) = channel();
    let waker = Waker::from(Arc::new(Closes(Arc::clone(&log), Mutex::new(closed))));
    assert!(tail.poll_item(&mut Context::from_waker(&waker)).is_pending());
    let closing = thread::spawn(move || log.close());
    heard.recv_timeout(LONG).expect("it was woken without a lock");
    closing.join().unwrap().unwrap();
}

struct Appends(Log, Mutex<Sender<Lsn>>);

impl Wake for Appends {
    fn wake(self: Arc<Self>) {
        let appended = self.0.append(b"by the one who was woken").unwrap();
        self.1.lock().unwrap().send(appended).unwrap();
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a thread that hangs must not hold the test up")]
fn a_task_that_a_sync_wakes_may_append_durably() {
    let log = hooked(&memory(), small(), Hooks::default());
    let mut tail = log.tail(TailOptions::default());
    let (told, heard) = channel();
    let waker = Waker::from(Arc::new(Appends(log.clone(), Mutex::new(told))));
    assert!(tail.poll_item(&mut Context::from_waker(&waker)).is_pending());
    let appending = thread::spawn(move || log.append(b"first"));
    assert_eq!(heard.recv_timeout(LONG), Ok(lsn(2)), "it was woken by a thread that leads");
    assert_eq!(appending.join().unwrap().unwrap(), lsn(1));
}

/// Polls on the spot.
struct Follows(Mutex<Tail>, AtomicBool);

impl Wake for Follows {
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        while let Poll::Ready(item) = self.0.lock().unwrap().poll_item(&mut Context::from_waker(&waker)) {
            if item.is_none_or(|item| item.is_err()) {
                return self.1.store(true, Ordering::SeqCst);
            }
        }
    }
}

#[test]
fn a_task_learns_of_a_failure_that_only_maintenance_has_met() {
    let faulty = Hooked::new(memory());
    let dynamic: Arc<dyn Storage> = Arc::new(faulty.clone());
    let log = hooked(&dynamic, Options { background_threads: false, ..small() }, Hooks::default());
    log.append(&[7; 40_000]).unwrap();
    let task = Arc::new(Follows(Mutex::new(log.tail(TailOptions::default())), AtomicBool::new(false)));
    Arc::clone(&task).wake();
    faulty.fail("sync_names");
    // The next segment is due.
    log.maintain().unwrap();
    assert!(task.1.load(Ordering::SeqCst), "it sleeps");
    log.append(b"in vain").unwrap_err();
}

#[test]
fn failure_and_recovery_are_told() {
    let (hooks, heard) = events();
    let storage = MemoryStorage::new();
    let faulty = Hooked::new(Arc::new(storage.clone()));
    let dynamic: Arc<dyn Storage> = Arc::new(faulty.clone());
    let log = hooked(&dynamic, small(), hooks.clone());
    log.append(b"first").unwrap();
    faulty.fail("sync");
    log.append(b"second").unwrap_err();
    drop(log);
    let told: Vec<LogEvent> =
        heard.iter().take_while(|event| !matches!(event, LogEvent::Closed { .. })).collect();
    let poisoned =
        |event: &&LogEvent| matches!(event, LogEvent::Poisoned { cause } if cause.contains("sync"));
    assert_eq!(told.iter().filter(poisoned).count(), 1, "{told:?}");
    let log = hooked(&(Arc::new(storage) as Arc<dyn Storage>), small(), hooks);
    let rewritten = log.recovery_report().rewritten;
    let mut told = heard.iter();
    let recovered = told.find(|event| matches!(event, LogEvent::Recovered { .. })).unwrap();
    assert_eq!(recovered, LogEvent::Recovered { rewritten, cut: None });
}

#[test]
fn a_hook_that_blocks_or_panics_holds_nobody_up() {
    let (release, gate) = channel::<()>();
    let (told, heard) = channel();
    let gate = Mutex::new(gate);
    let hooks = Hooks::default().on_event(move |event| {
        told.send(event.clone()).unwrap();
        let _ = gate.lock().unwrap().recv();
        panic!("the user's code failed");
    });
    let log = hooked(&memory(), Options { background_threads: true, ..small() }, hooks);
    log.append(b"first").unwrap();
    assert_eq!(heard.recv_timeout(LONG), Ok(LogEvent::Rotated { segment: SegmentId(1), first: lsn(1) }));
    // It is busy with that one. Each cut is three more.
    for n in 2..=400_u64 {
        log.clear().unwrap();
        log.append(&n.to_le_bytes()).unwrap();
    }
    log.close().unwrap();
    let happened = 399 * 3 + 1;
    assert_eq!(log.stats().hook_events_dropped, happened - 1024);
    drop((release, log));
    let told: Vec<LogEvent> = heard.iter().collect();
    assert_eq!(told.len(), 1024, "the queue was full");
    for (told, n) in told.chunks(3).zip(2..) {
        assert_eq!(told[0], LogEvent::Rotated { segment: SegmentId(n), first: lsn(n) });
        let Some(cut) = told.get(1) else { continue };
        assert_eq!(*cut, LogEvent::Truncated { lsn: lsn(n), reason: DeletionReason::Cleared });
        assert!(matches!(told[2], LogEvent::Removed { segments: 1, .. }), "{told:?}");
    }
}

/// The first that comes after another thread took note of a cut is told, although the one before the cut was another.
#[test]
fn a_cut_that_another_thread_took_note_of_keeps_nobody_asleep() {
    // So that the hooks' thread is where it goes wrong, mostly: asleep before the cut, and again behind it.
    let give_way = || (0..300).for_each(|_| thread::yield_now());
    for round in 0..300 {
        let (hooks, heard) = commits();
        let log = hooked(&memory(), small(), hooks);
        for n in 0..20_u64 {
            log.append(&n.to_le_bytes()).unwrap();
        }
        while heard.recv_timeout(LONG).unwrap().last < lsn(20) {}
        give_way();
        log.truncate_after(lsn(4)).unwrap();
        log.maintain().unwrap();
        give_way();
        log.append(b"next").unwrap();
        let told = heard.recv_timeout(Duration::from_secs(10)).map(|commit| commit.last);
        assert_eq!(told, Ok(lsn(5)), "round {round}");
        log.close().unwrap();
    }
}

/// With nobody who would tell by the way, and nothing that comes behind it.
#[test]
fn a_single_append_is_told() {
    for (sync, durable) in
        [(SyncPolicy::Always, true), (SyncPolicy::OsCache { interval: Duration::from_secs(3600) }, false)]
    {
        let (hooks, heard) = commits();
        let log = hooked(&memory(), Options { sync, ..small() }, hooks);
        for n in 1..=50 {
            log.append(b"one").unwrap();
            // Should the machine stand still for long enough, what is written is synced meanwhile, and told, too.
            let told = iter::from_fn(|| heard.recv_timeout(LONG).ok()).find(|told| told.durable == durable);
            assert_eq!(told.map(|told| (told.first, told.last)), Some((lsn(n), lsn(n))), "{sync:?}");
        }
        log.close().unwrap();
    }
}
