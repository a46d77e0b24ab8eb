use std::sync::{Barrier, atomic::AtomicU64};

use super::*;

/// A log whose every commit takes a moment and covers what was appended before it began.
#[derive(Default)]
struct Slow {
    appended: AtomicU64,
    syncing: AtomicU64,
    durable: AtomicU64,
    commits: AtomicU64,
    inside: AtomicU64,
    fail_at: Option<u64>,
    failed: AtomicBool,
    discreet: bool,
    /// Never says how far a sync goes.
    vague: bool,
}

impl Commit for Slow {
    type Error = &'static str;

    fn durable(&self) -> Tick {
        self.durable.load(Ordering::SeqCst)
    }

    fn syncing(&self) -> Tick {
        if self.vague { 0 } else { self.syncing.load(Ordering::SeqCst) }
    }

    fn failure(&self) -> Option<&'static str> {
        self.failed.load(Ordering::SeqCst).then_some("failed")
    }

    fn commit(&self) -> Result<(), &'static str> {
        if let Some(error) = self.failure() {
            return Err(error);
        }
        assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0, "two leaders");
        let covered = self.appended.load(Ordering::SeqCst);
        self.syncing.store(covered, Ordering::SeqCst);
        // Few: on a busy machine each of them gives a whole turn away.
        for _ in 0..4 {
            thread::yield_now();
        }
        let commits = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
        self.inside.fetch_sub(1, Ordering::SeqCst);
        if Some(commits) == self.fail_at {
            self.failed.store(true, Ordering::SeqCst);
            return Err("failed");
        }
        self.durable.store(covered, Ordering::SeqCst);
        Ok(())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.commits.load(Ordering::SeqCst))
    }

    fn may_call(&self) -> bool {
        !self.discreet
    }
}

fn run(log: &Slow, queue: &CommitQueue, threads: usize, rounds: usize) -> u64 {
    let confirmed = AtomicU64::new(0);
    // Nobody is done before the last one has come.
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                start.wait();
                for _ in 0..rounds {
                    let tick = log.appended.fetch_add(1, Ordering::SeqCst) + 1;
                    if queue.wait(log, tick).is_err() {
                        return;
                    }
                    assert!(log.durable() >= tick, "confirmed before durable");
                    confirmed.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    confirmed.into_inner()
}

#[test]
fn everybody_is_confirmed_and_commits_are_shared() {
    let (log, queue) = (Slow::default(), CommitQueue::default());
    assert_eq!(run(&log, &queue, 8, 100), 800);
    let commits = log.commits.into_inner();
    assert!(commits < 800, "{commits} commits for 800 appends: nothing was shared");
}

#[test]
fn everybody_is_confirmed_when_nobody_knows_whom_a_sync_covers() {
    let (log, queue) = (Slow { vague: true, ..Slow::default() }, CommitQueue::default());
    assert_eq!(run(&log, &queue, 8, 100), 800);
}

#[test]
fn a_failure_reaches_everybody() {
    let (log, queue) = (Slow { fail_at: Some(20), ..Slow::default() }, CommitQueue::default());
    let confirmed = run(&log, &queue, 8, 1000);
    assert_eq!(log.commits.load(Ordering::SeqCst), 20, "nobody commits after a failure");
    assert!(confirmed < 8000);
    assert_eq!(queue.wait(&log, u64::MAX), Err("failed"));
}

#[test]
fn a_leader_that_may_not_call_leaves_that_to_others() {
    let (log, queue) = (Slow { discreet: true, ..Slow::default() }, CommitQueue::default());
    let (told, heard) = std::sync::mpsc::channel();
    log.appended.store(1, Ordering::SeqCst);
    queue.notify(&log, 1, Notify::Call(Box::new(move || assert!(told.send(()).is_ok()))));
    assert_eq!(queue.wait(&log, 1), Ok(()));
    assert!(heard.try_recv().is_err(), "a lock is held that it may want");
    queue.wake(&Slow { durable: AtomicU64::new(1), ..Slow::default() });
    assert_eq!(heard.try_recv(), Ok(()));
}

#[test]
fn callbacks_run_once_and_their_panics_hurt_nobody() {
    let (log, queue) = (Slow::default(), CommitQueue::default());
    let called = Arc::new(AtomicU64::new(0));
    let call = |called: &Arc<AtomicU64>| {
        let called = Arc::clone(called);
        Notify::Call(Box::new(move || {
            called.fetch_add(1, Ordering::SeqCst);
            panic!("a caller's bug");
        }))
    };
    log.appended.store(2, Ordering::SeqCst);
    queue.notify(&log, 1, call(&called));
    queue.notify(&log, 9, call(&called));
    assert_eq!(called.load(Ordering::SeqCst), 0);
    assert_eq!(queue.wait(&log, 2), Ok(()));
    assert_eq!(called.load(Ordering::SeqCst), 1);
    queue.notify(&log, 2, call(&called));
    assert_eq!(called.load(Ordering::SeqCst), 2, "already durable: called at once");
    log.failed.store(true, Ordering::SeqCst);
    queue.wake(&log);
    assert_eq!(called.load(Ordering::SeqCst), 3, "a failure tells those who still wait");
    assert!(!queue.has_others());
}

#[test]
fn who_waits_for_a_sync_is_there_when_it_is_asked_for() {
    let (log, queue) = (Slow::default(), CommitQueue::default());
    log.appended.store(1, Ordering::SeqCst);
    let ask = || {
        assert!(queue.has_others(), "whoever syncs, and has no space, would not try again");
        assert_eq!(queue.wait(&log, 1), Ok(()));
    };
    assert!(queue.wait_timeout(&log, 1, Duration::ZERO, ask), "it was told, however long that took");
    assert!(queue.wait_timeout(&log, 1, Duration::ZERO, || panic!("it is durable")));
}

/// A log that commits when it is let, and whose clock can be broken meanwhile.
struct Held {
    step: Barrier,
    broken: AtomicBool,
    durable: AtomicU64,
}

impl Commit for Held {
    type Error = &'static str;

    fn durable(&self) -> Tick {
        self.durable.load(Ordering::SeqCst)
    }

    fn syncing(&self) -> Tick {
        1
    }

    fn failure(&self) -> Option<&'static str> {
        None
    }

    fn commit(&self) -> Result<(), &'static str> {
        self.step.wait();
        self.step.wait();
        self.durable.store(1, Ordering::SeqCst);
        Ok(())
    }

    fn monotonic(&self) -> Duration {
        assert!(!self.broken.load(Ordering::SeqCst), "a broken clock");
        Duration::ZERO
    }
}

#[test]
fn whoever_the_clock_takes_away_is_not_called_to_lead() {
    let step = Barrier::new(2);
    let log = Held { step, broken: AtomicBool::new(false), durable: AtomicU64::new(0) };
    let queue = CommitQueue::default();
    let (gone, left) = thread::scope(|scope| {
        let leader = scope.spawn(|| queue.wait(&log, 1));
        log.step.wait();
        log.broken.store(true, Ordering::SeqCst);
        let gone = catch_unwind(AssertUnwindSafe(|| queue.wait(&log, 2)));
        log.broken.store(false, Ordering::SeqCst);
        let left = queue.state.lock().waiting();
        log.step.wait();
        assert_eq!(leader.join().unwrap(), Ok(()));
        (gone, left)
    });
    assert!(gone.is_err(), "it did not look at the clock");
    assert_eq!(left, 0);
}
