//! Views of a file's bytes without copying them, and two hints that have no safe wrapper: the only unsafe code of the
//! workspace.
//!
//! A [`MappedFile`] owns its file and keeps one mapping of it. The pages may change under the mapping at any time, so
//! the mapping itself is only a pointer; a `&[u8]` (inside a [`Bytes`]) comes into being over a *prefix* of the file
//! that nobody writes any more, and over nothing behind it:
//!
//! - In the process that created the file, the prefix is what was frozen. Whoever changes bytes must ask
//!   [`MappedFile::file_to_change`] for the file, which refuses below the frozen end; the end never moves backwards.
//! - In a process that opened the file for reading, the prefix ends where the furthest view or freeze ended: asking is
//!   the caller's promise that the bytes up to there are final (see [`StorageFile::view`](crate::StorageFile::view)).
//! - A prefix is kept for every stretch of the file that it covers. What is lent is borrowed from the file, which never
//!   lets go of its first mapping.
//! - The prefix never ends beyond the length that the file had when it was mapped, so no access leaves the file.
//!   Nothing here shortens a file, and removing its name leaves the pages alone.
//! - What is [stored](MappedFile::store) goes through a second mapping, by one thread at a time, and only behind the
//!   frozen end, which does not move meanwhile: both take the same lock.
//!
//! What no process can enforce is left to the contract of [`ReadMode::Mmap`](super::ReadMode::Mmap): nobody else
//! rewrites or shortens the files of a log. A medium that fails under a mapping raises `SIGBUS`; who cannot accept that
//! reads by [`ReadMode::Pread`](super::ReadMode::Pread).
#![expect(unsafe_code, reason = "neither a slice of mapped memory nor these hints can be had otherwise")]

use std::{
    fmt,
    fs::File,
    io,
    ops::Range,
    ptr, slice,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use memmap2::{MmapOptions, MmapRaw};

use super::striped::Striped;

/// A file, how much of it is final, and the mapping of that part.
pub(super) struct MappedFile {
    file: File,
    access: Access,
    frozen: AtomicU64,
    /// The standard library's lock, which every program has: here is the only one for readers beside writers.
    window: RwLock<Window>,
    settled: OnceLock<Settled>,
    /// Where bytes may be stored without a system call.
    stores: Option<Mutex<Stores>>,
}

/// What the handle may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// This process created the file and is the only one to write it.
    Write,
    /// Somebody else wrote or writes the file.
    Read,
}

/// Why bytes may not be changed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The handle only reads.
    ReadOnly,
    /// The bytes before this offset are final.
    Frozen(u64),
}

#[derive(Default)]
struct Window {
    map: Option<Arc<MmapRaw>>,
    /// All that may be viewed of `map` so far; a view is a slice of it, which costs one reference count.
    prefix: Bytes,
}

impl MappedFile {
    pub(super) fn new(file: File, access: Access) -> Self {
        Self {
            file,
            access,
            frozen: AtomicU64::new(0),
            window: RwLock::default(),
            settled: OnceLock::new(),
            stores: None,
        }
    }

    /// Lets bytes be stored, where the file [is written](Access::Write) and its file system [overwrites in
    /// place](super::file_system::is_plain).
    pub(super) fn with_stores(self) -> Self {
        let stores = (self.access == Access::Write).then(Mutex::default);
        Self { stores, ..self }
    }

    /// The file, to read it, sync it or lengthen it: whoever changes bytes inside its length asks
    /// [`file_to_change`](Self::file_to_change).
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The file, to change bytes at and behind `offset`.
    pub(super) fn file_to_change(&self, offset: u64) -> Result<&File, Refusal> {
        let frozen = self.frozen.load(Ordering::Acquire);
        match self.access {
            Access::Read => Err(Refusal::ReadOnly),
            Access::Write if offset < frozen => Err(Refusal::Frozen(frozen)),
            Access::Write => Ok(&self.file),
        }
    }

    pub(super) fn freeze(&self, end: u64) {
        let _nobody_stores = self.stores();
        self.frozen.fetch_max(end, Ordering::AcqRel);
    }

    /// Copies `data` to `offset` of the file's pages in memory, behind the frozen end and within its length. `false`:
    /// not done.
    pub(super) fn store(&self, offset: u64, data: &[u8]) -> bool {
        let Some(mut stores) = self.stores() else { return false };
        if offset < self.frozen.load(Ordering::Acquire) {
            return false;
        }
        let Some(place) = stores.place(&self.file, offset, data.len()) else { return false };
        // SAFETY: `place` says that `data.len()` bytes from there lie in a mapping that may be written to, which lives
        // as long as the lock is held. Nobody else writes there: the lock is held, and nobody else has this mapping.
        // Nobody has a slice of these bytes: prefixes end at the frozen end, which was before `offset` and cannot move
        // while the lock is held. `data` is such a slice or memory of the process, so it is not what is written.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), place, data.len()) };
        true
    }

    /// Has the pages before `end` ready for what will be stored there, once something was. Not under the lock: a store
    /// that comes sooner asks by itself.
    pub(super) fn warm(&self, end: u64) {
        let Some((map, ready)) = self.stores().and_then(|stores| Some((stores.map.clone()?, stores.ready)))
        else {
            return;
        };
        let end = usize::try_from(end).map_or(map.len(), |end| end.min(map.len()));
        let end = end - end % Stores::WINDOW;
        if end > ready
            && have_pages(&map, ready..end)
            && let Some(mut stores) = self.stores()
        {
            stores.ready = stores.ready.max(end);
        }
    }

    fn stores(&self) -> Option<MutexGuard<'_, Stores>> {
        self.stores.as_ref().map(|stores| stores.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The bytes of `range`, or `None` where they must be copied: they are not final, or the file cannot be mapped.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when final bytes are asked for that the file does not have; errors of asking for its length.
    pub(super) fn view(&self, range: Range<u64>) -> io::Result<Option<Bytes>> {
        if let Some(view) = cut(&self.window().prefix, &range) {
            return Ok(Some(view));
        }
        let frozen = self.frozen.load(Ordering::Acquire);
        let final_end = match self.access {
            Access::Write => frozen,
            Access::Read => frozen.max(range.end),
        };
        if range.end > final_end { Ok(None) } else { self.widen(range, final_end) }
    }

    /// A panic cannot leave half a window behind.
    fn window(&self) -> RwLockReadGuard<'_, Window> {
        self.window.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn widen(&self, range: Range<u64>, final_end: u64) -> io::Result<Option<Bytes>> {
        let mut window = self.window.write().unwrap_or_else(PoisonError::into_inner);
        let map = match &window.map {
            Some(map) if range.end <= map.len() as u64 => Arc::clone(map),
            _ => {
                let len = self.file.metadata()?.len();
                if range.end > len {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                // Want of address space or mappings, or a file system that has none, is no reason to fail: reading
                // by copy works everywhere.
                let Some(map) = map_whole(&self.file, len) else { return Ok(None) };
                Arc::clone(window.map.insert(map))
            }
        };
        let len = usize::try_from(final_end).map_or(map.len(), |end| end.min(map.len()));
        // Another thread may have come first and further; a prefix never shrinks.
        let before = window.prefix.len();
        if len > before {
            let settled = self.settled.get_or_init(|| Settled::of(Arc::clone(&map)));
            let prefix = Prefix { map, len };
            window.prefix = Bytes::from_owner(prefix.clone());
            settled.extend(before, prefix);
        }
        Ok(cut(&window.prefix, &range))
    }

    /// The file up to `end` or further, if a view has settled that this is final.
    #[inline]
    pub(super) fn lend(&self, end: u64) -> Option<&[u8]> {
        let settled = self.settled.get()?;
        let len = settled.len.load(Ordering::Acquire);
        if end > len as u64 {
            return None;
        }
        // SAFETY: `extend` keeps `len` within the mapping and within what a `Prefix` covered: the pointer is valid for
        // reads of so many bytes, and nobody writes them, for the reasons given there. The mapping lives as long as
        // `self`, which is borrowed for the slice's whole life.
        Some(unsafe { slice::from_raw_parts(settled.map.as_ptr(), len) })
    }

    /// The bytes of `range`, if a prefix is kept that covers them.
    #[inline]
    pub(super) fn kept(&self, range: &Range<u64>) -> Option<Bytes> {
        let Settled { shift, prefixes, .. } = self.settled.get()?;
        let at = usize::try_from(range.end.checked_sub(1)? >> shift).ok()?;
        cut(prefixes.get(at)?.get()?.bytes(), range)
    }
}

/// The mapping that bytes are stored through.
#[derive(Default)]
struct Stores {
    /// Made when it is first needed; the file has its full length by then.
    map: Option<Arc<MmapRaw>>,
    /// Up to here the kernel was asked for pages that can be written to.
    ready: usize,
    /// A mapping or a page was refused: a write by system call says why.
    refused: bool,
}

impl Stores {
    /// So many bytes are asked for at a time.
    const WINDOW: usize = 64 << 10;

    /// Where `len` bytes at `offset` of the file can be written to.
    fn place(&mut self, file: &File, offset: u64, len: usize) -> Option<*mut u8> {
        if self.refused {
            return None;
        }
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(len)?;
        if self.map.is_none() {
            self.map = map_for_stores(file).map(Arc::new);
            self.refused = self.map.is_none();
        }
        let map = self.map.as_deref().filter(|map| end <= map.len())?;
        if end > self.ready {
            // A page that cannot be had is an error here, and would be a signal when it is touched.
            let from = self.ready.max(start) & !(Self::WINDOW - 1);
            let to = end.next_multiple_of(Self::WINDOW).min(map.len());
            if !have_pages(map, from..to) {
                (self.map, self.refused) = (None, true);
                return None;
            }
            self.ready = to;
        }
        Some(map.as_mut_ptr().wrapping_add(start))
    }
}

/// What was viewed before, and is viewed again without a lock.
struct Settled {
    /// The first mapping of the file. It stays as long as the file, so that its bytes can be lent.
    map: Arc<MmapRaw>,
    /// How many of them are final.
    len: AtomicUsize,
    /// The file in stretches of equal length, of each the prefix that covers it once all of it is final: to keep a
    /// part of one costs one reference count, the thread's own.
    shift: u32,
    prefixes: Box<[OnceLock<Arc<Striped<Prefix>>>]>,
}

impl Settled {
    /// Stretches of at least 16 KiB each, and at most 1024 of them.
    fn of(map: Arc<MmapRaw>) -> Self {
        let len = map.len();
        let shift = len.next_power_of_two().ilog2().saturating_sub(10).max(14);
        let prefixes = (0..len >> shift).map(|_| OnceLock::new()).collect();
        Self { map, len: AtomicUsize::new(0), shift, prefixes }
    }

    /// Lends what the prefix covers from now on, and keeps it for the stretches that the one before it did not cover.
    fn extend(&self, before: usize, prefix: Prefix) {
        let len = prefix.len;
        let covered = (len >> self.shift).min(self.prefixes.len());
        let stretches = self.prefixes.get(before >> self.shift..covered).unwrap_or(&[]);
        if !stretches.is_empty() {
            let prefix = Arc::new(Striped::new(prefix));
            for stretch in stretches {
                let _ = stretch.set(Arc::clone(&prefix));
            }
        }
        // The prefix may be one of a longer mapping, made since the file has grown.
        self.len.fetch_max(len.min(self.map.len()), Ordering::Release);
    }
}

// Written by hand, because `Bytes` shows its content, which here is a file.
impl fmt::Debug for MappedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedFile")
            .field("file", &self.file)
            .field("access", &self.access)
            .field("frozen", &self.frozen)
            .finish_non_exhaustive()
    }
}

#[inline]
fn cut(prefix: &Bytes, range: &Range<u64>) -> Option<Bytes> {
    if range.end > prefix.len() as u64 {
        return None;
    }
    Some(prefix.slice(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?))
}

/// Has the processor fetch the cache line of `place`, without waiting for it. A hint: on processors other than those of
/// the x86-64 family it does nothing.
#[inline(always)]
pub fn fetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction reads nothing that the program could see and ignores what cannot be read; it is part of
    // SSE, which every processor of this family has. The pointer is that of a reference besides.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Has the kernel begin to write the pages of `range` that are dirty, and does not wait for them; `false` where it
/// cannot.
#[cfg(target_os = "linux")]
pub(super) fn write_back(file: &File, range: Range<u64>) -> io::Result<bool> {
    use std::os::fd::AsRawFd;

    let len = range.end.saturating_sub(range.start);
    let (Ok(start), Ok(len)) = (range.start.try_into(), len.try_into()) else { return Ok(false) };
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call touches no memory of the process.
    let begun = unsafe { libc::sync_file_range(file.as_raw_fd(), start, len, libc::SYNC_FILE_RANGE_WRITE) };
    if begun == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EINVAL | libc::ESPIPE | libc::EPERM | libc::EOPNOTSUPP) => Ok(false),
        _ => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn write_back(_: &File, _: Range<u64>) -> io::Result<bool> {
    Ok(false)
}

#[cfg(target_os = "linux")]
fn map_for_stores(file: &File) -> Option<MmapRaw> {
    let len = usize::try_from(file.metadata().ok()?.len()).ok()?;
    MmapOptions::new().len(len).map_raw(file).ok()
}

/// A sync of the file is known to cover what is stored through a mapping on Linux only.
#[cfg(not(target_os = "linux"))]
fn map_for_stores(_: &File) -> Option<MmapRaw> {
    None
}

/// Has the kernel make the pages of `range` writable; `false` where it cannot, as before Linux 5.14.
#[cfg(target_os = "linux")]
fn have_pages(map: &MmapRaw, range: Range<usize>) -> bool {
    map.advise_range(memmap2::Advice::PopulateWrite, range.start, range.len()).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn have_pages(_: &MmapRaw, _: Range<usize>) -> bool {
    false
}

fn map_whole(file: &File, len: u64) -> Option<Arc<MmapRaw>> {
    let len = usize::try_from(len).ok()?;
    MmapOptions::new().len(len).map_raw_read_only(file).ok().map(Arc::new)
}

/// The first `len` bytes of a mapping, all of them final. Built only by [`MappedFile::widen`], which keeps `len` within
/// the mapping, and the mapping was made within the file's length.
#[derive(Clone)]
struct Prefix {
    map: Arc<MmapRaw>,
    len: usize,
}

impl AsRef<[u8]> for Prefix {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the pointer is not null and valid for reads of `len` bytes, which is at most the mapping's length,
        // at most the file's length and at most `isize::MAX` (checked by `MmapOptions`), for as long as `self.map`
        // lives, and `self` is borrowed for the slice's whole life. Nobody writes these bytes: `file_to_change`
        // refuses in this handle, and for everybody else it is the contract of `ReadMode::Mmap` (module docs).
        unsafe { slice::from_raw_parts(self.map.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stretch_is_kept_once_all_of_it_is_final() {
        const STRETCH: u64 = 16 << 10;
        let file = tempfile::tempfile().unwrap();
        file.set_len(20 * STRETCH).unwrap();
        let mapped = MappedFile::new(file, Access::Write);
        for end in [100, STRETCH, STRETCH + 1, 3 * STRETCH - 1, 7 * STRETCH, 20 * STRETCH] {
            mapped.freeze(end);
            assert!(mapped.view(end - 1..end).unwrap().is_some());
            for stretch in 0..20 {
                let range = stretch * STRETCH..(stretch + 1) * STRETCH;
                assert_eq!(mapped.kept(&range).is_some(), range.end <= end, "{range:?} of {end}");
            }
            assert!(mapped.kept(&(0..end)).is_some() == (end % STRETCH == 0), "what is not full is not kept");
        }
    }

    /// Another process may make it longer.
    #[test]
    fn of_a_file_that_has_grown_the_first_mapping_is_lent_and_all_is_viewed() {
        const STRETCH: u64 = 16 << 10;
        let file = tempfile::tempfile().unwrap();
        file.set_len(40_000).unwrap();
        let mapped = MappedFile::new(file, Access::Read);
        assert_eq!(mapped.view(0..20_000).unwrap().unwrap().len(), 20_000);
        mapped.file().set_len(200_000).unwrap();
        assert_eq!(mapped.view(10..200_000).unwrap().unwrap().len(), 199_990);
        assert_eq!(mapped.lend(20_000).map(<[u8]>::len), Some(40_000));
        assert!(mapped.lend(40_001).is_none());
        let kept: Vec<bool> =
            (0..12).map(|nth| mapped.kept(&(nth * STRETCH..nth * STRETCH + 1)).is_some()).collect();
        assert_eq!(kept.iter().position(|kept| !kept), Some(2));
    }
}
