//! Transactions: what they hold, how they end, and what is left of them.

use std::{sync::Arc, thread, time::Duration};

use wal_core::{
    AppendOptions, Clock, Entropy, Environment, Log, LogError, Options, TransactionId, TransactionOptions,
    TransactionState,
};
use wal_format::{Lsn, NewEntry};
use wal_segment::MemoryStorage;
use wal_sim::{Faults, Shots, SimDisk, VirtualTime};

use crate::support::{environment, small};

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
struct Always(u64);

impl Entropy for Always {
    fn next(&self) -> u64 {
        self.0
    }
}

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

fn lasting(seconds: u64) -> TransactionOptions {
    TransactionOptions { timeout: Duration::from_secs(seconds), ..TransactionOptions::default() }
}

fn entry(payload: &str) -> NewEntry<'_> {
    NewEntry::plain(payload.as_bytes())
}

fn without_threads() -> Options {
    Options { background_threads: false, ..small() }
}

/// A log whose time only a test moves.
fn timed() -> (Log, Arc<VirtualTime>) {
    let time = Arc::new(VirtualTime::new(0));
    let clock = Arc::new(SimClock(Arc::clone(&time)));
    let environment = Environment { clock, ..environment(Arc::new(MemoryStorage::new())) };
    (Log::open(environment, without_threads()).unwrap(), time)
}

fn plain() -> AppendOptions {
    AppendOptions::default()
}

#[test]
fn what_threads_add_is_appended_together_under_one_name() {
    let log = Log::open(environment(Arc::new(MemoryStorage::new())), small()).unwrap();
    let (one, other) = (log.begin(&lasting(60)).unwrap(), log.begin(&lasting(60)).unwrap());
    assert_ne!(one.id(), other.id());
    thread::scope(|scope| {
        for n in 0..4_u8 {
            let (one, log) = (one.clone(), &log);
            scope.spawn(move || {
                let places: Vec<u32> =
                    (0..50).map(|_| one.append(&NewEntry { kind: n, ..entry("one") }).unwrap()).collect();
                assert!(places.is_sorted_by(|a, b| a < b));
                log.append(b"beside").unwrap();
            });
        }
    });
    other.append(&entry("other")).unwrap();
    assert_eq!((log.active_transactions(), one.len(), log.next_lsn()), (2, 200, lsn(5)));
    assert_eq!(other.commit(&plain()).unwrap(), (lsn(5), lsn(5)));
    assert_eq!(one.commit(&plain()).unwrap(), (lsn(6), lsn(205)));
    assert_eq!(log.active_transactions(), 0);
    let frames = log.stats().frames;
    assert_eq!(frames, 4 + 2);
    let names: Vec<_> = log.range(..).map(|entry| entry.unwrap().transaction.map(TransactionId)).collect();
    assert_eq!(names[..5], [None, None, None, None, Some(other.id())]);
    assert!(names[5..].iter().all(|name| *name == Some(one.id())));
    assert_eq!(one.state(), TransactionState::Committed { first: lsn(6), last: lsn(205) });
    assert_eq!(one.len(), 0);
}

#[test]
fn one_that_ended_takes_nothing_and_is_remembered_for_a_while() {
    let (log, _) = timed();
    let committed = log.begin(&lasting(1)).unwrap();
    let empty = committed.commit(&plain()).unwrap_err();
    assert!(matches!(empty, LogError::InvalidArgument { .. }), "{empty}");
    committed.append(&entry("one")).unwrap();
    committed.commit(&plain()).unwrap();
    let state = TransactionState::Committed { first: lsn(1), last: lsn(1) };
    for error in [
        committed.append(&entry("two")).unwrap_err(),
        committed.commit(&plain()).unwrap_err(),
        committed.rollback().unwrap_err(),
    ] {
        let text = format!("transaction {} is committed as entries 1 to 1", committed.id());
        assert_eq!(error.to_string(), text);
        assert!(matches!(error, LogError::TransactionEnded { state: found, .. } if found == state));
    }
    let rolled_back = log.begin(&lasting(1)).unwrap();
    rolled_back.append(&entry("gone")).unwrap();
    rolled_back.rollback().unwrap();
    rolled_back.rollback().unwrap();
    assert!(matches!(
        rolled_back.commit(&plain()).unwrap_err(),
        LogError::TransactionEnded { state: TransactionState::RolledBack, .. }
    ));
    let dropped = log.begin(&lasting(1)).unwrap();
    let clone = dropped.clone();
    let id = dropped.id();
    drop(dropped);
    assert_eq!(log.transaction_state(id), TransactionState::Active);
    drop(clone);
    assert_eq!(log.transaction_state(id), TransactionState::RolledBack);
    assert_eq!(log.transaction_state(TransactionId([7; 16])), TransactionState::Unknown);
    for _ in 0..1022 {
        assert_eq!(log.transaction_state(committed.id()), state);
        drop(log.begin(&lasting(1)).unwrap());
    }
    assert_eq!(log.transaction_state(committed.id()), TransactionState::Unknown);
    assert_eq!(log.transaction_state(rolled_back.id()), TransactionState::RolledBack);
    assert_eq!(committed.state(), state);
    assert_eq!((log.active_transactions(), log.next_lsn()), (0, lsn(2)));
}

#[test]
fn time_ends_a_transaction_whoever_looks_first() {
    let (log, time) = timed();
    let begin = |seconds| {
        let transaction = log.begin(&lasting(seconds)).unwrap();
        transaction.append(&entry("late")).unwrap();
        transaction
    };
    let all: Vec<_> = (0..6).map(|_| begin(10)).collect();
    let longer = begin(11);
    let endless = log.begin(&TransactionOptions { timeout: Duration::MAX, ..lasting(1) }).unwrap();
    time.advance(Duration::from_nanos(9_999_999_999));
    assert_eq!((log.expire_transactions(), log.active_transactions()), (0, 8));
    time.advance(Duration::from_nanos(1));
    let expired = |error: LogError| assert!(matches!(error, LogError::TransactionExpired { .. }), "{error}");
    expired(all[0].append(&entry("later")).unwrap_err());
    expired(all[1].commit(&plain()).unwrap_err());
    assert_eq!(all[2].state(), TransactionState::Expired);
    assert_eq!(log.transaction_state(all[3].id()), TransactionState::Expired);
    assert_eq!(all[4].len(), 0);
    assert_eq!((log.expire_transactions(), log.expire_transactions()), (1, 0));
    assert_eq!(log.active_transactions(), 2);
    all.iter().for_each(|transaction| transaction.rollback().unwrap());
    assert_eq!(all[5].state(), TransactionState::Expired);
    expired(all[5].commit(&plain()).unwrap_err());
    time.advance(Duration::from_secs(1));
    log.maintain().unwrap();
    assert_eq!((log.expire_transactions(), longer.state()), (0, TransactionState::Expired));
    time.advance(Duration::from_secs(1 << 32));
    endless.append(&entry("at last")).unwrap();
    endless.commit(&plain()).unwrap();
    assert_eq!(log.range(..).count(), 1);
}

#[test]
fn limits_refuse_an_entry_and_keep_the_others() {
    let (log, _) = timed();
    let limits = TransactionOptions { entries_max: 3, bytes_max: 10, ..lasting(1) };
    let full = |error: LogError| match error {
        LogError::TransactionFull { what, max, .. } => (what, max),
        other => panic!("{other}"),
    };
    let transaction = log.begin(&limits).unwrap();
    transaction.append(&entry("four")).unwrap();
    assert_eq!(full(transaction.append(&entry("fivefive")).unwrap_err()), ("bytes of payload", 10));
    assert_eq!(transaction.append(&entry("sixsix")).unwrap(), 1);
    assert_eq!(transaction.append(&entry("")).unwrap(), 2);
    assert_eq!(full(transaction.append(&entry("")).unwrap_err()), ("entries", 3));
    let reserved = NewEntry { term: Some(u64::MAX), ..entry("") };
    assert!(log.begin(&lasting(1)).unwrap().append(&reserved).is_err());
    assert_eq!(transaction.commit(&plain()).unwrap(), (lsn(1), lsn(3)));
    // What the log would refuse at the commit is refused at once.
    let options = Options { entry_len_max: 5, ..without_threads() };
    let log = Log::open(environment(Arc::new(MemoryStorage::new())), options).unwrap();
    let transaction = log.begin(&lasting(1)).unwrap();
    assert_eq!(full(transaction.append(&entry("sixsix")).unwrap_err()), ("bytes of payload", 5));
}

#[test]
fn a_commit_that_appended_nothing_can_be_repeated() {
    let disk = SimDisk::new(1);
    let log = Log::open(environment(disk.storage()), without_threads()).unwrap();
    let transaction = log.begin(&lasting(60)).unwrap();
    for payload in ["one", "two"] {
        transaction.append(&entry(payload)).unwrap();
    }
    let elsewhere = AppendOptions { expected: Some(lsn(9)), ..plain() };
    assert!(matches!(transaction.commit(&elsewhere).unwrap_err(), LogError::Conflict { .. }));
    disk.set_faults(Faults { reserve: Shots { after: 0, times: u64::MAX }, ..Faults::default() });
    let full = transaction.commit(&plain()).unwrap_err();
    assert!(matches!(full, LogError::Full { .. }), "{full}");
    assert_eq!((transaction.state(), log.active_transactions()), (TransactionState::Active, 1));
    disk.set_faults(Faults::default());
    transaction.append(&entry("three")).unwrap();
    assert_eq!(transaction.commit(&plain()).unwrap(), (lsn(1), lsn(3)));
    let payloads: Vec<_> = log.range(..).map(|entry| entry.unwrap().payload).collect();
    assert_eq!(payloads, ["one", "two", "three"]);
}

#[test]
fn a_commit_that_could_not_be_confirmed_is_uncertain() {
    let disk = SimDisk::new(1);
    let log = Log::open(environment(disk.storage()), without_threads()).unwrap();
    log.append(b"first").unwrap();
    let transaction = log.begin(&lasting(60)).unwrap();
    transaction.append(&entry("one")).unwrap();
    disk.set_faults(Faults { sync: Shots::nth(0), ..Faults::default() });
    let error = transaction.commit(&plain()).unwrap_err();
    assert!(matches!(error, LogError::Unconfirmed { first, .. } if first == lsn(2)), "{error}");
    let state = TransactionState::Uncertain { first: lsn(2), last: lsn(2) };
    assert_eq!((transaction.state(), log.transaction_state(transaction.id())), (state, state));
    assert!(matches!(
        transaction.rollback().unwrap_err(),
        LogError::TransactionEnded { state: TransactionState::Uncertain { .. }, .. }
    ));
    assert!(matches!(log.begin(&lasting(1)).unwrap_err(), LogError::Poisoned { .. }));
}

#[test]
fn closing_rolls_back_what_is_open() {
    let storage = Arc::new(MemoryStorage::new());
    let log = Log::open(environment(storage.clone()), small()).unwrap();
    let transaction = log.begin(&lasting(60)).unwrap();
    transaction.append(&entry("gone")).unwrap();
    log.append(b"kept").unwrap();
    log.close().unwrap();
    assert_eq!(transaction.state(), TransactionState::RolledBack);
    assert!(matches!(transaction.append(&entry("more")).unwrap_err(), LogError::Closed));
    assert!(matches!(transaction.commit(&plain()).unwrap_err(), LogError::Closed));
    assert!(matches!(log.begin(&lasting(1)).unwrap_err(), LogError::Closed));
    drop((transaction, log));
    let log = Log::open(environment(storage.clone()), small()).unwrap();
    assert_eq!((log.range(..).count(), log.recovery_report().clean), (1, true));
    // The handle keeps the log open, as any other does.
    let transaction = log.begin(&lasting(60)).unwrap();
    drop(log);
    transaction.append(&entry("late")).unwrap();
    assert_eq!(transaction.commit(&plain()).unwrap(), (lsn(2), lsn(2)));
    let reader = Log::open_read_only(environment(storage), small()).unwrap();
    assert!(matches!(reader.begin(&lasting(1)).unwrap_err(), LogError::ReadOnly));
}

#[test]
fn of_many_that_end_a_transaction_one_does() {
    let log = Log::open(environment(Arc::new(MemoryStorage::new())), small()).unwrap();
    let mut expected = 0;
    for round in 0..100 {
        let transaction = log.begin(&lasting(60)).unwrap();
        transaction.append(&entry("once")).unwrap();
        let committed: usize = thread::scope(|scope| {
            let commits: Vec<_> =
                (0..3).map(|_| scope.spawn(|| transaction.commit(&plain()).is_ok())).collect();
            if round % 2 == 0 {
                let _ = transaction.rollback();
            }
            commits.into_iter().map(|commit| usize::from(commit.join().unwrap())).sum()
        });
        let was = matches!(transaction.state(), TransactionState::Committed { .. });
        assert_eq!(committed, usize::from(was), "{:?}", transaction.state());
        expected += committed;
    }
    assert!(expected >= 50, "without a rollback one commit succeeds");
    assert_eq!((log.range(..).count(), log.active_transactions()), (expected, 0));
}

#[test]
fn what_cannot_be_begun_is_refused() {
    let (log, _) = timed();
    assert!(matches!(log.begin(&lasting(0)).unwrap_err(), LogError::InvalidArgument { .. }));
    let none = TransactionOptions { entries_max: 0, ..lasting(1) };
    assert!(matches!(log.begin(&none).unwrap_err(), LogError::InvalidArgument { .. }));
    // Chance that is none: no two transactions share a name all the same.
    let environment =
        Environment { entropy: Arc::new(Always(5)), ..environment(Arc::new(MemoryStorage::new())) };
    let log = Log::open(environment, without_threads()).unwrap();
    let first = log.begin(&lasting(60)).unwrap();
    assert_eq!(first.id().to_string(), "05000000000000000500000000000000");
    assert!(matches!(log.begin(&lasting(60)).unwrap_err(), LogError::Exhausted { .. }));
}
