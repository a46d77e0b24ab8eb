//! Tails: all entries once and in order, no wake-up lost, and an end that says what it is.
#![expect(clippy::disallowed_methods, reason = "somebody else must append")]

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use wal_core::{
    AppendOptions, Durability, Log, LogError, Options, SyncPolicy, Tail, TailFrom, TailOptions, Visibility,
};
use wal_format::NewEntry;
use wal_segment::{MemoryStorage, Storage};

use crate::{
    hooked::Hooked,
    reading::{lsn, varied},
    support::{environment, fill, on_all, open, payload, small},
};

/// Longer than anything here takes; whoever waits so long hangs.
const LONG: Duration = Duration::from_secs(60);

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new())
}

fn next(tail: &mut Tail) -> u64 {
    let entry = tail.next_timeout(LONG).unwrap().expect("an entry within a minute");
    assert_eq!(entry.payload, payload(entry.lsn.get()));
    entry.lsn.get()
}

fn buffered(log: &Log, n: u64) {
    let options = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
    log.append_entry(&NewEntry::plain(&payload(n)), &options).unwrap();
}

#[test]
fn followers_see_every_entry_once_while_it_is_written() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        let followers = [Visibility::Written, Visibility::Durable].map(|visibility| {
            let mut tail = log.tail(TailOptions { visibility, ..TailOptions::default() });
            thread::spawn(move || (1..=1000).for_each(|n| assert_eq!(next(&mut tail), n)))
        });
        fill(&log, 1..=1000);
        followers.into_iter().for_each(|follower| follower.join().unwrap());
    });
}

#[test]
fn no_wake_up_is_lost_when_each_waits_for_the_other() {
    let log = open(&memory(), &small()).unwrap();
    let (mut tail, echo) = (log.tail(TailOptions::default()), log.clone());
    let other = thread::spawn(move || {
        for n in (1..=600).step_by(2) {
            assert_eq!(next(&mut tail), n);
            echo.append(&payload(n + 1)).unwrap();
            assert_eq!(next(&mut tail), n + 1);
        }
    });
    let mut tail = log.tail(TailFrom::End.into());
    for n in (1..=600).step_by(2) {
        log.append(&payload(n)).unwrap();
        assert_eq!((next(&mut tail), next(&mut tail)), (n, n + 1));
    }
    other.join().unwrap();
}

#[test]
fn what_is_shown_is_as_safe_as_asked() {
    let options = Options { sync: SyncPolicy::Background { interval: LONG }, ..small() };
    let log = open(&memory(), &Options { background_threads: false, ..options }).unwrap();
    let mut written = log.tail(TailOptions { visibility: Visibility::Written, ..TailOptions::default() });
    let mut durable = log.tail(TailOptions::default());
    buffered(&log, 1);
    assert!(written.try_next().unwrap().is_none(), "it is in memory only");
    let options = AppendOptions { durability: Some(Durability::Written), ..AppendOptions::default() };
    log.append_entry(&NewEntry::plain(&payload(2)), &options).unwrap();
    assert_eq!((next(&mut written), next(&mut written)), (1, 2));
    assert!(durable.next_timeout(Duration::from_millis(1)).unwrap().is_none());
    log.sync().unwrap();
    assert_eq!((next(&mut durable), next(&mut durable)), (1, 2));
}

#[test]
fn a_tail_begins_where_it_is_told_and_moves_where_it_is_sent() {
    let storage = memory();
    let (log, _) = varied(&storage);
    log.sync().unwrap();
    let mut tail = log.tail(TailOptions::default());
    for entry in log.range(..) {
        assert_eq!(tail.try_next().unwrap(), Some(entry.unwrap()));
    }
    assert!(tail.try_next().unwrap().is_none());
    tail.seek(lsn(300));
    assert_eq!(tail.try_next().unwrap().unwrap(), log.get(lsn(300)).unwrap());
    assert_eq!(tail.try_next().unwrap().unwrap().lsn, lsn(301));
    let end = log.next_lsn();
    let mut tail = log.tail(TailFrom::Lsn(end.plus(2)).into());
    for _ in 0..4 {
        log.append(b"to come").unwrap();
    }
    assert_eq!(tail.try_next().unwrap().unwrap().lsn, end.plus(2));
}

#[test]
fn a_closed_log_ends_its_tails_behind_the_last_entry() {
    let log = open(&memory(), &small()).unwrap();
    let mut items = log.tail(TailOptions::default());
    let mut tail = log.tail(TailOptions::default());
    let (all, collected) = mpsc::channel();
    let follower = thread::spawn(move || {
        let lsns: Vec<u64> = items.by_ref().map(|entry| entry.unwrap().lsn.get()).collect();
        all.send(lsns).unwrap();
        assert!(items.next().is_none(), "it stays over");
    });
    (1..=20).for_each(|n| buffered(&log, n));
    log.close().unwrap();
    assert_eq!(collected.recv_timeout(LONG).unwrap(), (1..=20).collect::<Vec<_>>());
    follower.join().unwrap();
    (1..=20).for_each(|n| assert_eq!(next(&mut tail), n));
    assert!(matches!(tail.next_timeout(LONG), Err(LogError::Closed)));
    assert!(matches!(tail.wait(), Err(LogError::Closed)), "the same each time");
}

#[test]
fn a_failed_sync_wakes_those_who_wait() {
    let hooked = Hooked::new(memory());
    let log = Log::open(environment(Arc::new(hooked.clone())), small()).unwrap();
    log.append(&payload(1)).unwrap();
    let mut tails = [Visibility::Written, Visibility::Durable]
        .map(|visibility| log.tail(TailOptions { visibility, ..TailOptions::default() }));
    hooked.fail("sync");
    let waiting = tails.each_mut().map(|tail| {
        assert_eq!(next(tail), 1);
        let mut tail = log.tail(TailOptions { from: TailFrom::End, visibility: Visibility::Durable });
        thread::spawn(move || tail.next_timeout(LONG))
    });
    log.append(&payload(2)).unwrap_err();
    for waiter in waiting {
        assert!(matches!(waiter.join().unwrap(), Err(LogError::Poisoned { .. })));
    }
    for tail in &mut tails {
        assert!(
            matches!(tail.try_next(), Err(LogError::Poisoned { .. })),
            "what is not durable is not shown"
        );
    }
}

#[test]
fn a_cut_ends_only_the_tails_that_gave_what_was_cut() {
    let log = open(&memory(), &small()).unwrap();
    fill(&log, 1..=20);
    let tail_at = |at: u64| {
        let mut tail = log.tail(TailOptions::default());
        (1..=at).for_each(|n| assert_eq!(next(&mut tail), n));
        tail
    };
    let (mut before, mut at, mut behind) = (tail_at(5), tail_at(10), tail_at(11));
    log.truncate_after(lsn(10)).unwrap();
    for _ in 0..2 {
        let cut = behind.try_next().unwrap_err();
        assert!(matches!(cut, LogError::CutOff { next, .. } if next == lsn(11)), "{cut}");
    }
    assert!(at.try_next().unwrap().is_none());
    fill(&log, 11..=30);
    assert!(matches!(behind.try_next(), Err(LogError::CutOff { .. })), "others have these numbers");
    (6..=30).for_each(|n| assert_eq!(next(&mut before), n));
    (11..=30).for_each(|n| assert_eq!(next(&mut at), n));
    behind.seek(lsn(11));
    (11..=30).for_each(|n| assert_eq!(next(&mut behind), n));
}

#[test]
fn a_tail_that_gave_nothing_misses_nothing_behind_a_cut() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        fill(&log, 1..=9);
        let reader = Log::open_read_only(environment(Arc::clone(&storage)), small()).unwrap();
        let mut tails = [TailFrom::End, TailFrom::Start].map(|from| log.tail(from.into()));
        let mut named = log.tail(lsn(10).into());
        let mut beside = reader.tail(TailFrom::End.into());
        assert!(tails[0].try_next().unwrap().is_none() && beside.try_next().unwrap().is_none());
        log.truncate_from(lsn(5)).unwrap();
        fill(&log, 5..=7);
        assert_eq!(tails.each_mut().map(next), [5, 1]);
        assert!(named.try_next().unwrap().is_none(), "it was sent there");
        assert!(matches!(beside.try_next(), Err(LogError::CutOff { .. })), "it may have missed some");
        fill(&log, 8..=12);
        assert_eq!((next(&mut tails[0]), next(&mut named)), (6, 10));
        assert!(matches!(beside.try_next(), Err(LogError::CutOff { .. })), "the same each time");
        beside.seek(lsn(12));
        assert_eq!(next(&mut beside), 12);
    });
}

#[test]
fn a_tail_that_is_overtaken_by_a_trim_says_so() {
    let log = open(&memory(), &small()).unwrap();
    fill(&log, 1..=900);
    let mut fresh = log.tail(TailOptions::default());
    let mut idle = log.tail(lsn(50).into());
    log.truncate_before(lsn(800)).unwrap();
    for tail in [&mut fresh, &mut idle] {
        let gone = tail.try_next().unwrap_err();
        assert!(matches!(gone, LogError::Truncated { first, .. } if first == lsn(800)), "{gone}");
    }
    fresh.seek(log.first_lsn().unwrap());
    (800..=900).for_each(|n| assert_eq!(next(&mut fresh), n));
    log.clear().unwrap();
    assert!(fresh.try_next().unwrap().is_none(), "all of them were given");
    log.append(&payload(901)).unwrap();
    assert_eq!(next(&mut fresh), 901);
}

#[test]
fn another_process_follows_by_looking() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        log.append(&payload(1)).unwrap();
        let reader = Log::open_read_only(environment(Arc::clone(&storage)), small()).unwrap();
        let mut tail = reader.tail(TailOptions { visibility: Visibility::Written, ..TailOptions::default() });
        let follower = thread::spawn(move || {
            (1..=400).for_each(|n| assert_eq!(next(&mut tail), n));
            tail
        });
        fill(&log, 2..=400);
        let mut tail = follower.join().unwrap();
        assert!(tail.next_timeout(Duration::from_millis(5)).unwrap().is_none());
        // Cut, and others in the same places: what was given is not part of the log any more.
        log.truncate_after(lsn(300)).unwrap();
        for _ in 301..=420 {
            log.append(b"another").unwrap();
        }
        for _ in 0..2 {
            assert!(matches!(tail.next_timeout(LONG), Err(LogError::CutOff { .. })));
        }
        reader.close().unwrap();
        tail.seek(log.next_lsn());
        assert!(matches!(tail.next_timeout(LONG), Err(LogError::Closed)));
    });
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park_timeout(LONG),
        }
    }
}

#[test]
fn a_task_is_woken_for_every_entry() {
    let log = open(&memory(), &small()).unwrap();
    let mut tail = log.tail(TailOptions::default());
    let follower = thread::spawn(move || {
        for n in 1..=300 {
            let entry = block_on(poll_fn(|context| tail.poll_item(context))).unwrap().unwrap();
            assert_eq!(entry.lsn, lsn(n));
        }
        assert!(block_on(poll_fn(|context| tail.poll_item(context))).is_none(), "closed");
    });
    fill(&log, 1..=300);
    log.close().unwrap();
    follower.join().unwrap();
}

struct Tells(mpsc::Sender<()>);

impl Wake for Tells {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

/// They wait for an entry that is far ahead, or for the next one, and no write or sync that follows will wake them.
#[test]
fn who_waits_for_durable_entries_hears_of_a_write_or_a_sync_that_failed() {
    for operation in ["write", "sync"] {
        for from in [TailFrom::End, TailFrom::Lsn(lsn(1000))] {
            let hooked = Hooked::new(memory());
            let sync = SyncPolicy::OsCache { interval: LONG * 60 };
            let options = Options { sync, background_threads: false, ..small() };
            let log = Log::open(environment(Arc::new(hooked.clone())), options).unwrap();
            fill(&log, 1..=3);
            log.sync().unwrap();
            let options = TailOptions { from, visibility: Visibility::Durable };
            let (mut task, mut thread) = (log.tail(options), log.tail(options));
            let (woken, heard) = mpsc::channel();
            let waker = Waker::from(Arc::new(Tells(woken)));
            assert!(task.poll_item(&mut Context::from_waker(&waker)).is_pending());
            let waiting = thread::spawn(move || thread.wait());
            hooked.fail(operation);
            assert!(log.append(&payload(4)).is_err() || log.sync().is_err(), "{operation}");
            heard.recv_timeout(LONG).expect("the task is woken");
            let told = task.poll_item(&mut Context::from_waker(&waker));
            assert!(
                matches!(told, Poll::Ready(Some(Err(LogError::Poisoned { .. })))),
                "{operation}: {told:?}"
            );
            let told = waiting.join().unwrap();
            assert!(matches!(told, Err(LogError::Poisoned { .. })), "{operation}: {told:?}");
        }
    }
}
