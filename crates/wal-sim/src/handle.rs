//! An open file.

use std::{
    fmt, io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use wal_segment::StorageFile;

use crate::{
    names::InodeId,
    state::{State, dead},
    trace::Event,
};

/// A file that one process has open. It dies with the process.
pub(crate) struct Handle {
    state: Arc<Mutex<State>>,
    generation: u64,
    inode: InodeId,
    is_writable: bool,
    stores: bool,
    frozen: AtomicU64,
}

impl Handle {
    pub(crate) fn new(state: Arc<Mutex<State>>, generation: u64, inode: InodeId, is_writable: bool) -> Self {
        let stores = state.lock().options.capabilities.stores;
        Self { state, generation, inode, is_writable, stores, frozen: AtomicU64::new(0) }
    }

    /// Does a numbered operation, recorded as what `event` makes of the file's name.
    fn operate(
        &self,
        event: impl FnOnce(Arc<str>) -> Event,
        run: impl FnOnce(&mut State, bool) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.state.lock();
        state.check_alive(self.generation)?;
        let name = state.inodes.get(&self.inode).map(|inode| Arc::clone(&inode.name)).ok_or_else(dead)?;
        state.operate(self.generation, event(name), run)
    }

    fn check_change(&self, offset: u64) -> io::Result<()> {
        let frozen = self.frozen.load(Ordering::Acquire);
        if !self.is_writable {
            Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file was opened for reading only"))
        } else if offset < frozen {
            let why = format!("byte {offset} is among the frozen bytes 0..{frozen}");
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("inode", &self.inode)
            .field("is_writable", &self.is_writable)
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.check_alive(self.generation).is_ok() {
            state.release(self.inode);
        }
    }
}

impl StorageFile for Handle {
    fn len(&self) -> io::Result<u64> {
        let state = self.state.lock();
        state.check_alive(self.generation)?;
        state.inodes.get(&self.inode).map(|inode| inode.cached().len() as u64).ok_or_else(dead)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        state.check_alive(self.generation)?;
        state.read(self.inode, offset, buf)
    }

    fn space(&self) -> io::Result<u64> {
        let state = self.state.lock();
        state.check_alive(self.generation)?;
        Ok(state.inodes.get(&self.inode).ok_or_else(dead)?.space())
    }

    /// Knows of whole sectors of zeros, as a file system does of those that were never written to.
    fn next_data(&self, offset: u64) -> io::Result<Range<u64>> {
        let state = self.state.lock();
        state.check_alive(self.generation)?;
        Ok(state.inodes.get(&self.inode).ok_or_else(dead)?.next_data(offset))
    }

    fn view(&self, range: Range<u64>) -> io::Result<Bytes> {
        let mut state = self.state.lock();
        state.check_alive(self.generation)?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let inode = state.inodes.get(&self.inode).ok_or_else(dead)?;
        if range.end > inode.cached().len() as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; (range.end - range.start) as usize];
        state.read(self.inode, range.start, &mut bytes)?;
        Ok(bytes.into())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_change(offset)?;
        let range = offset..offset.saturating_add(data.len() as u64);
        self.operate(
            |name| Event::Write(name, range),
            |state, dies| state.write(self.inode, offset, data, dies),
        )
    }

    /// As a write, if the disk [has it](wal_segment::Capabilities::stores). A process that dies may have stored a part.
    fn store(&self, offset: u64, data: &[u8]) -> bool {
        self.stores && self.write_at(offset, data).is_ok()
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.check_change(u64::MAX)?;
        self.operate(|name| Event::Reserve(name, len), |state, _| state.reserve(self.inode, len))
    }

    fn freeze(&self, end: u64) {
        self.frozen.fetch_max(end, Ordering::AcqRel);
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.check_change(range.start)?;
        self.operate(|name| Event::Punch(name, range.clone()), |state, _| state.punch(self.inode, &range))
    }

    fn write_back(&self, range: Range<u64>) -> io::Result<bool> {
        let mut state = self.state.lock();
        state.check_alive(self.generation)?;
        state.write_back(self.inode, range).map(|()| true)
    }

    fn sync(&self) -> io::Result<()> {
        self.operate(Event::Sync, |state, _| state.sync(self.inode))
    }
}
