//! The files of a log in an object store.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt, io,
    ops::Bound,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use parking_lot::Mutex;
use wal_segment::{Capabilities, Requests, Storage, StorageFile, WriterLock};

use crate::{
    ObjectOptions,
    error::without_queries,
    file::ObjectFile,
    heads::Heads,
    io_thread::IoThread,
    meter::Kind,
    pages::ENDING,
    probe::{is_probe, probe},
    remote::{Remote, Shared},
    ship::ship,
};

/// Files as objects below a path of an [`ObjectStore`].
///
/// - A file that was created is a buffer in this process until it is synced. The sync publishes it whole: nobody sees a
///   part of it, and it is never written again.
/// - A name that another process has published under is found to be taken by the sync, which fails with
///   [`TakenOver`](wal_segment::TakenOver) inside its error, for good.
/// - One storage is one writer; a second [`lock`](Storage::lock) of the same storage is refused. Writers with storages
///   of their own, in other processes or in this one, fence each other.
/// - Reading a file that was removed since it was opened fails with `NotFound`.
///
/// What is asked of the store: creating an object if there is none is atomic, reading and listing see what was created
/// before, and a range can be read. S3, GCS, Azure, R2 and MinIO keep that. The first and the last are tried out when a
/// log is opened for writing.
pub struct ObjectStorage {
    inner: Arc<Inner>,
}

/// What a storage shares with its files.
pub(crate) struct Inner {
    /// Before the thread, which ends when the last file goes.
    pub(crate) shared: Arc<Shared>,
    pub(crate) io: IoThread,
    prefix: Path,
    location: String,
    locked: Arc<AtomicBool>,
    names: Mutex<Names>,
    pub(crate) heads: Mutex<Heads>,
}

#[derive(Default)]
struct Names {
    /// Files of this process that are not published.
    buffers: BTreeMap<String, Weak<ObjectFile>>,
    /// Objects that were there when last seen.
    objects: BTreeMap<String, Arc<Remote>>,
}

impl ObjectStorage {
    /// The objects of `store` whose paths are `prefix`, a slash, and one name. Makes no request.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a prefix that is no path; errors of starting a thread.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str, options: ObjectOptions) -> io::Result<Self> {
        Self::with_shared(Shared::new(store, options), prefix)
    }

    pub(crate) fn with_shared(shared: Shared, prefix: &str) -> io::Result<Self> {
        let options = &shared.options;
        let invalid =
            |error: object_store::path::Error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string());
        let prefix = Path::parse(prefix).map_err(invalid)?;
        let location = options.location.as_deref().map_or_else(|| prefix.to_string(), without_queries);
        let io = IoThread::new(options.runtime.clone())?;
        let shared = Arc::new(shared);
        let (locked, names, heads) = (Arc::default(), Mutex::default(), Mutex::default());
        Ok(Self { inner: Arc::new(Inner { shared, io, prefix, location, locked, names, heads }) })
    }

    #[cfg(test)]
    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl Inner {
    pub(crate) const fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// Whether this storage has the writer.
    pub(crate) fn is_locked(&self) -> bool {
        self.locked.load(Ordering::Acquire)
    }

    pub(crate) fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    /// A file of this process is there for everybody.
    pub(crate) fn published(&self, name: &str, remote: Arc<Remote>) {
        let mut names = self.names.lock();
        names.buffers.remove(name);
        names.objects.insert(name.to_owned(), remote);
    }

    /// A buffer could not be published: what is under the name now is not its own.
    pub(crate) fn refused(&self, name: &str) {
        self.names.lock().buffers.remove(name);
    }

    /// A buffer went with its last handle.
    pub(crate) fn abandoned(&self, name: &str) {
        let mut names = self.names.lock();
        if names.buffers.get(name).is_some_and(|file| file.strong_count() == 0) {
            names.buffers.remove(name);
        }
    }

    /// The object of the same kind whose name comes next: that of the next segment.
    pub(crate) fn behind(&self, name: &str) -> Option<Arc<Remote>> {
        let ending = name.rsplit_once('.').map(|(_, ending)| ending);
        let names = self.names.lock();
        let mut behind = names.objects.range::<str, _>((Bound::Excluded(name), Bound::Unbounded));
        let (_, next) = behind.next()?;
        let is_alike = next.path.extension() == ending;
        is_alike.then(|| Arc::clone(next))
    }

    fn remote(&self, name: &str) -> io::Result<Arc<Remote>> {
        if let Some(known) = self.names.lock().objects.get(name) {
            return Ok(Arc::clone(known));
        }
        let (shared, path) = (Arc::clone(&self.shared), self.path(name));
        let found = Arc::new(self.io.run(async move { shared.head(&path).await })?);
        self.names.lock().objects.insert(name.to_owned(), Arc::clone(&found));
        Ok(found)
    }
}

impl Storage for ObjectStorage {
    fn location(&self) -> String {
        self.inner.location.clone()
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::OBJECTS;
        capabilities.file_len_max = self.inner.shared.options.object_len_max;
        capabilities
    }

    /// Asks the store whether it refuses to create an object twice, unless the options rule that out. Other writers
    /// are not looked for.
    fn lock(&self) -> io::Result<WriterLock> {
        if self.inner.locked.swap(true, Ordering::AcqRel) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "this storage has a writer already"));
        }
        let guard: Box<dyn Any + Send + Sync> = Box::new(Guard(Arc::clone(&self.inner.locked)));
        if !self.inner.shared.options.assume_conditional_writes {
            let (shared, prefix) = (Arc::clone(&self.inner.shared), self.inner.prefix.clone());
            self.inner.io.run(async move { probe(&shared, &prefix).await })?;
        }
        Ok(WriterLock { epoch: None, guard })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let (shared, prefix) = (Arc::clone(&self.inner.shared), self.inner.prefix.clone());
        let found = self.inner.io.run(async move { shared.list(&prefix).await })?;
        let mut names = self.inner.names.lock();
        let (mut objects, mut pages) = (BTreeMap::new(), BTreeMap::new());
        for remote in found {
            let Some(name) = plain_name(&self.inner.prefix, &remote.path) else { continue };
            if name.ends_with(ENDING) {
                pages.insert(name, Arc::new(remote));
                continue;
            }
            let same = |old: &Arc<Remote>| {
                old.size == remote.size && (old.e_tag.is_none() || old.e_tag == remote.e_tag)
            };
            let kept = names.objects.remove(&name).filter(same);
            objects.insert(name, kept.unwrap_or_else(|| Arc::new(remote)));
        }
        self.inner.pages_listed(pages, &objects);
        names.objects = objects;
        Ok(names.objects.keys().cloned().collect())
    }

    fn prefetch(&self, names: &[String]) {
        if names.len() < 2 {
            return;
        }
        let (inner, shared) = (&self.inner, || Arc::clone(&self.inner.shared));
        let (pages, reader) = (inner.pages_for(names), shared());
        if !pages.is_empty() {
            let read = inner.io.start(async move { reader.read_pages(pages).await }).wait();
            let names = inner.names.lock();
            for (page, content) in read.unwrap_or_default() {
                inner.page_read(page, &content, &names.objects);
            }
        }
        let missing: Vec<_> = {
            let known = inner.names.lock();
            let missing = names.iter().filter(|name| !inner.is_ahead(name));
            missing.filter_map(|name| Some((name.clone(), Arc::clone(known.objects.get(name)?)))).collect()
        };
        if !missing.is_empty() {
            let reader = shared();
            let read = inner.io.start(async move { reader.read_heads(missing).await }).wait();
            for (name, remote, head) in read.unwrap_or_default() {
                inner.head_read(&name, &remote, head);
            }
        }
    }

    fn head(&self, name: &str) -> Option<Bytes> {
        self.inner.take_ahead(name)
    }

    fn requests(&self) -> Option<Requests> {
        Some(self.inner.shared.meter.snapshot())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        check_plain(name)?;
        let mut names = self.inner.names.lock();
        let taken = names.buffers.get(name).is_some_and(|file| file.strong_count() > 0);
        if taken || names.objects.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::new(ObjectFile::created(Arc::clone(&self.inner), name, self.inner.path(name)));
        names.buffers.insert(name.to_owned(), Arc::downgrade(&file));
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        check_plain(name)?;
        let buffer = self.inner.names.lock().buffers.get(name).and_then(Weak::upgrade);
        if let Some(file) = buffer {
            return Ok(file);
        }
        let remote = self.inner.remote(name)?;
        Ok(Arc::new(ObjectFile::opened(Arc::clone(&self.inner), name, remote)))
    }

    /// Renames what is not published. An object keeps its name: this is `Unsupported`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_plain(from)?;
        check_plain(to)?;
        let mut names = self.inner.names.lock();
        let taken = names.buffers.get(to).is_some_and(|file| file.strong_count() > 0);
        if taken || names.objects.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let Some(file) = names.buffers.get(from).and_then(Weak::upgrade) else {
            let there = names.objects.contains_key(from);
            return Err(if there { io::ErrorKind::Unsupported } else { io::ErrorKind::NotFound }.into());
        };
        if !file.renamed(to) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let renamed = names.buffers.remove(from);
        names.buffers.extend(renamed.map(|file| (to.to_owned(), file)));
        drop(names);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_plain(name)?;
        {
            let mut names = self.inner.names.lock();
            if names.buffers.remove(name).is_some_and(|file| file.strong_count() > 0) {
                return Ok(());
            }
        }
        // Deleting an object that is not there is a success.
        let known = self.inner.names.lock().objects.contains_key(name);
        if !known {
            self.inner.remote(name)?;
        }
        let (shared, path) = (Arc::clone(&self.inner.shared), self.inner.path(name));
        self.inner.io.run(async move {
            shared.meter.ask(Kind::Delete, &shared.options, shared.store.delete(&path)).await
        })?;
        self.inner.names.lock().objects.remove(name);
        Ok(())
    }

    fn ship(&self, name: &str, content: Bytes) -> io::Result<()> {
        check_plain(name)?;
        let (shared, path, name) = (Arc::clone(&self.inner.shared), self.inner.path(name), name.to_owned());
        self.inner.io.run(async move { ship(&shared, &name, &path, &content).await })
    }

    /// Nothing to do: names come and go with their objects.
    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for ObjectStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStorage").field("location", &self.inner.location).finish_non_exhaustive()
    }
}

/// Holds the right to write through this storage.
struct Guard(Arc<AtomicBool>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The name of an object that lies right below the prefix and is not the storage's own.
fn plain_name(prefix: &Path, path: &Path) -> Option<String> {
    let mut parts = path.prefix_match(prefix)?;
    let name = parts.next()?.as_ref().to_owned();
    (parts.next().is_none() && !is_probe(&name)).then_some(name)
}

/// What [`Storage`] asks of a name.
fn check_plain(name: &str) -> io::Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is not a plain file name"),
        ));
    }
    Ok(())
}
