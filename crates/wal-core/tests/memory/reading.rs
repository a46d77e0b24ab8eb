//! What reading keeps, however much was read.

use std::sync::Arc;

use wal_core::{Environment, Log, Options};
use wal_format::{Lsn, NewEntry};
use wal_segment::{LocalOptions, LocalStorage};

use crate::peak;

/// So many entries of about one kilobyte fill two segments, whose indexes have 256 KiB each.
const ENTRIES: u64 = 80_000;
/// What a segment takes that is read: how its file is mapped, and what was found out about its entries.
const OF_A_SEGMENT: usize = 48 << 10;

pub(crate) fn entries_of_sealed_segments_are_found_without_their_indexes_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let len = 32 << 20;
    let options =
        Options { segment_len: len, first_segment_len: len, background_threads: false, ..Options::default() };
    let open = || {
        let storage = Arc::new(LocalStorage::create(dir.path(), LocalOptions::default()).unwrap());
        Log::open(Environment::new(storage), options.clone()).unwrap()
    };
    let log = open();
    let body = [7; 984];
    for _ in 0..ENTRIES {
        drop(log.submit(&NewEntry::plain(&body), None).unwrap());
    }
    log.close().unwrap();
    drop(log);
    let log = open();
    let segments = log.segments().unwrap().len();
    assert!(segments > 2);
    let ((), used) = peak(|| {
        for n in 0..2000 {
            let lsn = Lsn::new(1 + n * 7919 % ENTRIES).unwrap();
            assert_eq!(log.get(lsn).unwrap().payload, body[..]);
        }
    });
    assert!(used <= segments * OF_A_SEGMENT, "{used} bytes for {segments} segments");
}
