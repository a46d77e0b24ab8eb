//! Group commit: threads that wait for durability share syncs, and one of them does the work.
//!
//! There is no thread of the log's own in the way: the first to wait leads. It gathers briefly when others are likely
//! to arrive, writes and syncs everything that is pending, and wakes those it covered. Whoever arrived too late waits
//! for the next round, whose leader is woken first.
//!
//! - At most one thread leads.
//! - A waiter is registered under the same lock that hands on the lead, so it is seen by the leader of its time or
//!   leads itself; nobody waits for a round that nobody will start.
//! - Whoever was woken to lead, and finds that another sync has covered it meanwhile, hands the lead on.
//! - What a callback does, it does after the lead was handed on, and a panic in it stays there.

mod gather;
mod poller;
mod watch;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    task::Waker,
    time::Duration,
};

use gather::Gather;
pub(crate) use poller::Poller;

pub(crate) use watch::Watch;

use crate::{
    marks::Tick,
    sync::{AtomicBool, AtomicUsize, Mutex, Thread, thread},
};

/// What a commit queue commits.
pub(crate) trait Commit {
    type Error;

    /// Everything up to this tick is durable.
    fn durable(&self) -> Tick;
    /// Why nothing will become durable any more.
    fn failure(&self) -> Option<Self::Error>;
    /// Writes and syncs what is pending.
    fn commit(&self) -> Result<(), Self::Error>;
    /// Time since some fixed moment.
    fn monotonic(&self) -> Duration;
    /// Whether callbacks may run in this thread: it holds no lock that they might want. One that holds such a lock has
    /// to wake those whom it covered once it has let go.
    fn may_call(&self) -> bool {
        true
    }
}

/// What to do with somebody who does not take part in leading.
pub(crate) enum Notify {
    Wake(Arc<Sleeper>),
    Call(Box<dyn FnOnce() + Send>),
    Task(TaskSlot),
}

/// The task that is to be woken; empty when none is.
pub(crate) type TaskSlot = Arc<Mutex<Option<Waker>>>;

impl Notify {
    fn run(self) {
        match self {
            Self::Wake(sleeper) => sleeper.wake(),
            // The caller's code must not take an unrelated append down with it.
            Self::Call(call) => drop(catch_unwind(AssertUnwindSafe(call))),
            Self::Task(slot) => {
                let waker = slot.lock().take();
                if let Some(waker) = waker {
                    drop(catch_unwind(AssertUnwindSafe(|| waker.wake())));
                }
            }
        }
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wake(_) => "Wake",
            Self::Call(_) => "Call",
            Self::Task(_) => "Task",
        })
    }
}

#[derive(Debug)]
pub(crate) struct Sleeper {
    thread: Thread,
    woken: AtomicBool,
    /// Woken to lead: set before that.
    called: AtomicBool,
}

impl Sleeper {
    /// The calling thread.
    fn current() -> Arc<Self> {
        let (woken, called) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { thread: thread::current(), woken, called })
    }

    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }

    fn call(&self) {
        self.called.store(true, Ordering::Release);
        self.wake();
    }

    fn sleep(&self) {
        while !self.woken.load(Ordering::Acquire) {
            thread::park();
        }
    }

    /// Whether it was woken before `deadline`.
    fn sleep_until(&self, deadline: Duration, now: impl Fn() -> Duration) -> bool {
        loop {
            let left = deadline.saturating_sub(now());
            if self.woken.load(Ordering::Acquire) || left.is_zero() {
                return self.woken.load(Ordering::Acquire);
            }
            thread::park_timeout(left);
        }
    }
}

#[derive(Debug, Default)]
struct State {
    leading: bool,
    threads: Vec<(Tick, Arc<Sleeper>)>,
    others: Vec<(Tick, Notify)>,
}

#[derive(Debug, Default)]
pub(crate) struct CommitQueue {
    state: Mutex<State>,
    /// Threads in the queue: read by the leader while it gathers, without the lock.
    waiting: AtomicUsize,
    gather: Gather,
}

impl CommitQueue {
    /// A queue whose leaders wait so long for company, whether it is likely to come or not.
    pub(crate) fn with_window(window: Duration) -> Self {
        Self { gather: Gather::with_window(window), ..Self::default() }
    }

    /// Returns when `tick` is durable, leading a round if nobody does.
    pub(crate) fn wait<C: Commit>(&self, log: &C, tick: Tick) -> Result<(), C::Error> {
        let mut is_called = false;
        loop {
            let outcome = if log.durable() >= tick { Some(Ok(())) } else { log.failure().map(Err) };
            if let Some(outcome) = outcome {
                if is_called {
                    self.wake(log);
                }
                return outcome;
            }
            match self.join(log, tick) {
                Joined::Done => {}
                Joined::Lead => {
                    is_called = false;
                    // The round may have failed for others and still have covered this one.
                    match self.lead(log) {
                        Err(error) if log.durable() < tick => return Err(error),
                        _ => {}
                    }
                }
                Joined::Follow(sleeper) => {
                    sleeper.sleep();
                    is_called = sleeper.called.load(Ordering::Acquire);
                }
            }
        }
    }

    /// Returns `true` when `tick` is durable or nothing will be any more, `false` after `timeout`. Never leads: a round
    /// cannot be cut short.
    pub(crate) fn wait_timeout<C: Commit>(&self, log: &C, tick: Tick, timeout: Duration) -> bool {
        let sleeper = Sleeper::current();
        self.notify(log, tick, Notify::Wake(Arc::clone(&sleeper)));
        let deadline = log.monotonic().saturating_add(timeout);
        if sleeper.sleep_until(deadline, || log.monotonic()) {
            return true;
        }
        let is_mine = |notify: &Notify| matches!(notify, Notify::Wake(other) if Arc::ptr_eq(other, &sleeper));
        self.state.lock().others.retain(|(_, notify)| !is_mine(notify));
        sleeper.woken.load(Ordering::Acquire)
    }

    /// Runs `notify` once `tick` is durable or nothing will be any more: at once when that is so already. Starts no
    /// sync.
    pub(crate) fn notify<C: Commit>(&self, log: &C, tick: Tick, notify: Notify) {
        {
            let mut state = self.state.lock();
            if log.durable() < tick && log.failure().is_none() {
                state.others.push((tick, notify));
                return;
            }
        }
        notify.run();
    }

    /// Whether somebody without a thread waits.
    pub(crate) fn has_others(&self) -> bool {
        !self.state.lock().others.is_empty()
    }

    /// Wakes whom a sync outside this queue covered, or everybody after a failure.
    pub(crate) fn wake<C: Commit>(&self, log: &C) {
        let woken = self.hand_on(log, &mut self.state.lock());
        woken.run();
    }

    /// Wakes the threads among them, and leaves the callbacks to somebody who holds no lock that they might want.
    pub(crate) fn wake_threads<C: Commit>(&self, log: &C) {
        let woken = self.hand_on_threads(&mut self.state.lock(), covered(log));
        woken.run();
    }

    fn join<C: Commit>(&self, log: &C, tick: Tick) -> Joined {
        let mut state = self.state.lock();
        if log.durable() >= tick {
            return Joined::Done;
        }
        if !state.leading {
            state.leading = true;
            return Joined::Lead;
        }
        let sleeper = Sleeper::current();
        state.threads.push((tick, Arc::clone(&sleeper)));
        self.waiting.store(state.threads.len(), Ordering::Release);
        Joined::Follow(sleeper)
    }

    fn lead<C: Commit>(&self, log: &C) -> Result<(), C::Error> {
        let started = self.gather.wait(&self.waiting, || log.monotonic());
        let result = log.commit();
        let took = log.monotonic().saturating_sub(started);
        let mut state = self.state.lock();
        state.leading = false;
        let woken = self.hand_on(log, &mut state);
        // Those covered, the leader, and those who came too late, the next leader among them, are the threads that
        // append at present.
        self.gather.learn(woken.count() + 1 + state.threads.len(), took);
        drop(state);
        woken.run();
        result
    }

    /// Takes out everybody who need not wait any more, and one more thread when nobody leads: the next leader.
    fn hand_on<C: Commit>(&self, log: &C, state: &mut State) -> Woken {
        let covered = covered(log);
        if !log.may_call() {
            return self.hand_on_threads(state, covered);
        }
        let others =
            state.others.extract_if(.., |(tick, _)| *tick <= covered).map(|(_, notify)| notify).collect();
        Woken { others, ..self.hand_on_threads(state, covered) }
    }

    fn hand_on_threads(&self, state: &mut State, covered: Tick) -> Woken {
        let threads: Vec<_> =
            state.threads.extract_if(.., |(tick, _)| *tick <= covered).map(|(_, sleeper)| sleeper).collect();
        let leader =
            if state.leading || state.threads.is_empty() { None } else { Some(state.threads.remove(0).1) };
        self.waiting.store(state.threads.len(), Ordering::Release);
        Woken { leader, threads, others: Vec::new() }
    }
}

/// Up to where nobody need wait any more: after a failure there is no use in it.
fn covered<C: Commit>(log: &C) -> Tick {
    if log.failure().is_some() { Tick::MAX } else { log.durable() }
}

enum Joined {
    Done,
    Lead,
    Follow(Arc<Sleeper>),
}

struct Woken {
    leader: Option<Arc<Sleeper>>,
    threads: Vec<Arc<Sleeper>>,
    others: Vec<Notify>,
}

impl Woken {
    fn count(&self) -> usize {
        self.threads.len() + usize::from(self.leader.is_some())
    }

    /// The next leader first: its round can start while the others are still being woken.
    fn run(self) {
        self.leader.iter().for_each(|sleeper| sleeper.call());
        self.threads.iter().for_each(|sleeper| sleeper.wake());
        self.others.into_iter().for_each(Notify::run);
    }
}

#[cfg(all(test, loom))]
pub(crate) mod model;

#[cfg(all(test, not(loom)))]
mod tests;
