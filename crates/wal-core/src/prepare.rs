//! The next segment, made ready before it is needed.

use std::sync::Arc;

use parking_lot::Mutex;
use wal_format::{FENCE_GAP, FileName, LogId, Lsn, SegmentHeader, SegmentId};
use wal_segment::{Directory, Segment, SegmentError, StorageFile};

use crate::{
    Clock, Entropy, Options,
    events::{self, Span, Start},
    options::SEGMENT_LEN_MIN,
};

/// Each segment is so many times as long as the one before, up to the limit.
const GROWTH: u64 = 4;

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
        let _ = self.file.punch(self.capacity.min(64 << 10)..self.capacity);
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
    /// Held while a file is made.
    work: Mutex<Work>,
    ready: Mutex<Option<Prepared>>,
}

#[derive(Debug)]
struct Work {
    greatest: SegmentId,
    next_len: u64,
    /// The log was closed: nothing is made any more, because another writer may hold the lock.
    closed: bool,
    len_max: u64,
    zero_fill: bool,
    checksum: wal_format::ChecksumKind,
    /// Files are published whole.
    objects: bool,
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
        let first_len = if objects { options.segment_len } else { options.first_segment_len };
        let work = Work {
            greatest,
            next_len: first_len.min(options.segment_len),
            closed: false,
            len_max: options.segment_len,
            // Without syncs in the path, writing every byte twice costs more than it gains.
            zero_fill: pays && options.sync == crate::SyncPolicy::Always,
            checksum: options.checksum,
            objects,
        };
        Self { directory, clock, entropy, log_id, epoch, work: Mutex::new(work), ready: Mutex::new(None) }
    }

    /// The log these segments belong to.
    pub(crate) fn entropy(&self) -> &dyn Entropy {
        &*self.entropy
    }

    pub(crate) const fn log_id(&self) -> LogId {
        self.log_id
    }

    /// Makes sure that a segment of at least `len_min` bytes is ready.
    pub(crate) fn prepare(&self, len_min: u64) -> Result<(), PrepareError> {
        let mut work = self.work.lock();
        if self.ready.lock().as_ref().is_some_and(|ready| ready.capacity >= len_min) {
            return Ok(());
        }
        let _span = Span::rotate(&self.directory);
        let start = Start::now(&*self.clock);
        let prepared = self.make(&mut work, len_min, 0)?;
        let (segment, elapsed_us) = (prepared.header.segment, start.elapsed_ns(&*self.clock) / 1000);
        events::prepared(&self.directory, segment, prepared.capacity, elapsed_us);
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
        self.make(&mut self.work.lock(), len_min, 0)
    }

    /// The fence of this writer. What it publishes after it has ids that no writer before it can have used.
    pub(crate) fn fence(&self, len_min: u64) -> Result<Prepared, PrepareError> {
        let mut work = self.work.lock();
        let prepared = self.make(&mut work, len_min, SegmentHeader::FENCE)?;
        work.greatest = SegmentId(prepared.header.segment.0.saturating_add(FENCE_GAP - 1));
        Ok(prepared)
    }

    /// Waits for a preparation that is under way, makes none from now on, and gives back the space of what is ready.
    pub(crate) fn close(&self) {
        self.work.lock().closed = true;
        if let Some(prepared) = self.take(0) {
            prepared.release();
        }
    }

    fn make(&self, work: &mut Work, len_min: u64, ignorable_flags: u32) -> Result<Prepared, PrepareError> {
        if work.closed {
            return Err(PrepareError::Closed);
        }
        let segment = work.greatest.0.checked_add(1).map(SegmentId).ok_or(PrepareError::Exhausted)?;
        let header = SegmentHeader {
            checksum: work.checksum,
            ignorable_flags,
            log_id: self.log_id,
            segment,
            epoch: self.epoch,
            salt: self.entropy.next(),
            created: self.clock.now(),
        };
        let wanted = work.next_len.max(len_min).next_multiple_of(4096);
        let least = len_min.max(SEGMENT_LEN_MIN).next_multiple_of(4096);
        let (file, capacity) = match self.directory.prepare(&header, wanted, work.zero_fill) {
            // On a nearly full disk a short segment is better than none: it is enough to trim the log.
            Err(error) if error.is_full() && least < wanted => {
                (self.directory.prepare(&header, least, work.zero_fill), least)
            }
            made => (made, wanted),
        };
        let file = file.map_err(PrepareError::File)?;
        work.greatest = header.segment;
        if work.objects {
            return Ok(Prepared { header, capacity, file, directory: Arc::clone(&self.directory) });
        }
        work.next_len = work.next_len.saturating_mul(GROWTH).min(work.len_max);
        self.directory.sync_names().map_err(PrepareError::Names)?;
        Ok(Prepared { header, capacity, file, directory: Arc::clone(&self.directory) })
    }
}
