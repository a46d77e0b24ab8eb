use std::{sync::Arc, thread, time::Duration};

use wal_segment::MemoryStorage;

use super::*;
use crate::{Environment, Options};

#[test]
fn the_logs_thread_ends_what_nobody_looks_at() {
    let environment = Environment::new(Arc::new(MemoryStorage::new()));
    let log = Log::open(environment, Options::default()).unwrap();
    let options = |milliseconds| TransactionOptions {
        timeout: Duration::from_millis(milliseconds),
        ..TransactionOptions::default()
    };
    let long = log.begin(&options(3_600_000)).unwrap();
    let short = log.begin(&options(2)).unwrap();
    // This count does not look at the clock.
    while log.engine().transactions.registry().active() > 1 {
        thread::yield_now();
    }
    assert_eq!(log.expire_transactions(), 0);
    assert_eq!((short.state(), long.state()), (TransactionState::Expired, TransactionState::Active));
}

#[test]
fn the_logs_thread_is_woken_only_for_what_ends_before_it_looks() {
    let registry = Transactions::default();
    let entropy = crate::SystemEntropy;
    let begin = |seconds: Option<u64>| {
        let deadline = seconds.map(Duration::from_secs);
        let make = |id| Pending::new(id, deadline, TransactionOptions::default());
        registry.registry().begin(make, &entropy).unwrap()
    };
    let (first, woken) = begin(Some(10));
    assert!(woken, "it may sleep for ever");
    assert!(!begin(None).1, "that never ends");
    registry.registry().roll_back(&first).unwrap();
    assert!(!begin(Some(11)).1, "it looks after 10 seconds, and finds this one");
    let (soon, woken) = begin(Some(9));
    assert!(woken);
    assert_eq!(registry.next_deadline(), Some(Duration::from_secs(9)));
    registry.registry().roll_back(&soon).unwrap();
    assert_eq!(registry.next_deadline(), Some(Duration::from_secs(11)));
    assert!(begin(Some(10)).1, "it has looked since, and sleeps for longer");
}

#[test]
fn those_that_ended_in_turn_end_by_themselves() {
    let log = Log::open(Environment::new(Arc::new(MemoryStorage::new())), Options::default()).unwrap();
    let options = TransactionOptions { timeout: Duration::from_millis(5), ..TransactionOptions::default() };
    for _ in 0..3 {
        let ended = log.begin(&options).unwrap();
        ended.rollback().unwrap();
        let left = log.begin(&options).unwrap();
        while log.engine().transactions.registry().active() > 0 {
            thread::yield_now();
        }
        assert_eq!(left.state(), TransactionState::Expired);
    }
}

/// Its time is over while a commit that will fail has it.
#[test]
fn one_that_was_put_back_is_waited_for_again() {
    let transactions = Transactions::default();
    let registry = transactions.registry();
    let deadline = Duration::from_secs(5);
    let make = |id| Pending::new(id, Some(deadline), TransactionOptions::default());
    let (pending, _) = registry.begin(make, &crate::SystemEntropy).unwrap();
    let entries = registry.take(&pending, Duration::ZERO).unwrap();
    assert_eq!(transactions.expire(deadline), 0, "it is being committed");
    assert_eq!(transactions.next_deadline(), None);
    assert!(registry.put_back(&pending, entries), "the thread sleeps for ever");
    assert_eq!(transactions.next_deadline(), Some(deadline));
    assert_eq!((transactions.expire(deadline), registry.active()), (1, 0));
}
