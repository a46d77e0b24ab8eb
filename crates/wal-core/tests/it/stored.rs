//! Appends whose bytes are stored where the operating system has them, without a system call.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    sync::{Arc, Mutex},
    time::Duration,
};

use wal_core::{
    AppendOptions, Durability, Log, LogError, Options, SyncPolicy, TailFrom, TailOptions, Visibility,
    WhenFull,
};
use wal_format::NewEntry;
use wal_segment::Storage;
use wal_sim::{DiskOptions, SimDisk};

use crate::{
    hooked::Hooked,
    reading::lsn,
    support::{check, environment, fill, open, payload, small},
};

/// The calls that reach the files, and a disk that takes bytes without one.
struct Disk {
    hooked: Hooked,
    storage: Arc<dyn Storage>,
    calls: Arc<Mutex<Vec<(String, String)>>>,
}

impl Disk {
    fn new() -> Self {
        let mut options = DiskOptions::default();
        options.capabilities.stores = true;
        let hooked = Hooked::new(SimDisk::with_options(1, options).storage());
        let disk = Self { storage: Arc::new(hooked.clone()), hooked, calls: Arc::default() };
        disk.answer(|_| Ok(()));
        disk
    }

    /// From now on calls of each name end like this.
    fn answer(&self, answer: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static) {
        let calls = Arc::clone(&self.calls);
        self.hooked.set(move |call, name| {
            calls.lock().unwrap().push((call.to_owned(), name.to_owned()));
            answer(call)
        });
    }

    /// How often each of these was called since the last look.
    fn count<const N: usize>(&self, names: [&str; N]) -> [usize; N] {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        names.map(|name| calls.iter().filter(|(call, _)| call == name).count())
    }

    fn open(&self) -> Log {
        open(&self.storage, &options()).unwrap()
    }

    /// What another process finds in the files.
    fn beside(&self) -> Log {
        Log::open_read_only(environment(Arc::clone(&self.storage)), small()).unwrap()
    }
}

fn options() -> Options {
    let sync = SyncPolicy::OsCache { interval: Duration::from_secs(3600) };
    Options { sync, background_threads: false, ..small() }
}

fn buffered(log: &Log, n: u64) {
    let options = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
    log.append_entry(&NewEntry::plain(&payload(n)), &options).unwrap();
}

#[test]
fn what_is_stored_is_in_the_file_and_is_not_written_again() {
    let disk = Disk::new();
    let log = disk.open();
    fill(&log, [1]);
    disk.count([]);
    fill(&log, 2..=50);
    assert_eq!(disk.count(["store", "write", "sync"]), [49, 0, 0]);
    check(&log, 1, 51);
    check(&disk.beside(), 1, 51);
    let stats = log.stats();
    assert_eq!((stats.buffered_entries, stats.buffered_bytes, stats.writes), (0, 0, 1));
    let written = stats.written_bytes;
    assert!(written >= (1..=50).map(|n| payload(n).len() as u64).sum());
    log.sync().unwrap();
    assert_eq!(disk.count(["store", "write", "sync"]), [0, 0, 1]);
    let stats = log.stats();
    assert_eq!((stats.durable_next_lsn, stats.durable_lag_bytes), (51, 0));
    assert_eq!(stats.written_bytes, written);
    check(&log, 1, 51);
    log.close().unwrap();
    check(&disk.open(), 1, 51);
}

#[test]
fn what_was_buffered_before_is_stored_with_it() {
    let disk = Disk::new();
    let log = disk.open();
    fill(&log, [1]);
    (2..=9).for_each(|n| buffered(&log, n));
    assert_eq!(log.stats().buffered_entries, 8);
    disk.count([]);
    fill(&log, [10]);
    assert_eq!(disk.count(["store", "write"]), [1, 0]);
    assert_eq!((log.stats().buffered_entries, log.stats().buffered_bytes), (0, 0));
    check(&disk.beside(), 1, 11);
    (11..=12).for_each(|n| buffered(&log, n));
    assert_eq!(log.stats().buffered_entries, 2, "of a run whose beginning is stored");
    log.sync().unwrap();
    assert_eq!(disk.count(["store", "write"]), [0, 1]);
    check(&disk.beside(), 1, 13);
    check(&log, 1, 13);
}

#[test]
fn what_cannot_be_stored_is_written_and_nobody_asks_again_in_that_segment() {
    let disk = Disk::new();
    let log = disk.open();
    fill(&log, [1]);
    disk.answer(|call| if call == "store" { Err(ErrorKind::Other.into()) } else { Ok(()) });
    disk.count([]);
    fill(&log, 2..=20);
    assert_eq!(disk.count(["store", "write"]), [1, 19]);
    check(&disk.beside(), 1, 21);
    disk.answer(|_| Ok(()));
    let mut n = 20;
    while log.stats().segments == 1 {
        n += 1;
        fill(&log, [n]);
    }
    disk.count([]);
    fill(&log, n + 1..=n + 20);
    assert!(disk.count(["store"]) >= [19], "the next segment is asked anew");
    check(&disk.beside(), 1, n + 21);
    check(&log, 1, n + 21);
}

/// Checks that nothing was stored to a segment while one before it was not synced, and that its first frames were
/// written. Says how often something was stored.
#[track_caller]
fn check_order(calls: &[(String, String)]) -> usize {
    // What was written or stored to each file and not synced, and what was written to under its name.
    let (mut dirty, mut begun) = (BTreeSet::new(), BTreeSet::new());
    let mut stored = 0;
    for (call, name) in calls {
        let file = name.trim_end_matches(".tmp");
        match call.as_str() {
            "rename" => drop(begun.remove(file)),
            "sync" => drop(dirty.remove(file)),
            "write" => drop((dirty.insert(file), begun.insert(file))),
            "store" => {
                let before = dirty.iter().find(|other| **other < file);
                assert_eq!(before, None, "not synced when {file} was stored to");
                assert!(begun.contains(file), "the first frames of {file}");
                dirty.insert(file);
                stored += 1;
            }
            _ => {}
        }
    }
    stored
}

#[test]
fn nothing_of_a_segment_is_stored_before_the_one_before_it_is_durable() {
    let disk = Disk::new();
    let log = disk.open();
    fill(&log, 1..=1000);
    let mut n = 1000;
    // Some segments end with an entry that need not be written.
    while n < 3000 {
        let segments = log.stats().segments;
        while log.stats().segments == segments {
            n += 1;
            buffered(&log, n);
        }
        fill(&log, n + 1..=n + 200);
        n += 200;
    }
    assert!(log.stats().segments >= 8);
    let calls = disk.calls.lock().unwrap().clone();
    let stored = check_order(&calls);
    assert!(stored > 1500, "{stored}");
    check(&log, 1, n + 1);
    drop(log);
    check(&disk.open(), 1, n + 1);
}

#[test]
fn nothing_is_stored_behind_what_is_not_written() {
    let disk = Disk::new();
    let options = Options { segment_len: 4 << 20, first_segment_len: 4 << 20, ..options() };
    let log = open(&disk.storage, &options).unwrap();
    log.append(b"the first").unwrap();
    disk.answer(|call| if call == "write" { Err(ErrorKind::StorageFull.into()) } else { Ok(()) });
    let hasty = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
    // More than is written at once.
    for _ in 0..5 {
        let _ = log.append_entry(&NewEntry::plain(&[1; 100_000]), &hasty);
    }
    disk.count([]);
    let error = log.append(b"behind them").unwrap_err();
    assert!(matches!(error, LogError::Unconfirmed { .. }), "{error:?}");
    assert_eq!(disk.count(["store"]), [0]);
    assert_eq!(disk.beside().next_lsn(), lsn(2));
    disk.answer(|_| Ok(()));
    log.append(b"once there is space").unwrap();
    assert_eq!(disk.beside().next_lsn(), log.next_lsn());
}

#[test]
fn a_write_that_fails_leaves_what_was_stored_before_it() {
    let disk = Disk::new();
    let log = disk.open();
    fill(&log, 1..=5);
    buffered(&log, 6);
    disk.answer(|call| if call == "write" { Err(ErrorKind::StorageFull.into()) } else { Ok(()) });
    assert!(matches!(log.sync(), Err(LogError::Full { .. })), "the buffered entry has no space");
    check(&log, 1, 7);
    fill(&log, [7]);
    assert_eq!((log.stats().buffered_entries, log.stats().buffered_bytes), (0, 0), "both are stored");
    check(&disk.beside(), 1, 8);
    log.sync().unwrap();
    disk.answer(|_| Ok(()));
    log.close().unwrap();
    check(&disk.open(), 1, 8);
}

#[test]
fn after_a_failed_sync_nothing_is_stored() {
    let disk = Disk::new();
    let log = disk.open();
    fill(&log, 1..=5);
    disk.answer(|call| if call == "sync" { Err(ErrorKind::Other.into()) } else { Ok(()) });
    log.sync().unwrap_err();
    disk.count([]);
    assert!(matches!(log.append(&payload(6)), Err(LogError::Poisoned { .. })));
    assert_eq!(disk.count(["store", "write"]), [0, 0]);
}

#[test]
fn who_follows_what_is_written_sees_what_is_stored() {
    let disk = Disk::new();
    let log = disk.open();
    fill(&log, [1]);
    let options = TailOptions { from: TailFrom::Start, visibility: Visibility::Written };
    let mut tail = log.tail(options);
    std::thread::scope(|scope| {
        let appender = scope.spawn(|| fill(&log, 2..=3000));
        for n in 1..=3000 {
            let entry =
                tail.next_timeout(Duration::from_secs(60)).unwrap().expect("an entry within a minute");
            assert_eq!((entry.lsn, &entry.payload[..]), (lsn(n), &payload(n)[..]));
        }
        appender.join().unwrap();
    });
}

#[test]
fn entries_are_cut_off_and_appended_anew() {
    let disk = Disk::new();
    let log = disk.open();
    fill(&log, 1..=30);
    log.truncate_from(lsn(11)).unwrap();
    fill(&log, 11..=40);
    check(&log, 1, 41);
    check(&disk.beside(), 1, 41);
    drop(log);
    check(&disk.open(), 1, 41);
}

#[test]
fn what_is_stored_does_not_wait_for_space_in_the_buffer() {
    let disk = Disk::new();
    let options = Options { buffer_entries: 100, when_full: WhenFull::Fail, ..options() };
    let log = open(&disk.storage, &options).unwrap();
    fill(&log, 1..=1000);
    assert_eq!(log.stats().append_stalls, 0);
    // What is not stored counts, behind what is as well.
    let hasty = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
    let full = (0..200).find_map(|_| log.append_entry(&NewEntry::plain(b"b"), &hasty).err());
    assert!(matches!(full, Some(LogError::Busy { .. })), "{full:?}");
    assert_eq!(log.stats().buffered_entries, 101);
}

#[test]
fn what_is_stored_is_counted_as_written_and_as_not_durable() {
    let disk = Disk::new();
    let log = disk.open();
    fill(&log, 1..=200);
    let payload: u64 = (1..=200).map(|n| payload(n).len() as u64).sum();
    let stats = log.stats();
    assert!(stats.writes <= 2 && stats.written_bytes >= payload, "{}", stats.written_bytes);
    assert!(stats.durable_lag_bytes >= payload, "{}", stats.durable_lag_bytes);
    assert_eq!(stats.durable_lag_entries, 200);
    log.sync().unwrap();
    let stats = log.stats();
    assert_eq!((stats.durable_lag_bytes, stats.durable_lag_entries), (0, 0));
}

#[test]
fn long_entries_are_written() {
    let disk = Disk::new();
    let log = disk.open();
    fill(&log, [1]);
    disk.count([]);
    log.append(&[7; 3000]).unwrap();
    assert_eq!(disk.count(["store", "write"]), [0, 1]);
    fill(&log, [3]);
    assert_eq!(disk.count(["store", "write"]), [1, 0]);
    assert_eq!(disk.beside().next_lsn(), lsn(4));
}

/// Appends entries that are stored until about `bytes` more are in the log.
fn store(log: &Log, bytes: usize) {
    let entry = vec![b'e'; 1900];
    for _ in 0..bytes / (entry.len() + 40) {
        log.append(&entry).unwrap();
    }
}

#[test]
fn pages_are_asked_for_ahead_of_what_is_stored() {
    let disk = Disk::new();
    let log = open(&disk.storage, &Options { segment_len: 4 << 20, first_segment_len: 4 << 20, ..options() })
        .unwrap();
    log.maintain().unwrap();
    disk.count([]);
    fill(&log, 1..=3);
    assert_eq!(disk.count(["warm", "store"]), [0, 2], "the caller does not");
    for _ in 0..2 {
        log.maintain().unwrap();
    }
    assert_eq!(disk.count(["warm"]), [1], "whoever does the chores does, once");
    store(&log, 1 << 20);
    log.maintain().unwrap();
    assert_eq!(disk.count(["warm"]), [1], "what was ready is used up");
    store(&log, 2 << 20);
    log.maintain().unwrap();
    assert_eq!(disk.count(["warm"]), [0], "not beyond the end");
}

#[test]
fn what_failed_to_be_prepared_is_not_tried_with_each_page() {
    const LEN: u64 = 16 << 20;
    let disk = Disk::new();
    let log =
        open(&disk.storage, &Options { segment_len: LEN, first_segment_len: LEN, ..options() }).unwrap();
    store(&log, LEN as usize / 2 - (64 << 10));
    disk.answer(|call| if call == "create" { Err(io::Error::other("no more files")) } else { Ok(()) });
    disk.count([]);
    let mut asked = [0, 0];
    for _ in 0..16 {
        store(&log, 128 << 10);
        log.maintain().unwrap();
        let [warm, create] = disk.count(["warm", "create"]);
        asked = [asked[0] + warm, asked[1] + create];
    }
    let [warmed, tried] = asked;
    assert!((3..=5).contains(&warmed), "{warmed}: every 512 KiB of 2 MiB");
    assert!((2..=3).contains(&tried), "{tried}: every sixteenth of a segment");
    disk.answer(|_| Ok(()));
    store(&log, 1 << 20);
    log.maintain().unwrap();
    assert_eq!(disk.count(["create"]), [1]);
}
