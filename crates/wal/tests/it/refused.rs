//! Directories that are no log, or a damaged one: refused with the place, and left alone.

use std::{error::Error as _, fs, io, os::unix::fs::FileExt, path::Path};

use wal::{ChecksumKind, ErrorKind, SegmentId, Wal};

use crate::support::{bytes_of, cannot_be_opened, filled, lsn, path_of, payload, refused};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Changes a byte of a segment header and makes the header valid again.
fn patch_header(path: &Path, at: usize, byte: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] = byte;
    let crc = ChecksumKind::Crc32.of(&bytes[..508]);
    bytes[508..512].copy_from_slice(&crc.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

fn flip(path: &Path, offset: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[!byte[0]], offset).unwrap();
}

#[test]
fn a_file_in_the_place_of_the_directory_is_an_io_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "precious").unwrap();
    for path in [path.clone(), path.join("below")] {
        let error = refused(dir.path(), ErrorKind::Io, &[text(&path)], || Wal::open(&path));
        assert_eq!(error.path(), Some(text(&path)));
        let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(source.kind(), io::ErrorKind::NotADirectory);
        refused(dir.path(), ErrorKind::Io, &[text(&path)], || Wal::open_read_only(&path));
    }
}

#[test]
fn a_directory_without_permission_is_an_io_error() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(dir.path().join("probe"), "").is_ok() {
        return; // Root may do everything.
    }
    let error = refused(dir.path(), ErrorKind::Io, &[text(dir.path())], || Wal::open(dir.path()));
    assert_eq!(error.path(), Some(text(dir.path())));
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn what_is_missing_is_not_created_by_looking_at_it() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let open = |create| Wal::builder(&missing).create(create);
    let error = refused(dir.path(), ErrorKind::NotFound, &[text(&missing)], || Wal::open_read_only(&missing));
    assert_eq!(error.path(), Some(text(&missing)));
    refused(dir.path(), ErrorKind::NotFound, &[text(&missing)], || open(true).open_read_only());
    refused(dir.path(), ErrorKind::NotFound, &[text(&missing)], || open(false).open());
    assert!(!missing.exists());

    let error =
        refused(dir.path(), ErrorKind::NotFound, &[text(dir.path())], || Wal::open_read_only(dir.path()));
    assert_eq!(error.path(), Some(text(dir.path())));
    assert!(bytes_of(dir.path()).is_empty());
}

#[test]
fn foreign_files_are_left_alone_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let strangers =
        ["00000000000000000001.wal~", "1.wal", "LOCK.old", "a-00000000000000000002.wal", "notes.txt"];
    for name in strangers {
        fs::write(dir.path().join(name), name).unwrap();
    }
    fs::create_dir(dir.path().join("00000000000000009999.wal")).unwrap();
    filled(dir.path());
    let wal = Wal::open(dir.path()).unwrap();
    assert_eq!(wal.recovery_report().strangers, strangers);
    wal.clear().unwrap();
    drop(wal);
    assert_eq!(Wal::open_read_only(dir.path()).unwrap().recovery_report().strangers, strangers);
    for name in strangers {
        assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), name);
    }
}

#[test]
fn a_directory_with_the_name_of_the_next_segment_stops_the_append() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_of(dir.path(), 1);
    fs::create_dir(&path).unwrap();
    let wal = Wal::open(dir.path()).unwrap();
    let error = wal.append("x").unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Io, Some(text(&path))), "{error}");
    assert_eq!(error.outcome(), Some(wal::Outcome::NotAppended));
    fs::remove_dir(&path).unwrap();
    wal.append("x").unwrap();
}

#[test]
fn an_empty_segment_file_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let segments = filled(dir.path());
    let newest = segments.last().unwrap().id.0;
    for id in [segments[0].id.0, segments[1].id.0, newest, newest + 9] {
        let path = path_of(dir.path(), id);
        let before = fs::read(&path).ok();
        fs::write(&path, "").unwrap();
        let error = cannot_be_opened(dir.path(), ErrorKind::Corrupt, &[text(&path)]);
        assert_eq!((error.path(), error.segment()), (Some(text(&path)), Some(SegmentId(id))));
        assert_eq!(error.offset(), Some(0));
        match before {
            Some(before) => fs::write(&path, before).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    assert_eq!(Wal::open(dir.path()).unwrap().iter().count(), 30);
}

#[test]
fn a_segment_of_another_log_is_refused() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [ours, theirs] = dirs.each_ref().map(|dir| filled(dir.path()).last().unwrap().clone());
    let path = path_of(dirs[0].path(), ours.id.0);
    let good = fs::read(&path).unwrap();
    assert_eq!(ours.id, theirs.id);
    fs::copy(path_of(dirs[1].path(), theirs.id.0), &path).unwrap();
    let error = cannot_be_opened(dirs[0].path(), ErrorKind::Corrupt, &[text(&path), "belongs to log"]);
    assert_eq!((error.path(), error.segment()), (Some(text(&path)), Some(ours.id)));
    fs::write(&path, good).unwrap();
    assert_eq!(Wal::open(dirs[0].path()).unwrap().iter().count(), 30);
}

#[test]
fn what_a_newer_version_wrote_is_not_damage() {
    let dir = tempfile::tempdir().unwrap();
    let id = filled(dir.path())[1].id;
    let path = path_of(dir.path(), id.0);
    let good = fs::read(&path).unwrap();
    let changes = [("format version 9", 8, 9), ("required flags 0x80", 12, 0x80), ("checksum id 77", 10, 77)];
    for (what, at, byte) in changes {
        patch_header(&path, at, byte);
        let error = cannot_be_opened(dir.path(), ErrorKind::Unsupported, &[text(&path), what]);
        assert_eq!((error.path(), error.segment()), (Some(text(&path)), Some(id)));
        fs::write(&path, &good).unwrap();
    }
    // Unless the header is not what it was.
    flip(&path, 8);
    cannot_be_opened(dir.path(), ErrorKind::Corrupt, &[text(&path)]);
}

#[test]
fn a_missing_segment_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let segments = filled(dir.path());
    for segment in &segments {
        let path = path_of(dir.path(), segment.id.0);
        let good = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let name = format!("segment {} is missing", segment.id);
        let error = cannot_be_opened(dir.path(), ErrorKind::Corrupt, &[&name, text(dir.path())]);
        assert_eq!((error.path(), error.segment()), (Some(text(dir.path())), Some(segment.id)));
        fs::write(&path, good).unwrap();
    }
    assert_eq!(Wal::open(dir.path()).unwrap().iter().count(), 30);
}

#[test]
fn a_segment_under_another_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let segments = filled(dir.path());
    let (from, newest) = (segments[1].id, segments.last().unwrap().id);
    let path = path_of(dir.path(), newest.0 + 5);
    fs::copy(path_of(dir.path(), from.0), &path).unwrap();
    let holds = format!("holds segment {from}");
    let error = cannot_be_opened(dir.path(), ErrorKind::Corrupt, &[text(&path), &holds]);
    assert_eq!((error.path(), error.segment()), (Some(text(&path)), Some(SegmentId(newest.0 + 5))));
}

#[test]
fn a_damaged_end_is_refused_with_what_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let newest = filled(dir.path()).last().unwrap().clone();
    let path = path_of(dir.path(), newest.id.0);
    let good = fs::read(&path).unwrap();
    // The second entry of the newest segment.
    let at =
        good.windows(9).position(|bytes| bytes == format!("entry {} ", newest.base.get() + 1).as_bytes());
    flip(&path, at.unwrap() as u64 + 100);
    let error = cannot_be_opened(dir.path(), ErrorKind::Corrupt, &[text(&path), "offset"]);
    assert_eq!((error.path(), error.segment()), (Some(text(&path)), Some(newest.id)));
    assert_eq!(error.offset(), Some(at.unwrap() as u64 - 40), "the frame's header is 40 bytes long");
    assert_eq!(*error.lsns().unwrap().start(), newest.base.next());
}

#[test]
fn a_damaged_entry_is_named_when_it_is_read_and_the_others_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let segment = filled(dir.path())[1].clone();
    let path = path_of(dir.path(), segment.id.0);
    let damaged = segment.base.next();
    let good = fs::read(&path).unwrap();
    let at =
        good.windows(8).position(|bytes| bytes == format!("entry {damaged} ").as_bytes()).unwrap() as u64;
    flip(&path, at + 100);
    let wal = Wal::open(dir.path()).unwrap();
    let error = refused(dir.path(), ErrorKind::Corrupt, &[text(&path), "offset"], || wal.get(damaged));
    assert_eq!((error.path(), error.segment()), (Some(text(&path)), Some(segment.id)));
    assert_eq!((error.offset(), error.lsns()), (Some(at - 40), Some(damaged..=damaged)));

    let mut from_front = wal.iter();
    let good = from_front.by_ref().map_while(Result::ok).count() as u64;
    assert_eq!(good, damaged.get() - 1);
    let from_back: Vec<_> = wal.iter().rev().collect();
    assert_eq!(from_back.last().unwrap().as_ref().unwrap_err().lsns(), Some(damaged..=damaged));
    for n in (1..=30).filter(|n| *n != damaged.get()) {
        assert_eq!(wal.get(lsn(n)).unwrap().payload, payload(n));
    }
}
