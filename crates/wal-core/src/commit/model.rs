//! The queue in every order of its threads' steps, as far as loom's bound on preemptions goes. A wake-up that got lost
//! shows as a deadlock.

use loom::{
    model::Builder,
    sync::atomic::{AtomicBool, AtomicU64},
    thread::{JoinHandle, spawn},
};

use super::*;

mod futures;

/// A log whose commits cover what was appended before they began.
struct Steps {
    appended: AtomicU64,
    syncing: AtomicU64,
    durable: AtomicU64,
    moving: Mutex<()>,
    leading: AtomicBool,
    failed: AtomicBool,
    fail_at: u64,
    commits: AtomicU64,
    time: AtomicU64,
    queue: CommitQueue,
    /// Never says how far a sync goes.
    vague: bool,
}

impl Steps {
    /// The commit of this number fails, counted from 1.
    fn new(fail_at: u64) -> Arc<Self> {
        Arc::new(Self::bare(fail_at))
    }

    fn bare(fail_at: u64) -> Self {
        Self {
            appended: AtomicU64::new(0),
            syncing: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            moving: Mutex::default(),
            leading: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            fail_at,
            commits: AtomicU64::new(0),
            time: AtomicU64::new(0),
            queue: CommitQueue::default(),
            vague: false,
        }
    }

    fn append(&self) -> Tick {
        self.appended.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// As in the marks of a log: never back, whichever of two syncs ends first.
    fn set_durable(&self, tick: Tick) {
        let _moving = self.moving.lock();
        if tick > self.durable() {
            self.durable.store(tick, Ordering::Release);
        }
    }

    fn append_and_wait(&self) -> Result<(), &'static str> {
        let tick = self.append();
        let result = self.queue.wait(self, tick);
        match result {
            Ok(()) => assert!(self.durable() >= tick, "confirmed before durable"),
            Err(_) => assert!(self.failure().is_some(), "failed without a reason"),
        }
        result
    }

    fn counted(self: &Arc<Self>, tick: Tick, calls: &Arc<AtomicU64>) -> Notify {
        let (log, calls) = (Arc::clone(self), Arc::clone(calls));
        Notify::Call(Box::new(move || {
            assert!(log.durable() >= tick || log.failure().is_some(), "called too early");
            calls.fetch_add(1, Ordering::AcqRel);
        }))
    }
}

impl Commit for Steps {
    type Error = &'static str;

    fn durable(&self) -> Tick {
        self.durable.load(Ordering::Acquire)
    }

    fn syncing(&self) -> Tick {
        if self.vague { 0 } else { self.syncing.load(Ordering::Acquire) }
    }

    fn failure(&self) -> Option<&'static str> {
        self.failed.load(Ordering::Acquire).then_some("failed")
    }

    fn commit(&self) -> Result<(), &'static str> {
        assert!(!self.leading.swap(true, Ordering::AcqRel), "two leaders");
        let covered = self.appended.load(Ordering::Acquire);
        self.syncing.store(covered, Ordering::Release);
        let result = if self.failed.load(Ordering::Acquire) {
            Err("failed")
        } else if self.commits.fetch_add(1, Ordering::AcqRel) + 1 == self.fail_at {
            self.failed.store(true, Ordering::Release);
            Err("failed")
        } else {
            self.set_durable(covered);
            Ok(())
        };
        self.leading.store(false, Ordering::Release);
        result
    }

    fn monotonic(&self) -> Duration {
        // Relaxed: time passes, and orders nothing.
        Duration::from_nanos(self.time.fetch_add(1, Ordering::Relaxed))
    }
}

pub(crate) fn check(preemptions: usize, test: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    let orders = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = Arc::clone(&orders);
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        test();
    });
    println!("{} orders", orders.load(Ordering::Relaxed));
}

/// Some order makes the test fail: shows that the checks can.
pub(crate) fn fails(preemptions: usize, test: impl Fn() + Send + Sync + 'static) {
    let checked = catch_unwind(AssertUnwindSafe(|| check(preemptions, test)));
    assert!(checked.is_err(), "nothing was noticed in any order");
}

fn spawned<T: 'static>(log: &Arc<Steps>, run: impl FnOnce(&Arc<Steps>) -> T + 'static) -> JoinHandle<T> {
    let log = Arc::clone(log);
    spawn(move || run(&log))
}

#[test]
fn two_threads_are_confirmed_in_every_order() {
    check(5, || {
        let log = Steps::new(0);
        let other = spawned(&log, |log| log.append_and_wait());
        assert_eq!(log.append_and_wait(), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
    });
}

#[test]
fn three_threads_hand_the_lead_on() {
    for vague in [false, true] {
        check(3, move || {
            let log = Arc::new(Steps { vague, ..Steps::bare(0) });
            let others = [(); 2].map(|()| spawned(&log, |log| log.append_and_wait()));
            assert_eq!(log.append_and_wait(), Ok(()));
            others.into_iter().for_each(|other| assert_eq!(other.join().unwrap(), Ok(())));
            assert!(log.queue.state.lock().rounds.is_empty());
        });
    }
}

#[test]
fn a_thread_that_comes_back_is_not_forgotten() {
    check(4, || {
        let log = Steps::new(0);
        let other = spawned(&log, |log| log.append_and_wait().and_then(|()| log.append_and_wait()));
        assert_eq!(log.append_and_wait(), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_failure_ends_every_wait() {
    check(3, || {
        let log = Steps::new(1);
        let calls = Arc::new(AtomicU64::new(0));
        let others = [(); 2].map(|()| spawned(&log, |log| log.append_and_wait()));
        log.queue.notify(&*log, 4, log.counted(4, &calls));
        for other in others {
            assert_eq!(other.join().unwrap(), Err("failed"));
        }
        assert_eq!(calls.load(Ordering::Acquire), 1);
        assert!(!log.queue.has_others());
    });
}

#[test]
fn a_failure_outside_the_queue_wakes_those_in_it() {
    check(3, || {
        let log = Steps::new(0);
        let other = spawned(&log, |log| log.append_and_wait());
        // As when a driver's sync fails: first the cause, then the news.
        log.failed.store(true, Ordering::Release);
        log.queue.wake_threads(&*log);
        let _ = other.join().unwrap();
        assert_eq!(log.append_and_wait(), Err("failed"));
    });
}

#[test]
fn a_callback_runs_exactly_once() {
    check(3, || {
        let log = Steps::new(0);
        let calls = Arc::new(AtomicU64::new(0));
        let tick = log.append();
        let other = spawned(&log, move |log| log.queue.wait(&**log, tick));
        log.queue.notify(&*log, tick, log.counted(tick, &calls));
        assert_eq!(other.join().unwrap(), Ok(()));
        assert_eq!(calls.load(Ordering::Acquire), 1);
        log.queue.wake(&*log);
        assert_eq!(calls.load(Ordering::Acquire), 1);
    });
}

#[test]
fn a_sync_outside_the_queue_confirms_and_wakes() {
    check(3, || {
        let log = Steps::new(0);
        let calls = Arc::new(AtomicU64::new(0));
        let tick = log.append();
        let other = spawned(&log, |log| log.append_and_wait());
        log.queue.notify(&*log, tick, log.counted(tick, &calls));
        // As when a segment is changed: everything so far is durable, and whoever leads finds nothing to do.
        log.set_durable(tick);
        log.queue.wake(&*log);
        assert_eq!(other.join().unwrap(), Ok(()));
        assert_eq!(calls.load(Ordering::Acquire), 1);
    });
}

#[test]
fn a_sync_that_nobody_is_told_of_strands_no_thread() {
    check(3, || {
        let log = Steps::new(0);
        let others = [(); 2].map(|()| spawned(&log, |log| log.append_and_wait()));
        assert_eq!(log.append_and_wait(), Ok(()));
        // As when a write that nobody waits for changes segments: whoever is to lead next may find itself covered.
        log.set_durable((log.durable() + 1).min(log.appended.load(Ordering::Acquire)));
        others.into_iter().for_each(|other| assert_eq!(other.join().unwrap(), Ok(())));
    });
}

#[test]
fn a_wait_that_ran_out_leaves_nothing_behind() {
    check(3, || {
        let log = Steps::new(0);
        let tick = log.append();
        let other = spawned(&log, move |log| log.queue.wait(&**log, tick));
        let waited = log.queue.wait_timeout(&*log, tick, Duration::from_nanos(3), || ());
        assert!(!waited || log.durable() >= tick, "confirmed before durable");
        assert!(!log.queue.has_others());
        assert_eq!(other.join().unwrap(), Ok(()));
    });
}
