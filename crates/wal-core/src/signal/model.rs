//! A thread that waits for work, and those that bring it, in every order.

use std::sync::{Arc, atomic::Ordering};

use loom::thread::spawn;

use super::*;
use crate::{
    commit::model::{check, fails},
    sync::AtomicU64,
};

/// Pieces of work, and the signal that there are some.
#[derive(Debug, Default)]
struct Desk {
    work: AtomicU64,
    signal: Signal,
}

impl Desk {
    fn bring(&self) {
        self.work.fetch_add(1, Ordering::AcqRel);
        self.signal.raise();
    }

    /// Waits until so much work was done, all of it after a signal.
    fn do_all(&self, amount: u64) {
        let mut done = 0;
        while done < amount {
            assert!(self.signal.wait(None), "nothing else ends an endless wait");
            done += self.work.swap(0, Ordering::AcqRel);
        }
    }
}

/// Two bring work, each in this way, and one does it.
fn two_bring(bring: fn(&Desk)) {
    let desk = Arc::new(Desk::default());
    let bringers = [(); 2].map(|()| {
        let desk = Arc::clone(&desk);
        spawn(move || bring(&desk))
    });
    desk.do_all(2);
    bringers.into_iter().for_each(|bringer| bringer.join().unwrap());
}

#[test]
fn no_work_is_left_lying_although_signals_are_not_counted() {
    check(4, || two_bring(Desk::bring));
}

#[test]
fn work_that_is_brought_after_its_signal_is_caught() {
    fails(4, || {
        two_bring(|desk| {
            desk.signal.raise();
            desk.work.fetch_add(1, Ordering::AcqRel);
        });
    });
}

#[test]
fn a_signal_is_seen_once_whether_the_time_was_over_or_not() {
    check(4, || {
        let signal = Arc::new(Signal::default());
        let raiser = Arc::clone(&signal);
        let raiser = spawn(move || raiser.raise());
        if !signal.wait(Some(Duration::ZERO)) {
            assert!(signal.wait(None), "it is there, or comes");
        }
        raiser.join().unwrap();
        assert!(!signal.wait(Some(Duration::ZERO)), "it was seen");
    });
}

#[test]
fn two_that_wait_for_one_signal_are_caught() {
    fails(4, || {
        let signal = Arc::new(Signal::default());
        let waiter = Arc::clone(&signal);
        let waiter = spawn(move || waiter.wait(None));
        signal.raise();
        signal.wait(None);
        waiter.join().unwrap();
    });
}
