//! The parts of a log that threads share, and the locks between them.
//!
//! Locks are taken in this order, any of them may be left out: that of the tier's work, `admin`, `keeper`, `turns`,
//! `writer`, `appender`, then one of the small ones (`cuts`, `transactions`, those inside `preparer`, `marks`, `commit`
//! and the tier), which are leaves. File I/O happens under `writer`; under `appender` only when a segment is started
//! after an open or a cut, and where what is stored meets a page that the kernel has to make writable first
//! (`docs/adr/0020`).

use std::{
    collections::VecDeque,
    io, mem,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use wal_compress::Codecs;
use wal_format::{Lsn, SegmentId};
use wal_segment::{Directory, Segment, SegmentError, SegmentSet, WriterLock};

use crate::{
    Clock, Extras, LogError, Options, RecoveryReport,
    appender::Appender,
    begin::Inheritance,
    beside::Looking,
    commit::{Commit, CommitQueue, Watch},
    cuts::Cuts,
    driver::Driver,
    error::{ClosedSnafu, FencedSnafu, PoisonedSnafu, ReadOnlySnafu},
    flush::Writer,
    frame_cache::FrameCache,
    hooks::{Caller, Hooks},
    marks::{Marks, Tick},
    objects::Published,
    packing::Packing,
    patience::Errands,
    payload::Payloads,
    prepare::{PrepareError, Preparer},
    retention::Keeper,
    stats::Counters,
    tier::{Behind, Tiered},
    transaction::Transactions,
    turn::Turns,
    view::View,
};

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) options: Options,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) payloads: Payloads,
    pub(crate) extras: Extras,
    pub(crate) frame_cache: FrameCache,
    pub(crate) report: RecoveryReport,
    /// Held by operations that change history: truncation, trimming, closing.
    pub(crate) admin: Mutex<()>,
    /// Held while retention looks at the segments.
    pub(crate) keeper: Mutex<Keeper>,
    /// Taken before `writer` by those who write for themselves.
    pub(crate) turns: Turns,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) packing: Packing,
    pub(crate) appender: Mutex<Appender>,
    pub(crate) marks: Marks,
    pub(crate) commit: CommitQueue,
    /// Those who wait for entries to come.
    pub(crate) watch: Watch,
    pub(crate) errands: Errands,
    /// Looked at without a lock; other segments are put into it by a thread that holds `appender`.
    pub(crate) view: ArcSwap<View>,
    /// `None` when the log is open for reading only.
    pub(crate) preparer: Option<Preparer>,
    /// How to take in what a writer has done since; `None` when the log is open for writing. A pointer, because reading
    /// beside a writer goes around damage: a program that only writes would link all of that.
    pub(crate) look_again: Option<LookAgain>,
    /// What the first segment that this process starts goes on from.
    pub(crate) inheritance: Mutex<Inheritance>,
    /// Sealed segments whose index is not written yet, with the offset of their last frame.
    pub(crate) sealed: Mutex<Vec<(Arc<Segment>, u64)>>,
    /// Those sealed last, oldest first: their files are open and their indexes in memory.
    pub(crate) warm: Mutex<VecDeque<SegmentId>>,
    pub(crate) cuts: Cuts,
    /// For a log that is open for reading: where its writer was found to have cut it. Apart, because iterators keep
    /// what they began with.
    pub(crate) looks: Cuts,
    /// The same: which look counts.
    pub(crate) looking: Looking,
    pub(crate) transactions: Transactions,
    /// Apart, so that its alignment is not that of everything here.
    pub(crate) stats: Box<Counters>,
    pub(crate) hooks: Caller,
    pub(crate) driver: OnceLock<Arc<Driver>>,
    /// Where sealed segments are shipped to.
    pub(crate) tier: Option<Box<dyn Behind>>,
    /// Set once closing is over, however it went: who still waits then waits in vain.
    pub(crate) ended: AtomicBool,
    first_retained: AtomicU64,
    poison: OnceLock<Poison>,
    /// Files are published whole by their first sync: the log goes on in another one after each.
    pub(crate) objects: bool,
    /// The storage may take frames without a system call.
    pub(crate) stores: bool,
    /// Up to where objects are known to be published, all before included.
    pub(crate) published: Mutex<Published>,
    /// Segments that must never be removed, whether they are part of the log or not.
    pub(crate) fences: Mutex<SegmentSet>,
    writer_lock: Mutex<Option<WriterLock>>,
}

/// Why nothing is acknowledged any more.
#[derive(Debug)]
struct Poison {
    cause: Arc<str>,
    /// Another writer has the log now.
    fenced: bool,
}

/// Takes in what a writer elsewhere has done.
pub(crate) type LookAgain = fn(&Engine) -> Result<(), LogError>;

/// What an engine is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) options: Options,
    pub(crate) codecs: Codecs,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) preparer: Option<Preparer>,
    pub(crate) look_again: Option<LookAgain>,
    pub(crate) appender: Appender,
    pub(crate) durable_next: Lsn,
    pub(crate) view: View,
    pub(crate) inheritance: Inheritance,
    pub(crate) report: RecoveryReport,
    pub(crate) fences: SegmentSet,
    pub(crate) hooks: Hooks,
    pub(crate) tier: Option<Tiered>,
    pub(crate) extras: Extras,
}

impl Engine {
    /// Shared from the start: whoever has it by value has a copy of the code that drops it.
    pub(crate) fn new(parts: Parts) -> Result<Arc<Self>, LogError> {
        let commit = CommitQueue::with_window(parts.options.group_window);
        let payloads = Payloads::new(parts.codecs, parts.extras, parts.options.compression.clone())?;
        payloads.learn(&parts.appender.metadata);
        let Appender { time, next, .. } = parts.appender;
        let prefix = parts.options.prefix.clone();
        Ok(Arc::new(Self {
            keeper: Mutex::new(Keeper::new(&*parts.clock, time, next)),
            payloads,
            extras: parts.extras,
            frame_cache: FrameCache::new(parts.options.frame_cache_len),
            options: parts.options,
            clock: parts.clock,
            report: parts.report,
            admin: Mutex::new(()),
            turns: Turns::default(),
            writer: Mutex::new(Writer::default()),
            packing: Packing::default(),
            hooks: Caller::new(parts.hooks, parts.appender.next),
            marks: Marks::new(parts.appender.next, parts.durable_next),
            first_retained: AtomicU64::new(parts.appender.first_retained.get()),
            appender: Mutex::new(parts.appender),
            commit,
            watch: Watch::default(),
            errands: Errands::default(),
            tier: parts.tier.map(|tier| tier.attach(&prefix, &parts.view)),
            view: ArcSwap::from_pointee(parts.view),
            preparer: parts.preparer,
            look_again: parts.look_again,
            inheritance: Mutex::new(parts.inheritance),
            sealed: Mutex::new(Vec::new()),
            warm: Mutex::default(),
            cuts: Cuts::default(),
            looks: Cuts::default(),
            looking: Looking::default(),
            transactions: Transactions::default(),
            stats: Box::default(),
            driver: OnceLock::new(),
            ended: AtomicBool::new(false),
            poison: OnceLock::new(),
            objects: !parts.directory.storage().capabilities().append_after_sync,
            stores: parts.directory.storage().capabilities().stores,
            published: Mutex::default(),
            fences: Mutex::new(parts.fences),
            writer_lock: Mutex::new(None),
            directory: parts.directory,
        }))
    }

    pub(crate) fn first_retained(&self) -> Lsn {
        Lsn::new(self.first_retained.load(Ordering::Acquire)).unwrap_or(Lsn::FIRST)
    }

    pub(crate) fn set_first_retained(&self, lsn: Lsn) {
        self.first_retained.store(lsn.get(), Ordering::Release);
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    pub(crate) fn preparer(&self) -> Result<&Preparer, LogError> {
        self.preparer.as_ref().ok_or(LogError::ReadOnly)
    }

    /// Whether a failed write or sync has made it impossible to acknowledge anything more.
    pub(crate) fn poisoned(&self) -> Option<LogError> {
        self.poison.get().map(|Poison { cause, fenced }| {
            let cause = Arc::clone(cause);
            if *fenced { FencedSnafu { cause }.build() } else { PoisonedSnafu { cause }.build() }
        })
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poison.get().is_some()
    }

    /// Declares that nothing more will be acknowledged, and tells everybody who waits. The first cause stays.
    pub(crate) fn poison(&self, operation: &'static str, cause: SegmentError) -> LogError {
        let fenced = cause.is_taken_over();
        let error = LogError::Segment { operation, source: cause };
        let cause = chain(&error);
        if self.poison.set(Poison { cause: Arc::from(&*cause), fenced }).is_ok() {
            self.told_poisoned(&error);
        }
        // Only what is durable is shown from now on, also to readers that began earlier.
        self.cuts.stir();
        // Locks may be held here that a callback would want.
        self.commit.wake_threads(self);
        self.watch.wake_threads();
        if let Some(driver) = self.driver.get() {
            driver.kick();
        }
        self.poisoned().filter(|_| fenced).unwrap_or(error)
    }

    /// Does what leaves the log in a state that nobody knows if it does not return: code that is not the log's own may
    /// panic, a storage for instance. Then the log is poisoned.
    #[inline]
    pub(crate) fn or_poison<T>(&self, operation: &'static str, run: impl FnOnce() -> T) -> T {
        let doubt = Doubt(self, operation);
        let done = run();
        mem::forget(doubt);
        done
    }

    /// Whether the log takes appends.
    pub(crate) fn check_writable(&self, appender: &Appender) -> Result<(), LogError> {
        if self.preparer.is_none() {
            return ReadOnlySnafu.fail();
        }
        if appender.closed {
            return ClosedSnafu.fail();
        }
        self.poisoned().map_or(Ok(()), Err)
    }

    /// Makes sure that a segment of at least `len` bytes can be taken.
    pub(crate) fn prepare(&self, len: u64) -> Result<(), LogError> {
        self.preparer()?.prepare(len, self.stats.written()).map_err(|error| self.unprepared(error))
    }

    /// The same for nobody who waits: others append meanwhile.
    pub(crate) fn prepare_beside(&self, len: u64) -> Result<(), LogError> {
        let (written, needed) = (self.stats.written(), || self.errands.want_room());
        let prepared = self.preparer()?.prepare_beside(len, written, &needed);
        prepared.map_err(|error| self.unprepared(error))
    }

    /// The same for an append that cannot go on before.
    pub(crate) fn hasten(&self, len: u64) -> Result<(), LogError> {
        self.preparer()?.hasten(len, self.stats.written()).map_err(|error| self.unprepared(error))
    }

    pub(crate) fn unprepared(&self, error: PrepareError) -> LogError {
        match error {
            PrepareError::File(source) => LogError::segment("prepare a segment", source),
            PrepareError::Names(source) => self.poison("sync the name of a segment", source),
            PrepareError::Closed => LogError::Closed,
            PrepareError::Exhausted => LogError::Exhausted { what: "segment ids" },
        }
    }

    /// Puts a segment at the end of the view, behind `after`.
    pub(crate) fn show(&self, after: Option<SegmentId>, segment: Arc<Segment>) {
        self.view.rcu(|view| view.followed_by(after, Arc::clone(&segment)));
    }

    /// Keeps the right to write until it is given up.
    pub(crate) fn hold(&self, lock: WriterLock) {
        *self.writer_lock.lock() = Some(lock);
    }

    /// Gives up the right to write.
    pub(crate) fn unlock(&self) {
        self.writer_lock.lock().take();
    }
}

impl Commit for Engine {
    type Error = LogError;

    fn durable(&self) -> Tick {
        self.marks.durable()
    }

    fn syncing(&self) -> Tick {
        self.marks.syncing()
    }

    fn failure(&self) -> Option<LogError> {
        self.poisoned().or_else(|| self.ended.load(Ordering::Acquire).then_some(LogError::Closed))
    }

    fn commit(&self) -> Result<(), LogError> {
        self.sync_once()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn round_over(&self) {
        self.tell_moved();
    }
}

/// The log, for a thread that holds the lock `admin`: what it makes durable is told to threads at once, and to
/// callbacks, which may want that lock, when it was given back.
struct Discreet<'a>(&'a Engine);

impl Commit for Discreet<'_> {
    type Error = LogError;

    fn durable(&self) -> Tick {
        self.0.durable()
    }

    fn syncing(&self) -> Tick {
        self.0.syncing()
    }

    fn failure(&self) -> Option<LogError> {
        self.0.failure()
    }

    fn commit(&self) -> Result<(), LogError> {
        self.0.sync_once()
    }

    fn monotonic(&self) -> Duration {
        Commit::monotonic(self.0)
    }

    fn may_call(&self) -> bool {
        false
    }
}

impl Engine {
    /// Returns when `tick` is durable. For those who hold the lock `admin`, and [tell](Self::tell) afterwards.
    pub(crate) fn commit_discreetly(&self, tick: Tick) -> Result<(), LogError> {
        self.commit.wait(&Discreet(self), tick)
    }

    /// Tells those who wait what was done under locks, now that none is held.
    pub(crate) fn tell(&self) {
        self.commit.wake(self);
        self.watch.wake();
    }
}

/// Dropped only by a panic.
struct Doubt<'a>(&'a Engine, &'static str);

impl Drop for Doubt<'_> {
    #[cold]
    fn drop(&mut self) {
        let Self(engine, operation) = *self;
        let (path, source) = (engine.directory.storage().location(), io::Error::other("it panicked"));
        engine.poison(operation, SegmentError::Io { operation, path, source });
    }
}

/// An error with its causes, for those who only get to see the text.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
