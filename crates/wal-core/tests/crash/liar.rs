//! A storage that lies: between the log and the disk, it does less than it says.

use std::{
    io,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use wal_segment::{Capabilities, Storage, StorageFile, WriterLock};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// The sync of a file does nothing, but for the first, which covers what preparation wrote.
    SkipsSync,
    /// The sync of names does nothing, but for the first.
    SkipsNames,
    /// A sync of a file that fails is tried again, and then said to have gone well.
    SwallowsErrors,
    /// The sync of a file covers only the first half of the last write, which is completed afterwards.
    KeepsBodies,
    /// Reads show zeros behind the first page, as if what was written there had not arrived.
    ReadsStale,
    /// A read error is the end of the file.
    EndsAtErrors,
}

#[derive(Debug)]
pub(crate) struct Liar {
    inner: Arc<dyn Storage>,
    lie: Lie,
    synced: AtomicBool,
}

impl Liar {
    pub(crate) fn wrap(inner: Arc<dyn Storage>, lie: Lie) -> Arc<dyn Storage> {
        Arc::new(Self { inner, lie, synced: AtomicBool::new(false) })
    }

    fn file(&self, inner: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        Arc::new(LiarFile { inner, lie: self.lie, synced: AtomicBool::new(false), last: Mutex::new(None) })
    }
}

impl Storage for Liar {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn lock(&self) -> io::Result<WriterLock> {
        self.inner.lock()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.inner.create(name).map(|file| self.file(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.inner.open(name).map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        let again = self.synced.swap(true, Ordering::Relaxed);
        if again && self.lie == Lie::SkipsNames { Ok(()) } else { self.inner.sync_names() }
    }
}

#[derive(Debug)]
struct LiarFile {
    inner: Arc<dyn StorageFile>,
    lie: Lie,
    synced: AtomicBool,
    /// The last write.
    last: Mutex<Option<(u64, Vec<u8>)>>,
}

impl LiarFile {
    /// Writes the rest of a write that was kept back.
    fn catch_up(&self) -> io::Result<()> {
        match self.last.lock().unwrap().take() {
            Some((offset, bytes)) if self.lie == Lie::KeepsBodies => self.inner.write_at(offset, &bytes),
            _ => Ok(()),
        }
    }
}

impl StorageFile for LiarFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = match self.inner.read_at(offset, buf) {
            Err(error) if self.lie == Lie::EndsAtErrors && error.kind() != io::ErrorKind::BrokenPipe => {
                return Ok(0);
            }
            read => read?,
        };
        if self.lie == Lie::ReadsStale {
            // The second page and all after it are older than they should be.
            let fresh = 4096_u64.saturating_sub(offset).min(read as u64) as usize;
            buf[fresh..read].fill(0);
        }
        Ok(read)
    }

    fn view(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.inner.view(range)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.lie != Lie::KeepsBodies {
            return self.inner.write_at(offset, data);
        }
        self.catch_up()?;
        if !self.synced.load(Ordering::Relaxed) {
            return self.inner.write_at(offset, data);
        }
        // The half that is written now is synced; the other half comes with the next write.
        let (now, later) = data.split_at(data.len() / 2);
        *self.last.lock().unwrap() = Some((offset + now.len() as u64, later.to_vec()));
        self.inner.write_at(offset, now)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.inner.reserve(len)
    }

    fn freeze(&self, end: u64) {
        self.inner.freeze(end.min(64));
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.inner.punch(range)
    }

    fn sync(&self) -> io::Result<()> {
        let again = self.synced.swap(true, Ordering::Relaxed);
        match self.lie {
            Lie::SkipsSync if again => Ok(()),
            Lie::SwallowsErrors => self.inner.sync().or_else(|_| self.inner.sync()),
            Lie::KeepsBodies => {
                self.inner.sync()?;
                self.catch_up()
            }
            _ => self.inner.sync(),
        }
    }
}
