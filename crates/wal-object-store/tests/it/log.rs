//! A whole log on objects, and what it costs.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use object_store::memory::InMemory;
use wal_core::{
    AppendOptions, Durability, Environment, Log, LogError, Options, Retention, SyncPolicy, WhenFull,
};
use wal_format::{EntriesBuilder, Lsn, NewEntry};
use wal_object_store::{ObjectOptions, ObjectStorage};

use crate::{
    codec::{codecs, packing},
    faulty::{Counts, Decide, Fate, FaultyStore, Plant, Sea},
};

pub(crate) fn options() -> Options {
    Options { background_threads: false, segment_len: 1 << 20, ..Options::default() }
}

pub(crate) fn environment(store: FaultyStore) -> Environment {
    let how = ObjectOptions {
        pause: Duration::ZERO,
        attempts: 4,
        assume_conditional_writes: store.trusted,
        heads_per_page: store.per_page,
        ..ObjectOptions::default()
    };
    let storage = Arc::new(ObjectStorage::new(Arc::new(store), "log", how).unwrap());
    Environment { codecs: codecs(), ..Environment::new(storage) }
}

fn open(sea: &Arc<Sea>, options: Options) -> (Log, Arc<Counts>) {
    let store = FaultyStore::calm(sea);
    let counts = Arc::clone(&store.counts);
    (Log::open(environment(store), options).unwrap(), counts)
}

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

pub(crate) fn payloads(log: &Log) -> Vec<Vec<u8>> {
    log.range(..).map(|entry| entry.unwrap().payload.to_vec()).collect()
}

#[test]
fn what_was_appended_is_there_for_others_and_after_reopening() {
    let sea = Arc::new(Sea::default());
    let (log, _) = open(&sea, options());
    for n in 0..10_u8 {
        assert_eq!(log.append(&[n; 100]).unwrap(), lsn(u64::from(n) + 1));
    }
    let want: Vec<_> = (0..10_u8).map(|n| vec![n; 100]).collect();
    assert_eq!(payloads(&log), want);
    let reader = Log::open_read_only(environment(FaultyStore::calm(&sea)), options()).unwrap();
    assert_eq!(payloads(&reader), want);
    log.append(b"later").unwrap();
    reader.refresh().unwrap();
    assert_eq!(reader.get(lsn(11)).unwrap().payload, "later");
    log.close().unwrap();
    let (log, _) = open(&sea, options());
    assert!(log.recovery_report().clean);
    assert_eq!(log.append(b"after").unwrap(), lsn(12));
    let backwards: Vec<_> = log.range(..).rev().map(|entry| entry.unwrap().payload.to_vec()).collect();
    assert_eq!(backwards.len(), 12);
    assert_eq!(backwards[0], b"after");
}

#[test]
fn a_newer_writer_fences_the_older_one() {
    let sea = Arc::new(Sea::default());
    let (old, _) = open(&sea, options());
    old.append(b"one").unwrap();
    let (new, _) = open(&sea, options());
    let error = old.append(b"two").unwrap_err();
    assert!(
        matches!(&error, LogError::Unconfirmed { source, .. } if matches!(**source, LogError::Fenced { .. })),
        "{error:?}"
    );
    assert!(matches!(old.append(b"three").unwrap_err(), LogError::Fenced { .. }));
    assert_eq!(payloads(&old), [b"one"], "what is certain can be read");
    assert_eq!(new.append(b"other").unwrap(), lsn(2));
    drop(old);
    assert_eq!(payloads(&new), [&b"one"[..], b"other"]);
    let reader = Log::open_read_only(environment(FaultyStore::calm(&sea)), options()).unwrap();
    assert_eq!(payloads(&reader), [&b"one"[..], b"other"]);
}

#[test]
fn history_is_changed_and_trimmed_and_fences_stay() {
    let sea = Arc::new(Sea::default());
    for round in 0..4_u64 {
        let (log, _) = open(&sea, options());
        for n in 0..5_u64 {
            log.append(format!("{round} {n}").as_bytes()).unwrap();
        }
        let mut batch = EntriesBuilder::default();
        for payload in [&b"a"[..], b"b", b"c"] {
            batch.push(&NewEntry::plain(payload)).unwrap();
        }
        let (first, _) = log.append_batch(&batch, &AppendOptions::default()).unwrap();
        // Through the batch: what stays of it is written anew.
        log.truncate_from(first.next()).unwrap();
        log.append(b"instead").unwrap();
        let end = log.next_lsn();
        log.truncate_before(lsn(end.get() - 3)).unwrap();
        let last = format!("{round} 4").into_bytes();
        assert_eq!(payloads(&log), [last, b"a".to_vec(), b"instead".to_vec()]);
    }
    let (log, _) = open(&sea, options());
    log.reset(lsn(1000)).unwrap();
    assert_eq!(log.append(b"far").unwrap(), lsn(1000));
    drop(log);
    let (log, _) = open(&sea, options());
    assert_eq!(payloads(&log), [b"far"]);
    let storage = environment(FaultyStore::calm(&sea)).storage;
    assert!(
        storage.list().unwrap().len() <= 6 + 3,
        "six fences, and the end of the log: {:?}",
        storage.list()
    );
}

/// Refuses to give anything once so many objects were read.
#[derive(Default)]
struct Unread {
    gets: AtomicU64,
    from: AtomicU64,
}

impl Decide for Unread {
    fn fate(&self, what: &'static str) -> Fate {
        let refused = what == "get" && self.gets.fetch_add(1, SeqCst) >= self.from.load(SeqCst);
        if refused { Fate::Refused } else { Fate::Fine }
    }
}

/// A cut through a batch writes anew what stays of it, in an object whose id nobody takes again. Another writer fences
/// this one with that id: whoever went on with the next one would not notice.
#[test]
fn a_writer_whose_cut_failed_does_not_pass_by_the_fence_of_the_next_one() {
    let mut failed = 0;
    loop {
        let sea = Arc::new(Sea::default());
        let (log, _) = open(&sea, options());
        let want = [b'a', b'b', b'c', b'd'].map(|byte| vec![byte; 300_000]).to_vec();
        let mut batch = EntriesBuilder::default();
        for payload in &want[..3] {
            batch.push(&NewEntry::plain(payload)).unwrap();
        }
        log.append_batch(&batch, &AppendOptions::default()).unwrap();
        log.append(&want[3]).unwrap();
        log.close().unwrap();
        let unread = Arc::new(Unread { from: AtomicU64::new(u64::MAX), ..Unread::default() });
        let store = FaultyStore::new(&sea, Arc::clone(&unread) as _, Plant::None);
        let uncached =
            ObjectOptions { cache_len: 0, pause: Duration::ZERO, attempts: 1, ..ObjectOptions::default() };
        let storage = Arc::new(ObjectStorage::new(Arc::new(store), "log", uncached).unwrap());
        let log = Log::open(Environment::new(storage), options()).unwrap();
        unread.from.store(unread.gets.load(SeqCst) + failed, SeqCst);
        if log.truncate_after(lsn(2)).is_ok() {
            break;
        }
        unread.from.store(u64::MAX, SeqCst);
        let (other, _) = open(&sea, options());
        log.append(b"e").unwrap_err();
        drop(log);
        assert_eq!(payloads(&other), want, "{failed}");
        failed += 1;
    }
    assert!(failed > 3, "{failed} reads");
}

#[test]
fn requests_are_few() {
    let sea = Arc::new(Sea::default());
    let (log, counts) = open(&sea, options());
    assert_eq!(counts.take(), [3, 1, 2, 1], "open: probe (2 puts, get, delete), 2 lists, a fence");
    log.append(b"one").unwrap();
    assert_eq!(counts.take(), [1, 0, 0, 0], "an append under Always");
    log.sync().unwrap();
    log.maintain().unwrap();
    assert_eq!(counts.take(), [0; 4], "nothing is put when nothing was written");
    assert_eq!(payloads(&log).len(), 1);
    assert_eq!(counts.take(), [0; 4], "what was published lately is in memory");
    log.truncate_before(lsn(2)).unwrap();
    assert_eq!(counts.take(), [1, 0, 1, 1], "a trim: one put, one list, one delete");
    drop(log);
    assert_eq!(counts.take(), [0; 4], "closing");
    let interval = SyncPolicy::Background { interval: Duration::from_secs(3600) };
    // However long that takes, nothing is overdue.
    let patient = Options { sync: interval, unsynced_age_max: Duration::from_secs(3600), ..options() };
    let (log, counts) = open(&sea, patient);
    counts.take();
    for _ in 0..1000 {
        log.append(&[7; 100]).unwrap();
    }
    log.sync().unwrap();
    assert_eq!(counts.take(), [1, 0, 0, 0], "a thousand appends, one object");
    for _ in 0..100 {
        log.append(&[7; 100_000]).unwrap();
    }
    log.sync().unwrap();
    let [puts, ..] = counts.take();
    assert!((10..=12).contains(&puts), "ten megabytes in objects of one: {puts}");
}

#[test]
fn opening_a_long_log_asks_for_pages_and_for_what_is_in_none() {
    let sea = Arc::new(Sea::default());
    let (log, counts) = open(&sea, options());
    counts.take();
    for _ in 0..300 {
        log.append(b"x").unwrap();
    }
    assert_eq!(counts.take(), [301, 0, 0, 0], "a page for 256 objects");
    drop(log);
    let (log, counts) = open(&sea, options());
    let [puts, gets, lists, deletes] = counts.take();
    assert_eq!((puts, lists, deletes), (3, 2, 1));
    assert!((47..=49).contains(&gets), "the probe, a page, 45 beginnings, the newest segment: {gets}");
    assert_eq!(payloads(&log).len(), 300);
    let reader = Log::open_read_only(environment(FaultyStore::calm(&sea)), options()).unwrap();
    log.append(b"y").unwrap();
    reader.refresh().unwrap();
    assert_eq!(payloads(&reader).len(), 301);
}

#[test]
fn a_store_that_overwrites_is_refused() {
    let sea = Arc::new(Sea::default());
    let store = FaultyStore { plant: Plant::Overwrites, ..FaultyStore::calm(&sea) };
    let error = Log::open(environment(store), options()).unwrap_err();
    let LogError::Segment { source, .. } = &error else { panic!("{error:?}") };
    let io = source.io_error().unwrap();
    assert_eq!(io.kind(), std::io::ErrorKind::Unsupported);
    assert!(io.to_string().contains("although there is one"), "{io}");
}

#[test]
fn a_missing_object_in_the_middle_is_damage() {
    let sea = Arc::new(Sea::default());
    let (log, _) = open(&sea, options());
    for _ in 0..5 {
        log.append(b"x").unwrap();
    }
    drop(log);
    let environment = environment(FaultyStore::calm(&sea));
    let mut names = environment.storage.list().unwrap();
    names.sort();
    environment.storage.remove(&names[3]).unwrap();
    let error = Log::open(environment, options()).unwrap_err();
    assert!(matches!(error, LogError::MissingSegment { .. }), "{error:?}");
}

#[test]
fn many_writers_share_puts() {
    let sea = Arc::new(Sea::default());
    let window = Duration::from_millis(5);
    let (log, counts) = open(&sea, Options { group_window: window, ..options() });
    counts.take();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..20 {
                    log.append(&[7; 100]).unwrap();
                }
            });
        }
    });
    let [puts, ..] = counts.take();
    assert!((20..=320).contains(&puts), "each of 320 appends waits for one of {puts} puts");
    assert_eq!(log.stats().syncs, puts, "a sync is a put");
    assert_eq!(payloads(&log).len(), 320);
}

#[test]
fn entries_are_packed_and_end_with_their_object() {
    let sea = Arc::new(Sea::default());
    let interval = SyncPolicy::Background { interval: Duration::from_secs(3600) };
    let packed = || Options { compression: packing(), sync: interval, segment_len: 64 << 10, ..options() };
    let (log, counts) = open(&sea, packed());
    counts.take();
    for n in 0..5000_u32 {
        log.append(&[n as u8; 100]).unwrap();
        if n % 1000 == 999 {
            log.sync().unwrap();
        }
    }
    let [puts, ..] = counts.take();
    assert!((5..=15).contains(&puts), "half a megabyte that compresses well: {puts}");
    let stats = log.stats();
    assert!(stats.compression_raw_bytes > 3 * stats.compression_stored_bytes, "{stats:?}");
    assert_eq!(log.get(lsn(4321)).unwrap().payload, [(4320_u32 % 256) as u8; 100][..]);
    log.truncate_from(lsn(4001)).unwrap();
    log.append(b"instead").unwrap();
    log.close().unwrap();
    let (log, _) = open(&sea, packed());
    let all = payloads(&log);
    assert_eq!((all.len(), &*all[4000]), (4001, &b"instead"[..]));
    assert!(all[..4000].iter().enumerate().all(|(n, payload)| *payload == [n as u8; 100]));
}

#[test]
fn packs_of_many_threads_share_puts() {
    let sea = Arc::new(Sea::default());
    let (log, _) = open(&sea, Options { compression: packing(), ..options() });
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let log = &log;
            scope.spawn(move || (0..50).for_each(|_| assert!(log.append(&[thread; 200]).is_ok())));
        }
    });
    drop(log);
    let (log, _) = open(&sea, options());
    let all = payloads(&log);
    let of = |thread: u8| all.iter().filter(|payload| **payload == [thread; 200]).count();
    assert!((0..8).all(|thread| of(thread) == 50), "{}", all.len());
}

/// What an append meets when a store hangs.
fn refused_by_a_store_that_hangs(when_full: WhenFull) -> LogError {
    let sea = Arc::new(Sea::default());
    let gate = Arc::new(Gate::default());
    let store = FaultyStore::new(&sea, Arc::clone(&gate) as _, Plant::None);
    let interval = SyncPolicy::Background { interval: Duration::from_secs(3600) };
    let bounded = Options {
        sync: interval,
        unsynced_age_max: Duration::from_secs(3600),
        segment_len: 64 << 10,
        buffer_len: 128 << 10,
        uploads: 2,
        when_full,
        background_threads: true,
        ..options()
    };
    let log = Log::open(environment(store), bounded).unwrap();
    gate.shut.store(true, SeqCst);
    let mut accepted = 0_u64;
    let refused = loop {
        match log.append(&[7; 10_000]) {
            Ok(_) => accepted += 10_000,
            Err(error) => break error,
        }
        assert!(accepted < 1 << 20, "memory without a bound");
    };
    assert!(accepted >= 128 << 10, "{accepted}");
    gate.shut.store(false, SeqCst);
    log.sync().unwrap();
    log.append(b"again").unwrap();
    log.close().unwrap();
    drop(log);
    let (log, _) = open(&sea, options());
    assert_eq!(payloads(&log).last().unwrap(), b"again");
    refused
}

#[test]
fn a_store_that_hangs_fills_the_buffer_and_no_more() {
    let error = refused_by_a_store_that_hangs(WhenFull::Fail);
    assert!(matches!(error, LogError::Busy { .. }), "{error:?}");
    let error = refused_by_a_store_that_hangs(WhenFull::BlockFor(Duration::from_millis(1)));
    assert!(matches!(error, LogError::TimedOut { .. }), "{error:?}");
}

/// Keeps creations waiting while it is shut.
#[derive(Default)]
struct Gate {
    shut: AtomicBool,
}

impl Decide for Gate {
    fn fate(&self, _: &'static str) -> Fate {
        Fate::Fine
    }

    fn pause(&self, what: &'static str) {
        while what == "put" && self.shut.load(SeqCst) {
            std::thread::yield_now();
        }
    }
}

#[test]
fn what_was_asked_and_what_became_of_it_is_counted() {
    let sea = Arc::new(Sea::default());
    let turns = Arc::new(Turns::default());
    let store = FaultyStore::new(&sea, Arc::clone(&turns) as _, Plant::None);
    let log = Log::open(environment(store), options()).unwrap();
    let before = log.stats().requests.unwrap();
    assert_eq!((before.failed, before.retries, before.settled, before.in_flight), (0, 0, 0, 0));
    // One is lost on its way, the next one's answer is.
    turns.puts.lock().unwrap().extend([Fate::Refused, Fate::Unheard]);
    log.append(b"one").unwrap();
    let after = log.stats().requests.unwrap();
    assert_eq!(after.puts - before.puts, 2);
    assert_eq!((after.failed, after.retries, after.settled), (2, 1, 1));
    assert_eq!(after.publish_duration.count(), before.publish_duration.count() + 1);
    assert!(after.sent_bytes > before.sent_bytes + 1000 && after.received_bytes > before.received_bytes);
    let text = log.stats().to_openmetrics();
    assert!(text.contains("wal_object_settled_total 1\n"), "{text}");
    assert!(text.contains("wal_object_requests_total{kind=\"put\"} "), "{text}");
    assert_eq!(payloads(&log), [b"one"]);
}

/// What becomes of the next creations.
#[derive(Default)]
struct Turns {
    puts: Mutex<VecDeque<Fate>>,
}

impl Decide for Turns {
    fn fate(&self, what: &'static str) -> Fate {
        let next = if what == "put" { self.puts.lock().unwrap().pop_front() } else { None };
        next.unwrap_or(Fate::Fine)
    }
}

#[test]
fn threads_of_the_log_publish_and_retain() {
    let sea = Arc::new(Sea::default());
    let interval = SyncPolicy::Background { interval: Duration::from_millis(1) };
    let retention = Retention { max_bytes: Some(200_000), ..Retention::default() };
    let threaded =
        Options { background_threads: true, segment_len: 64 << 10, sync: interval, retention, ..options() };
    let (log, counts) = open(&sea, threaded);
    for n in 0..200_u32 {
        let ticket = log.submit(&NewEntry::plain(&[n as u8; 5000]), None).unwrap();
        if n % 50 == 49 {
            ticket.wait().unwrap();
        }
    }
    log.sync().unwrap();
    // Its own thread may have done it before.
    let retained = log.retain().unwrap();
    assert!(retained.first_retained > lsn(1), "{retained:?}");
    log.append(b"last").unwrap();
    log.close().unwrap();
    drop(log);
    counts.take();
    let (log, _) = open(&sea, options());
    assert_eq!(log.next_lsn(), lsn(202));
    assert_eq!(payloads(&log).last().unwrap(), b"last");
    assert!(log.first_lsn() > Some(lsn(1)));
}

/// An object is short when it is first looked at, and as long as it is when it is published.
#[test]
fn retention_counts_what_was_written_to_an_object_since_it_looked() {
    let sea = Arc::new(Sea::default());
    let sync = SyncPolicy::Background { interval: Duration::from_secs(3600) };
    let (log, _) = open(&sea, Options { segment_len: 64 << 10, sync, ..options() });
    let policy = Retention { max_bytes: Some(200_000), ..Retention::default() };
    for n in 0..100_u8 {
        log.append(&[n; 5000]).unwrap();
        log.retention_plan(&policy).unwrap();
    }
    log.sync().unwrap();
    let done = log.retain_with(&policy).unwrap();
    let left: u64 = log.segments().unwrap().iter().map(|segment| segment.end).sum();
    assert!((100_000..=200_000).contains(&left), "{left} bytes are left, {done:?}");
}

#[test]
fn marks_and_cursors_live_in_the_openings() {
    let sea = Arc::new(Sea::default());
    let (log, _) = open(&sea, options());
    log.append(b"one").unwrap();
    log.set_meta("vote", Some(b"7"), None).unwrap();
    drop(log);
    let (log, _) = open(&sea, options());
    assert_eq!(log.meta("vote").unwrap().as_deref(), Some(&b"7"[..]));
}

#[test]
fn a_log_may_have_the_prefix_that_probes_have() {
    let sea = Arc::new(Sea::default());
    for prefix in ["probe-", "probe-0123456789abcdef"] {
        let options = || Options { prefix: prefix.to_owned(), ..options() };
        let (log, _) = open(&sea, options());
        log.append(b"one").unwrap();
        drop(log);
        let (log, _) = open(&sea, options());
        assert_eq!(payloads(&log), [b"one"], "{prefix}");
    }
}

#[test]
fn an_entry_that_no_object_can_hold_is_refused_and_shorter_ones_go_on() {
    for object_len_max in [100_000, 128 << 10] {
        let how = ObjectOptions { pause: Duration::ZERO, object_len_max, ..ObjectOptions::default() };
        let storage = ObjectStorage::new(Arc::new(InMemory::new()), "log", how).unwrap();
        let log = Log::open(Environment::new(Arc::new(storage)), options()).unwrap();
        log.append(b"one").unwrap();
        for _ in 0..2 {
            let error = log.append(&[7; 200_000]).unwrap_err();
            assert!(matches!(&error, LogError::Full { .. }), "nothing was appended: {error:?}");
        }
        // Shorter than a segment may be, and together longer than an object.
        let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
        for _ in 0..10 {
            log.append_entry(&NewEntry::plain(&[7; 30_000]), &buffered).unwrap();
        }
        log.sync().unwrap();
        assert_eq!(log.append(b"last").unwrap(), lsn(12));
        log.close().unwrap();
    }
}
