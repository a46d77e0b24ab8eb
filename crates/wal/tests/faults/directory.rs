//! A directory that changes under a live log.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use wal::{Error, ErrorKind, Options, Outcome, Wal};

use crate::content::{check, lsn, payload, small};

/// Appends until it fails, at most `count` entries.
fn append_until_refused(wal: &Wal, count: u64) -> Option<Error> {
    (0..count).find_map(|_| {
        let next = wal.next_lsn().get();
        wal.append(payload(next, 0, 5000)).err()
    })
}

#[track_caller]
fn verify(wal: &Wal, last: u64) {
    let mut count = 0;
    for entry in wal.iter() {
        let entry = entry.unwrap();
        check(entry.lsn.get(), &entry.payload);
        count += 1;
    }
    assert_eq!(count, last);
}

/// The log cannot make another segment; that is an error with the file's name, and not the end.
#[track_caller]
fn check_refusal(wal: &Wal) -> u64 {
    let error = append_until_refused(wal, 500).expect("no new segment can be made");
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Io, Some(Outcome::NotAppended)), "{error}");
    assert!(error.path().is_some(), "{error}");
    wal.durable_lsn().unwrap().get()
}

#[test]
fn a_directory_without_permission_stops_the_log_until_it_is_given_back() {
    for background_threads in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let wal = Wal::builder(dir.path()).options(Options { background_threads, ..small() }).open().unwrap();
        assert!(append_until_refused(&wal, 5).is_none());
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
        if fs::write(dir.path().join("probe"), "").is_ok() {
            println!("skipped: root may do everything");
            return;
        }
        let last = check_refusal(&wal);
        verify(&wal, last);
        // A trim may be durable although the files it frees cannot be removed.
        if let Err(error) = wal.truncate_before(lsn(last / 2)) {
            assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        wal.append(payload(last + 1, 0, 5000)).unwrap();
        drop(wal);
        let wal = Wal::open(dir.path()).unwrap();
        assert_eq!(wal.last_lsn(), Some(lsn(last + 1)));
        wal.iter().for_each(|entry| _ = entry.unwrap());
    }
}

#[test]
fn a_directory_that_is_moved_away_takes_everything_acknowledged_along() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
    let wal = Wal::builder(&old).options(small()).open().unwrap();
    assert!(append_until_refused(&wal, 60).is_none());
    fs::rename(&old, &new).unwrap();
    let last = check_refusal(&wal);
    assert!(!old.exists(), "the log does not begin anew by itself");
    assert_eq!(Wal::open(&new).unwrap_err().kind(), ErrorKind::Locked, "it is the same log");
    drop(wal);
    let wal = Wal::open(&new).unwrap();
    verify(&wal, last);
    wal.append("and goes on").unwrap();
}

#[test]
fn a_directory_that_is_replaced_gets_nothing_acknowledged() {
    for background_threads in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
        let wal = Wal::builder(&old).options(Options { background_threads, ..small() }).open().unwrap();
        assert!(append_until_refused(&wal, 60).is_none());
        fs::rename(&old, &new).unwrap();
        fs::create_dir(&old).unwrap();
        let refused =
            || append_until_refused(&wal, 500).expect("names of new segments cannot be made durable");
        let mut error = refused();
        // A segment that was prepared in the old place is not in the new one, which is not the end: another is made.
        if error.kind() == ErrorKind::Io && error.outcome() == Some(Outcome::NotAppended) {
            error = refused();
        }
        assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Poisoned), "{error}");
        // A thread of the log may find out by itself, while an append is on its way.
        let in_doubt = background_threads && error.outcome() == Some(Outcome::Unknown);
        assert!(in_doubt || error.outcome() == Some(Outcome::NotAppended), "{error}");
        assert_eq!(wal.append("no").unwrap_err().kind(), ErrorKind::Poisoned);
        let last = wal.durable_lsn().unwrap().get();
        drop(wal);
        let wal = Wal::open(&new).unwrap();
        let found = wal.last_lsn().unwrap().get();
        assert!(found == last || in_doubt && found == last + 1, "{found} after {last}: {error}");
        verify(&wal, found);
    }
}

#[test]
fn a_directory_that_is_removed_leaves_errors_and_no_panic() {
    for background_threads in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let wal = Wal::builder(&path).options(Options { background_threads, ..small() }).open().unwrap();
        assert!(append_until_refused(&wal, 60).is_none());
        fs::remove_dir_all(&path).unwrap();
        let last = check_refusal(&wal);
        // What is open can still be read, the end of the log for one.
        check(last, &wal.get(lsn(last)).unwrap().payload);
        for number in 1..last {
            match wal.get(lsn(number)) {
                Ok(entry) => _ = check(number, &entry.payload),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Io, "{error}"),
            }
        }
        typed(wal.truncate_before(lsn(last)));
        typed(wal.truncate_after(lsn(last)));
        typed(wal.clear());
        typed(wal.sync());
        typed(wal.close());
        drop(wal);
        gone(&path);
    }
}

#[track_caller]
fn typed<T>(result: Result<T, Error>) {
    if let Err(error) = result {
        assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Poisoned), "{error}");
    }
}

fn gone(path: &Path) {
    assert_eq!(Wal::open_read_only(path).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(Wal::builder(path).create(false).open().unwrap_err().kind(), ErrorKind::NotFound);
}
