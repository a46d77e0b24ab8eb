//! A segment that is part of a log: how far it is written and durable, and where its entries are.

mod aim;
mod copy;
mod grow;
mod read;
mod reader;

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use snafu::ResultExt;
use wal_format::{
    FIRST_FRAME, FileName, IndexPoint, Lsn, SegmentHeader, SegmentId, SegmentIndex, SegmentKey,
};

pub use aim::{Aim, AimedEntry};
pub use read::LoadedFrame;
pub use reader::FrameReader;

use crate::{
    Directory, LazyFile, StorageFile,
    error::{IoSnafu, SegmentError, SyncFailedSnafu},
    points::Points,
};

/// One segment of a log, shared by its writer and all readers.
///
/// - `written` and `durable` are ends in bytes, always at a frame boundary, and only grow; `durable <= written`.
/// - Bytes before `durable` never change, so they are handed out without copying. Bytes between the two are copied:
///   after a failed sync they may be lost.
pub struct Segment {
    header: SegmentHeader,
    base: Lsn,
    path: String,
    file: Arc<dyn StorageFile>,
    directory: Arc<Directory>,
    written: AtomicU64,
    durable: AtomicU64,
    /// Before this there are only frames without entries, which may be passed over, as far as anybody has looked.
    passed: AtomicU64,
    /// Empty until somebody looks for an entry in a segment that was inherited.
    index: OnceLock<Box<Points>>,
    /// Another one, once that one has become useless in its file.
    index_anew: OnceLock<Box<Points>>,
    /// Held while either is made.
    loading: Mutex<()>,
    /// Whether a sync failed, or an early write. Held during every sync: of two syncs that overlap on one file the
    /// system may tell only one that the data is lost.
    sync_failed: Mutex<bool>,
}

impl Segment {
    /// A segment that this process has just prepared, empty but for its header.
    #[must_use]
    pub fn created(
        directory: Arc<Directory>,
        header: SegmentHeader,
        base: Lsn,
        path: String,
        file: Arc<dyn StorageFile>,
    ) -> Self {
        Self::new(
            directory,
            header,
            base,
            path,
            file,
            FIRST_FRAME,
            FIRST_FRAME,
            OnceLock::from(Box::default()),
        )
    }

    /// A segment that was there: valid up to `written`, proven up to `durable`.
    #[must_use]
    pub fn inherited(
        directory: Arc<Directory>,
        header: SegmentHeader,
        base: Lsn,
        path: String,
        file: Arc<dyn StorageFile>,
        written: u64,
        durable: u64,
    ) -> Self {
        file.freeze(durable.min(written));
        Self::new(directory, header, base, path, file, written, durable.min(written), OnceLock::new())
    }

    #[expect(clippy::too_many_arguments, reason = "a private constructor that only names the fields")]
    const fn new(
        directory: Arc<Directory>,
        header: SegmentHeader,
        base: Lsn,
        path: String,
        file: Arc<dyn StorageFile>,
        written: u64,
        durable: u64,
        index: OnceLock<Box<Points>>,
    ) -> Self {
        Self {
            header,
            base,
            path,
            file,
            directory,
            written: AtomicU64::new(written),
            durable: AtomicU64::new(durable),
            passed: AtomicU64::new(FIRST_FRAME),
            index,
            index_anew: OnceLock::new(),
            loading: Mutex::new(()),
            sync_failed: Mutex::new(false),
        }
    }

    /// The number of this segment.
    #[must_use]
    pub const fn id(&self) -> SegmentId {
        self.header.segment
    }

    /// The header.
    #[inline]
    #[must_use]
    pub const fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// What its frames are verified with.
    #[inline]
    #[must_use]
    pub const fn key(&self) -> SegmentKey {
        self.header.key()
    }

    /// The LSN that its frames count from.
    #[inline]
    #[must_use]
    pub const fn base(&self) -> Lsn {
        self.base
    }

    /// Its path, for messages.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// End of what is written, in bytes.
    #[inline]
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// End of what is durable, in bytes.
    #[inline]
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Length of the file in bytes, space ahead of use included.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`].
    pub fn file_len(&self) -> Result<u64, SegmentError> {
        self.file.len().with_context(|_| self.io("measure"))
    }

    /// Writes frames. They count as written only after [`mark_written`](Self::mark_written).
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`]; the same bytes may be written again at the same offset.
    pub fn write(&self, offset: u64, frames: &[u8]) -> Result<(), SegmentError> {
        self.file.write_at(offset, frames).with_context(|_| self.io("write to"))
    }

    /// Has the medium begin to write this part of what was [written](Self::write), and does not wait: nothing is
    /// durable before a sync, which has less to do then.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`]: as after a failed sync, what becomes of the part is not known, and no sync is tried again.
    pub fn write_back(&self, range: Range<u64>) -> Result<(), SegmentError> {
        let begun = self.file.write_back(range).map(drop);
        begun.inspect_err(|_| *self.sync_failed.lock() = true).with_context(|_| self.io("write back"))
    }

    /// Puts frames where [`write`](Self::write) would, without a system call, if that is possible. Otherwise `false`:
    /// write them.
    #[must_use]
    pub fn store(&self, offset: u64, frames: &[u8]) -> bool {
        self.file.store(offset, frames)
    }

    /// Has what is to be [stored](Self::store) before `end` find its place ready.
    pub fn warm(&self, end: u64) {
        self.file.warm(end);
    }

    /// Says that everything before `end` is written, `frames` last, and which of them the index should know.
    pub fn mark_written(&self, end: u64, frames: &[u8], points: &[IndexPoint]) {
        if !points.is_empty() {
            let offset = end.saturating_sub(frames.len() as u64);
            self.index.get_or_init(Box::default).extend(points, frames, offset);
        }
        self.written.fetch_max(end, Ordering::AcqRel);
    }

    /// Begins to make what was written durable, without waiting: [`StorageFile::begin_sync`].
    pub fn begin_sync(&self) {
        self.file.begin_sync();
    }

    /// Makes what was written before the call durable. It counts as durable only after
    /// [`mark_durable`](Self::mark_durable).
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`] when the sync fails, [`SegmentError::SyncFailed`] ever after, and after a
    /// [`write_back`](Self::write_back) that failed.
    pub fn sync(&self) -> Result<(), SegmentError> {
        let mut failed = self.sync_failed.lock();
        if *failed {
            return SyncFailedSnafu { path: self.path.clone() }.fail();
        }
        // One that does not return, because the storage panics, has failed.
        *failed = true;
        let synced = self.file.sync();
        *failed = synced.is_err();
        synced.with_context(|_| self.io("sync"))
    }

    /// Says that everything before `end` was covered by a sync that succeeded.
    pub fn mark_durable(&self, end: u64) {
        self.durable.fetch_max(end, Ordering::AcqRel);
        self.file.freeze(end);
    }

    /// Gives the space behind the data back to the file system, once nothing will be appended. A hint.
    pub fn release_tail(&self) {
        // Whole pages only: the last one may still be looked at.
        let start = self.written().next_multiple_of(64 << 10);
        if let Ok(len) = self.file.len()
            && start < len
        {
            let _ = self.file.punch(start..len);
        }
    }

    /// The same segment, whose file is opened anew when it is needed: by whoever has replaced it.
    #[must_use]
    pub fn reopened(&self) -> Self {
        let directory = Arc::clone(&self.directory);
        let file = Arc::new(LazyFile::new(Arc::clone(&directory), FileName::Segment(self.id())));
        let (path, written, durable) = (self.path.clone(), self.written(), self.durable());
        Self::inherited(directory, self.header, self.base, path, file, written, durable)
    }

    /// The same segment as far as its successor says that it goes: durable up to there, and nothing behind it.
    #[must_use]
    pub fn ended(&self, end: u64) -> Self {
        let (directory, file) = (Arc::clone(&self.directory), Arc::clone(&self.file));
        let ended = Self::inherited(directory, self.header, self.base, self.path.clone(), file, end, end);
        if let Some(index) = self.index.get() {
            let _ = ended.index.set(Box::new(index.until(end)));
        }
        ended
    }

    /// The sidecar that lets the next process find entries without scanning; `None` when nothing is indexed.
    #[must_use]
    pub fn sidecar(&self, last_frame: u64) -> Option<SegmentIndex> {
        Some(SegmentIndex {
            log_id: self.header.log_id,
            segment: self.header.segment,
            salt: self.header.salt,
            end: self.written(),
            base: self.base,
            last_frame,
            points: self.index.get()?.to_vec(),
        })
    }

    fn io(&self, operation: &'static str) -> IoSnafu<&'static str, String> {
        IoSnafu { operation, path: self.path.clone() }
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("path", &self.path)
            .field("base", &self.base)
            .field("written", &self.written())
            .field("durable", &self.durable())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{io, ops::Range, sync::atomic::AtomicU32};

    use bytes::Bytes;
    use wal_format::{ChecksumKind, LogId};

    use super::*;
    use crate::MemoryStorage;

    /// A file whose first sync fails, and whose next ones report success over what was lost, as those of an operating
    /// system do.
    #[derive(Debug, Default)]
    struct Forgetful(AtomicU32);

    impl StorageFile for Forgetful {
        fn len(&self) -> io::Result<u64> {
            Ok(0)
        }
        fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
        fn view(&self, _: Range<u64>) -> io::Result<Bytes> {
            Ok(Bytes::new())
        }
        fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
        fn reserve(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn freeze(&self, _: u64) {}
        fn punch(&self, _: Range<u64>) -> io::Result<()> {
            Ok(())
        }
        fn write_back(&self, _: Range<u64>) -> io::Result<bool> {
            Err(io::Error::other("lost"))
        }
        fn sync(&self) -> io::Result<()> {
            if self.0.fetch_add(1, Ordering::Relaxed) == 0 { Err(io::Error::other("lost")) } else { Ok(()) }
        }
    }

    fn forgetful() -> (Arc<Forgetful>, Segment) {
        let file = Arc::new(Forgetful::default());
        let directory = Arc::new(Directory::new(Arc::new(MemoryStorage::new()), ""));
        let header = SegmentHeader {
            checksum: ChecksumKind::Crc32,
            ignorable_flags: 0,
            log_id: LogId([1; 16]),
            segment: SegmentId(1),
            epoch: 1,
            salt: 1,
            created: 0,
        };
        let segment =
            Segment::created(directory, header, Lsn::FIRST, "1".to_owned(), Arc::<Forgetful>::clone(&file));
        (file, segment)
    }

    /// Of two threads that sync one file the second may have waited for the first, and must not hear that all is well.
    #[test]
    fn a_sync_that_failed_is_never_tried_again() {
        let (file, segment) = forgetful();
        assert!(matches!(segment.sync(), Err(SegmentError::Io { .. })));
        for _ in 0..2 {
            assert!(matches!(segment.sync(), Err(SegmentError::SyncFailed { .. })));
        }
        assert_eq!(file.0.load(Ordering::Relaxed), 1, "the file was asked once");
    }

    #[test]
    fn nothing_is_synced_after_an_early_write_that_failed() {
        let (file, segment) = forgetful();
        assert!(matches!(segment.write_back(0..1), Err(SegmentError::Io { .. })));
        assert!(matches!(segment.sync(), Err(SegmentError::SyncFailed { .. })));
        assert_eq!(file.0.load(Ordering::Relaxed), 0, "the file was not asked");
    }
}
