//! A file that is opened when it is first read: a log of thousands of segments holds no descriptor for those nobody
//! looks at.

use std::{
    io,
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use wal_format::FileName;

use crate::{Directory, StorageFile};

/// Reads a file of a [`Directory`] without holding it open before it is needed.
#[derive(Debug)]
pub struct LazyFile {
    directory: Arc<Directory>,
    name: FileName,
    frozen: AtomicU64,
    file: OnceLock<Arc<dyn StorageFile>>,
}

impl LazyFile {
    /// The file of this name.
    #[must_use]
    pub const fn new(directory: Arc<Directory>, name: FileName) -> Self {
        Self { directory, name, frozen: AtomicU64::new(0), file: OnceLock::new() }
    }

    fn file(&self) -> io::Result<&dyn StorageFile> {
        if let Some(file) = self.file.get() {
            return Ok(&**file);
        }
        let opened = self.directory.open_file(self.name)?;
        // Two threads may open it at once; one of the two handles stays.
        let file = self.file.get_or_init(|| opened);
        file.freeze(self.frozen.load(Ordering::Acquire));
        Ok(&**file)
    }

    fn read_only<T>() -> io::Result<T> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

impl StorageFile for LazyFile {
    fn len(&self) -> io::Result<u64> {
        self.file()?.len()
    }

    fn space(&self) -> io::Result<u64> {
        self.file()?.space()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file()?.read_at(offset, buf)
    }

    fn next_data(&self, offset: u64) -> io::Result<Range<u64>> {
        self.file()?.next_data(offset)
    }

    fn view(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.file()?.view(range)
    }

    fn prefix(&self, end: u64) -> Option<&[u8]> {
        self.file.get()?.prefix(end)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Self::read_only()
    }

    fn reserve(&self, _: u64) -> io::Result<()> {
        Self::read_only()
    }

    fn freeze(&self, end: u64) {
        self.frozen.fetch_max(end, Ordering::AcqRel);
        if let Some(file) = self.file.get() {
            file.freeze(end);
        }
    }

    fn punch(&self, _: Range<u64>) -> io::Result<()> {
        Self::read_only()
    }

    fn sync(&self) -> io::Result<()> {
        Self::read_only()
    }
}
