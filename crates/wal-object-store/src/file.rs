//! One file: a buffer until it is published, an object afterwards.

use std::{
    fmt, io, mem,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use object_store::path::Path;
use parking_lot::{Mutex, RwLock};
use wal_segment::{StorageFile, TakenOver};

use crate::{
    io_thread::Pending,
    publish::publish,
    remote::{Remote, blocks_of},
    storage::Inner,
};

/// A file of an [`ObjectStorage`](crate::ObjectStorage).
pub(crate) struct ObjectFile {
    inner: Arc<Inner>,
    path: Path,
    name: Mutex<String>,
    content: RwLock<Content>,
    frozen: AtomicU64,
    upload: Mutex<Upload>,
}

enum Content {
    /// Nobody else sees it yet.
    Buffer(Vec<u8>),
    /// On its way.
    Sent(Bytes),
    /// There for everybody.
    Object(Arc<Remote>),
}

enum Upload {
    None,
    Running(Pending<io::Result<Option<String>>>),
    Done,
    /// Nothing that is said later can make it durable.
    Failed(io::ErrorKind, String, Option<TakenOver>),
}

impl ObjectFile {
    /// A new one, empty.
    pub(crate) fn created(inner: Arc<Inner>, name: &str, path: Path) -> Self {
        let (name, content) = (Mutex::new(name.to_owned()), RwLock::new(Content::Buffer(Vec::new())));
        Self { inner, path, name, content, frozen: AtomicU64::new(0), upload: Mutex::new(Upload::None) }
    }

    /// One that is there.
    pub(crate) fn opened(inner: Arc<Inner>, name: &str, remote: Arc<Remote>) -> Self {
        let path = remote.path.clone();
        let (name, content) = (Mutex::new(name.to_owned()), RwLock::new(Content::Object(remote)));
        Self { inner, path, name, content, frozen: AtomicU64::new(0), upload: Mutex::new(Upload::Done) }
    }

    /// Gives a buffer another name; `false` when it is more than that already.
    pub(crate) fn renamed(&self, name: &str) -> bool {
        let unsent = matches!(*self.content.read(), Content::Buffer(_));
        if unsent {
            name.clone_into(&mut self.name.lock());
        }
        unsent
    }

    /// The length that `end` asks for, if the buffer may be changed from `offset` on.
    fn check_change(&self, content: &Content, offset: u64) -> io::Result<()> {
        let frozen = self.frozen.load(Ordering::Acquire);
        let (kind, why) = match content {
            Content::Buffer(_) if offset >= frozen => return Ok(()),
            Content::Buffer(_) => (io::ErrorKind::InvalidInput, "bytes that are frozen are not written"),
            Content::Sent(_) => (io::ErrorKind::ReadOnlyFilesystem, "it is being published"),
            Content::Object(_) => {
                (io::ErrorKind::ReadOnlyFilesystem, "an object is published whole and never changed")
            }
        };
        Err(io::Error::new(kind, format!("{}: {why}", self.path)))
    }

    fn start(&self) -> Upload {
        let content = {
            let mut content = self.content.write();
            let Content::Buffer(buffer) = &mut *content else { return Upload::Done };
            let bytes = Bytes::from(mem::take(buffer));
            *content = Content::Sent(bytes.clone());
            bytes
        };
        let name = self.name.lock().clone();
        let (shared, path) = (Arc::clone(&self.inner.shared), self.inner.path(&name));
        Upload::Running(self.inner.io.start(async move { publish(&shared, &name, &path, &content).await }))
    }

    fn finish(&self, outcome: io::Result<Option<String>>) -> Upload {
        let e_tag = match outcome {
            Ok(e_tag) => e_tag,
            Err(error) => {
                self.inner.refused(&self.name.lock());
                let taken = error.get_ref().and_then(|inner| inner.downcast_ref::<TakenOver>()).cloned();
                return Upload::Failed(error.kind(), error.to_string(), taken);
            }
        };
        let name = self.name.lock().clone();
        let (remote, bytes) = {
            let mut content = self.content.write();
            let Content::Sent(bytes) = &*content else { return Upload::Done };
            let bytes = bytes.clone();
            let remote =
                Arc::new(self.inner.shared.remote(self.inner.path(&name), bytes.len() as u64, e_tag));
            self.inner.shared.cache.lock().put(remote.serial, 0, &bytes);
            *content = Content::Object(Arc::clone(&remote));
            (remote, bytes)
        };
        self.inner.published(&name, Arc::clone(&remote));
        // This may write a page. Nobody who reads waits for it.
        self.inner.head_published(&name, &remote, &bytes);
        Upload::Done
    }

    fn read(&self, remote: &Arc<Remote>, range: Range<u64>) -> io::Result<Bytes> {
        let Inner { shared, io, .. } = &*self.inner;
        let behind = || {
            let name = self.name.lock().clone();
            self.inner.behind(&name)
        };
        if let Some(cached) = shared.cached(remote, &range) {
            shared.read_ahead(io, remote, &range, true, behind);
            return cached;
        }
        let is_coming = shared.is_coming((remote.serial, blocks_of(&range).1));
        let request = {
            let (shared, remote, range) = (Arc::clone(shared), Arc::clone(remote), range.clone());
            io.start(async move { shared.blocks(&remote, range).await })
        };
        shared.read_ahead(io, remote, &range, is_coming, behind);
        request.wait()?
    }
}

impl StorageFile for ObjectFile {
    fn len(&self) -> io::Result<u64> {
        Ok(match &*self.content.read() {
            Content::Buffer(buffer) => buffer.len() as u64,
            Content::Sent(bytes) => bytes.len() as u64,
            Content::Object(remote) => remote.size,
        })
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let content = self.content.read();
        let rest = |bytes: &[u8], buf: &mut [u8]| {
            let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
            let n = rest.len().min(buf.len());
            buf[..n].copy_from_slice(&rest[..n]);
            n
        };
        let remote = match &*content {
            Content::Buffer(buffer) => return Ok(rest(buffer, buf)),
            Content::Sent(bytes) => return Ok(rest(bytes, buf)),
            Content::Object(remote) => Arc::clone(remote),
        };
        drop(content);
        let n = remote.size.saturating_sub(offset).min(buf.len() as u64);
        if n > 0 {
            buf[..n as usize].copy_from_slice(&self.read(&remote, offset..offset + n)?);
        }
        Ok(n as usize)
    }

    fn view(&self, range: Range<u64>) -> io::Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if range.end > self.len()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let content = self.content.read();
        let within = range.start as usize..range.end as usize;
        let remote = match &*content {
            Content::Buffer(buffer) => return Ok(Bytes::copy_from_slice(&buffer[within])),
            Content::Sent(bytes) => return Ok(bytes.slice(within)),
            Content::Object(remote) => Arc::clone(remote),
        };
        drop(content);
        self.read(&remote, range)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut content = self.content.write();
        self.check_change(&content, offset)?;
        let Content::Buffer(buffer) = &mut *content else { return Ok(()) };
        let end = offset.checked_add(data.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        if end > self.inner.shared.options.object_len_max {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the object would be too long"));
        }
        if data.is_empty() {
            return Ok(());
        }
        let (at, end) = (offset as usize, end as usize);
        if end > buffer.len() {
            buffer.try_reserve(end - buffer.len()).map_err(|_| io::ErrorKind::StorageFull)?;
            buffer.resize(end, 0);
        }
        buffer[at..end].copy_from_slice(data);
        Ok(())
    }

    /// Does nothing: a buffer grows as it is written.
    fn reserve(&self, _: u64) -> io::Result<()> {
        self.check_change(&self.content.read(), u64::MAX)
    }

    fn freeze(&self, end: u64) {
        self.frozen.fetch_max(end, Ordering::AcqRel);
    }

    /// Does nothing more than to refuse what must be refused.
    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.check_change(&self.content.read(), range.start)
    }

    fn begin_sync(&self) {
        let mut upload = self.upload.lock();
        if matches!(*upload, Upload::None) {
            *upload = self.start();
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut upload = self.upload.lock();
        if matches!(*upload, Upload::None) {
            *upload = self.start();
        }
        if let Upload::Running(_) = &*upload
            && let Upload::Running(pending) = mem::replace(&mut *upload, Upload::Done)
        {
            let outcome = pending.wait().and_then(|outcome| outcome);
            *upload = self.finish(outcome);
        }
        match &*upload {
            Upload::Failed(_, _, Some(taken)) => Err(io::Error::other(taken.clone())),
            Upload::Failed(kind, why, None) => Err(io::Error::new(*kind, why.clone())),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for ObjectFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectFile").field("name", &*self.name.lock()).finish_non_exhaustive()
    }
}

impl Drop for ObjectFile {
    fn drop(&mut self) {
        if matches!(*self.content.get_mut(), Content::Buffer(_)) {
            self.inner.abandoned(&self.name.lock());
        }
    }
}
