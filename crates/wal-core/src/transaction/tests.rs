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
