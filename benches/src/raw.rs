//! The floor: what the system calls alone cost.

use std::{
    fs::{File, OpenOptions},
    ops::Deref,
    os::unix::fs::FileExt,
    path::Path,
};

use bytes::Bytes;
use wal_segment::{LocalOptions, LocalStorage, Storage};

/// A zero-filled file that is written front to back.
#[derive(Debug)]
pub struct RawFile {
    file: File,
    offset: u64,
    len: u64,
}

impl RawFile {
    /// Creates a file of `len` zero bytes, written in pieces of 64 KiB and synced.
    #[must_use]
    pub fn zero_filled(path: &Path, len: u64) -> Self {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).unwrap();
        let zeros = vec![0; 64 << 10];
        for offset in (0..len).step_by(zeros.len()) {
            file.write_all_at(&zeros, offset).unwrap();
        }
        file.sync_all().unwrap();
        Self { file, offset: 0, len }
    }

    /// One `pwrite`.
    pub fn write(&mut self, bytes: &[u8]) {
        if self.offset + bytes.len() as u64 > self.len {
            self.offset = 0;
        }
        self.file.write_all_at(bytes, self.offset).unwrap();
        self.offset += bytes.len() as u64;
    }

    /// One `pwrite` and one `fdatasync`.
    pub fn write_durably(&mut self, bytes: &[u8]) {
        self.write(bytes);
        self.file.sync_data().unwrap();
    }
}

/// A file that lies in memory as a log's segments do: mapped.
#[derive(Debug)]
pub struct MappedFile(Bytes);

impl MappedFile {
    /// Maps a file that nobody writes to any more.
    #[must_use]
    pub fn open(dir: &Path, name: &str) -> Self {
        let file = LocalStorage::create(dir, LocalOptions::default()).unwrap().open(name).unwrap();
        Self(file.view(0..file.len().unwrap()).unwrap())
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
