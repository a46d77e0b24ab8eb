//! Reading by copy from files that are damaged, or shorter than they were: in whatever order, with a window that holds
//! what was read before.

use std::{fs, sync::Arc};

use wal_core::{Log, LogError, Options, RecoveryMode};
use wal_segment::{LocalOptions, LocalStorage, ReadMode};

use crate::{
    damage::{files, storage},
    reading::lsn,
    support::{environment, fill, open, payload, small},
};

const ENTRIES: u64 = 700;

fn options() -> Options {
    Options { background_threads: false, recovery: RecoveryMode::ReadToDamage, ..small() }
}

/// Whether the entry is there; it is the one that was written, or its loss is damage.
#[track_caller]
fn outcome(n: u64, read: Option<Result<wal_core::Entry, LogError>>, context: &str) -> bool {
    match read {
        Some(Ok(entry)) => {
            assert_eq!((entry.lsn, &entry.payload[..]), (lsn(n), &payload(n)[..]), "{context}");
            true
        }
        Some(Err(error)) => {
            assert!(error.is_damage(), "{context}: entry {n}: {error:?}");
            false
        }
        None => panic!("{context}: entry {n} is neither there nor lost"),
    }
}

/// Everybody reads the same of a log, whatever was read before.
fn compare(log: &Log, context: &str) -> usize {
    let first = log.first_lsn().map_or(1, |lsn| lsn.get());
    let next = log.next_lsn().get();
    let count = next - first;
    if count == 0 {
        return 0;
    }
    let single: Vec<bool> = (first..next).map(|n| outcome(n, Some(log.get(lsn(n))), context)).collect();
    let mut iter = log.range(..);
    for step in [7919, 1, count - 1, 3, 101] {
        for n in 0..count {
            let at = first + n * step % count;
            iter.seek(lsn(at));
            assert_eq!(
                outcome(at, iter.next(), context),
                single[(at - first) as usize],
                "{context} {step} {at}"
            );
        }
    }
    let mut back = log.range(..);
    for n in (first..next).rev() {
        // An error leaves nothing between the ends.
        back.seek(lsn(first));
        back.seek_back(lsn(n));
        // From behind, some are found that the way from a point of the index does not lead to.
        let found = outcome(n, back.next_back(), context);
        assert!(found || !single[(n - first) as usize], "{context} back {n}");
    }
    single.iter().filter(|there| !**there).count()
}

#[test]
fn whatever_is_damaged_everybody_reads_the_same() {
    let memory: Arc<dyn wal_segment::Storage> = Arc::new(wal_segment::MemoryStorage::new());
    let log = open(&memory, &small()).unwrap();
    fill(&log, 1..=ENTRIES);
    log.close().unwrap();
    let whole = files(&*memory);
    let first = whole.keys().find(|name| name.ends_with(".wal")).unwrap().clone();
    let mut lost = 0;
    for (nth, at) in (64..60_000).step_by(1237).enumerate() {
        let mut damaged = whole.clone();
        if nth % 2 == 0 {
            damaged.retain(|name, _| name.ends_with(".wal"));
        }
        let bytes = damaged.get_mut(&first).unwrap();
        // A bit, the whole of a header, or a stretch of zeros.
        match nth % 3 {
            0 => bytes[at] ^= 4,
            1 => bytes[at..at + 40].fill(0xff),
            _ => bytes[at..at + 3000].fill(0),
        }
        let Ok(log) = Log::open_read_only(environment(storage(&damaged)), options()) else { continue };
        lost += compare(&log, &format!("damaged at {at}"));
    }
    assert!(lost > 0);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a storage shortens no file")]
fn files_that_become_shorter_while_they_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let local = |read_mode| {
        let options = LocalOptions { read_mode, ..LocalOptions::default() };
        Arc::new(LocalStorage::open(dir.path(), options).unwrap())
    };
    let log = Log::open(environment(local(ReadMode::Pread)), small()).unwrap();
    fill(&log, 1..=ENTRIES);
    log.close().unwrap();
    let path = dir.path().join("00000000000000000001.wal");
    for len in [60_000, 33_333, 4096, 80, 10, 0] {
        let reader = Log::open_read_only(environment(local(ReadMode::Pread)), options()).unwrap();
        let mut iter = reader.range(..);
        assert!(outcome(1, iter.next(), "before"));
        let bytes = fs::read(&path).unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len).unwrap();
        let lost = compare(&reader, &format!("cut to {len}"));
        assert!(lost > 0 || len == 60_000, "{len} {lost}");
        drop(iter);
        fs::write(&path, bytes).unwrap();
    }
}
