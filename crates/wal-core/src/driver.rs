//! The log's own threads: one syncs on behalf of those who do not wait and marks idleness, one prepares segments,
//! writes indexes and carries out retention, and as many as asked for compress. All are started by the first append.
//! The only file that starts threads.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, ThreadId},
    time::Duration,
};

use parking_lot::Mutex;
use snafu::ResultExt;
use wal_format::FrameKind;
use wal_segment::Segment;

use crate::{
    LogError,
    appender::{Draft, Reserve},
    engine::Engine,
    error::ThreadSnafu,
    events,
    marks::Tick,
    outcome::Outcome,
    patience::Terms,
    prepare::pace,
    signal::Signal,
    stats::add,
};

/// After a write that met a full disk, the next attempt on behalf of others waits so long.
const RETRY: Duration = Duration::from_millis(10);
/// A thread in which something panicked waits so long, unless somebody asks for it.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);
/// So far ahead of the last frame the active segment is made ready for what will be stored.
const WARM: u64 = 1 << 20;

/// The threads of one log, and the means to reach them.
#[derive(Debug)]
pub(crate) struct Driver {
    /// The sync thread sleeps without a deadline: an append must wake it.
    pub(crate) asleep: AtomicBool,
    sync_asked: AtomicBool,
    stopped: AtomicBool,
    failed: AtomicBool,
    sync: Signal,
    prepare: Signal,
    /// Those of the threads: each adds its own before it does anything.
    ids: Mutex<Vec<ThreadId>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Driver {
    fn new(stopped: bool) -> Self {
        Self {
            asleep: AtomicBool::new(false),
            sync_asked: AtomicBool::new(false),
            stopped: AtomicBool::new(stopped),
            failed: AtomicBool::new(false),
            sync: Signal::default(),
            prepare: Signal::default(),
            ids: Mutex::default(),
            threads: Mutex::default(),
        }
    }

    pub(crate) fn start(engine: &Arc<Engine>) -> Result<(), LogError> {
        let driver = Arc::new(Self::new(false));
        // Held until all threads run: another append that wants to start them waits, and a stop finds them all.
        let mut threads = driver.threads.lock();
        if engine.driver.set(Arc::clone(&driver)).is_err() {
            return Ok(());
        }
        let started = spawn_all(engine, &driver);
        if started.is_err() {
            driver.failed.store(true, Ordering::SeqCst);
            engine.end_packing();
            driver.signal_stop();
        }
        *threads = started?;
        Ok(())
    }

    pub(crate) fn kick(&self) {
        self.sync.raise();
    }

    /// Whether the threads could not be started. Without them the log would not keep its intervals.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn signal_stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.sync.raise();
        self.prepare.raise();
    }

    /// Ends the threads of a log that is closed, and waits for them. Where there are none yet, there will be none:
    /// nobody would end those that a late append starts.
    pub(crate) fn stop_all(engine: &Engine) {
        engine.driver.get_or_init(|| Arc::new(Self::new(true))).stop();
    }

    /// Ends the threads and waits for them. One of them, closing the log from a callback, cannot wait for itself.
    fn stop(&self) {
        self.signal_stop();
        if self.ids.lock().contains(&thread::current().id()) {
            return;
        }
        // Everybody who closes the log waits here until the threads have ended.
        let mut threads = self.threads.lock();
        threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn spawn_all(engine: &Arc<Engine>, driver: &Arc<Driver>) -> Result<Vec<JoinHandle<()>>, LogError> {
    let spawn_one = |name: &str, run: fn(&Engine, &Driver)| {
        let (engine, driver) = (Arc::clone(engine), Arc::clone(driver));
        spawn(
            name,
            Box::new(move || {
                driver.ids.lock().push(thread::current().id());
                run(&engine, &driver);
            }),
        )
    };
    let mut threads = vec![spawn_one("wal-sync", Engine::run_sync)?];
    threads.push(spawn_one("wal-prepare", Engine::run_prepare)?);
    for _ in 0..engine.payloads.threads() {
        threads.push(spawn_one("wal-pack", |engine, _| engine.run_packer())?);
    }
    Ok(threads)
}

/// In a box, because starting a thread is compiled anew for each kind of work.
fn spawn(name: &str, run: Box<dyn FnOnce() + Send>) -> Result<JoinHandle<()>, LogError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).context(ThreadSnafu)
}

/// Starts the thread that calls the hooks, if there are any. Nobody waits for it: it ends after the last event.
///
/// A log without threads calls them when it is maintained.
pub(crate) fn start_hooks(engine: &Arc<Engine>) -> Result<(), LogError> {
    match engine.hooks.run() {
        Some(run) if engine.options.background_threads => {
            let engine = Arc::clone(engine);
            spawn("wal-hooks", Box::new(move || run(&engine))).map(drop)
        }
        _ => Ok(()),
    }
}

/// Starts the thread that ships segments to the tier, if there is one. Nobody waits for it: a request may hang.
///
/// A log without threads ships when it is maintained.
pub(crate) fn start_tier(engine: &Arc<Engine>) -> Result<(), LogError> {
    if engine.tier.is_none() || !engine.options.background_threads {
        return Ok(());
    }
    let engine = Arc::clone(engine);
    let run = move || engine.tier.as_ref().into_iter().for_each(|tier| tier.run(&engine));
    spawn("wal-tier", Box::new(run)).map(drop)
}

/// Closes a log in a thread of its own, and returns where to hear how that went.
pub(crate) fn close_elsewhere(engine: Arc<Engine>) -> Result<Arc<Outcome>, LogError> {
    let outcome = Arc::new(Outcome::default());
    let done = Arc::clone(&outcome);
    // Whoever asked may have stopped waiting.
    spawn("wal-close", Box::new(move || Teller(done).0.tell(engine.finish())))?;
    Ok(outcome)
}

/// Says that closing failed, unless something was said before: nobody may wait for a thread that a panic has ended.
struct Teller(Arc<Outcome>);

impl Drop for Teller {
    fn drop(&mut self) {
        let source = io::Error::other("the thread that closes the log panicked");
        self.0.tell(Err(LogError::Thread { source }));
    }
}

/// What the sync thread remembers between two looks.
#[derive(Debug, Default)]
struct Seen {
    appended: Tick,
    durable: Tick,
    /// When one of the two last changed.
    since: Duration,
    /// When to try again what failed for want of space.
    retry: Option<Duration>,
}

impl Engine {
    /// Asks the sync thread to make durable what is pending.
    pub(crate) fn ask_for_sync(&self) {
        match self.driver.get().filter(|driver| !driver.is_stopped()) {
            Some(driver) => {
                driver.sync_asked.store(true, Ordering::SeqCst);
                driver.kick();
            }
            // Without threads, whoever asks pays. The outcome reaches the ticket by itself.
            None => drop(self.commit.wait(self, self.tick())),
        }
    }

    /// Asks the sync thread, if there is one, to make durable what is written, before anybody needs it.
    pub(crate) fn hasten_sync(&self) {
        let driver = self.driver.get().filter(|driver| !driver.is_stopped());
        // Whoever asked first wakes the thread: this may be asked at every write.
        if let Some(driver) = driver.filter(|driver| !driver.sync_asked.swap(true, Ordering::SeqCst)) {
            driver.kick();
        }
    }

    /// Whether threads of the log do what its callers leave to them.
    pub(crate) fn has_threads(&self) -> bool {
        self.driver.get().is_some_and(|driver| !driver.is_stopped() && !driver.has_failed())
    }

    /// Wakes the thread that prepares segments, writes indexes and runs errands.
    pub(crate) fn ask_for_chores(&self) {
        if let Some(driver) = self.driver.get() {
            driver.prepare.raise();
        }
    }

    /// One look at what is due, for logs without threads of their own.
    pub(crate) fn maintain(&self) -> Result<(), LogError> {
        self.expire_transactions();
        if self.options.sync.interval().is_some() && self.has_unsynced() {
            add(&self.stats.flushes_interval, 1);
            self.commit.wait(self, self.tick())?;
        }
        self.run_errands();
        self.mark_idle()?;
        self.prepare_ahead();
        self.index_sealed();
        self.retain_by_itself();
        if let Some(tier) = &self.tier {
            tier.ship_by_itself(self);
        }
        self.call_hooks();
        Ok(())
    }

    fn run_sync(&self, driver: &Driver) {
        let mut seen = Seen::default();
        while !driver.is_stopped() {
            if !self.outlive("wal-sync", || self.look_in_time(driver, &mut seen)) {
                // What it was asked for may have been left undone.
                if self.commit.has_others() {
                    driver.sync_asked.store(true, Ordering::SeqCst);
                }
                driver.sync.wait(Some(PAUSE));
                // The signal may have been one that the next wait needs.
                if !driver.is_stopped() {
                    self.outlive("wal-sync", || self.look(driver, &mut seen));
                }
            }
        }
    }

    /// Waits until there is something to look at, and looks.
    fn look_in_time(&self, driver: &Driver, seen: &mut Seen) {
        // From here on appends signal, and what came before is seen below. A thread that will look by itself needs no
        // signals, and they would cost every append a system call.
        driver.asleep.store(true, Ordering::SeqCst);
        let deadline = self.deadline(driver, seen);
        driver.asleep.store(deadline.is_none(), Ordering::SeqCst);
        match deadline.map(|deadline| deadline.saturating_sub(self.clock.monotonic())) {
            Some(wait) if wait.is_zero() => {}
            wait => {
                driver.sync.wait(wait);
            }
        }
        driver.asleep.store(false, Ordering::SeqCst);
        if !driver.is_stopped() {
            self.look(driver, seen);
        }
    }

    /// When the sync thread must look again at the latest; `None` when only a signal can bring work.
    fn deadline(&self, driver: &Driver, seen: &mut Seen) -> Option<Duration> {
        let expiry = self.transactions.next_deadline();
        if self.poisoned().is_some() {
            return expiry;
        }
        let now = self.clock.monotonic();
        if driver.sync_asked.load(Ordering::SeqCst) {
            let sync = seen.retry.map_or(now, |retry| retry.max(now));
            return Some(expiry.map_or(sync, |expiry| expiry.min(sync)));
        }
        let durable = self.marks.durable();
        let (appended, unmarked, unsynced) = {
            let appender = self.appender.lock();
            let last = appender.tail.as_ref().map(|tail| tail.last_kind);
            let marked = matches!(last, None | Some(FrameKind::Idle | FrameKind::Close));
            (appender.tick, !marked && !appender.closed, appender.oldest_unsynced())
        };
        let changed = (appended, durable) != (seen.appended, seen.durable);
        if changed {
            (seen.appended, seen.durable, seen.since) = (appended, durable, now);
        }
        // One look after every change: if nothing can be marked then, nothing will be before the next change.
        let mark = if changed && unmarked { now.checked_add(self.options.idle_mark) } else { None };
        let interval = self.options.sync.interval().zip(unsynced);
        let sync = interval.and_then(|(interval, since)| Duration::from_nanos(since).checked_add(interval));
        let sync = sync.map(|due| seen.retry.map_or(due, |retry| retry.max(due)));
        [mark, sync, expiry].into_iter().flatten().min()
    }

    fn look(&self, driver: &Driver, seen: &mut Seen) {
        self.expire_transactions();
        if self.poisoned().is_some() {
            self.tell();
            return;
        }
        let now = self.clock.monotonic();
        let asked = driver.sync_asked.swap(false, Ordering::SeqCst);
        if asked || self.is_sync_due(now) {
            if !asked {
                add(&self.stats.flushes_interval, 1);
            }
            // A failure poisons the log and reaches everybody who waits; want of space is tried again a little later.
            let failed = self.commit.wait(self, self.tick()).is_err();
            seen.retry = failed.then(|| now.saturating_add(RETRY));
            if failed && self.commit.has_others() {
                driver.sync_asked.store(true, Ordering::SeqCst);
            }
        }
        let idle_since = seen.since.checked_add(self.options.idle_mark);
        if idle_since.is_some_and(|due| now >= due) && self.tick() == seen.appended {
            // Marks are a convenience of the next recovery.
            let _ = self.mark_idle();
        }
    }

    fn is_sync_due(&self, now: Duration) -> bool {
        // What a sync began to cover and could not, for want of space, is due as well.
        let unsynced = self.appender.lock().oldest_unsynced();
        let interval = self.options.sync.interval().zip(unsynced);
        interval
            .and_then(|(interval, since)| Duration::from_nanos(since).checked_add(interval))
            .is_some_and(|due| now >= due)
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
        if self.objects {
            return Ok(());
        }
        let key = {
            let appender = self.appender.lock();
            let Some(tail) = appender.tail.as_ref() else { return Ok(()) };
            let proven = matches!(tail.last_kind, FrameKind::Idle | FrameKind::Close);
            if proven || appender.closed || self.marks.durable() < appender.tick {
                return Ok(());
            }
            tail.segment.key()
        };
        let draft = Draft::control(FrameKind::Idle, &[], key.checksum);
        // At the end of a segment a mark is not worth another one.
        if self.appender.lock().room(0, 0, Reserve::Keep) != crate::appender::Room::Here {
            return Ok(());
        }
        self.place(&draft, 0, Reserve::Keep, &Terms::PLAIN)?;
        self.write_pending()
    }

    fn run_prepare(&self, driver: &Driver) {
        let interval = self.retention_interval();
        let next_pass = || interval.and_then(|interval| self.clock.monotonic().checked_add(interval));
        // Should the clock fail at once, the first pass is due at once.
        let (mut pass, mut wait) = (interval.map(|_| Duration::ZERO), interval);
        self.outlive("wal-prepare", || pass = next_pass());
        loop {
            driver.prepare.wait(wait);
            if driver.is_stopped() {
                break;
            }
            // After a panic nothing is done again before somebody asks for it, or the interval is over.
            wait = interval;
            self.outlive("wal-prepare", || {
                // Somebody may wait for an errand, and nobody for the rest.
                self.run_errands();
                let is_due = pass.is_some_and(|due| self.clock.monotonic() >= due);
                if is_due {
                    pass = next_pass();
                }
                let rotated = self.index_sealed();
                self.run_errands();
                self.prepare_ahead();
                // A pass after every rotation, and in intervals, from the end of one to the next.
                if rotated || is_due {
                    self.run_errands();
                    self.retain_by_itself();
                    pass = next_pass();
                }
                wait = pass.map(|due| due.saturating_sub(self.clock.monotonic()));
            });
        }
        self.close_errands();
    }

    /// Does something in a thread of the log. A storage or a clock that panics costs what was being done: those who
    /// come later need the thread. Says whether it was done.
    pub(crate) fn outlive(&self, thread: &'static str, run: impl FnOnce()) -> bool {
        let done = catch_unwind(AssertUnwindSafe(run)).is_ok();
        if !done {
            // The storage is asked for its place.
            drop(catch_unwind(AssertUnwindSafe(|| events::panicked(&self.directory, thread))));
        }
        done
    }

    /// Brings the next segment on its way as far as the active one is full. After a failure it is tried again a little
    /// later; the append that needs the segment tries, too, and reports it.
    fn prepare_ahead(&self) {
        let (Ok(preparer), false) = (self.preparer(), self.objects) else { return };
        let (segment, len, offset, capacity, succeed_at) = {
            let appender = self.appender.lock();
            let Some(tail) = appender.tail.as_ref() else { return };
            if tail.prepare_at != u64::MAX || appender.closed || self.is_poisoned() {
                return;
            }
            let len = crate::append::segment_len_for(&appender, 0);
            (Arc::clone(&tail.segment), len, tail.offset, tail.capacity, tail.succeed_at)
        };
        let warmed = self.warm_ahead(&segment, offset, capacity);
        let segment = segment.id();
        let advance = || {
            let (full, written) = ((offset, capacity), self.stats.written());
            let needed = || self.errands.want_room();
            preparer.advance(segment, len, full, written, &needed).unwrap_or_else(|error| {
                drop(self.unprepared(error));
                Some(offset.saturating_add(pace::begins_at(capacity)))
            })
        };
        let next = if offset < succeed_at { Some(succeed_at) } else { advance() }.unwrap_or(u64::MAX);
        let mut appender = self.appender.lock();
        if let Some(tail) = appender.tail.as_mut().filter(|tail| tail.segment.id() == segment) {
            (tail.succeed_at, tail.prepare_at) = (next, warmed.map_or(next, |warmed| warmed.min(next)));
        }
    }

    /// Makes ready what will be stored next. Says when more is to be done.
    fn warm_ahead(&self, segment: &Segment, offset: u64, capacity: u64) -> Option<u64> {
        let end = offset.saturating_add(WARM);
        if !self.stores || end >= capacity {
            return None;
        }
        segment.warm(end);
        Some(end - WARM / 2)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
