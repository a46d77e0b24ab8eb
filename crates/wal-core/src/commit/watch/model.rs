//! Whoever waits for a change and whoever makes it, in every order. A wake-up that got lost is a deadlock.

use loom::{sync::atomic::AtomicBool, thread::spawn};

use super::*;
use crate::commit::model::{check, fails};

#[derive(Default)]
struct Shared {
    watch: Watch,
    changes: AtomicU64,
}

impl Shared {
    fn change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
        self.watch.wake();
    }

    fn wait(&self, changes: u64) {
        let ready = || self.changes.load(Ordering::Acquire) >= changes;
        assert!(self.watch.wait(Until::Change, ready, None, || Duration::ZERO));
    }

    /// For entries up to `lsn` to be durable, which is told by how many changes there were.
    fn wait_durable(&self, lsn: Lsn) {
        let ready = || self.durable_next() > lsn;
        assert!(self.watch.wait(Until::Durable(lsn), ready, None, || Duration::ZERO));
    }

    fn durable_next(&self) -> Lsn {
        Lsn::new(self.changes.load(Ordering::Acquire) + 1).unwrap()
    }
}

#[test]
fn who_waits_is_woken_or_sees_the_change() {
    check(4, || {
        let shared = Arc::new(Shared::default());
        let waiter = Arc::clone(&shared);
        let waiter = spawn(move || {
            waiter.wait(1);
            waiter.wait(2);
        });
        shared.change();
        shared.change();
        waiter.join().unwrap();
        assert_eq!(shared.watch.waiting(), 0);
    });
}

#[test]
fn two_who_wait_are_both_woken() {
    check(3, || {
        let shared = Arc::new(Shared::default());
        let waiters = [(); 2].map(|()| {
            let shared = Arc::clone(&shared);
            spawn(move || shared.wait(1))
        });
        shared.change();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

/// One thread makes an entry durable, by a write as where segments change, and another one only writes.
fn made_durable(and_told: bool) {
    let shared = Arc::new(Shared::default());
    let waiter = Arc::clone(&shared);
    let waiter = spawn(move || waiter.wait_durable(Lsn::FIRST));
    let writer = Arc::clone(&shared);
    let writer = spawn(move || writer.watch.wake_moved(writer.durable_next()));
    shared.changes.fetch_add(1, Ordering::Release);
    if and_told {
        shared.watch.wake_moved(shared.durable_next());
    }
    writer.join().unwrap();
    waiter.join().unwrap();
    assert_eq!(shared.watch.waiting(), 0);
}

#[test]
fn who_waits_for_an_entry_to_be_durable_is_woken_by_the_write_that_made_it_so() {
    check(4, || made_durable(true));
}

/// What makes it durable has to be told of by the thread that has done it: others may have looked before.
#[test]
fn who_makes_an_entry_durable_and_says_nothing_may_leave_somebody_asleep() {
    fails(4, || made_durable(false));
}

/// Threads and tasks register in the same way; a thread that looks before it has registered is not found.
#[test]
fn who_looks_first_and_registers_second_may_sleep_for_ever() {
    fails(4, || {
        let shared = Arc::new((Watch::default(), AtomicBool::new(false)));
        let waiter = Arc::clone(&shared);
        let waiter = spawn(move || {
            if !waiter.1.load(Ordering::Acquire) {
                let sleeper = Sleeper::current();
                waiter.0.add(Until::Change, Notify::Wake(Arc::clone(&sleeper)));
                sleeper.sleep();
            }
        });
        shared.1.store(true, Ordering::Release);
        shared.0.wake();
        waiter.join().unwrap();
    });
}
