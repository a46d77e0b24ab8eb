//! Whoever waits for a change and whoever makes it, in every order. A wake-up that got lost is a deadlock.

use loom::{sync::atomic::AtomicBool, thread::spawn};

use super::*;
use crate::commit::model::{check, fails};

#[derive(Default)]
struct Shared {
    watch: Watch,
    changes: AtomicUsize,
}

impl Shared {
    fn change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
        self.watch.wake();
    }

    fn wait(&self, changes: usize) {
        let ready = || self.changes.load(Ordering::Acquire) >= changes;
        assert!(self.watch.wait(ready, None, || Duration::ZERO));
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

/// Threads and tasks register in the same way; a thread that looks before it has registered is not found.
#[test]
fn who_looks_first_and_registers_second_may_sleep_for_ever() {
    fails(4, || {
        let shared = Arc::new((Watch::default(), AtomicBool::new(false)));
        let waiter = Arc::clone(&shared);
        let waiter = spawn(move || {
            if !waiter.1.load(Ordering::Acquire) {
                let sleeper = Sleeper::current();
                waiter.0.add(Notify::Wake(Arc::clone(&sleeper)));
                sleeper.sleep();
            }
        });
        shared.1.store(true, Ordering::Release);
        shared.0.wake();
        waiter.join().unwrap();
    });
}
