//! The log's own threads: one syncs on behalf of those who do not wait and marks idleness, one prepares segments and
//! writes indexes. Both are started by the first append. The only file that starts threads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use snafu::ResultExt;
use wal_format::FrameKind;

use crate::{
    LogError,
    appender::{Draft, Reserve},
    engine::Engine,
    error::ThreadSnafu,
    marks::Tick,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Look,
    Stop,
}

/// The threads of one log, and the means to reach them.
#[derive(Debug)]
pub(crate) struct Driver {
    /// The sync thread sleeps without a deadline: an append must wake it.
    pub(crate) asleep: AtomicBool,
    sync_asked: AtomicBool,
    sync: Sender<Signal>,
    prepare: Sender<Signal>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Driver {
    pub(crate) fn start(engine: &Arc<Engine>) -> Result<(), LogError> {
        let (sync, sync_signals) = bounded(2);
        let (prepare, prepare_signals) = bounded(2);
        let driver = Self {
            asleep: AtomicBool::new(false),
            sync_asked: AtomicBool::new(false),
            sync,
            prepare,
            threads: Mutex::new(Vec::new()),
        };
        if engine.driver.set(driver).is_err() {
            return Ok(());
        }
        let Some(driver) = engine.driver.get() else { return Ok(()) };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.to_owned()).spawn(run).context(ThreadSnafu)
        };
        let mut threads = driver.threads.lock();
        let shared = Arc::clone(engine);
        threads.push(spawn("wal-sync", Box::new(move || shared.run_sync(&sync_signals)))?);
        let shared = Arc::clone(engine);
        threads.push(spawn("wal-prepare", Box::new(move || shared.run_prepare(&prepare_signals)))?);
        Ok(())
    }

    pub(crate) fn kick(&self) {
        // A full channel holds a signal that will be seen.
        let _ = self.sync.try_send(Signal::Look);
    }

    /// Ends both threads and waits for them, unless this is one of them.
    pub(crate) fn stop(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        let _ = self.sync.send(Signal::Stop);
        let _ = self.prepare.send(Signal::Stop);
        let current = thread::current().id();
        threads
            .into_iter()
            .filter(|thread| thread.thread().id() != current)
            .for_each(|thread| drop(thread.join()));
    }
}

/// What the sync thread remembers between two looks.
#[derive(Debug, Default)]
struct Seen {
    tick: Tick,
    since: Duration,
    interval_began: Option<Duration>,
}

impl Engine {
    /// Asks the sync thread to make durable what is pending.
    pub(crate) fn ask_for_sync(&self) {
        match self.driver.get() {
            Some(driver) => {
                driver.sync_asked.store(true, Ordering::SeqCst);
                driver.kick();
            }
            // Without threads, whoever asks pays. The outcome reaches the ticket by itself.
            None => drop(self.commit.wait(self, self.tick())),
        }
    }

    pub(crate) fn ask_for_successor(&self) {
        if let Some(driver) = self.driver.get() {
            let _ = driver.prepare.try_send(Signal::Look);
        }
    }

    pub(crate) fn ask_for_indexing(&self) {
        self.ask_for_successor();
    }

    /// One look at what is due, for logs without threads of their own.
    pub(crate) fn maintain(&self) -> Result<(), LogError> {
        if self.options.sync.interval().is_some() && self.has_unsynced() {
            self.commit.wait(self, self.tick())?;
        }
        self.mark_idle()?;
        self.prepare_ahead();
        self.index_sealed();
        Ok(())
    }

    fn run_sync(&self, signals: &Receiver<Signal>) {
        let mut seen = Seen::default();
        loop {
            let signal = match self.deadline(&mut seen) {
                Some(wait) => signals.recv_timeout(wait),
                None => signals.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            if let Some(driver) = self.driver.get() {
                driver.asleep.store(false, Ordering::SeqCst);
            }
            match signal {
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Signal::Look) | Err(RecvTimeoutError::Timeout) => self.look(&mut seen),
            }
        }
    }

    /// How long the sync thread may sleep; `None` when only a signal can bring work.
    fn deadline(&self, seen: &mut Seen) -> Option<Duration> {
        let driver = self.driver.get()?;
        // From here on appends signal; what came before is seen below. A thread that will wake by itself needs no
        // signals, and they would cost every append a system call.
        driver.asleep.store(true, Ordering::SeqCst);
        let deadline = self.next_look(driver, seen);
        driver.asleep.store(deadline.is_none(), Ordering::SeqCst);
        deadline
    }

    fn next_look(&self, driver: &Driver, seen: &mut Seen) -> Option<Duration> {
        if driver.sync_asked.load(Ordering::SeqCst) {
            return Some(Duration::ZERO);
        }
        let now = self.clock.monotonic();
        let (tick, idle, marked) = {
            let appender = self.appender.lock();
            let last = appender.tail.as_ref().map(|tail| tail.last_kind);
            (appender.tick, last.is_none() || appender.closed, last == Some(FrameKind::Idle))
        };
        if tick != seen.tick {
            (seen.tick, seen.since) = (tick, now);
        }
        let mark = (!idle && !marked).then(|| (seen.since + self.options.idle_mark).saturating_sub(now));
        let interval = self.options.sync.interval().filter(|_| self.has_unsynced()).map(|interval| {
            let began = *seen.interval_began.get_or_insert(now);
            (began + interval).saturating_sub(now)
        });
        let wait = mark.into_iter().chain(interval).min()?;
        Some(wait.max(Duration::from_micros(100)))
    }

    fn look(&self, seen: &mut Seen) {
        if self.poisoned().is_some() {
            self.commit.wake(self);
        }
        let now = self.clock.monotonic();
        let asked = self.driver.get().is_some_and(|driver| driver.sync_asked.swap(false, Ordering::SeqCst));
        let began = seen.interval_began;
        let due =
            self.options.sync.interval().zip(began).is_some_and(|(interval, began)| now >= began + interval);
        if asked || due {
            seen.interval_began = None;
            let tick = self.tick();
            // A failure poisons the log and reaches everybody who waits; want of space is tried again.
            if self.commit.wait(self, tick).is_err() && self.poisoned().is_none() && self.commit.has_others()
            {
                self.retry_later(seen, now);
            }
        }
        let idle_since = seen.since + self.options.idle_mark;
        if now >= idle_since && self.appender.lock().tick == seen.tick {
            // Marks are a convenience of the next recovery.
            let _ = self.mark_idle();
        }
    }

    /// Waiters without a thread must hear when space is there again.
    fn retry_later(&self, seen: &mut Seen, now: Duration) {
        seen.interval_began = Some(now);
        if let Some(driver) = self.driver.get() {
            driver.sync_asked.store(true, Ordering::SeqCst);
        }
        thread::park_timeout(Duration::from_millis(10));
    }

    /// The last frame so far. Waiting for it takes the lock again, so it must not be held by the expression that waits.
    fn tick(&self) -> Tick {
        self.appender.lock().tick
    }

    fn has_unsynced(&self) -> bool {
        self.appender.lock().oldest_unsynced().is_some()
    }

    /// When everything is durable and nothing proves it yet, writes a mark that does. It is not synced: it reaches the
    /// disk with the operating system's own writing, or with the next sync.
    fn mark_idle(&self) -> Result<(), LogError> {
        let key = {
            let appender = self.appender.lock();
            let Some(tail) = appender.tail.as_ref() else { return Ok(()) };
            let proven = matches!(tail.last_kind, FrameKind::Idle | FrameKind::Close);
            if proven || appender.closed || self.marks.durable() < appender.tick {
                return Ok(());
            }
            tail.segment.key()
        };
        let draft = Draft::control(FrameKind::Idle, &[], key);
        // At the end of a segment a mark is not worth another one.
        if self.appender.lock().room(0, 0, Reserve::Keep) != crate::appender::Room::Here {
            return Ok(());
        }
        self.place(&draft, 0, Reserve::Keep, None)?;
        self.write_pending()
    }

    fn run_prepare(&self, signals: &Receiver<Signal>) {
        while let Ok(Signal::Look) = signals.recv() {
            self.index_sealed();
            self.prepare_ahead();
        }
    }

    /// Makes the next segment ready once the active one is half full. A failure is left for the append that needs the
    /// segment, which tries again and reports it.
    fn prepare_ahead(&self) {
        let len = {
            let appender = self.appender.lock();
            let Some(tail) = appender.tail.as_ref() else { return };
            if tail.prepare_at != u64::MAX || appender.closed {
                return;
            }
            crate::append::segment_len_for(&appender, 0)
        };
        let _ = self.prepare(len);
    }
}
