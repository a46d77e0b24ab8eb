//! Group commit: threads that wait for durability share syncs, and one of them does the work.
//!
//! There is no thread of the log's own in the way: the first to wait leads. It gathers briefly when others are likely
//! to arrive, writes and syncs everything that is pending, and wakes those it covered. Whoever arrived too late waits
//! for the next round, whose leader is woken first.
//!
//! - At most one thread leads.
//! - A waiter is registered under the same lock that hands on the lead, so it is seen by the leader of its time or
//!   leads itself; nobody waits for a round that nobody will start.
//! - Those whom the sync under way covers sleep on one word, and those who came too late on another: one system call
//!   wakes all of a word, or calls one of them to lead. Who is on which is a guess that only costs time when it is
//!   wrong; a word is over when the last of its threads is covered.
//! - Before they sleep, threads give way to others a few times, where it was enough lately.
//! - Whoever was woken to lead, and finds that another sync has covered it meanwhile, hands the lead on.
//! - What a callback does, it does after the lead was handed on, and a panic in it stays there.
//! - The lead is handed on whatever the round does, a panic included.

mod adaptive_yield;
mod cohort;
mod futex;
mod gather;
mod poller;
mod watch;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, atomic::Ordering},
    task::Waker,
    time::Duration,
};

use adaptive_yield::AdaptiveYield;
use cohort::Cohort;
use gather::Gather;
pub(crate) use poller::Poller;

pub(crate) use watch::{Until, Watch};

use crate::{
    marks::Tick,
    sync::{AtomicBool, AtomicUsize, Mutex, Thread, thread},
};

/// What a commit queue commits.
pub(crate) trait Commit {
    type Error;

    /// Everything up to this tick is durable.
    fn durable(&self) -> Tick;
    /// Everything up to this tick will be when the sync that began last ends, if it does not fail. Whoever appended
    /// after it began sees at least this.
    fn syncing(&self) -> Tick;
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
    /// A round is over, and the lead handed on: callbacks may run that wait for something else than a tick.
    fn round_over(&self) {}
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
    const fn is_thread(&self) -> bool {
        matches!(self, Self::Wake(_))
    }

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
}

impl Sleeper {
    /// The calling thread.
    fn current() -> Arc<Self> {
        Arc::new(Self { thread: thread::current(), woken: AtomicBool::new(false) })
    }

    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
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
    /// Threads: mostly those whom the round under way covers, and those who came too late for it.
    rounds: Vec<Round>,
    others: Vec<(Tick, Notify)>,
}

impl State {
    fn waiting(&self) -> usize {
        self.rounds.iter().map(|round| round.members).sum()
    }

    /// Adds a thread to those who can be woken when it can.
    fn add(&mut self, tick: Tick, syncing: Tick) -> Arc<Cohort> {
        let is_alike = |round: &&mut Round| (round.last <= syncing) == (tick <= syncing);
        if let Some(round) = self.rounds.iter_mut().find(is_alike) {
            round.members += 1;
            round.last = round.last.max(tick);
            return Arc::clone(&round.cohort);
        }
        let round = Round { cohort: Arc::default(), members: 1, last: tick };
        let cohort = Arc::clone(&round.cohort);
        self.rounds.push(round);
        cohort
    }

    fn remove(&mut self, cohort: &Arc<Cohort>) {
        if let Some(at) = self.rounds.iter().position(|round| Arc::ptr_eq(&round.cohort, cohort)) {
            self.rounds[at].members -= 1;
            if self.rounds[at].members == 0 {
                self.rounds.remove(at);
            }
        }
    }
}

/// Threads that are woken together.
#[derive(Debug)]
struct Round {
    cohort: Arc<Cohort>,
    members: usize,
    /// When this is durable nobody of them need wait.
    last: Tick,
}

#[derive(Debug, Default)]
pub(crate) struct CommitQueue {
    state: Mutex<State>,
    /// Threads in the queue: read by the leader while it gathers, without the lock.
    waiting: AtomicUsize,
    gather: Gather,
    yielding: AdaptiveYield,
}

impl CommitQueue {
    /// A queue whose leaders wait so long for company, whether it is likely to come or not.
    pub(crate) fn with_window(window: Duration) -> Self {
        Self { gather: Gather::with_window(window), ..Self::default() }
    }

    /// Returns when `tick` is durable, leading a round if nobody does.
    pub(crate) fn wait<C: Commit>(&self, log: &C, tick: Tick) -> Result<(), C::Error> {
        let mut called = None;
        loop {
            let outcome = if log.durable() >= tick { Some(Ok(())) } else { log.failure().map(Err) };
            if let Some(outcome) = outcome {
                if let Some(cohort) = called {
                    self.decline(log, &cohort);
                }
                return outcome;
            }
            match self.join(log, tick, called.as_ref()) {
                Joined::Done => {}
                Joined::Lead => {
                    called = None;
                    // The round may have failed for others and still have covered this one.
                    match self.lead(log) {
                        Err(error) if log.durable() < tick => return Err(error),
                        _ => {}
                    }
                }
                Joined::Follow(cohort) => {
                    let give_way = || cohort.give_way(&self.yielding, || log.monotonic());
                    // The clock is others' code: whoever a panic there takes away must not be called to lead.
                    let gave_way = catch_unwind(AssertUnwindSafe(give_way)).unwrap_or_else(|panic| {
                        self.decline(log, &cohort);
                        resume_unwind(panic)
                    });
                    let is_called = gave_way.unwrap_or_else(|| cohort.sleep());
                    called = is_called.then_some(cohort);
                }
            }
        }
    }

    /// Returns `true` when `tick` is durable or nothing will be any more, `false` after `timeout`. Never leads, because
    /// a round cannot be cut short: `ask` has somebody else do that, who sees by then that somebody waits, and tries
    /// again what fails for want of space.
    pub(crate) fn wait_timeout<C: Commit>(
        &self,
        log: &C,
        tick: Tick,
        timeout: Duration,
        ask: impl FnOnce(),
    ) -> bool {
        let sleeper = Sleeper::current();
        let deadline = log.monotonic().saturating_add(timeout);
        self.notify(log, tick, Notify::Wake(Arc::clone(&sleeper)));
        if log.durable() < tick {
            ask();
        }
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
        let woken = self.hand_on_to(covered(log), false, &mut self.state.lock());
        woken.run();
    }

    /// Whoever comes because it was `called` leaves its cohort.
    fn join<C: Commit>(&self, log: &C, tick: Tick, called: Option<&Arc<Cohort>>) -> Joined {
        let mut state = self.state.lock();
        if log.durable() >= tick {
            return Joined::Done;
        }
        if let Some(cohort) = called {
            state.remove(cohort);
            self.waiting.store(state.waiting(), Ordering::Release);
        }
        if !state.leading {
            state.leading = true;
            return Joined::Lead;
        }
        let cohort = state.add(tick, log.syncing());
        self.waiting.store(state.waiting(), Ordering::Release);
        Joined::Follow(cohort)
    }

    /// Hands on the lead that a thread was called to take, and has no use for.
    fn decline<C: Commit>(&self, log: &C, cohort: &Arc<Cohort>) {
        let mut state = self.state.lock();
        state.remove(cohort);
        let woken = self.hand_on(log, &mut state);
        drop(state);
        woken.run();
    }

    fn lead<C: Commit>(&self, log: &C) -> Result<(), C::Error> {
        let lead = || {
            let started = self.gather.wait(&self.waiting, || log.monotonic());
            let result = log.commit();
            (result, log.monotonic().saturating_sub(started))
        };
        // The storage and the clock are others' code: a panic there must not take the lead along.
        let led = catch_unwind(AssertUnwindSafe(lead));
        let mut state = self.state.lock();
        state.leading = false;
        self.yielding.end_round();
        let woken = self.hand_on(log, &mut state);
        if let Ok((_, took)) = led {
            // Those covered, the leader, and those who came too late, the next leader among them, are the threads that
            // append at present.
            self.gather.learn(woken.count + 1 + state.waiting(), took);
        }
        drop(state);
        woken.run();
        log.round_over();
        let (result, _) = led.unwrap_or_else(|panic| resume_unwind(panic));
        result
    }

    /// Takes out everybody who need not wait any more, and one more thread when nobody leads: the next leader.
    fn hand_on<C: Commit>(&self, log: &C, state: &mut State) -> Woken {
        self.hand_on_to(covered(log), log.may_call(), state)
    }

    fn hand_on_to(&self, covered: Tick, may_call: bool, state: &mut State) -> Woken {
        let is_told = |(tick, notify): &mut (Tick, Notify)| {
            *tick <= covered && (may_call || matches!(notify, Notify::Wake(_)))
        };
        let others = state.others.extract_if(.., is_told).map(|(_, notify)| notify).collect();
        let mut woken = Woken { others, ..Woken::default() };
        state.rounds.retain(|round| {
            let waits = round.last > covered;
            if !waits {
                woken.count += round.members;
                woken.over.push(Arc::clone(&round.cohort));
            }
            waits
        });
        let first = state.rounds.first().filter(|_| !state.leading);
        woken.leader = first.map(|round| Arc::clone(&round.cohort));
        self.waiting.store(state.waiting(), Ordering::Release);
        woken
    }
}

/// Up to where nobody need wait any more: after a failure there is no use in it.
fn covered<C: Commit>(log: &C) -> Tick {
    if log.failure().is_some() { Tick::MAX } else { log.durable() }
}

enum Joined {
    Done,
    Lead,
    Follow(Arc<Cohort>),
}

#[derive(Default)]
struct Woken {
    /// One of them leads next.
    leader: Option<Arc<Cohort>>,
    over: Vec<Arc<Cohort>>,
    /// How many threads need not wait any more.
    count: usize,
    others: Vec<Notify>,
}

impl Woken {
    /// The next leader first: its round can start while the others are still being woken.
    fn run(self) {
        self.leader.iter().for_each(|cohort| cohort.call());
        self.over.iter().for_each(|cohort| cohort.end());
        self.others.into_iter().for_each(Notify::run);
    }
}

#[cfg(all(test, loom))]
pub(crate) mod model;

#[cfg(all(test, not(loom)))]
mod tests;
