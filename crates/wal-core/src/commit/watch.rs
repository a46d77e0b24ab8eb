//! Waiting for a log to grow: those who follow it sleep here until something changes.
//!
//! Whoever waits registers first and looks second; whoever changes something looks second whether anybody waits. There
//! is a fence between the two steps of both: either the change is seen, or the one who waits is. Nobody asks at
//! intervals, and where nobody waits a change costs no lock.

use std::{
    mem,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Notify, Sleeper, TaskSlot};
use crate::sync::{AtomicUsize, Mutex, fence};

#[derive(Debug, Default)]
pub(crate) struct Watch {
    watchers: Mutex<Vec<Notify>>,
    /// How many there are. Changed under the lock, and read without.
    count: AtomicUsize,
}

impl Watch {
    /// Returns `true` once `ready` says so, `false` when it does not at `deadline`.
    pub(crate) fn wait(
        &self,
        ready: impl Fn() -> bool,
        deadline: Option<Duration>,
        now: impl Fn() -> Duration,
    ) -> bool {
        loop {
            let sleeper = Sleeper::current();
            self.add(Notify::Wake(Arc::clone(&sleeper)));
            if ready() {
                self.forget(&sleeper);
                return true;
            }
            match deadline {
                None => sleeper.sleep(),
                Some(deadline) => {
                    if !sleeper.sleep_until(deadline, &now) {
                        self.forget(&sleeper);
                        return ready();
                    }
                }
            }
        }
    }

    /// Wakes a task once, at the next change. Look again after registering: one that came before is not told.
    pub(crate) fn notify(&self, task: &TaskSlot) {
        self.add(Notify::Task(Arc::clone(task)));
    }

    /// The task does not want to be woken any more.
    pub(crate) fn forget_task(&self, task: &TaskSlot) {
        let is_mine = |notify: &Notify| matches!(notify, Notify::Task(other) if Arc::ptr_eq(other, task));
        self.change(|watchers| watchers.retain(|notify| !is_mine(notify)));
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.watchers.lock().len()
    }

    /// Something has changed. No lock may be held that a callback would want.
    pub(crate) fn wake(&self) {
        if self.has_watchers() {
            self.change(mem::take).into_iter().for_each(Notify::run);
        }
    }

    /// Something has changed. Callbacks wait for somebody who holds no lock.
    pub(crate) fn wake_threads(&self) {
        let is_thread = |notify: &mut Notify| matches!(notify, Notify::Wake(_));
        if self.has_watchers() {
            let threads: Vec<_> = self.change(|watchers| watchers.extract_if(.., is_thread).collect());
            threads.into_iter().for_each(Notify::run);
        }
    }

    fn add(&self, notify: Notify) {
        self.change(|watchers| watchers.push(notify));
        fence(Ordering::SeqCst);
    }

    /// Whether anybody has registered who may not have seen what the calling thread has changed.
    #[inline]
    fn has_watchers(&self) -> bool {
        fence(Ordering::SeqCst);
        self.count.load(Ordering::Relaxed) > 0
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<Notify>) -> T) -> T {
        let mut watchers = self.watchers.lock();
        let changed = change(&mut watchers);
        self.count.store(watchers.len(), Ordering::Relaxed);
        changed
    }

    fn forget(&self, sleeper: &Arc<Sleeper>) {
        let is_mine = |notify: &Notify| matches!(notify, Notify::Wake(other) if Arc::ptr_eq(other, sleeper));
        self.change(|watchers| watchers.retain(|notify| !is_mine(notify)));
    }
}

#[cfg(all(test, loom))]
mod model;
