//! A directory that was not there when the log was opened: that of a file server, which may come back.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use wal_segment::{Capabilities, LocalOptions, LocalStorage, Storage, StorageFile, WriterLock};

/// Looks for the directory whenever something is wanted of it. Until it is there everything fails, and nothing is
/// called absent.
#[derive(Debug)]
pub(super) struct Away {
    dir: PathBuf,
    files: LocalOptions,
    there: OnceLock<LocalStorage>,
}

impl Away {
    pub(super) const fn new(dir: PathBuf, files: LocalOptions) -> Self {
        Self { dir, files, there: OnceLock::new() }
    }

    fn there(&self) -> io::Result<&LocalStorage> {
        if let Some(there) = self.there.get() {
            return Ok(there);
        }
        let opened = LocalStorage::open(&self.dir, self.files.clone());
        // That the directory is not found says nothing about a file in it.
        let opened = opened.map_err(|error| io::Error::other(format!("the directory is away: {error}")))?;
        Ok(self.there.get_or_init(|| opened))
    }
}

impl Storage for Away {
    fn location(&self) -> String {
        self.dir.display().to_string()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::FILE_SYSTEM
    }

    fn lock(&self) -> io::Result<WriterLock> {
        self.there()?.lock()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.there()?.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.there()?.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.there()?.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.there()?.rename(from, to)
    }

    fn link(&self, from: &dyn Storage, name: &str) -> io::Result<()> {
        self.there()?.link(from, name)
    }

    fn local_path(&self, name: &str) -> Option<PathBuf> {
        self.there().ok()?.local_path(name)
    }

    fn ship(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.there()?.ship(name, content)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.there()?.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.there()?.sync_names()
    }
}
