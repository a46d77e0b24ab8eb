//! The next segment, made ready before it is needed.

pub(crate) mod pace;

use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pace::Written;
use parking_lot::{Mutex, MutexGuard};
use wal_format::{FENCE_GAP, FileName, LogId, Lsn, SegmentHeader, SegmentId};
use wal_segment::{Directory, Filling, Segment, SegmentError, StorageFile};

use crate::{
    Clock, Entropy, Options,
    events::{self, Span, Start},
    options::SEGMENT_LEN_MIN,
};

/// Each segment is so many times as long as the one before, up to the limit.
const GROWTH: u64 = 4;
/// Segments are as long as a number of these, in bytes.
const PAGE: u64 = 4096;

/// A segment file with a durable header and name, and nothing in it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) header: SegmentHeader,
    pub(crate) capacity: u64,
    file: Arc<dyn StorageFile>,
    directory: Arc<Directory>,
}

impl Prepared {
    pub(crate) fn segment(&self, base: Lsn) -> Segment {
        let path = self.directory.path(FileName::Segment(self.header.segment));
        Segment::created(Arc::clone(&self.directory), self.header, base, path, Arc::clone(&self.file))
    }

    /// Gives back the space of a segment that will not be used by this process. A hint.
    pub(crate) fn release(&self) {
        let end = self.file.len().unwrap_or(self.capacity);
        let _ = self.file.punch(self.capacity.min(64 << 10)..end);
    }
}

/// Makes segments. One at a time: whoever needs a segment while another thread makes it waits for that one.
#[derive(Debug)]
pub(crate) struct Preparer {
    directory: Arc<Directory>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    log_id: LogId,
    epoch: u64,
    /// How many threads cannot go on before the next segment is ready, and will have one that is not filled.
    waiting: AtomicUsize,
    /// Held while a file is made.
    work: Mutex<Work>,
    ready: Mutex<Option<Prepared>>,
}

#[derive(Debug)]
struct Work {
    greatest: SegmentId,
    first_len: u64,
    next_len: u64,
    /// The log was closed: nothing is made any more, because another writer may hold the lock.
    closed: bool,
    len_max: u64,
    zero_fill: bool,
    checksum: wal_format::ChecksumKind,
    /// Files are published whole.
    objects: bool,
    /// What will be ready next.
    making: Option<Making>,
    /// How many bytes a sync covered lately, and what was written when that was found out.
    covered: u64,
    written: Written,
}

impl Work {
    /// Finds out how much syncs cover, now that so much was written.
    fn learn(&mut self, written: Written) {
        self.covered = written.a_sync_since(mem::replace(&mut self.written, written));
    }

    /// Whether zeros are written ahead.
    const fn fills(&self) -> bool {
        self.zero_fill && pace::pays(self.covered)
    }

    /// How long the next segment should be.
    fn wanted_len(&self) -> u64 {
        // What comes into one that is not filled although others are may be short again.
        let max = if self.zero_fill && !self.fills() { pace::unfilled_len(self.covered) } else { u64::MAX };
        self.next_len.min(max)
    }
}

/// A segment that is being filled while the one before it is in use.
#[derive(Debug)]
struct Making {
    header: SegmentHeader,
    filling: Filling,
    /// What it took so far, without the time in between.
    took: Duration,
}

/// What becomes of the part of a segment that was not filled until it is needed.
#[derive(Clone, Copy)]
enum Rest<'a> {
    /// Beside syncs of the log, while that is wanted.
    Filled(&'a dyn Fn() -> bool),
    /// While there are none.
    FilledAlone,
    /// While there are none, and only so far; the segment ends where it is filled.
    CutOff(u64),
    /// Not at all: somebody waits, or syncs cover so much that zeros would not pay.
    Left,
}

/// Why a segment could not be prepared.
#[derive(Debug)]
pub(crate) enum PrepareError {
    /// The file could not be made. Nothing happened to the log.
    File(SegmentError),
    /// The directory could not be synced: no name can be trusted any more.
    Names(SegmentError),
    /// The log was closed.
    Closed,
    /// There is no greater id.
    Exhausted,
}

impl Preparer {
    pub(crate) fn new(
        directory: Arc<Directory>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        log_id: LogId,
        epoch: u64,
        greatest: SegmentId,
        options: &Options,
    ) -> Self {
        let capabilities = directory.storage().capabilities();
        let pays = capabilities.zero_fill_pays;
        let objects = !capabilities.append_after_sync;
        // Lengths are rounded up to pages.
        let len_max = options.segment_len.min(capabilities.file_len_max / PAGE * PAGE);
        let first_len = if objects { len_max } else { options.first_segment_len };
        let work = Work {
            greatest,
            first_len: first_len.min(len_max),
            next_len: first_len.min(len_max),
            closed: false,
            len_max,
            // Without syncs in the path, writing every byte twice costs more than it gains.
            zero_fill: pays && options.sync == crate::SyncPolicy::Always,
            checksum: options.checksum,
            objects,
            making: None,
            covered: 0,
            written: Written::default(),
        };
        let (waiting, work, ready) = (AtomicUsize::new(0), Mutex::new(work), Mutex::new(None));
        Self { directory, clock, entropy, log_id, epoch, waiting, work, ready }
    }

    /// The log these segments belong to.
    pub(crate) fn entropy(&self) -> &dyn Entropy {
        &*self.entropy
    }

    pub(crate) const fn log_id(&self) -> LogId {
        self.log_id
    }

    /// Makes sure that a segment of at least `len_min` bytes is ready, for a log that cannot be appended to before.
    pub(crate) fn prepare(&self, len_min: u64, written: Written) -> Result<(), PrepareError> {
        self.prepare_in(self.work.lock(), (len_min, written), Rest::FilledAlone)
    }

    /// The same beside a log that is appended to. What is not filled once it is `needed` is left so.
    pub(crate) fn prepare_beside(
        &self,
        len_min: u64,
        written: Written,
        needed: &dyn Fn() -> bool,
    ) -> Result<(), PrepareError> {
        let wanted = self.while_nobody_waits(needed);
        self.prepare_in(self.work.lock(), (len_min, written), Rest::Filled(&wanted))
    }

    /// The same where a log begins one out of turn, at its start or behind a cut: a short one, because everybody waits,
    /// or as much as is filled of the one that was to come.
    pub(crate) fn begin_anew(&self, len_min: u64, written: Written) -> Result<(), PrepareError> {
        let mut work = self.work.lock();
        work.next_len = work.next_len.min(work.first_len);
        let end = work.first_len.max(len_min).next_multiple_of(PAGE);
        self.prepare_in(work, (len_min, written), Rest::CutOff(end))
    }

    /// The same for an append that waits: what is not filled yet is left so.
    pub(crate) fn hasten(&self, len_min: u64, written: Written) -> Result<(), PrepareError> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let work = self.work.lock();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.prepare_in(work, (len_min, written), Rest::Left)
    }

    fn prepare_in(
        &self,
        mut work: MutexGuard<'_, Work>,
        (len_min, written): (u64, Written),
        rest: Rest<'_>,
    ) -> Result<(), PrepareError> {
        if self.ready.lock().as_ref().is_some_and(|ready| ready.capacity >= len_min) {
            return Ok(());
        }
        if work.making.is_none() {
            work.learn(written);
        }
        self.complete(&mut work, len_min, rest)
    }

    /// Brings a segment of at least `len_min` bytes on its way as far as it should be when the `active` one, which has
    /// `capacity` bytes, is full up to `offset`, and so much was `written`. Says when more is to be done; `None` once
    /// it is ready. Nothing more is filled once it is `needed`, which is asked before each step.
    pub(crate) fn advance(
        &self,
        active: SegmentId,
        len_min: u64,
        (offset, capacity): (u64, u64),
        written: Written,
        needed: &dyn Fn() -> bool,
    ) -> Result<Option<u64>, PrepareError> {
        let mut work = self.work.lock();
        match self.ready.lock().as_ref() {
            Some(ready) if ready.capacity >= len_min => return Ok(None),
            // It was taken while this thread waited: the log goes on in it, and asks anew.
            None if work.greatest > active => return Ok(None),
            _ => {}
        }
        if work.making.is_none() {
            work.learn(written);
        }
        if work.making.is_none() && !work.fills() {
            // Nothing is filled: there is little to do, and it is done in one go.
            let due = capacity / 2;
            return if offset < due {
                Ok(Some(due))
            } else {
                self.complete(&mut work, len_min, Rest::Left).map(|()| None)
            };
        }
        let wanted = self.while_nobody_waits(needed);
        let start = Start::now(&*self.clock);
        let mut making = match work.making.take().filter(|making| making.filling.capacity() >= len_min) {
            Some(making) => making,
            None => self.begin(&work, len_min, 0)?,
        };
        let len = making.filling.capacity();
        let step = pace::step(work.covered);
        let due = pace::due(offset, capacity, len, step);
        if due < len {
            making.filling.fill(due, &wanted).map_err(PrepareError::File)?;
        }
        making.took += Duration::from_nanos(start.elapsed_ns(&*self.clock));
        work.making = Some(making);
        if due < len {
            Ok(Some(pace::next(due, capacity, len, step)))
        } else {
            self.complete(&mut work, len_min, Rest::Filled(&wanted)).map(|()| None)
        }
    }

    fn while_nobody_waits(&self, needed: &dyn Fn() -> bool) -> impl Fn() -> bool {
        || self.waiting.load(Ordering::Relaxed) == 0 && !needed()
    }

    /// Makes what is ready next, or the rest of it.
    fn complete(&self, work: &mut Work, len_min: u64, rest: Rest<'_>) -> Result<(), PrepareError> {
        let _span = Span::rotate(&self.directory);
        let start = Start::now(&*self.clock);
        let took = work.making.as_ref().map_or(Duration::ZERO, |making| making.took);
        let prepared = self.make(work, len_min, 0, rest)?;
        let took = took + Duration::from_nanos(start.elapsed_ns(&*self.clock));
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        events::prepared(&self.directory, prepared.header.segment, prepared.capacity, took_us);
        // One that was too small is left to lie: an empty segment between two others is not part of the log, and the
        // next writer removes it.
        *self.ready.lock() = Some(prepared);
        Ok(())
    }

    /// Takes the segment that is ready, if it is long enough.
    pub(crate) fn take(&self, len_min: u64) -> Option<Prepared> {
        let mut ready = self.ready.lock();
        if ready.as_ref()?.capacity >= len_min { ready.take() } else { None }
    }

    /// An object of at least `len_min` bytes, which has the next id: whoever takes one publishes it, or nobody ever
    /// publishes anything again. No I/O.
    pub(crate) fn object(&self, len_min: u64) -> Result<Prepared, PrepareError> {
        self.make(&mut self.work.lock(), len_min, 0, Rest::Left)
    }

    /// The fence of this writer. What it publishes after it has ids that no writer before it can have used.
    pub(crate) fn fence(&self, len_min: u64) -> Result<Prepared, PrepareError> {
        let mut work = self.work.lock();
        let prepared = self.make(&mut work, len_min, SegmentHeader::FENCE, Rest::Left)?;
        work.greatest = SegmentId(prepared.header.segment.0.saturating_add(FENCE_GAP - 1));
        Ok(prepared)
    }

    /// Waits for a preparation that is under way, makes none from now on, and gives back the space of what is ready.
    pub(crate) fn close(&self) {
        let mut work = self.work.lock();
        work.closed = true;
        // However that goes, what is ready is given back.
        let making = work.making.take();
        let abandon = || making.iter().for_each(|making| making.filling.abandon());
        let abandoned = catch_unwind(AssertUnwindSafe(abandon));
        drop(work);
        if let Some(prepared) = self.take(0) {
            prepared.release();
        }
        abandoned.unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// The header of the next segment.
    fn next_header(&self, work: &Work, ignorable_flags: u32) -> Result<SegmentHeader, PrepareError> {
        if work.closed {
            return Err(PrepareError::Closed);
        }
        Ok(SegmentHeader {
            checksum: work.checksum,
            ignorable_flags,
            log_id: self.log_id,
            segment: work.greatest.0.checked_add(1).map(SegmentId).ok_or(PrepareError::Exhausted)?,
            epoch: self.epoch,
            salt: self.entropy.next(),
            created: self.clock.now(),
        })
    }

    fn begin(&self, work: &Work, len_min: u64, ignorable_flags: u32) -> Result<Making, PrepareError> {
        let header = self.next_header(work, ignorable_flags)?;
        let wanted = work.wanted_len().max(len_min).next_multiple_of(PAGE);
        let filling = match self.directory.begin(&header, wanted, work.fills()) {
            Err(error) if error.is_full() && least(len_min) < wanted => {
                self.directory.begin(&header, least(len_min), work.fills())
            }
            begun => begun,
        };
        let filling = filling.map_err(PrepareError::File)?;
        Ok(Making { header, filling, took: Duration::ZERO })
    }

    fn make(
        &self,
        work: &mut Work,
        len_min: u64,
        ignorable_flags: u32,
        rest: Rest<'_>,
    ) -> Result<Prepared, PrepareError> {
        let directory = Arc::clone(&self.directory);
        if work.objects {
            let header = self.next_header(work, ignorable_flags)?;
            let capacity = work.next_len.max(len_min).next_multiple_of(PAGE);
            let file = self.directory.prepare(&header, capacity, false).map_err(PrepareError::File)?;
            work.greatest = header.segment;
            return Ok(Prepared { header, capacity, file, directory });
        }
        let is_enough = |making: &Making| making.filling.capacity() >= len_min;
        let Making { header, mut filling, .. } = match work.making.take().filter(is_enough) {
            Some(making) => making,
            None => self.begin(work, len_min, ignorable_flags)?,
        };
        let (capacity, least) = (filling.capacity(), least(len_min));
        let filled = match rest {
            Rest::Filled(wanted) => filling.fill(capacity, wanted),
            Rest::FilledAlone => filling.fill_alone(capacity),
            Rest::CutOff(end) => filling.fill_alone(end).map(|()| filling.shorten()),
            Rest::Left => Ok(()),
        };
        let capacity = filling.capacity();
        let made = match filled.and_then(|()| filling.finish()) {
            Err(error) if error.is_full() && least < capacity => {
                self.directory.prepare(&header, least, work.fills()).map(|file| (file, least))
            }
            finished => finished.map(|file| (file, capacity)),
        };
        let (file, capacity) = made.map_err(PrepareError::File)?;
        work.greatest = header.segment;
        work.next_len = work.next_len.saturating_mul(GROWTH).min(work.len_max);
        sync_names(&self.directory).map_err(PrepareError::Names)?;
        Ok(Prepared { header, capacity, file, directory })
    }
}

/// Makes names durable. A storage that panics here has failed, too: a sync that failed is not tried again.
pub(crate) fn sync_names(directory: &Directory) -> Result<(), SegmentError> {
    let sync = || directory.sync_names();
    catch_unwind(AssertUnwindSafe(sync)).unwrap_or_else(|_| {
        let path = directory.storage().location();
        Err(SegmentError::Io { operation: "sync names", path, source: io::Error::other("it panicked") })
    })
}

/// How long a segment is made on a nearly full disk: a short one is better than none, and enough to trim the log.
fn least(len_min: u64) -> u64 {
    len_min.max(SEGMENT_LEN_MIN).next_multiple_of(PAGE)
}

#[cfg(test)]
mod tests;
