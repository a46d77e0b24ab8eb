//! A storage that lets a test step in before its operations: to fail them, to hold them up, or to do something else
//! meanwhile.

use std::{
    fmt, io,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use wal_segment::{Capabilities, Storage, StorageFile, WriterLock};

type Hook = dyn Fn(&str, &str) -> io::Result<()> + Send + Sync;

/// Calls a hook with the operation and the file name before each change, before a file is opened, read or asked where
/// its data is, and when it is closed.
#[derive(Clone)]
pub(crate) struct Hooked {
    inner: Arc<dyn Storage>,
    hook: Arc<Mutex<Option<Arc<Hook>>>>,
    read: Arc<AtomicU64>,
}

impl Hooked {
    pub(crate) fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, hook: Arc::default(), read: Arc::default() }
    }

    /// How many bytes were read of files, or asked for.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self, hook: impl Fn(&str, &str) -> io::Result<()> + Send + Sync + 'static) {
        *self.hook.lock().unwrap() = Some(Arc::new(hook));
    }

    /// From now on operations of this name fail.
    pub(crate) fn fail(&self, operation: &'static str) {
        self.set(move |called, _| if called == operation { Err(io::Error::other("bad")) } else { Ok(()) });
    }

    /// From now on this file is listed, and cannot be opened.
    pub(crate) fn refuse(&self, name: &str) {
        let refused = name.to_owned();
        self.set(move |called, name| {
            let fails = called == "open" && name == refused;
            if fails { Err(io::Error::other("the medium failed")) } else { Ok(()) }
        });
    }

    fn call(&self, operation: &str, name: &str) -> io::Result<()> {
        let hook = self.hook.lock().unwrap().clone();
        hook.map_or(Ok(()), |hook| hook(operation, name))
    }

    fn file(&self, name: &str, inner: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        Arc::new(HookedFile { storage: self.clone(), name: name.to_owned(), inner })
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hooked").field(&self.inner).finish()
    }
}

impl Storage for Hooked {
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
        self.call("create", name)?;
        Ok(self.file(name, self.inner.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.call("open", name)?;
        Ok(self.file(name, self.inner.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call("rename", to)?;
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call("remove", name)?;
        self.inner.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.call("sync_names", "")?;
        self.inner.sync_names()
    }
}

#[derive(Debug)]
struct HookedFile {
    storage: Hooked,
    name: String,
    inner: Arc<dyn StorageFile>,
}

impl Drop for HookedFile {
    fn drop(&mut self) {
        let _ = self.storage.call("close", &self.name);
    }
}

impl StorageFile for HookedFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.storage.call("read", &self.name)?;
        self.storage.read.fetch_add(buf.len() as u64, Ordering::SeqCst);
        self.inner.read_at(offset, buf)
    }

    fn space(&self) -> io::Result<u64> {
        self.inner.space()
    }

    fn next_data(&self, offset: u64) -> io::Result<Range<u64>> {
        self.storage.call("next_data", &self.name)?;
        self.inner.next_data(offset)
    }

    fn view(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.storage.call("read", &self.name)?;
        self.storage.read.fetch_add(range.end.saturating_sub(range.start), Ordering::SeqCst);
        self.inner.view(range)
    }

    fn prefix(&self, end: u64) -> Option<&[u8]> {
        self.inner.prefix(end)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.storage.call("write", &self.name)?;
        self.inner.write_at(offset, data)
    }

    fn store(&self, offset: u64, data: &[u8]) -> bool {
        self.storage.call("store", &self.name).is_ok() && self.inner.store(offset, data)
    }

    fn warm(&self, end: u64) {
        if self.storage.call("warm", &self.name).is_ok() {
            self.inner.warm(end);
        }
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.storage.call("reserve", &self.name)?;
        self.inner.reserve(len)
    }

    fn freeze(&self, end: u64) {
        self.inner.freeze(end);
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.inner.punch(range)
    }

    fn write_back(&self, range: Range<u64>) -> io::Result<bool> {
        self.storage.call("write_back", &self.name)?;
        self.inner.write_back(range)
    }

    fn sync(&self) -> io::Result<()> {
        self.storage.call("sync", &self.name)?;
        self.inner.sync()
    }
}
