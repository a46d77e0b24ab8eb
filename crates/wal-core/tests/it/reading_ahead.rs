//! How much is read by copy, of what cannot be lent.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use wal_core::{AppendOptions, BatchLimit, Durability, Log, Options, SyncPolicy};
use wal_format::{FRAME_HEADER_LEN, Lsn, NewEntry};
use wal_segment::{LocalOptions, LocalStorage, MemoryStorage};

use crate::{
    hooked::Hooked,
    reading::lsn,
    support::{check, environment, fill, mapped, payload},
};

const ENTRIES: u64 = 4000;
/// What it takes from one point of the index to the next, or a frame and what is read of the next one.
const LITTLE: u64 = 2 << 10;
/// The most of what stands between two points of the index that is read for one entry.
const AROUND: u64 = 16 << 10;
/// What a walk reads where it begins.
const BEGIN: u64 = 4 << 10;

/// Entries in one segment of a storage that lends nothing, and how many bytes were read for something.
struct Copied {
    storage: Hooked,
    log: Log,
}

impl Copied {
    fn new() -> Self {
        let storage = Hooked::new(Arc::new(MemoryStorage::new()));
        let options = Options { background_threads: false, ..Options::default() };
        let log = Log::open(environment(Arc::new(storage.clone())), options).unwrap();
        fill(&log, 1..=ENTRIES);
        assert_eq!(log.segments().unwrap().len(), 1);
        Self { storage, log }
    }

    fn bytes(&self, read: impl FnOnce(&Log)) -> u64 {
        let before = self.storage.bytes_read();
        read(&self.log);
        self.storage.bytes_read() - before
    }
}

/// In no order.
fn scattered(count: u64) -> Vec<Lsn> {
    (0..count).map(|n| lsn(1 + n * 7919 % ENTRIES)).collect()
}

#[test]
fn who_reads_here_and_there_reads_little() {
    let copied = Copied::new();
    for lsn in scattered(200) {
        let read = copied.bytes(|log| assert_eq!(log.get(lsn).unwrap().payload, payload(lsn.get())));
        assert!(read <= LITTLE, "{read} bytes for entry {lsn}");
    }
    let lsns = scattered(200);
    let read = copied.bytes(|log| {
        let entries = log.get_many(&lsns).unwrap();
        assert!(entries.iter().zip(&lsns).all(|(entry, lsn)| entry.payload == payload(lsn.get())));
    });
    assert!(read <= 200 * 2 * BEGIN, "{read} bytes");
    let near: Vec<Lsn> = (1000..1200).map(lsn).collect();
    let together = copied.bytes(|log| drop(log.get_many(&near).unwrap()));
    let whole = near.iter().map(|lsn| payload(lsn.get()).len() as u64 + 48).sum::<u64>();
    assert!(together <= 3 * whole, "{together} bytes for {whole}");
    let limit = BatchLimit { entries: 5, ..BatchLimit::default() };
    let read = copied.bytes(|log| assert_eq!(log.get_range(lsn(500).., limit).unwrap().len(), 5));
    assert!(read <= BEGIN, "{read} bytes");
}

/// However much it has read in a row before, and though each entry is in the segment that it stands in.
#[test]
fn an_iterator_that_is_sent_elsewhere_begins_with_little_again() {
    let copied = Copied::new();
    let mut iter = copied.log.range(..);
    assert_eq!(iter.by_ref().take(3000).count(), 3000);
    let read = copied.bytes(|_| {
        for lsn in scattered(200) {
            iter.seek(lsn);
            assert_eq!(iter.next().unwrap().unwrap().payload, payload(lsn.get()));
        }
    });
    assert!(read <= 200 * 2 * BEGIN, "{read} bytes");
}

/// The next one begins just where the window ends, each time.
#[test]
fn who_reads_on_from_the_end_of_a_window_reads_more() {
    let Copied { storage, log } = Copied::new();
    for _ in 0..1000 {
        log.append(&[7; (1 << 10) - FRAME_HEADER_LEN]).unwrap();
    }
    let (calls, seen) = (Arc::new(AtomicU64::new(0)), log.range(lsn(ENTRIES + 9)..));
    let count = Arc::clone(&calls);
    storage.set(move |operation, _| {
        count.fetch_add(u64::from(operation == "read"), Ordering::SeqCst);
        Ok(())
    });
    assert_eq!(seen.map(Result::unwrap).count(), 992);
    let calls = calls.load(Ordering::SeqCst);
    assert!(calls <= 4 + 8, "{calls} reads");
}

/// What a mapping lends costs nothing, however much of it.
#[test]
fn what_is_lent_is_asked_for_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Hooked::new(Arc::new(LocalStorage::open(dir.path(), LocalOptions::default()).unwrap()));
    let sync = SyncPolicy::Background { interval: Duration::from_secs(60) };
    let options = Options { sync, background_threads: false, ..Options::default() };
    let log = Log::open(environment(Arc::new(storage.clone())), options).unwrap();
    fill(&log, 1..=ENTRIES);
    log.sync().unwrap();
    drop(log.get(lsn(ENTRIES)).unwrap());
    let reads = |read: &dyn Fn() -> usize| {
        let calls = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&calls);
        storage.set(move |operation, _| {
            seen.fetch_add(u64::from(operation == "read"), Ordering::SeqCst);
            Ok(())
        });
        assert_eq!(read(), 1000);
        calls.load(Ordering::SeqCst)
    };
    let forwards = reads(&|| log.range(lsn(1001)..=lsn(2000)).map(Result::unwrap).count());
    let backwards = reads(&|| log.range(lsn(1001)..=lsn(2000)).rev().map(Result::unwrap).count());
    let to_the_end = reads(&|| log.range(lsn(ENTRIES - 999)..).map(Result::unwrap).count());
    assert!(forwards.max(backwards).max(to_the_end) <= 2, "{forwards} {backwards} {to_the_end}");
}

#[test]
fn what_is_in_memory_is_not_looked_for_in_files() {
    let Copied { storage, log } = Copied::new();
    let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
    for n in 1..=50 {
        log.append_entry(&NewEntry::plain(&payload(n)), &buffered).unwrap();
    }
    let before = storage.bytes_read();
    for n in 1..=50 {
        assert_eq!(log.get(lsn(ENTRIES + n)).unwrap().payload, payload(n));
    }
    assert_eq!(log.range(lsn(ENTRIES + 1)..).count(), 50);
    assert_eq!(log.get_many(&[lsn(ENTRIES + 7), lsn(ENTRIES + 3)]).unwrap().len(), 2);
    assert_eq!(storage.bytes_read(), before);
}

/// A log whose entries are stored in mapped pages, but for the first one, which is written.
fn stored(dir: &Path) -> (Hooked, Log) {
    let storage = Hooked::new(Arc::new(mapped(dir)));
    let sync = SyncPolicy::OsCache { interval: Duration::from_secs(600) };
    let options = Options { sync, background_threads: false, ..Options::default() };
    let log = Log::open(environment(Arc::new(storage.clone())), options).unwrap();
    fill(&log, [1]);
    (storage, log)
}

/// Although they are with the operating system already.
#[test]
fn nor_is_what_is_stored_in_mapped_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, log) = stored(dir.path());
    let writes = log.stats().writes;
    fill(&log, 2..=20);
    assert_eq!(log.stats().writes, writes);
    let before = storage.bytes_read();
    for n in 2..=20 {
        assert_eq!(log.get(lsn(n)).unwrap().payload, payload(n));
    }
    assert_eq!(log.range(lsn(5)..).count(), 16);
    assert_eq!(storage.bytes_read(), before);
    log.sync().unwrap();
    check(&log, 1, 21);
}

/// Although others of the same numbers were in files before.
#[test]
fn nor_is_what_comes_after_a_cut() {
    let Copied { storage, log } = Copied::new();
    log.truncate_after(lsn(1000)).unwrap();
    let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
    for n in 1001..=1050 {
        log.append_entry(&NewEntry::plain(&payload(n)), &buffered).unwrap();
    }
    let before = storage.bytes_read();
    for n in 1001..=1050 {
        assert_eq!(log.get(lsn(n)).unwrap().payload, payload(n));
    }
    assert_eq!(storage.bytes_read(), before);
    log.sync().unwrap();
    check(&log, 1, 1051);
}

/// Who looks for what is written does not wait for an append, though that is not durable.
#[test]
#[expect(clippy::disallowed_methods, reason = "a thread that waits for another one")]
fn what_is_written_is_found_while_an_append_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, log) = stored(dir.path());
    let (entered, is_over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let [seen, over] = [&entered, &is_over].map(Arc::clone);
    storage.set(move |operation, _| {
        if operation == "store" && !seen.swap(true, Ordering::SeqCst) {
            // As long as anybody could have to wait for it, and no longer.
            let wait = || thread::sleep(Duration::from_millis(10));
            (0..300).take_while(|_| !over.load(Ordering::SeqCst)).for_each(|_| wait());
            over.store(true, Ordering::SeqCst);
        }
        Ok(())
    });
    thread::scope(|scope| {
        scope.spawn(|| fill(&log, [2]));
        while !entered.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        assert_eq!(log.get(lsn(1)).unwrap().payload, payload(1));
        assert!(!is_over.swap(true, Ordering::SeqCst), "it waited");
    });
    check(&log, 1, 3);
}

/// All but what is read to find where it ends.
#[test]
fn an_entry_that_is_long_is_read_once() {
    let copied = Copied::new();
    let long = vec![7; 50_000];
    let at = copied.log.append(&long).unwrap();
    fill(&copied.log, 1..=10);
    let read = copied.bytes(|log| assert_eq!(log.get(at).unwrap().payload, long));
    assert!(read <= 50_000 + AROUND + LITTLE, "{read} bytes");
}

#[test]
fn of_what_stands_before_a_long_entry_no_more_is_read_than_so_much() {
    let copied = Copied::new();
    let at = copied.log.append(&payload(1)).unwrap();
    copied.log.append(&vec![7; 1 << 20]).unwrap();
    fill(&copied.log, 1..=10);
    let read = copied.bytes(|log| assert_eq!(log.get(at).unwrap().payload, payload(1)));
    assert!(read <= AROUND, "{read} bytes");
    let read = copied.bytes(|log| assert_eq!(log.headers(at, at.next()).count(), 1));
    assert!(read <= BEGIN, "{read} bytes");
}

#[test]
fn who_reads_on_reads_more_at_a_time() {
    let copied = Copied::new();
    let whole = (1..=ENTRIES).map(|n| payload(n).len() as u64 + 44).sum::<u64>();
    let counted = |read: &dyn Fn(&Log) -> usize| {
        let calls = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&calls);
        copied.storage.set(move |operation, _| {
            seen.fetch_add(u64::from(operation == "read"), Ordering::SeqCst);
            Ok(())
        });
        let bytes = copied.bytes(|log| assert_eq!(read(log), ENTRIES as usize));
        (bytes, calls.load(Ordering::SeqCst))
    };
    for (bytes, calls) in [counted(&|log| log.range(..).count()), counted(&|log| log.range(..).rev().count())]
    {
        assert!(bytes <= whole + whole / 8, "{bytes} bytes for {whole}");
        assert!(calls <= whole / (256 << 10) + 8, "{calls} reads of {bytes} bytes");
    }
}
