//! A tier behind a local log: sealed segments are shipped to another storage, and may leave the local one.
//!
//! The local storage is where entries become durable; the tier follows. A segment takes these steps, each of which may
//! be the last before a crash and is then taken again (`docs/adr/0015`):
//!
//! 1. Its successor's opening is durable: it is sealed, and none of its bytes will change.
//! 2. It is *shipped*: created in the tier if its name is free there, and read back whole.
//! 3. That is *noted* here, durably. Only what is noted may leave.
//! 4. It is *evicted*: its local file goes, and reads fall through to the tier.
//!
//! The order of the locks: `work` is taken before all others of the engine, `known` is a leaf.

mod behind;
mod collect;
mod options;
mod place;
mod report;
mod restore;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use wal_format::{FIRST_FRAME, FileName, FrameKind, Lsn, SegmentId, frame_len};
use wal_segment::{
    FrameReader, Segment, SegmentError, SegmentSet, Storage, TakenOver, TieredStorage, WriterLock, inspect,
};

pub use behind::Tiered;
pub use options::{TierOptions, WhenUnshipped};
pub use report::{Shipment, TierStats};
pub use restore::restore;

pub(crate) use self::behind::Behind;
use self::report::Known;
use crate::{
    CursorInfo, DeletionReason, Log, LogError, LogEvent,
    appender::Appender,
    cursor,
    driver::PAUSE,
    engine::Engine,
    error::{ClosedSnafu, InvalidArgumentSnafu, TierBehindSnafu, TierConflictSnafu},
    events,
    view::View,
};

/// A segment is sealed and not synced yet: it is looked at again so much later.
const SETTLING: Duration = Duration::from_millis(100);

/// The tier of one log that is open for writing.
#[derive(Debug)]
pub(crate) struct Tier {
    storage: Arc<TieredStorage>,
    prefix: String,
    known: Mutex<Known>,
    /// Held by the one thread that ships.
    work: Mutex<Work>,
    signal: (Sender<()>, Receiver<()>),
    stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct Work {
    /// The right to write to the tier, once that was found to be this log's.
    guard: Option<WriterLock>,
    /// Nothing is to be done before.
    due: Duration,
}

impl Tier {
    fn new(storage: Arc<TieredStorage>, prefix: &str, view: &View) -> Self {
        let tier = Self {
            storage,
            prefix: prefix.to_owned(),
            known: Mutex::default(),
            work: Mutex::default(),
            signal: bounded(1),
            stopped: AtomicBool::new(false),
        };
        let mut known = Known::default();
        for segment in &view.segments {
            let name = tier.name(segment.id());
            if tier.storage.recorded(&name).and_then(|stub| stub.header()) == Some(*segment.header()) {
                known.shipped.insert(segment.id());
                if !tier.storage.is_local(&name) {
                    known.evicted.insert(segment.id());
                }
            }
        }
        *tier.known.lock() = known;
        tier
    }

    fn name(&self, id: SegmentId) -> String {
        FileName::Segment(id).with_prefix(&self.prefix)
    }

    /// There may be something to do.
    fn signal(&self) {
        // A full channel holds a signal that will be seen.
        let _ = self.signal.0.try_send(());
    }

    fn end(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.signal();
        // Whoever opens the log next ships to the place. A request that is on its way keeps it a little longer.
        if let Some(mut work) = self.work.try_lock() {
            work.guard = None;
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// The sealed segments that are not known to be in the tier.
    fn unshipped(&self, view: &View) -> Vec<Arc<Segment>> {
        let sealed = view.segments.split_last().map_or(&[][..], |(_, sealed)| sealed);
        let known = self.known.lock();
        sealed.iter().filter(|segment| !known.shipped.contains(segment.id())).cloned().collect()
    }

    /// The oldest of them, if nothing of it will change any more: what a durable opening follows is durable whole.
    fn next(&self, view: &View) -> Option<Arc<Segment>> {
        let next = self.unshipped(view).into_iter().next()?;
        let after = view.segments.partition_point(|segment| segment.id() <= next.id());
        let followed = view.segments.get(after).is_some_and(|successor| successor.durable() > FIRST_FRAME);
        (followed && next.durable() == next.written()).then_some(next)
    }

    fn failed(&self, name: &str, source: io::Error) -> LogError {
        let location = self.storage.remote().location();
        if source.get_ref().is_some_and(|inner| inner.is::<TakenOver>()) {
            return TierConflictSnafu { location, name }.build();
        }
        let source = SegmentError::Io { operation: "ship", path: format!("{location}/{name}"), source };
        LogError::Segment { operation: "ship a segment", source }
    }
}

fn noting(path: String, source: io::Error) -> LogError {
    LogError::segment("note what was shipped", SegmentError::Io { operation: "note", path, source })
}

impl Engine {
    fn check_unshipped(&self, tier: &Tier, appender: &Appender) -> Result<(), LogError> {
        let options = &self.options.tier;
        let Some(max) = options.unshipped_max.filter(|_| options.when_unshipped == WhenUnshipped::Refuse)
        else {
            return Ok(());
        };
        let waiting = tier.unshipped(&self.view());
        let active = appender.tail.as_ref().map_or(0, |tail| tail.offset);
        let bytes = waiting.iter().map(|segment| segment.written()).sum::<u64>() + active;
        if waiting.is_empty() || bytes <= max {
            return Ok(());
        }
        tier.signal();
        TierBehindSnafu { location: tier.storage.remote().location(), bytes, max }.fail()
    }

    /// What the thread does that ships.
    fn run_tier(&self, tier: &Tier) {
        while !tier.is_stopped() {
            let mut wait = Some(PAUSE);
            self.outlive("wal-tier", || wait = self.ship_what_waits(tier));
            match wait {
                Some(wait) => drop(tier.signal.1.recv_timeout(wait)),
                None => drop(tier.signal.1.recv()),
            }
        }
        tier.work.lock().guard = None;
    }

    /// Ships what can be shipped now. Returns when to look again; `None` when only a signal can bring work.
    fn ship_what_waits(&self, tier: &Tier) -> Option<Duration> {
        let wait = self.keep_shipping(tier, &mut tier.work.lock());
        // Entries may have been dropped, and no lock is held now.
        self.tell();
        wait
    }

    fn keep_shipping(&self, tier: &Tier, work: &mut Work) -> Option<Duration> {
        while !tier.is_stopped() {
            if tier.known.lock().conflict {
                self.drop_oldest(tier);
                return None;
            }
            let now = self.clock.monotonic();
            if now < work.due {
                return Some(work.due.saturating_sub(now));
            }
            let done = match self.ship_next(tier, work, SegmentId(u64::MAX)) {
                Ok(Some(len)) => self.evict(tier, work).map(|()| Some(len)),
                // Removing can wait until the tier has what it is to have.
                Ok(None) => self.clear_out(tier, work).map(|()| None),
                Err(error) => {
                    self.drop_oldest(tier);
                    Err(error)
                }
            };
            match done {
                Ok(Some(len)) => work.due = now.saturating_add(self.pace(len)),
                Ok(None) => {
                    let is_settling = !tier.unshipped(&self.view()).is_empty();
                    return is_settling.then_some(SETTLING);
                }
                Err(error) => {
                    self.note_failure(tier, &error);
                    let retry = self.options.tier.retry;
                    work.due = now.saturating_add(retry);
                    return Some(retry);
                }
            }
        }
        None
    }

    /// How long to wait after so many bytes.
    fn pace(&self, bytes: u64) -> Duration {
        let rate = self.options.tier.rate.filter(|rate| *rate > 0);
        rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(bytes as f64 / rate as f64))
    }

    /// Ships the oldest segment that can be, if it is older than `before`. Returns its length.
    fn ship_next(&self, tier: &Tier, work: &mut Work, before: SegmentId) -> Result<Option<u64>, LogError> {
        let next = || tier.next(&self.view()).filter(|segment| segment.id() < before);
        if next().is_some() {
            self.enter(tier, work)?;
        }
        let Some(segment) = next() else { return Ok(None) };
        let content = segment.content().map_err(|source| LogError::segment("ship a segment", source))?;
        let name = tier.name(segment.id());
        let shipped = tier.storage.remote().ship(&name, content.clone());
        shipped.map_err(|source| tier.failed(&name, source))?;
        self.note_shipped(tier, &segment, &name, &content)?;
        Ok(Some(content.len() as u64))
    }

    fn note_shipped(
        &self,
        tier: &Tier,
        segment: &Segment,
        name: &str,
        content: &Bytes,
    ) -> Result<(), LogError> {
        // Nothing is removed meanwhile.
        let admin = self.admin.lock();
        if tier.is_stopped() {
            return ClosedSnafu.fail();
        }
        let failed = |source| noting(segment.path().to_owned(), source);
        tier.storage.record(name, content).map_err(failed)?;
        if self.view().segments.iter().all(|live| live.id() != segment.id()) {
            // It was removed while it was on its way.
            tier.storage.remove(name).map_err(failed)?;
        }
        drop(admin);
        tier.known.lock().note_shipped(segment.id(), content.len() as u64);
        events::shipped(segment, content.len());
        self.tell_hooks(|| LogEvent::Shipped { segment: segment.id(), bytes: content.len() as u64 });
        Ok(())
    }

    fn note_failure(&self, tier: &Tier, error: &LogError) {
        if tier.is_stopped() {
            return;
        }
        let conflict = matches!(error, LogError::TierConflict { .. });
        let cause = crate::engine::chain(error);
        if tier.known.lock().note_failure(&cause, conflict) {
            events::not_shipped(&self.directory, &cause, conflict);
            self.tell_hooks(|| LogEvent::TierFailed { cause: cause.into(), conflict });
        }
    }

    /// Lets the oldest segments go that the tier does not get, if that is the policy.
    fn drop_oldest(&self, tier: &Tier) {
        let options = &self.options.tier;
        let Some(max) = options.unshipped_max.filter(|_| options.when_unshipped == WhenUnshipped::Drop)
        else {
            return;
        };
        let (began, mut cursors) = (self.first_retained(), Vec::new());
        while self.drop_one(tier, max, &mut cursors) {
            tier.known.lock().stats.dropped_segments += 1;
        }
        let first = self.first_retained();
        for cursor in cursors.into_iter().filter(|cursor| began < first && cursor.next < first) {
            events::passed(&self.directory, &cursor.name, first);
            self.tell_hooks(|| LogEvent::Passed { cursor: cursor.name, first });
        }
    }

    /// Lets one go, if too much waits, and says where the cursors stood then.
    fn drop_one(&self, tier: &Tier, max: u64, cursors: &mut Vec<CursorInfo>) -> bool {
        let view = self.view();
        let waiting = tier.unshipped(&view);
        let bytes: u64 = waiting.iter().map(|segment| segment.written()).sum();
        let Some(oldest) = waiting.first().filter(|_| bytes > max) else { return false };
        let after = view.segments.partition_point(|segment| segment.id() <= oldest.id());
        let Some(first) = view.segments.get(after).map(|segment| segment.base()) else { return false };
        let decide = &mut |appender: &Appender| {
            *cursors = cursor::all(appender)?;
            Ok(first)
        };
        let _admin = self.admin.lock();
        let trimmed = self.trim(decide, &|_| DeletionReason::Behind);
        // On a full disk, or when it is closed, nothing goes. The next attempt comes by here again.
        trimmed.is_ok() && tier.unshipped(&self.view()).len() < waiting.len()
    }

    /// Goes on in a new segment, unless the active one says nothing that those before it do not. The lock `admin` is
    /// held.
    fn close_unless_nothing_new(&self) -> Result<(), LogError> {
        self.go_on(&|_, _| true)?;
        let (active, end, next) = {
            let appender = self.appender.lock();
            let Some(tail) = &appender.tail else { return Ok(()) };
            // A mark says nothing but that what is before it is durable.
            let marked = if tail.last_kind == FrameKind::Idle { frame_len(0) } else { 0 };
            (Arc::clone(&tail.segment), tail.offset - marked, appender.next)
        };
        if active.base() < next || self.says_more(&active, end)? {
            self.go_on(&|tail, _| tail.segment.id() != active.id())?;
        }
        Ok(())
    }

    /// Whether a segment without entries, which ends at `end`, says more than that the one before it was full. One
    /// that a cut begins names a place before the seal: without it the tier shows the log before the cut. Changes of
    /// the metadata and trims are frames behind the opening.
    fn says_more(&self, active: &Segment, end: u64) -> Result<bool, LogError> {
        let failed = |source| LogError::segment("read a segment", source);
        let Some(opening) = inspect(&self.directory, active.id()).map_err(failed)?.opening else {
            return Ok(true);
        };
        let view = self.view();
        let named = |id| view.segments.iter().find(|segment| segment.id() == id);
        let before = opening.predecessor.and_then(|before| Some((named(before.segment)?, before)));
        let is_empty = end == FIRST_FRAME + frame_len(opening.body_len() as u32);
        let Some((segment, before)) = before.filter(|_| is_empty) else { return Ok(true) };
        let last = before.end.saturating_sub(u64::from(before.last_units) * 8);
        let frame = FrameReader::new(4 << 10).load(segment, last).map_err(failed)?;
        Ok(frame.is_none_or(|(header, _)| header.kind != FrameKind::Seal))
    }

    /// Closes the active segment and ships everything, as fast as it goes.
    fn ship_all(&self, tier: &Tier) -> Result<Shipment, LogError> {
        let (next, tick, active) = {
            let _admin = self.admin.lock();
            self.check_writable(&self.appender.lock())?;
            if !self.view().segments.is_empty() {
                self.close_unless_nothing_new()?;
            }
            let appender = self.appender.lock();
            let tail = appender.tail.as_ref().map(|tail| (tail.segment.base(), tail.segment.id()));
            let (next, active) = tail.unwrap_or((appender.next, SegmentId(u64::MAX)));
            (next, appender.tick, active)
        };
        self.commit.wait(self, tick)?;
        let mut shipment = Shipment { segments: 0, bytes: 0, next };
        let mut work = tier.work.lock();
        // Others may append meanwhile: what they fill is not waited for.
        while let Some(len) = self.ship_next(tier, &mut work, active)? {
            shipment.segments += 1;
            shipment.bytes += len;
        }
        self.clear_out(tier, &mut work)?;
        Ok(shipment)
    }
}

impl Log {
    /// Closes the active segment, unless it says nothing that the one before it does not, and ships all that is not in
    /// the tier, whatever its rate. When this returns, the log as it was is in the tier: what was appended before, and
    /// no entry that was removed.
    ///
    /// # Errors
    ///
    /// [`LogError::InvalidArgument`] when the log has no tier; [`LogError::TierConflict`]; errors of the tier, and
    /// those of [`sync`](Self::sync).
    pub fn ship(&self) -> Result<Shipment, LogError> {
        self.start_threads()?;
        let engine = self.engine();
        let Some(tier) = &engine.tier else {
            return InvalidArgumentSnafu { why: "the log has no tier" }.fail();
        };
        let tier = tier.tier();
        let shipped = engine.ship_all(tier).inspect_err(|error| engine.note_failure(tier, error));
        self.tell();
        shipped
    }
}

/// The segments of the log by their ids.
fn ids(view: &View) -> SegmentSet {
    view.segments.iter().map(|segment| segment.id()).collect()
}

/// The first entry that is in a segment of the view.
fn base_of(view: &View) -> Option<(SegmentId, Lsn)> {
    view.segments.first().map(|segment| (segment.id(), segment.base()))
}
