//! The storages of this crate keep the storage contract, and a local directory what only it can promise.
#![expect(clippy::disallowed_methods, reason = "the tests put foreign things beside the log's files")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod threads;
#[cfg(unix)]
mod unix;

use std::{fs, io, io::ErrorKind, path::Path, sync::Arc};

use bytes::Bytes;
use wal_segment::{
    LocalOptions, LocalStorage, MemoryStorage, ReadMode, Storage, StorageFile, TieredStorage, WriteMode,
    conformance,
};

const MODES: [ReadMode; 2] = [ReadMode::Mmap, ReadMode::Pread];

fn local(dir: &Path, read_mode: ReadMode) -> LocalStorage {
    LocalStorage::open(dir, LocalOptions { read_mode, ..LocalOptions::default() }).unwrap()
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[test]
fn memory_keeps_the_contract() {
    conformance::check(&|| Arc::new(MemoryStorage::new()));
}

#[test]
fn two_storages_as_one_keep_the_contract() {
    conformance::check(&|| {
        let tier = Arc::new(MemoryStorage::new());
        Arc::new(TieredStorage::new(Arc::new(MemoryStorage::new()), tier))
    });
}

#[test]
fn only_what_is_known_to_be_in_the_tier_leaves_the_local_storage() {
    let (near, far) = (MemoryStorage::new(), MemoryStorage::new());
    let tiered = TieredStorage::new(Arc::new(near.clone()), Arc::new(far.clone()));
    let content = Bytes::from((0..100_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    tiered.create("a.wal").unwrap().write_at(0, &content).unwrap();
    assert_eq!(kind(tiered.evict("a.wal")), Some(ErrorKind::InvalidInput));
    assert!(tiered.is_local("a.wal"));
    tiered.remote().ship("a.wal", content.clone()).unwrap();
    tiered.record("a.wal", &content).unwrap();
    let held = tiered.open("a.wal").unwrap();
    tiered.evict("a.wal").unwrap();
    assert!(!tiered.is_local("a.wal") && near.open("a.wal").is_err());
    assert_eq!(tiered.list().unwrap(), ["a.wal"]);
    assert_eq!(kind(tiered.create("a.wal")), Some(ErrorKind::AlreadyExists));
    for file in [held, tiered.open("a.wal").unwrap()] {
        assert_eq!(file.len().unwrap(), 100_000);
        assert_eq!(file.view(0..100_000).unwrap(), content);
        let mut end = [0; 100];
        assert_eq!(file.read_at(99_950, &mut end).unwrap(), 50);
        assert_eq!(end[..50], content[99_950..]);
        assert_eq!(file.read_at(100_001, &mut end).unwrap(), 0);
    }
    // The ends are here, the rest is not.
    far.remove("a.wal").unwrap();
    let file = tiered.open("a.wal").unwrap();
    assert_eq!(file.view(0..4096).unwrap(), content.slice(..4096));
    let lost = file.view(0..5000).unwrap_err();
    assert!(lost.kind() != ErrorKind::NotFound && lost.to_string().contains("was shipped to"), "{lost}");
    // A process was killed while it replaced the note.
    near.rename("a.wal.tier", "a.wal.tier.tmp").unwrap();
    let lost = file.view(0..5000).unwrap_err();
    assert!(lost.kind() != ErrorKind::NotFound && lost.to_string().contains("was shipped to"), "{lost}");
    near.rename("a.wal.tier.tmp", "a.wal.tier").unwrap();
    // Removed is something else.
    tiered.remove("a.wal").unwrap();
    assert_eq!(kind(file.view(0..5000)), Some(ErrorKind::NotFound));
    assert!(tiered.list().unwrap().is_empty());
    assert_eq!(tiered.retired().unwrap(), [("a.wal".to_owned(), Some(wal_segment::Stub::of(&content)))]);
    tiered.forget("a.wal").unwrap();
    assert!(tiered.retired().unwrap().is_empty() && near.list().unwrap().is_empty());
}

#[test]
fn a_damaged_note_is_no_proof_and_no_loss() {
    let (near, far) = (MemoryStorage::new(), MemoryStorage::new());
    let tiered = TieredStorage::new(Arc::new(near.clone()), Arc::new(far));
    let content = Bytes::from(vec![7; 10_000]);
    tiered.remote().ship("a.wal", content.clone()).unwrap();
    tiered.record("a.wal", &content).unwrap();
    near.remove("a.wal.tier").unwrap();
    near.create("a.wal.tier").unwrap().write_at(0, b"WALSTUB1 and nothing more").unwrap();
    assert_eq!(tiered.recorded("a.wal"), None);
    assert_eq!(kind(tiered.evict("a.wal")), Some(ErrorKind::InvalidInput));
    let file = tiered.open("a.wal").unwrap();
    assert_eq!((file.len().unwrap(), file.view(5..15).unwrap()), (10_000, content.slice(5..15)));
    tiered.record("a.wal", &content).unwrap();
    assert_eq!(tiered.recorded("a.wal"), Some(wal_segment::Stub::of(&content)));
}

/// Has one file that nobody can open for the moment.
#[derive(Debug)]
struct Withholds(MemoryStorage, &'static str);

impl Storage for Withholds {
    fn location(&self) -> String {
        self.0.location()
    }
    fn capabilities(&self) -> wal_segment::Capabilities {
        self.0.capabilities()
    }
    fn lock(&self) -> io::Result<wal_segment::WriterLock> {
        self.0.lock()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.0.create(name)
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        if name == self.1 { Err(ErrorKind::PermissionDenied.into()) } else { self.0.open(name) }
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn sync_names(&self) -> io::Result<()> {
        self.0.sync_names()
    }
}

#[test]
fn a_segment_whose_note_cannot_be_read_is_not_absent() {
    // The other is what a process left that was killed while it replaced the note.
    for note in ["a.wal.tier", "a.wal.tier.tmp"] {
        let (near, far) = (MemoryStorage::new(), MemoryStorage::new());
        let content = Bytes::from(vec![7; 10_000]);
        let tiered = TieredStorage::new(Arc::new(near.clone()), Arc::new(far.clone()));
        tiered.create("a.wal").unwrap().write_at(0, &content).unwrap();
        far.ship("a.wal", content.clone()).unwrap();
        tiered.record("a.wal", &content).unwrap();
        if note != "a.wal.tier" {
            near.rename("a.wal.tier", note).unwrap();
        }
        let blind = TieredStorage::new(Arc::new(Withholds(near.clone(), note)), Arc::new(far.clone()));
        let refused = Some(ErrorKind::PermissionDenied);
        assert_eq!(kind(blind.remove("a.wal")), refused, "{note}");
        assert!(tiered.is_local("a.wal"), "removed, and its note is left");
        assert_eq!(blind.list().unwrap(), ["a.wal"], "{note}: it is here");
        // It leaves.
        near.remove("a.wal").unwrap();
        tiered.create("b").unwrap();
        assert_eq!(kind(blind.open("a.wal")), refused, "{note}");
        assert_eq!(kind(blind.create("a.wal")), refused, "{note}");
        assert_eq!(kind(blind.rename("b", "a.wal")), refused, "{note}");
        assert_eq!(kind(blind.remove("a.wal")), refused, "{note}");
        assert_eq!(kind(blind.record("a.wal", &content)), refused, "{note}");
        let listed = blind.list();
        assert!(listed.as_ref().map_or(true, |names| *names == ["a.wal", "b"]), "{note}: {listed:?}");
        assert_eq!(tiered.list().unwrap(), ["a.wal", "b"], "{note}");
        let file = tiered.open("a.wal").unwrap();
        assert_eq!(file.view(0..10_000).unwrap(), content, "{note}");
    }
}

#[test]
fn a_local_directory_ships_as_memory_does() {
    let dir = tempfile::tempdir().unwrap();
    let storage = local(dir.path(), ReadMode::Mmap);
    let content = Bytes::from(vec![7; 3 << 20]);
    storage.ship("a.wal", content.clone()).unwrap();
    storage.ship("a.wal", content.clone()).unwrap();
    assert_eq!(storage.list().unwrap(), ["a.wal"]);
    let other = Bytes::from(vec![8; 3 << 20]);
    let error = storage.ship("a.wal", other).unwrap_err();
    assert!(error.get_ref().is_some_and(|inner| inner.is::<wal_segment::TakenOver>()));
    assert_eq!(storage.open("a.wal").unwrap().view(0..3 << 20).unwrap(), content);
}

#[test]
fn a_local_directory_keeps_the_contract() {
    for (read_mode, write_mode) in MODES.into_iter().zip([WriteMode::Mmap, WriteMode::Pwrite]) {
        let root = tempfile::tempdir().unwrap();
        let count = std::cell::Cell::new(0);
        conformance::check(&|| {
            count.set(count.get() + 1);
            let dir = root.path().join(count.get().to_string());
            let options = LocalOptions { read_mode, write_mode, ..LocalOptions::default() };
            Arc::new(LocalStorage::create(dir, options).unwrap())
        });
    }
}

#[test]
fn clones_of_memory_share_files_and_lock() {
    let storage = MemoryStorage::new();
    let clone = storage.clone();
    storage.create("a").unwrap();
    let lock = storage.lock().unwrap();
    assert_eq!(clone.list().unwrap(), ["a"]);
    assert_eq!(kind(clone.lock()), Some(ErrorKind::WouldBlock));
    drop(lock);
    clone.lock().unwrap();
}

#[test]
fn two_values_of_one_directory_exclude_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (local(dir.path(), ReadMode::Mmap), local(dir.path(), ReadMode::Mmap));
    let lock = a.lock().unwrap();
    let refusal = b.lock().unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::WouldBlock);
    let holder = format!("process {}", std::process::id());
    assert!(refusal.to_string().ends_with(&holder), "{refusal}");
    drop(a);
    assert_eq!(kind(b.lock()), Some(ErrorKind::WouldBlock), "the guard holds the lock, not the storage");
    drop(lock);
    b.lock().unwrap();
}

#[test]
fn the_lock_file_is_no_segment() {
    let dir = tempfile::tempdir().unwrap();
    let storage = local(dir.path(), ReadMode::Mmap);
    let _lock = storage.lock().unwrap();
    assert_eq!(storage.list().unwrap(), [""; 0]);
    assert_eq!(kind(storage.create("LOCK")), Some(ErrorKind::InvalidInput));
    assert_eq!(kind(storage.remove("LOCK")), Some(ErrorKind::InvalidInput));
    assert_eq!(kind(storage.rename("LOCK", "a")), Some(ErrorKind::InvalidInput));
    assert!(dir.path().join("LOCK").exists());
}

#[test]
fn only_an_existing_directory_opens() {
    let root = tempfile::tempdir().unwrap();
    let (missing, file) = (root.path().join("missing"), root.path().join("file"));
    fs::write(&file, "").unwrap();
    assert_eq!(kind(LocalStorage::open(&missing, LocalOptions::default())), Some(ErrorKind::NotFound));
    assert!(!missing.exists(), "open never creates");
    for path in [&file, &file.join("below")] {
        assert_eq!(kind(LocalStorage::open(path, LocalOptions::default())), Some(ErrorKind::NotADirectory));
        assert_eq!(kind(LocalStorage::create(path, LocalOptions::default())), Some(ErrorKind::NotADirectory));
    }
    let nested = root.path().join("a/b/c");
    for _ in 0..2 {
        LocalStorage::create(&nested, LocalOptions::default()).unwrap();
    }
    LocalStorage::open(&nested, LocalOptions::default()).unwrap();
}

#[test]
fn a_removed_directory_is_not_found() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("log");
    let storage = LocalStorage::create(&dir, LocalOptions::default()).unwrap();
    fs::remove_dir(&dir).unwrap();
    assert_eq!(kind(storage.list()), Some(ErrorKind::NotFound));
    assert_eq!(kind(storage.create("a")), Some(ErrorKind::NotFound));
}

/// A file of `len` letters, all frozen, and its view.
fn frozen(storage: &LocalStorage, name: &str, len: usize) -> (Arc<dyn StorageFile>, Bytes) {
    let file = storage.create(name).unwrap();
    file.write_at(0, &vec![b'a'; len]).unwrap();
    file.freeze(len as u64);
    let view = file.view(0..len as u64).unwrap();
    (file, view)
}

#[test]
fn a_view_survives_removal_and_everything_after_it() {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let storage = local(dir.path(), mode);
        let (file, view) = frozen(&storage, "a", 10_000);
        storage.remove("a").unwrap();
        file.write_at(10_000, &[b'b'; 10_000]).unwrap();
        file.punch(15_000..20_000).unwrap();
        file.reserve(1 << 20).unwrap();
        drop((file, storage, dir));
        assert_eq!(view, vec![b'a'; 10_000]);
    }
}

#[test]
fn views_are_shared_where_files_are_mapped() {
    for (mode, shared) in [(ReadMode::Mmap, true), (ReadMode::Pread, false)] {
        let dir = tempfile::tempdir().unwrap();
        let storage = local(dir.path(), mode);
        let (file, view) = frozen(&storage, "a", 10_000);
        let again = file.view(0..10_000).unwrap();
        assert_eq!(view.as_ptr() == again.as_ptr(), shared, "{mode:?}");
        let reader = storage.open("a").unwrap();
        reader.freeze(10_000);
        let views = [reader.view(10..20).unwrap(), reader.view(10..9_000).unwrap()];
        assert_eq!(views[0].as_ptr() == views[1].as_ptr(), shared, "{mode:?}");
    }
}

#[test]
fn what_was_viewed_is_lent_to_its_very_end_and_no_further() {
    for (mode, lends) in [(ReadMode::Mmap, true), (ReadMode::Pread, false)] {
        let dir = tempfile::tempdir().unwrap();
        let (file, view) = frozen(&local(dir.path(), mode), "a", 10_000);
        let lent = |end| file.prefix(end).map(|prefix| (prefix.as_ptr() == view.as_ptr(), prefix.to_vec()));
        assert_eq!(lent(10_000), lends.then(|| (true, vec![b'a'; 10_000])), "{mode:?}");
        assert_eq!(lent(10_001), None, "{mode:?}");

        // The file was mapped before it grew.
        file.write_at(10_000, b"bbbb").unwrap();
        file.freeze(10_004);
        assert_eq!(file.view(9_999..10_004).unwrap(), "abbbb");
        assert_eq!(lent(10_004), None, "{mode:?}");
        assert_eq!(lent(10_000).is_some(), lends, "{mode:?}");
    }
}

#[test]
fn what_becomes_final_is_lent_from_its_first_view_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = local(dir.path(), ReadMode::Mmap).create("a").unwrap();
    file.reserve(1 << 20).unwrap();
    for end in [100, 200, 70_000, 1 << 20] {
        file.write_at(end - 1, b"x").unwrap();
        file.freeze(end);
        assert_eq!(file.prefix(end), None, "{end}: nobody has shown that it can be had");
        assert_eq!(file.view(end - 1..end).unwrap(), "x");
        let prefix = file.prefix(end).unwrap();
        assert_eq!((prefix.len() as u64, prefix.last()), (end, Some(&b'x')));
    }
}

#[test]
fn bytes_that_are_not_frozen_are_copied() {
    let dir = tempfile::tempdir().unwrap();
    let file = local(dir.path(), ReadMode::Mmap).create("a").unwrap();
    file.write_at(0, b"finaldraft").unwrap();
    file.freeze(5);
    let draft = file.view(0..10).unwrap();
    file.write_at(5, b"DRAFT").unwrap();
    assert_eq!(draft, "finaldraft");
}

#[test]
fn readers_view_while_a_writer_grows_the_file() {
    const CHUNK: u64 = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let storage = local(dir.path(), ReadMode::Mmap);
    let file = storage.create("a").unwrap();
    let end = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let reader = storage.open("a").unwrap();
            let (file, end) = (&file, &end);
            scope.spawn(move || {
                let mut seen = 0;
                while seen < 200 * CHUNK {
                    seen = end.load(std::sync::atomic::Ordering::Acquire);
                    for from in (0..seen).step_by(7_000) {
                        let mine = file.view(from..seen).unwrap();
                        assert_eq!(mine, reader.view(from..seen).unwrap());
                        let number = |i: usize| (from + i as u64) / CHUNK;
                        assert!(mine.iter().enumerate().all(|(i, &b)| u64::from(b) == number(i)));
                    }
                }
            });
        }
        for number in 0..200 {
            file.write_at(number * CHUNK, &[number as u8; CHUNK as usize]).unwrap();
            file.freeze((number + 1) * CHUNK);
            end.store((number + 1) * CHUNK, std::sync::atomic::Ordering::Release);
        }
    });
}
