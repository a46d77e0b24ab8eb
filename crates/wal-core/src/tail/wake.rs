//! Following a log without a thread that sleeps.

use std::task::{Context, Poll};

use super::Tail;
use crate::{Entry, LogError, error::InvalidArgumentSnafu};

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
        // It is registered once at a time, whichever task polls it.
        let before = self.task.lock().replace(context.waker().clone());
        if before.is_none() {
            self.engine().watch.notify(&self.task);
        }
        // It may have come before that.
        self.try_next().transpose().map_or(Poll::Pending, Poll::Ready)
    }
}

/// A log may be quiet for long, and many may follow it in turn.
impl Drop for Tail {
    fn drop(&mut self) {
        let waker = self.task.lock().take();
        if waker.is_some() {
            self.engine().watch.forget_task(&self.task);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, task::Waker};

    use wal_segment::MemoryStorage;

    use super::*;
    use crate::{Environment, Log, Options, TailOptions};

    #[test]
    fn a_tail_that_is_dropped_waits_no_more() {
        let log = Log::open(Environment::new(Arc::new(MemoryStorage::new())), Options::default()).unwrap();
        let watch = &log.engine().watch;
        let mut context = Context::from_waker(Waker::noop());
        let mut other = log.tail(TailOptions::default());
        assert!(other.poll_item(&mut context).is_pending());
        for _ in 0..3 {
            let mut tail = log.tail(TailOptions::default());
            assert!(tail.poll_item(&mut context).is_pending());
            assert!(tail.poll_item(&mut context).is_pending());
            assert_eq!(watch.waiting(), 2);
        }
        assert_eq!(watch.waiting(), 1, "the other one still waits");
    }
}
