//! What Unix file systems add: links, sockets, pipes, permission bits.

use std::os::unix::{
    fs::{MetadataExt, PermissionsExt, symlink},
    net::UnixListener,
};

use super::*;

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn foreign_things_are_not_listed_and_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let storage = local(dir.path(), ReadMode::Mmap);
    storage.create("1.wal").unwrap();
    fs::create_dir(path("2.wal")).unwrap();
    symlink(path("1.wal"), path("3.wal")).unwrap();
    symlink(path("nowhere"), path("4.wal")).unwrap();
    let _socket = UnixListener::bind(path("5.wal")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(path("6.wal")).status();
    assert_eq!(sorted(storage.list().unwrap()), ["1.wal"]);
    for name in ["2.wal", "3.wal", "4.wal", "5.wal"] {
        let error = storage.open(name).unwrap_err();
        assert_ne!(error.kind(), ErrorKind::NotFound, "{name}");
        assert_eq!(kind(storage.create(name)), Some(ErrorKind::AlreadyExists), "{name}");
        assert_eq!(kind(storage.rename("1.wal", name)), Some(ErrorKind::AlreadyExists), "{name}");
    }
    if pipe.is_ok_and(|status| status.success()) {
        assert_eq!(kind(storage.open("6.wal")), Some(ErrorKind::InvalidInput), "and it does not wait");
    }
    storage.open("1.wal").unwrap();
}

/// What is given back is not counted, although the file stays as long as it was.
#[test]
#[cfg(target_os = "linux")]
fn space_is_what_the_medium_keeps() {
    let dir = tempfile::tempdir().unwrap();
    let file = local(dir.path(), ReadMode::Mmap).create("a").unwrap();
    file.write_at(0, &[1; 1 << 20]).unwrap();
    file.sync().unwrap();
    assert_eq!(file.space().unwrap(), 1 << 20);
    file.punch(64 << 10..1 << 20).unwrap();
    assert_eq!((file.len().unwrap(), file.space().unwrap()), (1 << 20, 64 << 10));
}

/// A page that is not to be had ends the process when it is touched: it is asked for first.
#[test]
#[cfg(target_os = "linux")]
fn what_the_kernel_has_no_page_for_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let options = LocalOptions { write_mode: WriteMode::Mmap, ..LocalOptions::default() };
    let file = LocalStorage::open(dir.path(), options).unwrap().create("a").unwrap();
    file.write_at(0, &[0; 1 << 20]).unwrap();
    if !file.store(100, b"stored") {
        return; // This file system, or kernel, does not take stores.
    }
    // Somebody shortens the file, against the contract.
    let shortened = fs::OpenOptions::new().write(true).open(dir.path().join("a")).unwrap();
    shortened.set_len(64 << 10).unwrap();
    file.warm(1 << 20);
    assert!(!file.store(512 << 10, b"beyond"));
    assert!(!file.store(200, b"after a refusal"), "the rest of the file is written");
    file.write_at(200, b"written").unwrap();
    let mut content = [0; 107];
    file.read_at(100, &mut content).unwrap();
    assert!(content.starts_with(b"stored") && content.ends_with(b"written"));
}

#[test]
#[cfg(target_os = "linux")]
fn names_that_are_not_utf8_are_not_listed() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"\xff.wal")), "").unwrap();
    assert_eq!(local(dir.path(), ReadMode::Mmap).list().unwrap(), [""; 0]);
}

#[test]
fn files_and_directories_are_the_owners() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a/b");
    let storage = LocalStorage::create(&dir, LocalOptions::default()).unwrap();
    storage.create("1.wal").unwrap();
    let _lock = storage.lock().unwrap();
    assert_eq!([mode_of(&root.path().join("a")), mode_of(&dir)], [0o700; 2]);
    assert_eq!([mode_of(&dir.join("1.wal")), mode_of(&dir.join("LOCK"))], [0o600; 2]);
}

#[test]
fn chosen_modes_are_used() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("log");
    let options = LocalOptions { file_mode: 0o400, dir_mode: 0o500, ..LocalOptions::default() };
    // A directory that its owner may not write needs no file in it to show its bits.
    let storage = LocalStorage::create(&dir, options).unwrap();
    assert_eq!(mode_of(&dir), 0o500);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    storage.create("1.wal").unwrap();
    assert_eq!(mode_of(&dir.join("1.wal")), 0o400);
}

#[test]
fn a_read_only_directory_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let storage = local(dir.path(), ReadMode::Mmap);
    storage.create("a").unwrap().write_at(0, b"content").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let create = storage.create("b");
    let (list, view) = (storage.list(), storage.open("a").and_then(|file| file.view(0..7)));
    let lock = storage.lock();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    // The superuser is let in everywhere, and then there is nothing to see.
    if create.is_err() {
        assert_eq!(kind(create), Some(ErrorKind::PermissionDenied));
        assert_eq!(kind(lock), Some(ErrorKind::PermissionDenied));
        assert_eq!(list.unwrap(), ["a"]);
        assert_eq!(view.unwrap(), "content");
    }
}

/// What was never written to is not read, and hides nothing of what lies behind it.
#[test]
#[cfg(target_os = "linux")]
fn a_scan_that_passes_over_holes_finds_what_one_that_reads_them_does() {
    let segment = wal_format::example_segment();
    let frames = &segment[512..];
    // More holes than are noted, too.
    let many = (1..=100).map(|n| n << 16).collect();
    let sparse = [
        (vec![], 1 << 20),
        (vec![700_000], 1 << 20),
        (vec![90_008, 1 << 19], (1 << 20) + 4),
        (many, 8 << 20),
    ];
    for (places, len) in sparse {
        let dir = tempfile::tempdir().unwrap();
        let (disk, memory) = (local(dir.path(), ReadMode::Mmap), MemoryStorage::new());
        let files = [disk.create("a").unwrap(), memory.create("a").unwrap()];
        for file in &files {
            file.reserve(len).unwrap();
            file.write_at(0, &segment).unwrap();
            places.iter().for_each(|place| file.write_at(*place, frames).unwrap());
        }
        assert_eq!(files[1].next_data(4096).unwrap(), 4096..u64::MAX, "memory knows of no holes");
        let verdicts = files.each_ref().map(|file| {
            let mut beyond = Vec::new();
            let verdict = wal_segment::scan(&**file, "a", |item| {
                if let wal_format::Item::Beyond(frame) = item {
                    beyond.push(frame.offset);
                }
                Ok(())
            });
            (verdict.unwrap(), beyond)
        });
        assert_eq!(verdicts[0], verdicts[1]);
        assert_eq!(verdicts[0].0.dirty, !places.is_empty());
    }
}
