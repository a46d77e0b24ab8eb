//! Calling the user's code when something happened, off the paths on which it happens.
//!
//! A thread of its own calls the hooks. It holds no lock of the log meanwhile, nobody waits for it, and what it cannot
//! keep up with costs nothing but memory of a fixed size: events wait in a bounded queue, and those that find it full
//! are counted and dropped; commits are not queued at all, because one that comes late covers those before it.

use std::{
    collections::VecDeque,
    fmt, iter,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use wal_format::{Lsn, SegmentId};
use wal_segment::Segment;

use crate::{
    Cut, DeletionReason, Finding, LogError, commit::Until, engine::Engine, engine::chain, events, stats::add,
};

/// So many events wait for a hook that is busy.
const QUEUE_LEN: usize = 1024;

/// Entries that reached the operating system, or became durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitEvent {
    /// The first of them.
    pub first: Lsn,
    /// The last of them.
    pub last: Lsn,
    /// Whether they survive power loss. Otherwise they survive the end of the process, and another event says when they
    /// are durable.
    pub durable: bool,
}

/// Something that happened to a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogEvent {
    /// It was opened, and had not been closed cleanly.
    Recovered {
        /// Entries whose durability nothing proved, written anew.
        rewritten: u64,
        /// The torn tail, when there was one.
        cut: Option<Cut>,
    },
    /// Damage was found.
    Damaged {
        /// Where, as far as it is known, and what.
        finding: Finding,
    },
    /// It goes on in another segment.
    Rotated {
        /// The new one.
        segment: SegmentId,
        /// The LSN that its entries count from.
        first: Lsn,
    },
    /// Entries were taken away from the front, the end, or altogether.
    Truncated {
        /// The first entry now, or for a cut the LSN of the next append.
        lsn: Lsn,
        /// Why.
        reason: DeletionReason,
    },
    /// Files of segments were removed.
    Removed {
        /// Why.
        reason: DeletionReason,
        /// How many segments.
        segments: u64,
        /// Length of their files in bytes.
        bytes: u64,
    },
    /// A segment is in the tier, and that is noted.
    Shipped {
        /// Which.
        segment: SegmentId,
        /// Its length in bytes.
        bytes: u64,
    },
    /// Segments could not be shipped, for a reason that was not told before. The log goes on.
    TierFailed {
        /// Why.
        cause: Arc<str>,
        /// Somebody else ships to the place: it is not tried again.
        conflict: bool,
    },
    /// Retention has removed entries that the consumer with this cursor had not acknowledged.
    Passed {
        /// The cursor.
        cursor: String,
        /// The first entry that is left.
        first: Lsn,
    },
    /// A write or sync failed for good: nothing more is acknowledged.
    Poisoned {
        /// Why.
        cause: Arc<str>,
    },
    /// It was closed. The last event.
    Closed {
        /// Whether that went well.
        clean: bool,
    },
}

type Hook<T> = Arc<dyn Fn(&T) + Send + Sync>;

/// Code of the user's that is called when something happens to a log.
///
/// A thread of the log's calls it, after the fact, and nothing waits for it: not an append, and not the closing of the
/// log. It may use the log, but a handle of the log that it owns keeps the log open. A panic in it is caught.
#[derive(Clone, Default)]
pub struct Hooks {
    commit: Option<Hook<CommitEvent>>,
    event: Option<Hook<LogEvent>>,
    /// What their thread does. Comes with the first of them: a program without hooks has no code for it, unless it
    /// calls [`Log::maintain`](crate::Log::maintain) (`adr/0018`).
    run: Option<fn(&Engine)>,
}

impl Hooks {
    /// Is called with the entries that were committed since the last call, in order and without a gap, but for those
    /// that were cut off or removed before they were told. Under load one call stands for many commits.
    #[must_use]
    pub fn on_commit(mut self, hook: impl Fn(&CommitEvent) + Send + Sync + 'static) -> Self {
        self.commit = Some(Arc::new(hook));
        self.run = Some(Engine::run_hooks);
        self
    }

    /// Is called with every event. Up to 1024 wait for a hook that is busy; more are dropped, and
    /// [`Stats::hook_events_dropped`](crate::Stats::hook_events_dropped) counts them.
    #[must_use]
    pub fn on_event(mut self, hook: impl Fn(&LogEvent) + Send + Sync + 'static) -> Self {
        self.event = Some(Arc::new(hook));
        self.run = Some(Engine::run_hooks);
        self
    }

    /// Whether there is nobody to call.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.commit.is_none() && self.event.is_none()
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (commit, event) = (self.commit.is_some(), self.event.is_some());
        f.debug_struct("Hooks").field("commit", &commit).field("event", &event).finish()
    }
}

/// The hooks of a log, and what waits for them.
#[derive(Debug)]
pub(crate) struct Caller {
    hooks: Hooks,
    /// Events that the hook has not seen yet. A leaf among the locks.
    queue: Mutex<VecDeque<LogEvent>>,
    /// What was told; locked while hooks are called.
    told: Mutex<Told>,
    /// The last event is in the queue, or was dropped.
    over: AtomicBool,
}

/// Entries before these were told of.
#[derive(Debug)]
struct Told {
    written: Lsn,
    durable: Lsn,
    generation: u64,
}

impl Caller {
    pub(crate) fn new(hooks: Hooks, next: Lsn) -> Self {
        let told = Mutex::new(Told { written: next, durable: next, generation: 0 });
        Self { hooks, queue: Mutex::default(), told, over: AtomicBool::new(false) }
    }

    /// What the hooks' thread does until the log is closed; `None` when there are no hooks.
    pub(crate) const fn run(&self) -> Option<fn(&Engine)> {
        self.hooks.run
    }
}

impl Engine {
    fn wake_tier(&self) {
        if let Some(tier) = &self.tier {
            tier.wake();
        }
    }

    /// Puts an event where the hooks' thread finds it. Locks may be held.
    pub(crate) fn tell_hooks(&self, event: impl FnOnce() -> LogEvent) {
        if self.hooks.hooks.event.is_none() {
            return;
        }
        self.queue_event(event());
    }

    fn queue_event(&self, event: LogEvent) {
        let mut queue = self.hooks.queue.lock();
        if queue.len() < QUEUE_LEN {
            queue.push_back(event);
        } else {
            add(&self.stats.hook_events_dropped, 1);
        }
        drop(queue);
        self.watch.wake_threads();
    }

    /// Calls the hooks with what happened since the last time. Whoever finds another thread at it leaves it to that
    /// one.
    pub(crate) fn call_hooks(&self) {
        let Some(mut told) = self.hooks.told.try_lock() else { return };
        if let Some(hook) = &self.hooks.hooks.event {
            let next = || self.hooks.queue.lock().pop_front();
            iter::from_fn(next).for_each(|event| call(&**hook, &event));
        }
        let Some(hook) = &self.hooks.hooks.commit else { return };
        let generation = self.cuts.generation();
        if let Some(next) = self.cuts.since(told.generation) {
            told.written = told.written.min(next);
            told.durable = told.durable.min(next);
        }
        told.generation = generation;
        let tell = |from: &mut Lsn, next: Lsn, durable: bool| {
            let first = (*from).max(self.first_retained());
            *from = (*from).max(next);
            if let Some(last) = next.previous().filter(|last| *last >= first) {
                call(&**hook, &CommitEvent { first, last, durable });
            }
        };
        // What is durable is written, and under the strictest policy the two are one.
        let (durable, written) = (self.marks.durable_next(), self.marks.written_next());
        if self.options.sync.interval().is_some() {
            tell(&mut told.written, written, false);
        }
        tell(&mut told.durable, durable, true);
    }

    fn run_hooks(&self) {
        let mut over = false;
        while !over {
            let (until, generation) = self.hooks_until();
            // Another thread may have called the hooks since then, after a cut: what they wait for is another entry.
            let ready = || self.has_news() || self.hooks.told.lock().generation != generation;
            self.watch.wait(until, ready, None, || self.clock.monotonic());
            // Before the look at the queue: whatever came before the end is told.
            over = self.hooks.over.load(Ordering::Acquire);
            self.call_hooks();
        }
    }

    /// What the hooks wait for, and after how many cuts that is so.
    fn hooks_until(&self) -> (Until, u64) {
        let told = self.hooks.told.lock();
        let until = match self.hooks.hooks.commit {
            None => Until::Durable(Lsn::MAX),
            Some(_) if self.options.sync.interval().is_some() => Until::Change,
            Some(_) => Until::Durable(told.durable),
        };
        (until, told.generation)
    }

    fn has_news(&self) -> bool {
        let told = self.hooks.told.lock();
        let commits = self.hooks.hooks.commit.is_some()
            && (self.marks.durable_next() > told.durable
                || self.cuts.generation() != told.generation
                || (self.options.sync.interval().is_some() && self.marks.written_next() > told.written));
        commits || !self.hooks.queue.lock().is_empty() || self.hooks.over.load(Ordering::Acquire)
    }

    /// Opening is over.
    pub(crate) fn opened(&self, read_only: bool, nanoseconds: u64) {
        events::opened(&self.directory, read_only, &self.report, nanoseconds / 1000);
        self.stats.opening.store(nanoseconds, Ordering::Relaxed);
        if !self.report.clean && self.report.next.is_some() && !read_only {
            let (rewritten, cut) = (self.report.rewritten, self.report.cut);
            self.tell_hooks(|| LogEvent::Recovered { rewritten, cut });
        }
        for finding in &self.report.lost {
            self.tell_hooks(|| LogEvent::Damaged { finding: finding.clone() });
        }
    }

    /// An error of reading is on its way to whoever reads.
    #[cold]
    pub(crate) fn note_damage(&self, error: &LogError) {
        if error.is_damage() {
            add(&self.stats.read_damage, 1);
            self.tell_hooks(|| LogEvent::Damaged { finding: Finding::of_error(error) });
        }
    }

    /// The log goes on in another segment.
    pub(crate) fn rotated(&self, segment: &Segment, capacity: u64) {
        events::rotated(segment, capacity);
        add(&self.stats.segments_started, 1);
        self.wake_tier();
        self.tell_hooks(|| LogEvent::Rotated { segment: segment.id(), first: segment.base() });
    }

    /// Entries were taken away, durably.
    pub(crate) fn truncated(&self, reason: DeletionReason, lsn: Lsn) {
        let what = match reason {
            DeletionReason::Cut => "from",
            DeletionReason::Cleared => "all",
            _ => "before",
        };
        events::truncated(&self.directory, what, lsn);
        self.wake_tier();
        self.tell_hooks(|| LogEvent::Truncated { lsn, reason });
    }

    /// The log was closed.
    pub(crate) fn told_closed(&self, clean: bool) {
        // The storage is asked for its place, and whatever it does, those who wait for the end are told.
        drop(catch_unwind(AssertUnwindSafe(|| events::closed(&self.directory, clean))));
        self.tell_hooks(|| LogEvent::Closed { clean });
        self.hooks.over.store(true, Ordering::Release);
        // Locks are held here that a task would want.
        self.watch.wake_threads();
    }

    /// Nothing more is acknowledged.
    pub(crate) fn told_poisoned(&self, error: &LogError) {
        let cause: Arc<str> = chain(error).into();
        events::poisoned(&self.directory, &cause);
        self.tell_hooks(|| LogEvent::Poisoned { cause });
    }
}

/// The user's code must not take a thread of the log down with it.
fn call<T>(hook: &dyn Fn(&T), event: &T) {
    drop(catch_unwind(AssertUnwindSafe(|| hook(event))));
}
