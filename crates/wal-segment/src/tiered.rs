//! Two storages as one: files are made in the local one, and those that were shipped to the tier may leave it.

mod stub;

use std::{
    io,
    ops::Range,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

pub use stub::Stub;

use crate::{Capabilities, Requests, Storage, StorageFile, WriterLock};

/// Behind the name of a segment: it is in the tier, and this is its [`Stub`].
pub(crate) const STUB: &str = ".tier";
/// The same of one that is no longer part of the log; it may still be in the tier.
const RETIRED: &str = ".gone";
/// A stub that is being written.
const MAKING: &str = ".tier.tmp";

/// A local storage, and a tier that has the whole segments.
///
/// - Everything is created in the local storage. The tier is written to by [`Storage::ship`] alone, by who decides so.
/// - [`record`](Self::record) notes, durably and in a small file beside the log, that the tier has a segment;
///   [`evict`](Self::evict) removes the local file of one that is noted, and of no other. From then on it is read from
///   the tier, but for its beginning and its end, which the note keeps: a log opens without the tier.
/// - A segment that is removed while the tier has it is [retired](Self::retired), until somebody removes it there and
///   [forgets](Self::forget) it.
#[derive(Debug)]
pub struct TieredStorage {
    local: Arc<dyn Storage>,
    remote: Arc<dyn Storage>,
}

impl TieredStorage {
    /// Both together.
    #[must_use]
    pub fn new(local: Arc<dyn Storage>, remote: Arc<dyn Storage>) -> Self {
        Self { local, remote }
    }

    /// The tier.
    #[must_use]
    pub const fn remote(&self) -> &Arc<dyn Storage> {
        &self.remote
    }

    /// Whether the file is in the local storage.
    #[must_use]
    pub fn is_local(&self, name: &str) -> bool {
        self.local.open(name).is_ok()
    }

    /// Notes that the tier has the file with this content. Durable on return.
    ///
    /// # Errors
    ///
    /// Errors of the local storage.
    pub fn record(&self, name: &str, content: &Bytes) -> io::Result<()> {
        let noted = Stub::of(content);
        if self.recorded(name).as_ref() == Some(&noted) {
            return Ok(());
        }
        let (making, stub) = (format!("{name}{MAKING}"), format!("{name}{STUB}"));
        // What is left of an attempt.
        match self.note_of(name)? {
            Some(note) if note == making => self.local.rename(&making, &stub)?,
            _ => absent_is_fine(self.local.remove(&making))?,
        }
        let file = self.local.create(&making)?;
        file.write_at(0, &noted.encode())?;
        file.sync()?;
        // A note that is damaged, or of another segment, is better than none until there is room for this one. Of a
        // segment that has left, one of the two must be there.
        if self.local.open(&stub).is_ok() {
            self.local.sync_names()?;
            self.local.remove(&stub)?;
        }
        self.local.rename(&making, &stub)?;
        self.local.sync_names().inspect_err(|_| {
            // Nobody must rely on a name that may be lost.
            if self.is_local(name) {
                let _ = self.local.remove(&stub);
            }
        })
    }

    /// The file with the note of a segment: also one that was to replace a damaged one, when a process was killed
    /// between the two. One that is there and cannot be opened is an error: the segment is not absent.
    fn note_of(&self, name: &str) -> io::Result<Option<String>> {
        let [stub, making] = [STUB, MAKING].map(|end| format!("{name}{end}"));
        match self.local.open(&stub) {
            Ok(_) => Ok(Some(stub)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(self.read_stub(&making)?.map(|_| making))
            }
            Err(error) => Err(error),
        }
    }

    /// What was noted; `None` when nothing was that can be read.
    #[must_use]
    pub fn recorded(&self, name: &str) -> Option<Stub> {
        self.read_stub(&format!("{name}{STUB}")).ok().flatten()
    }

    /// Removes the local file of a segment that the tier is known to have. Readers that have it open keep it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when it was not [recorded](Self::record): nothing was removed. Errors of the local storage.
    pub fn evict(&self, name: &str) -> io::Result<()> {
        if self.recorded(name).is_none() {
            let why = format!("{name} is not known to be in the tier");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        // The note may be one of a process that was killed before it was durable.
        self.local.sync_names()?;
        absent_is_fine(self.local.remove(name))
    }

    /// The names of the files that were removed here and may still be in the tier, with what was noted of them.
    ///
    /// # Errors
    ///
    /// Errors of the local storage.
    pub fn retired(&self) -> io::Result<Vec<(String, Option<Stub>)>> {
        let names = self.local.list()?;
        let retired = names.iter().filter_map(|name| name.strip_suffix(RETIRED));
        let noted = |name: &str| self.read_stub(&format!("{name}{RETIRED}")).ok().flatten();
        Ok(retired.map(|name| (name.to_owned(), noted(name))).collect())
    }

    /// A retired file is no longer in the tier.
    ///
    /// # Errors
    ///
    /// Errors of the local storage.
    pub fn forget(&self, name: &str) -> io::Result<()> {
        absent_is_fine(self.local.remove(&format!("{name}{RETIRED}")))
    }

    fn has_stub(&self, name: &str) -> io::Result<bool> {
        Ok(self.note_of(name)?.is_some())
    }

    /// `None` when there is no such file, or nothing in it that is a note.
    fn read_stub(&self, file: &str) -> io::Result<Option<Stub>> {
        let file = match self.local.open(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let len = file.len()?;
        if len > stub::STUB_LEN_MAX {
            return Ok(None);
        }
        let mut bytes = vec![0; len as usize];
        let read = file.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        Ok(Stub::decode(&bytes.into()))
    }
}

impl Storage for TieredStorage {
    fn location(&self) -> String {
        self.local.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.local.capabilities()
    }

    fn lock(&self) -> io::Result<WriterLock> {
        self.local.lock()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let local = self.local.list()?;
        for name in local.iter().cloned() {
            if let Some(shipped) = name.strip_suffix(STUB) {
                names.push(shipped.to_owned());
            } else if let Some(shipped) = name.strip_suffix(MAKING) {
                // Nothing depends on the note of a segment that is here.
                let is_here = local.iter().any(|local| local == shipped);
                names.extend((is_here || self.has_stub(shipped)?).then(|| shipped.to_owned()));
            } else if !name.ends_with(RETIRED) {
                names.push(name);
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn requests(&self) -> Option<Requests> {
        self.remote.requests()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        if self.has_stub(name)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.local.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let opened = self.local.open(name);
        let is_absent = opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let note = if is_absent { self.note_of(name)? } else { None };
        let Some(note) = note else { return opened };
        let file = TierFile {
            name: name.to_owned(),
            local: Arc::clone(&self.local),
            storage: Arc::clone(&self.remote),
            stub: self.read_stub(&note).ok().flatten(),
            file: OnceLock::new(),
        };
        if file.stub.is_none() {
            // What was noted is damaged: the tier says more.
            file.file()?;
        }
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if self.has_stub(to)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.local.rename(from, to)
    }

    fn link(&self, from: &dyn Storage, name: &str) -> io::Result<()> {
        self.local.link(from, name)
    }

    fn local_path(&self, name: &str) -> Option<PathBuf> {
        self.local.local_path(name)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        // Before anything goes: a note that is left behind would be of a segment that is not there.
        self.note_of(name)?;
        let removed = self.local.remove(name);
        let Some(note) = self.note_of(name)? else { return removed };
        absent_is_fine(removed)?;
        self.forget(name)?;
        if note.ends_with(STUB) {
            absent_is_fine(self.local.remove(&format!("{name}{MAKING}")))?;
        }
        self.local.rename(&note, &format!("{name}{RETIRED}"))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.local.sync_names()
    }
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// A file whose bytes are in the tier.
#[derive(Debug)]
struct TierFile {
    name: String,
    local: Arc<dyn Storage>,
    storage: Arc<dyn Storage>,
    stub: Option<Stub>,
    file: OnceLock<Arc<dyn StorageFile>>,
}

impl TierFile {
    /// The file in the tier, opened when it is first needed.
    fn file(&self) -> io::Result<&dyn StorageFile> {
        if let Some(file) = self.file.get() {
            return Ok(&**file);
        }
        let opened = self.storage.open(&self.name).map_err(|error| self.missing(error))?;
        Ok(&**self.file.get_or_init(|| opened))
    }

    /// Who removes a segment from the tier says so here first. Without that it should be there.
    fn missing(&self, error: io::Error) -> io::Error {
        let is_absent = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
        let is_noted = [STUB, MAKING]
            .iter()
            .any(|end| !self.local.open(&format!("{}{end}", self.name)).is_err_and(is_absent));
        if !is_noted || error.kind() != io::ErrorKind::NotFound {
            return error;
        }
        io::Error::other(format!("{} was shipped to {} and is not there", self.name, self.storage.location()))
    }

    fn read_only<T>() -> io::Result<T> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

impl StorageFile for TierFile {
    fn len(&self) -> io::Result<u64> {
        match &self.stub {
            Some(stub) => Ok(stub.len),
            None => self.file()?.len(),
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.len()?.saturating_sub(offset).min(buf.len() as u64);
        let bytes = self.view(offset..offset.saturating_add(read))?;
        buf[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn view(&self, range: Range<u64>) -> io::Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if range.end > self.len()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match self.stub.as_ref().and_then(|stub| stub.slice(range.start, range.end)) {
            Some(bytes) => Ok(bytes),
            None => self.file()?.view(range).map_err(|error| self.missing(error)),
        }
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Self::read_only()
    }

    fn reserve(&self, _: u64) -> io::Result<()> {
        Self::read_only()
    }

    /// Nothing to do: what was shipped is never written to.
    fn freeze(&self, _: u64) {}

    fn punch(&self, _: Range<u64>) -> io::Result<()> {
        Self::read_only()
    }

    fn sync(&self) -> io::Result<()> {
        Self::read_only()
    }
}

/// A tier as a log of its own, for reading: what was shipped to it, by the rules of logs whose files are published
/// whole. The newest segment may be sealed, and what follows it may never come.
#[derive(Debug)]
pub struct Shipped(pub Arc<dyn Storage>);

impl Storage for Shipped {
    fn location(&self) -> String {
        self.0.location()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::OBJECTS
    }

    fn lock(&self) -> io::Result<WriterLock> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn prefetch(&self, names: &[String]) {
        self.0.prefetch(names);
    }

    fn head(&self, name: &str) -> Option<Bytes> {
        self.0.head(name)
    }

    fn create(&self, _: &str) -> io::Result<Arc<dyn StorageFile>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.0.open(name)
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn local_path(&self, _: &str) -> Option<PathBuf> {
        // A restored log shares nothing with the tier.
        None
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}
