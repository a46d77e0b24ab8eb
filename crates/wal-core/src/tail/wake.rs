//! Following a log without a thread that sleeps.

use std::task::{Context, Poll, Waker};

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
        loop {
            // It is registered once at a time, whichever task polls it.
            let before = self.task.lock().replace(context.waker().clone());
            let next = self.next;
            if before.is_none() {
                self.engine().watch.notify(self.until(), &self.task);
            }
            // It may have come before that.
            if let Some(entry) = self.try_next().transpose() {
                return Poll::Ready(entry);
            }
            // Or the log was cut before that, and what it waits for now comes sooner.
            if self.next >= next {
                return Poll::Pending;
            }
            drop(self.unwatch());
        }
    }
}

impl Tail {
    /// What a task waits for is not what it waited for any more.
    pub(super) fn unwatch(&self) -> Option<Waker> {
        let waker = self.task.lock().take();
        if waker.is_some() {
            self.engine().watch.forget_task(&self.task);
        }
        waker
    }
}

/// A log may be quiet for long, and many may follow it in turn.
impl Drop for Tail {
    fn drop(&mut self) {
        drop(self.unwatch());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc, Barrier,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
        thread,
        time::Duration,
    };

    use wal_format::Lsn;
    use wal_segment::MemoryStorage;

    use super::*;
    use crate::{Environment, Log, Options, SyncPolicy, TailFrom, TailOptions, Visibility};

    fn log(sync: SyncPolicy) -> Log {
        let options = Options { sync, background_threads: false, ..Options::default() };
        Log::open(Environment::new(Arc::new(MemoryStorage::new())), options).unwrap()
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A write makes nothing durable: who waits for that sleeps on, and who waits for writes does not.
    #[test]
    fn who_waits_for_durable_entries_is_not_woken_by_writes() {
        let log = log(SyncPolicy::OsCache { interval: Duration::from_secs(3600) });
        for (visibility, after) in [(Visibility::Written, [1, 1]), (Visibility::Durable, [0, 1])] {
            let mut tail = log.tail(TailOptions { from: TailFrom::End, visibility });
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(Arc::clone(&woken));
            assert!(tail.poll_item(&mut Context::from_waker(&waker)).is_pending());
            log.append(b"written").unwrap();
            let by_write = woken.0.load(Ordering::Relaxed);
            log.sync().unwrap();
            assert_eq!([by_write, woken.0.load(Ordering::Relaxed)], after, "{visibility:?}");
            assert!(tail.poll_item(&mut Context::from_waker(&waker)).is_ready());
        }
    }

    /// It waited for an entry far ahead, and does not any more.
    #[test]
    fn a_tail_that_was_sent_back_is_woken_there() {
        let log = log(SyncPolicy::OsCache { interval: Duration::from_secs(3600) });
        let far = TailFrom::Lsn(Lsn::new(1000).unwrap());
        let mut tail = log.tail(TailOptions { from: far, visibility: Visibility::Durable });
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        assert!(tail.poll_item(&mut Context::from_waker(&waker)).is_pending());
        let near = log.append(b"near").unwrap();
        log.sync().unwrap();
        assert_eq!(woken.0.load(Ordering::Relaxed), 0, "it is far ahead");
        tail.seek(near.next());
        assert_eq!(woken.0.load(Ordering::Relaxed), 1, "whoever waits is to look again");
        assert!(tail.poll_item(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(log.engine().watch.waiting(), 1);
        log.append(b"next").unwrap();
        log.sync().unwrap();
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        assert!(tail.poll_item(&mut Context::from_waker(&waker)).is_ready());
    }

    /// It registers for an entry that no longer comes next when it has registered.
    #[test]
    fn a_cut_between_the_look_and_the_registration_is_noticed() {
        let log = log(SyncPolicy::OsCache { interval: Duration::from_secs(3600) });
        for _ in 0..10 {
            log.append(b"before").unwrap();
        }
        log.sync().unwrap();
        let mut tail = log.tail(TailOptions { from: TailFrom::End, visibility: Visibility::Durable });
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let slot = Arc::clone(&tail.task);
        let held = slot.lock();
        let looked = Barrier::new(2);
        thread::scope(|scope| {
            let polled = scope.spawn(|| {
                looked.wait();
                assert!(tail.poll_item(&mut Context::from_waker(&waker)).is_pending());
            });
            looked.wait();
            // Its first look ends where it wants the slot. Should it be later than the cut, there is nothing to see.
            for _ in 0..1000 {
                thread::yield_now();
            }
            log.truncate_after(Lsn::new(4).unwrap()).unwrap();
            drop(held);
            polled.join().unwrap();
        });
        assert_eq!((tail.next_lsn(), log.engine().watch.waiting()), (Lsn::new(5).unwrap(), 1));
        let before = woken.0.load(Ordering::Relaxed);
        log.append(b"next").unwrap();
        log.sync().unwrap();
        assert_eq!(woken.0.load(Ordering::Relaxed), before + 1);
    }

    #[test]
    fn a_tail_that_is_dropped_waits_no_more() {
        let log = log(SyncPolicy::Always);
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
