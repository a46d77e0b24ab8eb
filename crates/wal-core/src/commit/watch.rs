//! Waiting for a log to grow: those who follow it sleep here until something changes.
//!
//! Whoever waits registers first and looks second; whoever changes something looks second whether anybody waits. There
//! is a fence between the two steps of both: either the change is seen, or the one who waits is. Nobody asks at
//! intervals, and where nobody waits a change costs no lock. Who waits for an entry to be durable sleeps through
//! writes, of which there may be a million for each sync, and who waits for neither through both (`docs/adr/0033`).

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use wal_format::Lsn;

use super::{Notify, Sleeper, TaskSlot};
use crate::sync::{AtomicU64, Mutex, fence};

/// Nobody waits.
const NOBODY: u64 = u64::MAX;

/// What somebody is woken by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// Whatever happens.
    Change,
    /// Whatever happens, but by writes and syncs only once this entry is durable.
    Durable(Lsn),
}

impl Until {
    /// Woken by writes and syncs once what is durable ends behind this.
    fn mark(self) -> u64 {
        match self {
            Self::Change => 0,
            Self::Durable(lsn) => lsn.get().min(NOBODY - 1),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Watch {
    /// With the mark of each.
    watchers: Mutex<Vec<(u64, Notify)>>,
    /// The least of their marks. Changed under the lock, and read without.
    least: AtomicU64,
}

impl Default for Watch {
    fn default() -> Self {
        Self { watchers: Mutex::default(), least: AtomicU64::new(NOBODY) }
    }
}

impl Watch {
    /// Returns `true` once `ready` says so, `false` when it does not at `deadline`.
    pub(crate) fn wait(
        &self,
        until: Until,
        ready: impl Fn() -> bool,
        deadline: Option<Duration>,
        now: impl Fn() -> Duration,
    ) -> bool {
        loop {
            let sleeper = Sleeper::current();
            self.add(until, Notify::Wake(Arc::clone(&sleeper)));
            if ready() {
                self.forget_thread(&sleeper);
                return true;
            }
            match deadline {
                None => sleeper.sleep(),
                Some(deadline) => {
                    if !sleeper.sleep_until(deadline, &now) {
                        self.forget_thread(&sleeper);
                        return ready();
                    }
                }
            }
        }
    }

    /// What is durable ends earlier than it did, with entries that were cut off: nobody's mark is worth anything.
    /// Whoever moves it back calls this, and wakes all when no lock is held; if he does not come to that, the next
    /// write does.
    pub(crate) fn rewind(&self) {
        self.change(|watchers| watchers.iter_mut().for_each(|(mark, _)| *mark = 0));
    }

    /// Wakes a task once, at the next change. Look again after registering: one that came before is not told.
    pub(crate) fn notify(&self, until: Until, task: &TaskSlot) {
        self.add(until, Notify::Task(Arc::clone(task)));
    }

    /// The task does not want to be woken any more.
    pub(crate) fn forget_task(&self, task: &TaskSlot) {
        self.forget(|notify| matches!(notify, Notify::Task(other) if Arc::ptr_eq(other, task)));
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.watchers.lock().len()
    }

    /// Something has changed. No lock may be held that a callback would want.
    pub(crate) fn wake(&self) {
        if self.least() != NOBODY {
            self.run(|_, _| true);
        }
    }

    /// Something has changed. Callbacks wait for somebody who holds no lock.
    pub(crate) fn wake_threads(&self) {
        if self.least() != NOBODY {
            self.run(|_, notify| notify.is_thread());
        }
    }

    /// Nothing has changed but how far the log is: more is written perhaps, and what the calling thread has made
    /// durable ends at `durable_next` or before, unless somebody has cut the log since, who wakes all. No lock may be
    /// held that a callback would want.
    #[inline]
    pub(crate) fn wake_moved(&self, durable_next: Lsn) {
        if self.least() < durable_next.get() {
            self.run(|mark, _| mark < durable_next.get());
        }
    }

    /// The same. Callbacks wait for somebody who holds no lock.
    pub(crate) fn wake_threads_moved(&self, durable_next: Lsn) {
        if self.least() < durable_next.get() {
            self.run(|mark, notify| mark < durable_next.get() && notify.is_thread());
        }
    }

    #[cold]
    fn run(&self, who: impl Fn(u64, &Notify) -> bool) {
        let woken: Vec<_> =
            self.change(|watchers| watchers.extract_if(.., |(mark, notify)| who(*mark, notify)).collect());
        woken.into_iter().for_each(|(_, notify)| notify.run());
    }

    fn add(&self, until: Until, notify: Notify) {
        self.change(|watchers| watchers.push((until.mark(), notify)));
        fence(Ordering::SeqCst);
    }

    /// The least mark of those who have registered and may not have seen what the calling thread has changed.
    #[inline]
    fn least(&self) -> u64 {
        fence(Ordering::SeqCst);
        self.least.load(Ordering::Relaxed)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<(u64, Notify)>) -> T) -> T {
        let mut watchers = self.watchers.lock();
        let changed = change(&mut watchers);
        let least = watchers.iter().map(|(mark, _)| *mark).min();
        self.least.store(least.unwrap_or(NOBODY), Ordering::Relaxed);
        changed
    }

    fn forget(&self, is_mine: impl Fn(&Notify) -> bool) {
        self.change(|watchers| watchers.retain(|(_, notify)| !is_mine(notify)));
    }

    fn forget_thread(&self, sleeper: &Arc<Sleeper>) {
        self.forget(|notify| matches!(notify, Notify::Wake(other) if Arc::ptr_eq(other, sleeper)));
    }
}

#[cfg(all(test, loom))]
mod model;
