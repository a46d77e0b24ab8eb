//! Waiting for a log to grow: those who follow it sleep here until something changes.
//!
//! Whoever waits registers first and looks second, under a lock that whoever changes something takes after the change:
//! either the change is seen, or the one who waits is. Nobody asks at intervals.

use std::{sync::Arc, time::Duration};

use super::{Notify, Sleeper, TaskSlot};
use crate::sync::Mutex;

#[derive(Debug, Default)]
pub(crate) struct Watch {
    watchers: Mutex<Vec<Notify>>,
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
            self.watchers.lock().push(Notify::Wake(Arc::clone(&sleeper)));
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
        self.watchers.lock().push(Notify::Task(Arc::clone(task)));
    }

    /// The task does not want to be woken any more.
    pub(crate) fn forget_task(&self, task: &TaskSlot) {
        let is_mine = |notify: &Notify| matches!(notify, Notify::Task(other) if Arc::ptr_eq(other, task));
        self.watchers.lock().retain(|notify| !is_mine(notify));
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.watchers.lock().len()
    }

    /// Something has changed. No lock may be held that a callback would want.
    pub(crate) fn wake(&self) {
        let watchers = std::mem::take(&mut *self.watchers.lock());
        watchers.into_iter().for_each(Notify::run);
    }

    /// Something has changed. Callbacks wait for somebody who holds no lock.
    pub(crate) fn wake_threads(&self) {
        let is_thread = |notify: &mut Notify| matches!(notify, Notify::Wake(_));
        let threads: Vec<_> = self.watchers.lock().extract_if(.., is_thread).collect();
        threads.into_iter().for_each(Notify::run);
    }

    fn forget(&self, sleeper: &Arc<Sleeper>) {
        let is_mine = |notify: &Notify| matches!(notify, Notify::Wake(other) if Arc::ptr_eq(other, sleeper));
        self.watchers.lock().retain(|notify| !is_mine(notify));
    }
}
