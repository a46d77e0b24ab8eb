//! A limit on the length of files, set by the surroundings.

use std::path::Path;

use wal::{ErrorKind, Outcome, Wal};

use crate::{
    child::{Running, command_after, say},
    content::{check, lsn, payload, small},
};

/// The role: an entry that no permitted file can hold is refused, and the log goes on.
pub(crate) fn limited(log: &Path, _: u64) {
    let wal = Wal::builder(log).options(small()).open().unwrap();
    say("ready");
    let mut last = 0;
    for round in 0..20 {
        last = wal.append_at(lsn(last + 1), payload(last + 1, 0, 5000)).unwrap().get();
        let error = wal.append(vec![round; 1 << 20]).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Full, Some(Outcome::NotAppended)), "{error}");
        assert!(error.path().is_some(), "{error}");
        assert_eq!(wal.durable_lsn(), Some(lsn(last)));
        wal.iter().for_each(|entry| _ = entry.unwrap());
    }
    wal.truncate_before(lsn(5)).unwrap();
    say(&format!("last {last}"));
}

/// The role: not even the shortest segment is permitted. What is there can be read.
pub(crate) fn cramped(log: &Path, _: u64) {
    say("ready");
    match Wal::builder(log).options(small()).open() {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Full, "{error}"),
        Ok(wal) => {
            for _ in 0..50 {
                let error = wal.append(vec![7; 5000]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                assert_eq!(error.outcome(), Some(Outcome::NotAppended), "{error}");
            }
        }
    }
    let count = Wal::open_read_only(log).unwrap().iter().map(Result::unwrap).count();
    say(&format!("read {count}"));
}

/// The limit is in blocks of 512 bytes or of 1024, as the shell likes.
fn script(blocks: u32) -> String {
    format!("ulimit -f {blocks}; trap '' XFSZ")
}

#[test]
fn a_file_that_may_not_grow_is_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let ended = Running::start(command_after(&script(256), "limited", dir.path())).wait();
    let last = ended.succeeded().number("last");

    let ended = Running::start(command_after(&script(32), "cramped", dir.path())).wait();
    assert_eq!(ended.succeeded().number("read"), last - 4);

    let wal = Wal::builder(dir.path()).options(small()).open().unwrap();
    for entry in wal.iter() {
        let entry = entry.unwrap();
        check(entry.lsn.get(), &entry.payload);
    }
    assert_eq!((wal.first_lsn(), wal.last_lsn()), (Some(lsn(5)), Some(lsn(last))));
    assert_eq!(wal.append(vec![7; 1 << 20]).unwrap(), lsn(last + 1));
}
