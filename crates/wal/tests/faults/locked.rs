//! Two processes and one log.

use std::{path::Path, time::Duration};

use wal::{ErrorKind, Wal};

use crate::child::{Running, command, say, until_told};

/// The role: has the log until it is told to end.
pub(crate) fn holder(log: &Path, _: u64) {
    let wal = Wal::open(log).unwrap();
    wal.append("held").unwrap();
    let told = until_told();
    say("ready");
    while !told.load(std::sync::atomic::Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(5));
    }
    wal.append("given up").unwrap();
}

#[test]
fn the_second_process_is_told_and_does_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let refused = || {
        // The holder has the log until it is told to end, which is after this.
        let error = Wal::open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    };
    let running = Running::start(command("holder", dir.path(), 0));
    (0..20).for_each(|_| refused());
    assert_eq!(Wal::open_read_only(dir.path()).unwrap().iter().count(), 1);
    running.end().succeeded();
    assert_eq!(Wal::open(dir.path()).unwrap().iter().count(), 2);

    let running = Running::start(command("holder", dir.path(), 0));
    refused();
    running.kill();
    assert_eq!(Wal::open(dir.path()).unwrap().iter().count(), 3, "the lock dies with its process");
}
