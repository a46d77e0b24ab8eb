//! The seam between a log and what keeps its bytes.

use std::{any::Any, fmt, io, ops::Range, path::PathBuf, sync::Arc};

use bytes::Bytes;

/// What a storage can do beyond the minimum, decided once when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether a file may be written to after it was synced. An object store publishes a file whole at its first
    /// `sync`, so a log on it rolls to a new segment after each one.
    pub append_after_sync: bool,
    /// Whether writing zeros ahead of use makes later durable writes cheaper (true for file systems, where a write
    /// into allocated and initialised space needs no journal commit).
    pub zero_fill_pays: bool,
    /// Whether it may be worth trying to [store](StorageFile::store) bytes before writing them.
    pub stores: bool,
    /// Longest file in bytes that can be written. Segments are no longer.
    pub file_len_max: u64,
}

impl Capabilities {
    /// An ordinary file system.
    pub const FILE_SYSTEM: Self =
        Self { append_after_sync: true, zero_fill_pays: true, stores: false, file_len_max: u64::MAX };
    /// A store that publishes whole objects.
    pub const OBJECTS: Self = Self { append_after_sync: false, zero_fill_pays: false, ..Self::FILE_SYSTEM };
    /// Memory: nothing is gained by preparing it.
    pub const MEMORY: Self = Self { zero_fill_pays: false, ..Self::FILE_SYSTEM };
}

/// The right to write, held until dropped.
pub struct WriterLock {
    /// The epoch the storage gave to this writer, greater than every epoch before it; `None` when the storage keeps
    /// none and excludes other writers by itself (a lock file).
    pub epoch: Option<u64>,
    /// Dropping it gives the right up.
    pub guard: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for WriterLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterLock").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// What a [`sync`](StorageFile::sync) fails with, inside its [`io::Error`], when another writer has published something
/// under the file's name: it has taken the log over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOver {
    /// The name that was taken.
    pub name: String,
}

impl fmt::Display for TakenOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "another writer has published {}", self.name)
    }
}

impl std::error::Error for TakenOver {}

/// What a storage has asked of a store elsewhere, since it was made. Attempts count, each by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Creations of objects.
    pub puts: u64,
    /// Reads of objects and of what is known about them.
    pub gets: u64,
    /// Pages of listings.
    pub lists: u64,
    /// Removals.
    pub deletes: u64,
    /// Bytes of the objects that were sent, each as often as it was.
    pub sent_bytes: u64,
    /// Bytes of objects that were received.
    pub received_bytes: u64,
    /// Requests that failed for another reason than that there is nothing, or something already.
    pub failed: u64,
    /// Requests that were made again because one before had failed.
    pub retries: u64,
    /// Publications whose outcome was unknown after an error, and that turned out to be done.
    pub settled: u64,
    /// Requests that had to wait for their turn because of a limit.
    pub throttled: u64,
    /// Requests under way now.
    pub in_flight: u64,
    /// Nanoseconds that publishing an object took, with all attempts: how many took no longer than each of the bounds
    /// and longer than the one before, and at the end how many took longer than all of them.
    pub publish_counts: Vec<u64>,
    /// The greatest time of each of these counts but the last, in nanoseconds.
    pub publish_bounds: &'static [u64],
    /// The sum of these times.
    pub publish_sum: u64,
}

/// A flat namespace of files that are created, appended to by the process that created them, and removed whole.
///
/// It never interprets a byte. Whoever implements it (a local directory, a simulated disk, an object store) promises
/// the following:
///
/// - What [`StorageFile::sync`] returned `Ok` for survives power loss: the bytes written before the call began and the
///   length that covers them. The *name* of the file is durable only after [`Storage::sync_names`].
/// - Bytes never written inside the file's length read as zeros.
/// - A write that returned an error may have changed any part of its range and nothing else.
/// - After a `sync` that returned an error, the content of every byte written since the last successful `sync` is
///   unknown, even if a later `sync` returns `Ok`. Callers never retry it.
/// - A name that was removed or renamed stays readable through every handle that was open. Where files cannot be
///   appended to after a sync, reading may fail with `NotFound` instead; never are other bytes read.
/// - Where files cannot be appended to after a sync, names are durable with the content: whoever syncs a file publishes
///   it whole, under its name, unless that is taken. Nothing that was not synced is seen by others.
///
/// A name is one plain component: every call that is given an empty one, `.`, `..` or one with `/`, `\` or NUL in it
/// fails with `InvalidInput`. What an implementation keeps beside the files for itself is never listed.
///
/// [`conformance`](crate::conformance) checks all of this that can be checked without losing power.
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// Where this is, for messages: a path or a URL, without secrets.
    fn location(&self) -> String;

    /// What this storage can do.
    fn capabilities(&self) -> Capabilities;

    /// Becomes the only writer.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when another writer holds the right. Reading needs no lock and never calls this.
    fn lock(&self) -> io::Result<WriterLock>;

    /// The names of all files, in no particular order. What is not an ordinary file (a directory, a symbolic link) and
    /// names that are not UTF-8 are left out.
    ///
    /// # Errors
    ///
    /// `NotFound` when the namespace itself does not exist; any other error of the medium.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Says that the beginnings of these files will be read soon, one after the other. A hint: errors wait for the
    /// reads.
    fn prefetch(&self, _names: &[String]) {}

    /// The beginning of a file that was [read ahead](Self::prefetch), as far as it is known: what is missing is read
    /// from the file. Handed out once. `None` is what an implementation says that keeps none.
    fn head(&self, name: &str) -> Option<Bytes> {
        let _ = name;
        None
    }

    /// What was asked of a store elsewhere so far; `None` where nothing is.
    fn requests(&self) -> Option<Requests> {
        None
    }

    /// Creates an empty file for writing and reading. Neither name nor content is durable yet.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` when the name is taken.
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// Opens an existing file for reading only.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none.
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// Renames a file that this process created, replacing nothing: `to` must not exist.
    ///
    /// # Errors
    ///
    /// `NotFound` or `AlreadyExists`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives the file that has this name in `from` the same name here, without copying it: a hard link. Only for files
    /// that nobody will write to any more. The name is durable after [`sync_names`](Self::sync_names).
    ///
    /// # Errors
    ///
    /// `Unsupported`, which is what an implementation says that does not provide this; `CrossesDevices`, `NotFound`,
    /// `AlreadyExists`. The caller copies the file then.
    fn link(&self, from: &dyn Storage, name: &str) -> io::Result<()> {
        let _ = (from, name);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Where the file with this name is in the local file system, if it is there at all, so that another storage can
    /// [link](Self::link) it.
    fn local_path(&self, name: &str) -> Option<PathBuf> {
        let _ = name;
        None
    }

    /// Has a file with this content here, whole, durable and for good, with the content read back before it returns:
    /// what the [tier](crate::TieredStorage) of a log needs. A file of the name that begins with these bytes is as good
    /// as one of its own. Nobody sees a part of it, and two who ship different things under one name do not both
    /// succeed.
    ///
    /// # Errors
    ///
    /// [`TakenOver`] inside when another segment has the name, `InvalidData` when the same one is there and its content
    /// is not this: both stay so until somebody looks. `Unsupported`, which is what an implementation says that does
    /// not provide this. Whatever else: it may be there or not, and shipping it again is right.
    fn ship(&self, name: &str, content: Bytes) -> io::Result<()> {
        let _ = (name, content);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes a name.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every create, rename and remove that returned before this call durable.
    ///
    /// # Errors
    ///
    /// After an error the names' durability is unknown and stays so.
    fn sync_names(&self) -> io::Result<()>;
}

/// One file. Shared by a writer (at most one) and any number of readers.
pub trait StorageFile: fmt::Debug + Send + Sync {
    /// Current length in bytes, zero-filled space included. For a file that another process appends to, the answer
    /// may be old by the time it arrives.
    ///
    /// # Errors
    ///
    /// Errors of the medium.
    fn len(&self) -> io::Result<u64>;

    /// How many bytes the medium keeps for it: less than [`len`](Self::len) where some were [given
    /// back](Self::punch). The length, where that is not known.
    ///
    /// # Errors
    ///
    /// Errors of the medium.
    fn space(&self) -> io::Result<u64> {
        self.len()
    }

    /// Whether [`len`](Self::len) is zero.
    ///
    /// # Errors
    ///
    /// Errors of the medium.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads up to `buf.len()` bytes at `offset` into `buf` and returns how many; less than asked only at the end of
    /// the file. The bytes are a copy: later writes do not change them.
    ///
    /// # Errors
    ///
    /// Errors of the medium: never a short read instead of one.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// The first bytes at or behind `offset` that may be other than zeros, as far as that is known without reading: all
    /// between `offset` and them are zeros, and those behind them may be. Everything from `offset` on where nothing is
    /// known; an empty range at the end of the file, or at `offset` if that is beyond it, where only zeros follow.
    ///
    /// What was read, or read ahead, may count from then on: ask before reading. What is written meanwhile may be
    /// missed, as by a read that came before it.
    ///
    /// # Errors
    ///
    /// Errors of the medium.
    fn next_data(&self, offset: u64) -> io::Result<Range<u64>> {
        Ok(offset..u64::MAX)
    }

    /// The bytes of `range` without copying where the storage can. An empty range is an empty view, wherever it lies.
    ///
    /// The result never changes, so what may still be written must be copied. Through a handle from
    /// [`create`](Storage::create) that is everything not [frozen](Self::freeze). Through one from
    /// [`open`](Storage::open) the caller promises, by asking, that nobody will write *any* byte before `range.end`
    /// again: bytes become final from the front.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the range ends beyond the file; errors of the medium.
    fn view(&self, range: Range<u64>) -> io::Result<Bytes>;

    /// The file from its start to `end` or further, where a [`view`](Self::view) has shown that these bytes can be had
    /// without copying. `None` says nothing about them: ask for a view. It is what a storage answers that has nothing
    /// to lend.
    fn prefix(&self, end: u64) -> Option<&[u8]> {
        let _ = end;
        None
    }

    /// Writes all of `data` at `offset`, extending the file when it ends beyond it.
    ///
    /// # Errors
    ///
    /// `StorageFull` when there is no space; `ReadOnlyFilesystem` or `PermissionDenied` on a file opened for reading;
    /// `InvalidInput` when the range touches frozen bytes. The last three changed nothing.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Does what [`write_at`](Self::write_at) does, without asking the operating system, where that is possible: when
    /// it returns `true`, the bytes are as safe as those of a write that returned. `false`: not done, and bytes of the
    /// range may have changed that are not frozen; write them.
    fn store(&self, offset: u64, data: &[u8]) -> bool {
        let _ = (offset, data);
        false
    }

    /// Makes ready what the next [`store`](Self::store)s before `end` need, if there were any: a hint, from another
    /// thread.
    fn warm(&self, end: u64) {
        let _ = end;
    }

    /// Reserves space so that writes inside the first `len` bytes do not fail for want of it, as far as the medium can
    /// promise that. The file grows to `len`; reserved bytes read as zeros. Does nothing where it makes no sense.
    ///
    /// Not to be called while a [`write_at`](Self::write_at) beyond the present length runs: where the medium cannot
    /// reserve, the new bytes are written as zeros.
    ///
    /// # Errors
    ///
    /// `StorageFull` when the space is not there: the file may have grown all the same. `ReadOnlyFilesystem` or
    /// `PermissionDenied` on a file opened for reading.
    fn reserve(&self, len: u64) -> io::Result<()>;

    /// Declares that the first `end` bytes will never be written again, which lets [`view`](Self::view) hand them out
    /// without copying. Never moves backwards. It holds for this handle, and is checked by it.
    ///
    /// The caller calls it after its writes to those bytes returned. On a file opened for reading it is the promise
    /// that [`view`](Self::view) describes, made once for all views: say it when a file is known to be sealed, and
    /// random views before `end` share one mapping from the first on.
    fn freeze(&self, end: u64);

    /// Gives back the space of `range`, whose bytes then read as zeros; the length stays. A hint: doing nothing is
    /// right.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the range touches frozen bytes, which views may be showing; `ReadOnlyFilesystem` or
    /// `PermissionDenied` on a file opened for reading; errors of the medium.
    fn punch(&self, range: Range<u64>) -> io::Result<()>;

    /// Begins what [`sync`](Self::sync) does, and does not wait: nothing is durable before a `sync` returns. For files
    /// that cannot be appended to after a sync, so that several are on their way at once. Nothing is written
    /// afterwards.
    fn begin_sync(&self) {}

    /// Has the medium begin to write `range`, and does not wait until it has: nothing is durable before a `sync`
    /// returns, which has less to do then. `false` where that is not to be had.
    ///
    /// # Errors
    ///
    /// Errors of the medium, final as those of a `sync`: a later one may succeed without what was lost. What the medium
    /// finds after the call is the next `sync`'s.
    fn write_back(&self, range: Range<u64>) -> io::Result<bool> {
        let _ = range;
        Ok(false)
    }

    /// Makes everything written before this call durable, with the length that covers it.
    ///
    /// # Errors
    ///
    /// Final: what was written since the last success is in an unknown state for ever. [`TakenOver`] is inside when the
    /// name belongs to another writer's file.
    fn sync(&self) -> io::Result<()>;
}
