//! Following a log without a thread that sleeps.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use super::Tail;
use crate::{Entry, LogError, error::InvalidArgumentSnafu};

/// Who is to be woken at the next change; empty when nobody asked to be.
pub(super) type Slot = Arc<Mutex<Option<Waker>>>;

impl Tail {
    /// The next item of the iterator, for a task that is woken when it is worth asking again. Needs no particular
    /// runtime. A log that is open for reading tells nobody when it grows: there the item is
    /// [`LogError::InvalidArgument`] when nothing is known to be there, and [`next_timeout`](Self::next_timeout) is the
    /// way.
    pub fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Entry, LogError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        self.poll_entry(context).map(|entry| self.item(entry))
    }

    /// The end of the log, as far as this process goes, is the end of the items; what else ends them comes before that.
    pub(super) fn item(&mut self, entry: Result<Entry, LogError>) -> Option<Result<Entry, LogError>> {
        self.over = entry.is_err();
        (!matches!(entry, Err(LogError::Closed))).then_some(entry)
    }

    fn poll_entry(&mut self, context: &mut Context<'_>) -> Poll<Result<Entry, LogError>> {
        if let Some(entry) = self.try_next().transpose() {
            return Poll::Ready(entry);
        }
        if !self.engine().is_live() {
            let why = "a log that is open for reading wakes no task: use a timeout";
            return Poll::Ready(InvalidArgumentSnafu { why }.fail());
        }
        // One call is registered at a time, whose waker changes with the task.
        if self.waker.lock().replace(context.waker().clone()).is_none() {
            let slot = Arc::downgrade(&self.waker);
            self.engine().watch.notify(move || {
                let waker = slot.upgrade().and_then(|slot| slot.lock().take());
                if let Some(waker) = waker {
                    waker.wake();
                }
            });
        }
        // It may have come before that.
        self.try_next().transpose().map_or(Poll::Pending, Poll::Ready)
    }
}
