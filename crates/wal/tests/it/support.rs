//! Logs in temporary directories, and their bytes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use wal::{Error, ErrorKind, Lsn, Options, SegmentSummary, Wal};

pub(crate) fn lsn(number: u64) -> Lsn {
    Lsn::new(number).unwrap()
}

pub(crate) fn small() -> Options {
    Options { segment_len: 64 << 10, first_segment_len: 64 << 10, ..Options::default() }
}

/// A log that writes nothing by itself, so that the bytes of its files can be compared.
pub(crate) fn quiet(dir: &Path) -> Wal {
    let options = Options { background_threads: false, ..small() };
    Wal::builder(dir).options(options).open().unwrap()
}

/// A closed log of thirty entries in several segments.
pub(crate) fn filled(dir: &Path) -> Vec<SegmentSummary> {
    let wal = Wal::builder(dir).options(small()).open().unwrap();
    for n in 1..=30 {
        wal.append(payload(n)).unwrap();
    }
    let segments = wal.segments().unwrap();
    wal.close().unwrap();
    assert!(segments.len() >= 4, "{segments:#?}");
    segments
}

pub(crate) fn payload(n: u64) -> Vec<u8> {
    format!("entry {n} ").into_bytes().into_iter().cycle().take(10_000).collect()
}

pub(crate) fn path_of(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:020}.wal"))
}

/// Every file and what it holds.
pub(crate) fn bytes_of(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The call fails, as a kind of error that names these places, and changes no byte in the directory.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(
    dir: &Path,
    kind: ErrorKind,
    places: &[&str],
    call: impl FnOnce() -> Result<T, Error>,
) -> Error {
    let before = bytes_of(dir);
    let error = call().unwrap_err();
    assert!(before == bytes_of(dir), "the directory was changed: {error}");
    assert_eq!(error.kind(), kind, "{error}");
    for place in places {
        assert!(error.to_string().contains(place), "{error} does not name {place}");
    }
    error
}

/// Opening for writing and for reading both fail like this. Returns the writer's error.
#[track_caller]
pub(crate) fn cannot_be_opened(dir: &Path, kind: ErrorKind, places: &[&str]) -> Error {
    refused(dir, kind, places, || Wal::open_read_only(dir));
    let error = refused(dir, kind, places, || Wal::open(dir));
    assert_eq!(error.outcome(), None);
    error
}
