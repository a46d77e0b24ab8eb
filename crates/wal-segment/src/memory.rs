//! A log in memory: the storage contract in its shortest form.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::{Capabilities, Storage, StorageFile, WriterLock, name::check_plain};

/// Files in memory, gone with the last clone and the last handle. Clones share them.
///
/// It is the reference that other implementations are compared with, and for tests that need no disk. It has no
/// faults, and nothing in it is ever lost.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Content>>,
    locked: AtomicBool,
}

/// The bytes of a file, which outlive its name.
type Content = Arc<RwLock<Vec<u8>>>;

impl MemoryStorage {
    /// Creates an empty storage.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Storage for MemoryStorage {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::MEMORY
    }

    fn lock(&self) -> io::Result<WriterLock> {
        if self.shared.locked.swap(true, Ordering::AcqRel) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "memory is locked by another writer"));
        }
        Ok(WriterLock { epoch: None, guard: Box::new(Guard(Arc::clone(&self.shared))) })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.shared.files.lock().keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        check_plain(name)?;
        let mut files = self.shared.files.lock();
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = Content::default();
        files.insert(name.to_owned(), Arc::clone(&content));
        Ok(Arc::new(MemoryFile::new(name, content, true)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        check_plain(name)?;
        let content = self.shared.files.lock().get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemoryFile::new(name, content, false)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_plain(from)?;
        check_plain(to)?;
        let mut files = self.shared.files.lock();
        if files.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn ship(&self, name: &str, content: Bytes) -> io::Result<()> {
        crate::ship::ship(self, name, &content)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_plain(name)?;
        self.shared.files.lock().remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Holds the writer lock.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.locked.store(false, Ordering::Release);
    }
}

#[derive(Debug)]
struct MemoryFile {
    name: String,
    content: Content,
    writable: bool,
    frozen: AtomicU64,
}

impl MemoryFile {
    fn new(name: &str, content: Content, writable: bool) -> Self {
        Self { name: name.to_owned(), content, writable, frozen: AtomicU64::new(0) }
    }

    fn check_change(&self, offset: u64) -> io::Result<()> {
        let frozen = self.frozen.load(Ordering::Acquire);
        let (kind, why) = if !self.writable {
            (io::ErrorKind::PermissionDenied, "was opened for reading only".to_owned())
        } else if offset < frozen {
            (io::ErrorKind::InvalidInput, format!("byte {offset} is among the frozen bytes 0..{frozen}"))
        } else {
            return Ok(());
        };
        Err(io::Error::new(kind, format!("{}: {why}", self.name)))
    }
}

impl StorageFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content.read().len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let content = self.content.read();
        let rest = usize::try_from(offset).ok().and_then(|start| content.get(start..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn view(&self, range: Range<u64>) -> io::Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let content = self.content.read();
        let bytes = clip(&range, content.len()).filter(|clipped| clipped.end as u64 == range.end);
        Ok(Bytes::copy_from_slice(&content[bytes.ok_or(io::ErrorKind::UnexpectedEof)?]))
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_change(offset)?;
        if data.is_empty() {
            return Ok(());
        }
        let end = offset.checked_add(data.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        let mut content = self.content.write();
        grow(&mut content, end)?;
        if let Some(place) = clip(&(offset..end), content.len()) {
            content[place].copy_from_slice(data);
        }
        Ok(())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.check_change(u64::MAX)?;
        grow(&mut self.content.write(), len)
    }

    fn freeze(&self, end: u64) {
        self.frozen.fetch_max(end, Ordering::AcqRel);
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.check_change(range.start)?;
        let mut content = self.content.write();
        if let Some(hole) = clip(&range, content.len()) {
            content[hole].fill(0);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The part of `range` within the first `len` bytes, or `None` when it lies behind them.
fn clip(range: &Range<u64>, len: usize) -> Option<Range<usize>> {
    let end = usize::try_from(range.end).map_or(len, |end| end.min(len));
    let start = usize::try_from(range.start).ok()?;
    (start <= end).then_some(start..end)
}

/// Extends `content` with zeros to `len` bytes; a longer one stays as it is.
fn grow(content: &mut Vec<u8>, len: u64) -> io::Result<()> {
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::StorageFull)?;
    if len > content.len() {
        content.try_reserve(len - content.len()).map_err(|_| io::ErrorKind::StorageFull)?;
        content.resize(len, 0);
    }
    Ok(())
}
