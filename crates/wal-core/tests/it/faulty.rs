//! Storages that misbehave.

use std::{io, sync::Arc};

use wal_segment::{Capabilities, MemoryStorage, Storage, StorageFile, WriterLock};

/// Files that end with `refused` are listed, and cannot be opened.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) inner: Arc<MemoryStorage>,
    pub(crate) refused: String,
}

impl Storage for Unreadable {
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
        self.inner.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        if name == self.refused {
            return Err(io::Error::other("the medium failed"));
        }
        self.inner.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.inner.sync_names()
    }
}
