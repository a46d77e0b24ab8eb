//! A storage with one defect.

use std::{
    io::{self, ErrorKind},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use wal_segment::{Capabilities, Storage, StorageFile, WriterLock};

use Defect as D;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    None,
    CreateTakesAnyName,
    CreateReplaces,
    CreatePublishesNothing,
    OpenCreates,
    OpenWrites,
    OpenCopies,
    RemoveOfNothingSucceeds,
    RemoveDoesNothing,
    RemoveClosesHandles,
    RenameReplaces,
    RenameCopies,
    RenameEmpties,
    RenameClosesHandles,
    ListForgets,
    ListRepeats,
    ListShowsTheLock,
    LockExcludesNobody,
    LockIsNeverFreed,
    WriteAppends,
    WriteIsShort,
    GapHoldsGarbage,
    StoreIsShort,
    StoreLies,
    StoreIgnoresFreeze,
    ReadIsShort,
    ReadFailsAtTheEnd,
    ReadOverrunsTheBuffer,
    DataIsAHole,
    DataStartsLate,
    ViewIsClipped,
    ViewIsShifted,
    ViewsAreMapped,
    FreezeDoesNothing,
    FreezeMovesBack,
    FreezeClosesTheFile,
    ReserveOvershoots,
    ReserveHoldsGarbage,
    PunchExtends,
    PunchRoundsUp,
    PunchStopsHalfWay,
    PunchIgnoresFreeze,
    SyncForgets,
    SyncEndsTheFile,
}

/// Every defect that the suite can see, and words of the promise that it breaks.
pub(super) const DEFECTS: &[(Defect, &str)] = &[
    (D::CreateTakesAnyName, "is no name"),
    (D::CreateReplaces, "create is exclusive"),
    (D::CreatePublishesNothing, "create is exclusive"),
    (D::OpenCreates, "open of a missing name is NotFound"),
    (D::OpenWrites, "write_at refuses a file opened for reading"),
    (D::OpenCopies, "an open handle follows a renamed file"),
    (D::RemoveOfNothingSucceeds, "remove of a missing name is NotFound"),
    (D::RemoveDoesNothing, "a removed name is gone"),
    (D::RemoveClosesHandles, "len tells the length"),
    (D::RenameReplaces, "rename replaces nothing"),
    (D::RenameCopies, "a renamed file is gone under its old name"),
    (D::RenameEmpties, "rename keeps the content"),
    (D::RenameClosesHandles, "a handle can be synced after a rename"),
    (D::ListForgets, "list names every file"),
    (D::ListRepeats, "list names every file"),
    (D::ListShowsTheLock, "what a lock leaves behind is not listed"),
    (D::LockExcludesNobody, "a second writer is refused"),
    (D::LockIsNeverFreed, "dropping the lock gives the right up"),
    (D::WriteAppends, "write_at changes its range"),
    (D::WriteIsShort, "read_at fills the buffer"),
    (D::StoreIsShort, "store changes its range and nothing else"),
    (D::StoreLies, "store refuses a file opened for reading"),
    (D::StoreIgnoresFreeze, "store refuses frozen bytes"),
    (D::GapHoldsGarbage, "bytes never written read as zeros"),
    (D::ReadIsShort, "read_at is short only at the end"),
    (D::ReadFailsAtTheEnd, "read_at reads across"),
    (D::ReadOverrunsTheBuffer, "leaves the rest of the buffer alone"),
    (D::DataIsAHole, "next_data passes over zeros only"),
    (D::DataStartsLate, "next_data looks from"),
    (D::ViewIsClipped, "UnexpectedEof"),
    (D::ViewIsShifted, "equals what read_at reads"),
    (D::FreezeDoesNothing, "write_at refuses frozen bytes"),
    (D::FreezeMovesBack, "write_at refuses frozen bytes"),
    (D::FreezeClosesTheFile, "write_at writes behind the frozen bytes"),
    (D::ReserveOvershoots, "reserve grows the file to what was asked for"),
    (D::ReserveHoldsGarbage, "reserved bytes read as zeros"),
    (D::PunchExtends, "punch keeps the length"),
    (D::PunchRoundsUp, "punch keeps what lies outside its range"),
    (D::PunchStopsHalfWay, "punched bytes read as zeros"),
    (D::PunchIgnoresFreeze, "punch refuses frozen bytes"),
    (D::SyncEndsTheFile, "a handle can be written through after a rename"),
];

#[derive(Debug)]
pub(super) struct Planted {
    inner: Arc<dyn Storage>,
    defect: Defect,
    /// What was created here, by its first name.
    created: Mutex<Vec<(String, Arc<dyn StorageFile>)>>,
    was_locked: AtomicU64,
}

impl Planted {
    pub(super) fn new(inner: Arc<dyn Storage>, defect: Defect) -> Self {
        Self { inner, defect, created: Mutex::default(), was_locked: AtomicU64::new(0) }
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn wrap(&self, name: &str, inner: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        Arc::new(PlantedFile {
            storage: Arc::clone(&self.inner),
            name: name.to_owned(),
            inner,
            mapped: self.inner.open(name).ok().filter(|_| self.is(D::ViewsAreMapped)),
            defect: self.defect,
            frozen: AtomicU64::new(0),
            synced: AtomicU64::new(0),
        })
    }
}

impl Storage for Planted {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn lock(&self) -> io::Result<WriterLock> {
        self.was_locked.store(1, Ordering::Release);
        if self.is(D::LockExcludesNobody) {
            return Ok(WriterLock { epoch: None, guard: Box::new(()) });
        }
        let lock = self.inner.lock()?;
        if self.is(D::LockIsNeverFreed) {
            std::mem::forget(lock);
            return Ok(WriterLock { epoch: None, guard: Box::new(()) });
        }
        Ok(lock)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = self.inner.list()?;
        match self.defect {
            D::ListForgets => _ = names.pop(),
            D::ListRepeats => names.extend(names.first().cloned()),
            D::ListShowsTheLock if self.was_locked.load(Ordering::Acquire) == 1 => names.push("LOCK".into()),
            _ => {}
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let file = match self.inner.create(name) {
            Err(error) if error.kind() == ErrorKind::InvalidInput && self.is(D::CreateTakesAnyName) => {
                self.inner.create("plain")
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists && self.is(D::CreateReplaces) => {
                self.inner.remove(name)?;
                self.inner.create(name)
            }
            created => created,
        }?;
        if self.is(D::CreatePublishesNothing) {
            self.inner.remove(name)?;
        }
        self.created.lock().push((name.to_owned(), Arc::clone(&file)));
        Ok(self.wrap(name, file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let file = match self.inner.open(name) {
            Err(error) if error.kind() == ErrorKind::NotFound && self.is(D::OpenCreates) => {
                self.inner.create(name)
            }
            opened => opened,
        }?;
        let created = self.created.lock();
        let first = created.iter().rev().find(|(first, _)| first == name);
        if let Some((_, writable)) = first.filter(|_| self.is(D::OpenWrites)) {
            return Ok(Arc::clone(writable));
        }
        if self.is(D::OpenCopies) {
            // What a copy in memory would be: the content of now, under a handle of its own.
            let content = file.view(0..file.len()?)?;
            let disk = wal_sim::SimDisk::new(0);
            disk.put(name, content);
            return Ok(self.wrap(name, disk.storage().open(name)?));
        }
        Ok(self.wrap(name, file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let content = self.inner.open(from).and_then(|file| file.view(0..file.len()?));
        match (self.inner.rename(from, to), self.defect) {
            (Err(error), D::RenameReplaces) if error.kind() == ErrorKind::AlreadyExists => {
                self.inner.remove(to)?;
                self.inner.rename(from, to)
            }
            (Ok(()), D::RenameCopies) => self.inner.create(from)?.write_at(0, &content?),
            (Ok(()), D::RenameEmpties) => {
                self.inner.remove(to)?;
                self.inner.create(to).map(drop)
            }
            (result, _) => result,
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match (self.defect, self.inner.open(name)) {
            (D::RemoveDoesNothing, Ok(_)) => Ok(()),
            (D::RemoveOfNothingSucceeds, Err(error)) if error.kind() == ErrorKind::NotFound => Ok(()),
            _ => self.inner.remove(name),
        }
    }

    fn sync_names(&self) -> io::Result<()> {
        self.inner.sync_names()
    }
}

#[derive(Debug)]
struct PlantedFile {
    storage: Arc<dyn Storage>,
    name: String,
    inner: Arc<dyn StorageFile>,
    /// The same file under a handle that trusts nobody to write.
    mapped: Option<Arc<dyn StorageFile>>,
    defect: Defect,
    frozen: AtomicU64,
    synced: AtomicU64,
}

impl PlantedFile {
    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    /// The handle goes with the name, where that is the defect.
    fn check_open(&self) -> io::Result<()> {
        if matches!(self.defect, D::RemoveClosesHandles | D::RenameClosesHandles) {
            self.storage.open(&self.name)?;
        }
        Ok(())
    }

    fn check_frozen(&self, offset: u64) -> io::Result<()> {
        let frozen = self.frozen.load(Ordering::Acquire);
        let refuses = match self.defect {
            D::FreezeMovesBack => offset < frozen,
            D::FreezeClosesTheFile => frozen > 0,
            _ => false,
        };
        if refuses { Err(ErrorKind::InvalidInput.into()) } else { Ok(()) }
    }
}

impl StorageFile for PlantedFile {
    fn len(&self) -> io::Result<u64> {
        if self.is(D::RemoveClosesHandles) {
            self.check_open()?;
        }
        self.inner.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let asked = buf.len();
        match self.defect {
            D::ReadIsShort => self.inner.read_at(offset, &mut buf[..asked.min(65_536)]),
            D::ReadFailsAtTheEnd if offset >= self.inner.len()? && asked > 0 => {
                Err(ErrorKind::UnexpectedEof.into())
            }
            D::ReadOverrunsTheBuffer => {
                let n = self.inner.read_at(offset, buf)?;
                buf[n..].fill(0);
                Ok(n)
            }
            _ => self.inner.read_at(offset, buf),
        }
    }

    fn next_data(&self, offset: u64) -> io::Result<Range<u64>> {
        match self.defect {
            // What was not synced is not seen.
            D::DataIsAHole if self.synced.load(Ordering::Acquire) == 0 => {
                let end = offset.max(self.inner.len()?);
                Ok(end..end)
            }
            D::DataStartsLate => {
                let data = self.inner.next_data(offset)?;
                Ok(data.start.saturating_add(1)..data.end)
            }
            _ => self.inner.next_data(offset),
        }
    }

    fn view(&self, range: Range<u64>) -> io::Result<Bytes> {
        let len = self.inner.len()?;
        match self.defect {
            D::ViewIsClipped => self.inner.view(range.start.min(len)..range.end.min(len)),
            D::ViewIsShifted if range.start >= 4_096 && range.end < len => {
                self.inner.view(range.start + 1..range.end + 1)
            }
            D::ViewsAreMapped => self.mapped.as_ref().unwrap_or(&self.inner).view(range),
            _ => self.inner.view(range),
        }
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_frozen(offset)?;
        let len = self.inner.len()?;
        match self.defect {
            D::WriteAppends => self.inner.write_at(len, data),
            D::WriteIsShort => self.inner.write_at(offset, &data[..data.len().min(65_536)]),
            D::GapHoldsGarbage if offset > len => {
                self.inner.write_at(len, &vec![0xff; (offset - len) as usize])?;
                self.inner.write_at(offset, data)
            }
            D::SyncEndsTheFile if self.synced.load(Ordering::Acquire) == 1 => {
                Err(ErrorKind::Unsupported.into())
            }
            _ => self.inner.write_at(offset, data),
        }
    }

    fn store(&self, offset: u64, data: &[u8]) -> bool {
        let is_writable = self.inner.reserve(0).is_ok();
        match self.defect {
            D::StoreIsShort if is_writable => {
                self.inner.write_at(offset, &data[..data.len().min(65_536)]).is_ok()
            }
            D::StoreIgnoresFreeze if is_writable => self.inner.write_at(offset, data).is_ok() || offset < 4,
            D::StoreLies => true,
            _ => self.inner.store(offset, data),
        }
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let before = self.inner.len()?;
        match self.defect {
            D::ReserveOvershoots => self.inner.reserve(len.next_multiple_of(4_096)),
            D::ReserveHoldsGarbage if len > before => {
                self.inner.write_at(before, &vec![0xff; (len - before) as usize])
            }
            _ => self.inner.reserve(len),
        }
    }

    fn freeze(&self, end: u64) {
        match self.defect {
            D::FreezeDoesNothing => {}
            D::FreezeMovesBack | D::FreezeClosesTheFile => self.frozen.store(end, Ordering::Release),
            _ => self.inner.freeze(end),
        }
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.check_frozen(range.start)?;
        match self.defect {
            D::PunchExtends if range.end > self.inner.len()? => {
                self.inner.reserve(range.end)?;
                self.inner.punch(range)
            }
            D::PunchRoundsUp => self.inner.punch(range.start..range.end.next_multiple_of(4_096)),
            D::PunchStopsHalfWay => self.inner.punch(range.start..range.start.midpoint(range.end)),
            D::PunchIgnoresFreeze => match self.inner.punch(range) {
                Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
                result => result,
            },
            _ => self.inner.punch(range),
        }
    }

    fn sync(&self) -> io::Result<()> {
        if self.is(D::RenameClosesHandles) {
            self.check_open()?;
        }
        self.synced.store(1, Ordering::Release);
        if self.is(D::SyncForgets) { Ok(()) } else { self.inner.sync() }
    }
}
