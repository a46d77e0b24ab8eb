//! Running the program.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// The program, with these arguments.
pub(crate) fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(args: I) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wal"));
    command.args(args);
    command
}

/// Runs the program without input.
pub(crate) fn wal<S: AsRef<OsStr>>(args: &[S]) -> Output {
    command(args).stdin(Stdio::null()).output().unwrap()
}

/// Runs the program with these bytes as its input.
pub(crate) fn wal_with<S: AsRef<OsStr>>(args: &[S], input: &[u8]) -> Output {
    let mut child =
        command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // The program may end before it has read everything.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

/// What it printed, if it went well.
#[track_caller]
pub(crate) fn good(output: &Output) -> Vec<u8> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    output.stdout.clone()
}

#[track_caller]
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8(good(output)).unwrap()
}

/// It failed with this code, and said all of this on stderr. Returns what it said.
#[track_caller]
pub(crate) fn bad(output: &Output, code: i32, places: &[&str]) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    places.iter().for_each(|place| assert!(said.contains(place), "{place:?} is not in {said:?}"));
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// A directory to work in, and the name of a log in it that does not exist.
pub(crate) fn place() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log").to_str().unwrap().to_owned();
    (dir, log)
}

/// A log of these records, closed.
pub(crate) fn filled(log: &str, records: &[u8]) {
    good(&wal_with(&["append", log], records));
}

/// Every file and what it holds; but for the lock, which names who tried last.
pub(crate) fn bytes_of(dir: impl AsRef<Path>) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.is_file() && !path.ends_with("LOCK"));
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

pub(crate) fn numbers(count: usize) -> String {
    (1..=count).map(|number| format!("{number}\n")).collect()
}
