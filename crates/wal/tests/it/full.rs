//! A disk without space: what an append says, and how it goes on.

use std::{sync::mpsc, time::Duration};

use wal::{ErrorKind, Options, Outcome, Wal};
use wal_sim::{DiskOptions, SimDisk};

use crate::support::{lsn, small};

/// A log whose disk refuses every write from now on, even one into allocated space.
fn stuffed(background_threads: bool) -> (SimDisk, Wal) {
    let disk = SimDisk::with_options(7, DiskOptions { copy_on_write: true, ..DiskOptions::default() });
    let options = Options { background_threads, ..small() };
    let wal = Wal::builder("not used").storage(disk.storage()).options(options).open().unwrap();
    wal.append("one").unwrap();
    disk.set_capacity_bytes(Some(0));
    (disk, wal)
}

#[test]
fn a_full_disk_leaves_the_append_open_until_there_is_space() {
    let (disk, wal) = stuffed(false);
    let error = wal.append("two").unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Full, Some(Outcome::Unknown)), "{error}");
    assert_eq!(error.lsns(), Some(lsn(2)..=lsn(2)));
    assert!(error.path().is_some_and(|path| error.to_string().contains(path)), "{error}");
    assert_eq!((wal.sync().unwrap_err().kind(), wal.durable_lsn()), (ErrorKind::Full, Some(lsn(1))));
    assert_eq!(wal.get(lsn(1)).unwrap().payload, "one");

    disk.set_capacity_bytes(None);
    wal.sync().unwrap();
    assert_eq!(wal.durable_lsn(), Some(lsn(2)), "the sync confirms what the append could not");
    assert_eq!(wal.append("three").unwrap(), lsn(3));
    drop(wal);
    let wal = Wal::builder("not used").storage(disk.storage()).open_read_only().unwrap();
    assert_eq!(wal.iter().count(), 3);
}

#[test]
fn a_ticket_hears_of_a_log_that_could_not_be_closed() {
    let (_disk, wal) = stuffed(true);
    let ticket = wal.submit("two").unwrap();
    let (sender, receiver) = mpsc::channel();
    ticket.on_durable(move |result| sender.send(result).unwrap());
    assert_eq!(wal.close().unwrap_err().kind(), ErrorKind::Full);
    let error = receiver.recv_timeout(Duration::from_secs(60)).unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Some(Outcome::Unknown)));
    let error = ticket.wait_timeout(Duration::from_secs(60)).unwrap_err();
    assert_eq!(error.outcome(), Some(Outcome::Unknown));
}

/// Whoever believed that would append the entries again.
#[test]
fn a_commit_that_is_repeated_does_not_say_that_nothing_was_appended() {
    let (disk, wal) = stuffed(false);
    let begin = |payload: &str| {
        let transaction = wal.begin(Duration::from_secs(60)).unwrap();
        transaction.append(payload).unwrap();
        transaction
    };
    let in_doubt = begin("two");
    for kind in [ErrorKind::Full, ErrorKind::Invalid] {
        let error = in_doubt.commit().unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (kind, Some(Outcome::Unknown)), "{error}");
        assert_eq!(error.lsns(), Some(lsn(2)..=lsn(2)));
    }
    disk.set_capacity_bytes(None);
    wal.sync().unwrap();
    assert_eq!(wal.get(lsn(2)).unwrap().payload, "two");

    let committed = begin("three");
    committed.commit().unwrap();
    let error = committed.commit().unwrap_err();
    assert_eq!((error.outcome(), error.lsns()), (Some(Outcome::Unknown), Some(lsn(3)..=lsn(3))), "{error}");
    // Another entry is another thing.
    let error = committed.append("four").unwrap_err();
    assert_eq!((error.outcome(), error.lsns()), (Some(Outcome::NotAppended), None), "{error}");
    let regretted = begin("never mind");
    regretted.rollback().unwrap();
    let error = regretted.commit().unwrap_err();
    assert_eq!((error.outcome(), error.lsns()), (Some(Outcome::NotAppended), None), "{error}");
}
