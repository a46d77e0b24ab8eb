//! Opening a directory in which anything may have happened to any file.
//!
//! It must come up or say why not; what it shows must be entries that were appended, in order; and a log that came up
//! takes appends and comes up again. Where frames were forged the entries may be anything, but have no gaps either.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wal_core::Log;
use wal_format::Lsn;
use wal_fuzz::directory::{Input, environment, files, open, options, payload, storage, was_appended};

fn check(log: &Log, is_forged: bool) {
    let mut last = None;
    for entry in log.range(..) {
        let Ok(entry) = entry else { return };
        assert!(
            is_forged || was_appended(entry.lsn, &entry.payload),
            "entry {} was never appended",
            entry.lsn
        );
        assert!(last.is_none_or(|last: Lsn| last.next() == entry.lsn), "a gap");
        last = Some(entry.lsn);
    }
}

fuzz_target!(|input: Input| {
    let is_forged = input.is_forged();
    let before = input.files();
    let storage = storage(&before);
    if let Ok(log) = Log::open_read_only(environment(&storage), options()) {
        check(&log, is_forged);
        let _ = log.range(..).rev().map(|entry| entry.is_ok()).all(|ok| ok);
    }
    let Ok(log) = open(&storage) else {
        let (mut before, mut after) = (before, files(&*storage));
        before.sort();
        after.sort();
        assert!(before == after, "a refusal changes nothing");
        return;
    };
    check(&log, is_forged);
    let next = log.next_lsn();
    let appended = log.append(&payload(next.get()));
    if is_forged && appended.is_err() {
        // Numbers at their end, for instance.
        return;
    }
    appended.expect("a log that came up takes appends");
    drop(log);
    let log = open(&storage).expect("a log that was closed comes up again");
    assert_eq!(log.next_lsn(), next.next());
    check(&log, is_forged);
});
