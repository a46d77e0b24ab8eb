//! A reader beside a writer that reads only what came knows what one knows that reads everything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use wal_compress::{CodecId, Compression};
use wal_core::{
    AppendOptions, DictionaryOptions, Durability, Environment, Log, LogError, Options, SyncPolicy, TailFrom,
    TailOptions, Visibility,
};
use wal_format::{EntriesBuilder, NewEntry};
use wal_segment::{MemoryStorage, Storage};
use wal_sim::VirtualTime;

use crate::{
    hooked::Hooked,
    reading::{TestClock, lsn},
    support::{environment, open, payload, small},
};

/// A reader, the files that it looks at, and its clock.
struct Beside {
    reader: Log,
    storage: Arc<dyn Storage>,
    time: Arc<VirtualTime>,
    whole: Arc<AtomicBool>,
    hooked: Hooked,
}

impl Beside {
    fn new(storage: &Arc<dyn Storage>) -> Self {
        let hooked = Hooked::new(Arc::clone(storage));
        let time = Arc::new(VirtualTime::new(1_000_000_000));
        let clock = Arc::new(TestClock(Arc::clone(&time)));
        let environment = Environment { clock, ..environment(Arc::new(hooked.clone())) };
        let reader = Log::open_read_only(environment, small()).unwrap();
        let whole = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&whole);
        // Only who reads a file to its end asks where it has data.
        hooked.set(move |operation, _| {
            seen.fetch_or(operation == "next_data", Ordering::SeqCst);
            Ok(())
        });
        Self { reader, storage: Arc::clone(storage), time, whole, hooked }
    }

    fn fresh(&self) -> Result<Log, LogError> {
        Log::open_read_only(environment(Arc::clone(&self.storage)), small())
    }

    /// Looks again, compares what is known with what a new reader finds, and says whether everything was read for that.
    #[track_caller]
    fn look(&self) -> bool {
        self.whole.store(false, Ordering::SeqCst);
        self.reader.refresh().unwrap();
        let whole = self.whole.load(Ordering::SeqCst);
        let fresh = self.fresh().unwrap();
        let facts = |log: &Log| {
            let metadata = log.metadata().unwrap();
            (
                log.first_lsn(),
                log.last_lsn(),
                log.durable_lsn(),
                log.next_lsn(),
                metadata,
                log.segments().unwrap(),
            )
        };
        assert_eq!(facts(&self.reader), facts(&fresh));
        let entries = |log: &Log| log.range(..).map(Result::unwrap).collect::<Vec<_>>();
        let expected = entries(&fresh);
        assert_eq!(entries(&self.reader), expected);
        let some = expected.iter().rev().step_by(7).take(20);
        some.for_each(|entry| assert_eq!(self.reader.get(entry.lsn).unwrap(), *entry));
        whole
    }
}

fn as_safe(durability: Durability) -> AppendOptions {
    AppendOptions { durability: Some(durability), ..AppendOptions::default() }
}

fn append(log: &Log, n: u64, durability: Durability) {
    log.append_entry(&NewEntry::plain(&payload(n)), &as_safe(durability)).unwrap();
}

fn quiet() -> Options {
    Options { background_threads: false, idle_mark: Duration::ZERO, ..small() }
}

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new())
}

/// A log of one entry, its files, and a reader that knows them.
fn watched() -> (Log, Arc<dyn Storage>, Beside) {
    let storage = memory();
    let log = open(&storage, &quiet()).unwrap();
    append(&log, 10, Durability::Durable);
    let beside = Beside::new(&storage);
    (log, storage, beside)
}

#[test]
fn what_only_adds_is_read_alone() {
    let (log, _, beside) = watched();
    assert!(!beside.look(), "nothing came");
    append(&log, 2, Durability::Durable);
    assert!(!beside.look());
    append(&log, 3, Durability::Written);
    append(&log, 4, Durability::Durable);
    assert!(!beside.look());
    let mut batch = EntriesBuilder::default();
    (5..30).for_each(|n| batch.push(&NewEntry { term: Some(n), ..NewEntry::plain(&payload(n)) }).unwrap());
    log.append_batch(&batch, &as_safe(Durability::Durable)).unwrap();
    assert!(!beside.look());
    for value in [Some(&b"value"[..]), None] {
        log.set_meta("name", value, None).unwrap();
        assert!(!beside.look(), "metadata counts");
        assert_eq!(beside.reader.meta("name").unwrap().as_deref(), value);
    }
    log.maintain().unwrap();
    assert!(!beside.look(), "a mark proves what precedes it");
    assert_eq!(beside.reader.durable_lsn(), Some(lsn(29)));
    (0..60).for_each(|n| append(&log, n, Durability::Durable));
    assert!(!beside.look());
    log.close().unwrap();
    assert!(!beside.look(), "a close, too");
}

#[test]
fn what_changes_history_is_looked_at_wholly() {
    let storage = memory();
    let mut log = open(&storage, &quiet()).unwrap();
    (1..=20).for_each(|n| append(&log, n, Durability::Durable));
    let beside = Beside::new(&storage);
    type Change = fn(&mut Log, &Arc<dyn Storage>);
    let changes: [(&str, Change); 7] = [
        ("a cut", |log, _| drop(log.truncate_after(lsn(15)).unwrap())),
        ("a trim", |log, _| drop(log.truncate_before(lsn(5)).unwrap())),
        ("another segment", |log, _| (0..500).for_each(|n| append(log, n, Durability::Written))),
        ("another writer", |log, storage| {
            log.close().unwrap();
            *log = open(storage, &quiet()).unwrap();
            append(log, 7, Durability::Durable);
        }),
        ("one that was killed", |log, storage| {
            append(log, 8, Durability::Written);
            // Only what it keeps in memory is lost.
            *log = {
                let left = std::mem::replace(log, open(&memory(), &quiet()).unwrap());
                drop(left);
                open(storage, &quiet()).unwrap()
            };
            append(log, 9, Durability::Durable);
        }),
        ("an end of all", |log, _| drop(log.clear().unwrap())),
        ("another beginning", |log, _| {
            log.reset(lsn(5000)).unwrap();
            append(log, 1, Durability::Durable);
        }),
    ];
    for (what, change) in changes {
        append(&log, 1, Durability::Durable);
        beside.look();
        assert!(!beside.look(), "before {what}");
        change(&mut log, &storage);
        assert!(beside.look(), "{what}");
        append(&log, 2, Durability::Durable);
        assert!(!beside.look(), "after {what}");
    }
}

/// All in turn, in an order that a seed decides.
#[test]
fn in_whatever_order_things_happen_nothing_is_missed() {
    let (mut glances, mut wholes) = (0, 0);
    for seed in 0..12_u64 {
        let mut random = seed;
        let mut below = move |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % n
        };
        let storage = memory();
        let options =
            Options { sync: SyncPolicy::Background { interval: Duration::from_secs(600) }, ..quiet() };
        let mut log = open(&storage, &options).unwrap();
        append(&log, 1, Durability::Durable);
        let beside = Beside::new(&storage);
        let mut tail =
            beside.reader.tail(TailOptions { from: TailFrom::Start, visibility: Visibility::Written });
        for _ in 0..120 {
            let durability =
                [Durability::Buffered, Durability::Written, Durability::Durable][below(3) as usize];
            let (first, next) = (log.first_lsn(), log.next_lsn());
            let mut cuts = false;
            match below(20) {
                0..10 => (0..below(40)).for_each(|n| append(&log, n, durability)),
                10..13 => {
                    let mut batch = EntriesBuilder::default();
                    (0..=below(9)).for_each(|n| batch.push(&NewEntry::plain(&payload(n))).unwrap());
                    log.append_batch(&batch, &as_safe(durability)).unwrap();
                }
                13 => log.set_meta("name", Some(&below(1000).to_le_bytes()), Some(durability)).unwrap(),
                14 => log.sync().unwrap(),
                15 => log.maintain().unwrap(),
                16 if below(2) == 0 => {
                    let first = first.unwrap_or(next);
                    log.truncate_before(first.plus(below(next.since(first).unwrap() + 1))).unwrap();
                }
                17 if below(2) == 0 => {
                    let first = first.unwrap_or(next);
                    log.truncate_from(first.plus(below(next.since(first).unwrap() + 1))).unwrap();
                    cuts = true;
                }
                18 => {
                    log.close().unwrap();
                    log = open(&storage, &options).unwrap();
                    append(&log, 3, Durability::Durable);
                }
                _ => {}
            }
            let whole = beside.look();
            (glances, wholes) = (glances + u32::from(!whole), wholes + u32::from(whole));
            while let Ok(Some(entry)) = tail.try_next() {
                assert!(cuts || beside.reader.get(entry.lsn).unwrap() == entry, "seed {seed}");
            }
            if tail.next_lsn() != beside.reader.next_lsn() {
                // Where it has given nothing yet it waits for the entry that it was sent to.
                assert!(cuts || tail.try_next().is_err(), "seed {seed}");
                tail.seek(beside.reader.next_lsn());
            }
        }
    }
    assert!(glances > 500 && wholes > 50, "{glances} and {wholes}");
}

/// The bytes of the newest file, for a test to change.
fn newest(storage: &Arc<dyn Storage>) -> (String, Vec<u8>) {
    let mut names = storage.list().unwrap();
    names.retain(|name| name.ends_with(".wal"));
    let name = names.into_iter().max().unwrap();
    let file = storage.open(&name).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    (name, bytes)
}

fn replace(storage: &Arc<dyn Storage>, name: &str, bytes: &[u8]) {
    storage.remove(name).unwrap();
    storage.create(name).unwrap().write_at(0, bytes).unwrap();
}

/// Whichever of the first bytes that came is wrong, or however many of them are gone, a reader that knew what precedes
/// them says what a new one says: at once, or when it has read everything again.
#[test]
fn damage_in_what_came_is_found() {
    let storage = memory();
    let log = open(&storage, &quiet()).unwrap();
    (1..=10).for_each(|n| append(&log, n, Durability::Durable));
    let (name, before) = newest(&storage);
    (11..=100).for_each(|n| append(&log, n, Durability::Durable));
    let (same, after) = newest(&storage);
    assert_eq!(same, name);
    let is_other = |at: &usize| before[*at] != after[*at];
    let changed: Vec<usize> = (0..after.len()).filter(is_other).collect();
    let start = changed[0] / 8 * 8;
    let flips = (start..start + 300).map(|at| (at..at + 1, true));
    let sectors = (start..start + 300).step_by(8).map(|at| (at..at + 64, false));
    // So much that only zeros are read where the end was.
    let page = (start..start + 4200, false);
    assert!(changed.last().is_some_and(|last| *last > page.0.end + 200));
    let (mut at_once, mut later) = (0, 0);
    for (range, flip) in flips.chain(sectors).chain([page]) {
        replace(&storage, &name, &before);
        let beside = Beside::new(&storage);
        let mut damaged = after.clone();
        damaged[range.clone()].iter_mut().for_each(|byte| *byte = if flip { *byte ^ 4 } else { 0 });
        replace(&storage, &name, &damaged);
        let verdict = |log: Result<Log, LogError>| match log {
            Ok(log) => format!("{:?}", log.next_lsn()),
            Err(error) => error.to_string(),
        };
        let expected = verdict(beside.fresh());
        let found = verdict(beside.reader.refresh().map(|()| beside.reader.clone()));
        if found == expected {
            at_once += 1;
            continue;
        }
        // Zeros where the end was look like no more than that, for a while.
        assert!(!flip && range.start == start, "{range:?}: {found} and not {expected}");
        assert_eq!(found, "Lsn(11)");
        beside.time.advance(Duration::from_secs(10));
        assert_eq!(verdict(beside.reader.refresh().map(|()| beside.reader.clone())), expected);
        later += 1;
    }
    assert!(at_once > 100 && later == 1, "{at_once} and {later}");
}

/// However much is known.
#[test]
fn a_glance_reads_what_came_and_little_else() {
    let storage = memory();
    let options = Options { segment_len: 4 << 20, first_segment_len: 4 << 20, ..quiet() };
    let log = open(&storage, &options).unwrap();
    (0..5000).for_each(|n| append(&log, n, Durability::Written));
    let beside = Beside::new(&storage);
    let read = |what: &dyn Fn()| {
        let before = beside.hooked.bytes_read();
        what();
        beside.hooked.bytes_read() - before
    };
    // Whoever has looked for an entry has an index, to which it is added.
    beside.reader.get(lsn(77)).unwrap();
    beside.time.advance(Duration::from_secs(60));
    assert!(read(&|| beside.reader.refresh().unwrap()) > 500_000, "everything");
    beside.reader.get(lsn(77)).unwrap();
    for came in [0, 1, 10] {
        (0..came).for_each(|n| append(&log, n, Durability::Written));
        let read = read(&|| beside.reader.refresh().unwrap());
        assert!(read <= 16 << 10, "{read} bytes for {came} entries");
        assert_eq!(beside.reader.next_lsn(), log.next_lsn());
    }
}

/// What the index of a log that was closed says of frames that a reader has not seen yet is not forgotten.
#[test]
fn what_came_before_an_index_was_loaded_is_in_it_once_it_is_seen() {
    let storage = memory();
    let options = Options { segment_len: 4 << 20, first_segment_len: 4 << 20, ..quiet() };
    let log = open(&storage, &options).unwrap();
    (1..=100).for_each(|n| append(&log, n, Durability::Written));
    let beside = Beside::new(&storage);
    (101..=5000).for_each(|n| append(&log, n, Durability::Written));
    log.close().unwrap();
    assert_eq!(beside.reader.get(lsn(77)).unwrap().payload, payload(77));
    beside.reader.refresh().unwrap();
    assert!(!beside.whole.load(Ordering::SeqCst));
    for n in [101, 1000, 4000, 5000] {
        let before = beside.hooked.bytes_read();
        assert_eq!(beside.reader.get(lsn(n)).unwrap().payload, payload(n));
        let read = beside.hooked.bytes_read() - before;
        assert!(read <= 4 << 10, "{read} bytes for entry {n}");
    }
}

/// It is metadata that a reader learns before it meets what was compressed with it.
#[test]
fn a_dictionary_that_a_glance_has_seen_is_known() {
    let storage = memory();
    let compression =
        Compression { codec: CodecId::ZSTD, min_len: 32, pack_len: 0, ..Compression::default() };
    let log =
        open(&storage, &Options { compression, segment_len: 1 << 20, first_segment_len: 1 << 20, ..quiet() })
            .unwrap();
    let record = |n: u64| format!(r#"{{"package":{n},"package-{n:x}":"{}","package":true}}"#, n * 7919);
    let append = |n: u64| assert_eq!(log.append(record(n).as_bytes()).unwrap(), lsn(n));
    (1..=600).for_each(append);
    let beside = Beside::new(&storage);
    assert!(!beside.look());
    for trained in [601, 651] {
        log.train_dictionary(&DictionaryOptions { len: 1024, ..DictionaryOptions::default() }).unwrap();
        (trained..trained + 50).for_each(append);
        let header = log.headers(lsn(trained + 20), lsn(trained + 21)).next().unwrap().unwrap();
        assert_eq!(header.codec, CodecId::ZSTD);
        assert!(!beside.look());
        assert_eq!(beside.reader.get(lsn(trained + 20)).unwrap().payload, record(trained + 20));
    }
}

/// However busy the writer is.
#[test]
fn everything_is_looked_at_every_ten_seconds() {
    let (log, _, beside) = watched();
    let wholes: Vec<bool> = (0..25)
        .map(|n| {
            append(&log, n, Durability::Durable);
            beside.time.advance(Duration::from_secs(1));
            beside.look()
        })
        .collect();
    assert_eq!(wholes.iter().filter(|whole| **whole).count(), 2);
    assert!(wholes[9] && wholes[19]);
}

/// What a tail gave of what came is cut off before anybody looks wholly.
#[test]
fn a_cut_of_what_only_a_glance_has_seen_ends_a_tail() {
    let (log, _, beside) = watched();
    let mut tail = beside.reader.tail(TailOptions { from: TailFrom::Start, visibility: Visibility::Written });
    (2..=9).for_each(|n| append(&log, n, Durability::Durable));
    assert!(!beside.look());
    (1..=9).for_each(|n| assert_eq!(tail.try_next().unwrap().unwrap().lsn, lsn(n)));
    log.truncate_after(lsn(5)).unwrap();
    append(&log, 60, Durability::Durable);
    assert!(beside.look());
    assert!(matches!(tail.try_next(), Err(LogError::CutOff { .. })));
}

/// As when a directory was emptied, and filled by another log.
#[test]
fn another_log_under_the_same_names_is_noticed() {
    let (log, storage, beside) = watched();
    drop(log);
    let other = memory();
    let log = open(&other, &quiet()).unwrap();
    // As long as the one that was there.
    append(&log, 11, Durability::Durable);
    for name in storage.list().unwrap() {
        storage.remove(&name).unwrap();
    }
    let (name, bytes) = newest(&other);
    storage.create(&name).unwrap().write_at(0, &bytes).unwrap();
    assert!(beside.look());
}
