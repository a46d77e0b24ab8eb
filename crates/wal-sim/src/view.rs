//! The disk as one process sees it.

use std::{fmt, io, sync::Arc};

use parking_lot::Mutex;
use wal_segment::{Capabilities, Storage, StorageFile, WriterLock};

use crate::{handle::Handle, state::State, trace::Event};

/// The storage that one process has. It dies with the process.
pub(crate) struct View {
    state: Arc<Mutex<State>>,
    generation: u64,
}

impl View {
    pub(crate) const fn new(state: Arc<Mutex<State>>, generation: u64) -> Self {
        Self { state, generation }
    }

    fn operate<T>(&self, event: Event, run: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.state.lock().operate(self.generation, event, |state, _| run(state))
    }

    /// Runs what is neither numbered nor recorded.
    fn look<T>(&self, run: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock();
        state.check_alive(self.generation)?;
        run(&mut state)
    }

    fn handle(&self, inode: u64, is_writable: bool) -> Arc<dyn StorageFile> {
        Arc::new(Handle::new(Arc::clone(&self.state), self.generation, inode, is_writable))
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Storage for View {
    fn location(&self) -> String {
        "simulated disk".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        self.state.lock().options.capabilities
    }

    fn lock(&self) -> io::Result<WriterLock> {
        self.look(|state| {
            if std::mem::replace(&mut state.is_locked, true) {
                return Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    "the disk is locked by another writer",
                ));
            }
            let guard = Guard { state: Arc::clone(&self.state), generation: self.generation };
            Ok(WriterLock { epoch: None, guard: Box::new(guard) })
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.look(|state| Ok(state.names.current().keys().map(ToString::to_string).collect()))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let inode = self.operate(Event::Create(name.into()), |state| state.create(name))?;
        Ok(self.handle(inode, true))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let inode = self.look(|state| state.open(name))?;
        Ok(self.handle(inode, false))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let event = Event::Rename { from: from.into(), to: to.into() };
        self.operate(event, |state| state.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operate(Event::Remove(name.into()), |state| state.remove(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.operate(Event::SyncNames, State::sync_names)
    }
}

/// Holds the writer lock, as long as its process lives.
struct Guard {
    state: Arc<Mutex<State>>,
    generation: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.check_alive(self.generation).is_ok() {
            state.is_locked = false;
        }
    }
}
