//! Ways to read that differ from the usual one: several threads at once, by copy, from memory, out of packs, from files
//! without a log, and from objects that are in the cache.

use std::{hint::black_box, io::Read, path::Path, sync::Arc, thread, time::Instant};

use object_store::memory::InMemory;
use wal_compress::{CodecId, Codecs, Compression};
use wal_core::{AppendOptions, BatchLimit, Durability, Environment, Log, Options, SyncPolicy};
use wal_format::{FileName, Item, Lsn, NewEntry, SegmentReader, frame_len};
use wal_object_store::{ObjectOptions, ObjectStorage};
use wal_segment::{LocalOptions, LocalStorage, ReadMode, Storage};

use crate::{
    sample::{median, payload, row},
    subject::open,
};

/// Repetitions of each row, the rivals of a row in turn.
const REPEATS: usize = 5;
/// Entries of 128 B.
const ENTRIES: u64 = 60_000;
/// Of which as many fit into the caches.
const HOT: u64 = 5000;
const GETS: u64 = 40_000;
const PART: u64 = 100;

/// Prints the rows.
pub fn table(dir: &Path) {
    together(&dir.join("together"));
    copied(&dir.join("copied"));
    recent(&dir.join("recent"));
    packed(&dir.join("packed"));
    without_a_log(&dir.join("files"));
    objects();
}

fn options() -> Options {
    let sync = SyncPolicy::Background { interval: std::time::Duration::from_secs(60) };
    Options { sync, first_segment_len: 64 << 20, ..Options::default() }
}

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

/// The log, with entries that are durable.
fn filled(log: Log) -> Log {
    let record = payload(128, 1);
    for _ in 0..ENTRIES {
        log.append(&record).unwrap();
    }
    log.sync().unwrap();
    log
}

/// Prints a row of the medians of what two kinds of work take each of `count`, in turn.
fn compare(what: &str, count: u64, ours: impl Fn(), theirs: &str, rival: impl Fn()) {
    let per = |work: &dyn Fn()| {
        let start = Instant::now();
        work();
        start.elapsed().as_nanos() as f64 / count as f64
    };
    let (mut figures, mut rivals) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        figures.push(per(&ours));
        rivals.push(per(&rival));
    }
    let (figure, rival) = (median(&figures), median(&rivals));
    row(what, &format!("{figure:.1} ns"), &format!("{theirs} {rival:.1} ns"), figure / rival);
}

/// The n-th of LSNs here and there among the first `count`.
fn scattered(nth: u64, count: u64) -> Lsn {
    lsn(1 + nth * 7919 % count)
}

fn gets(log: &Log, count: u64) {
    for n in 0..GETS {
        assert_eq!(log.get(scattered(n, count)).unwrap().payload.len(), 128);
    }
}

fn get_many(log: &Log, count: u64) {
    let lsns: Vec<Lsn> = (0..GETS).map(|n| scattered(n, count)).collect();
    for lsns in lsns.chunks(256) {
        assert!(log.get_many(lsns).unwrap().iter().all(|entry| entry.payload.len() == 128));
    }
}

fn walk(log: &Log, from: u64, to: u64) {
    assert_eq!(log.range(lsn(from)..lsn(to)).map(|entry| entry.unwrap().lsn.get()).max(), Some(to - 1));
}

fn in_parts(log: &Log, count: u64) {
    let limit = BatchLimit { entries: PART as usize, ..BatchLimit::default() };
    for n in 0..count / PART {
        assert_eq!(log.get_range(lsn(1 + n * PART).., limit).unwrap().len() as u64, PART);
    }
}

/// What it takes each thread.
fn by_two(work: impl Fn() + Sync) {
    thread::scope(|scope| {
        scope.spawn(&work);
        work();
    });
}

fn together(dir: &Path) {
    let log = filled(open(dir, options()));
    gets(&log, HOT);
    compare("get, kept, by 2 threads, each", GETS, || by_two(|| gets(&log, HOT)), "by 1", || gets(&log, HOT));
    let hot = || (0..GETS / HOT).for_each(|_| walk(&log, 1, HOT + 1));
    compare("sequential read, kept, by 2 threads, each", GETS, || by_two(hot), "by 1", hot);
}

fn copied(dir: &Path) {
    let local = LocalOptions { read_mode: ReadMode::Pread, ..LocalOptions::default() };
    let storage = Arc::new(LocalStorage::create(dir, local).unwrap());
    let log = filled(Log::open(Environment::new(Arc::clone(&storage) as _), options()).unwrap());
    let mut names = storage.list().unwrap();
    names.retain(|name| name.ends_with(".wal"));
    let longest = names.iter().max_by_key(|name| storage.open(name).unwrap().len().unwrap()).unwrap();
    let file = storage.open(longest).unwrap();
    let bare = || {
        let mut bytes = [0; 2048];
        for n in 0..GETS {
            assert_eq!(file.read_at(n * 7919 * 168 % (ENTRIES * 168), &mut bytes).unwrap(), 2048);
        }
        black_box(bytes);
    };
    compare("random get by copy", GETS, || gets(&log, ENTRIES), "pread of 2 KiB", bare);
    compare("get_many by copy", GETS, || get_many(&log, ENTRIES), "get", || gets(&log, ENTRIES));
    let part = || in_parts(&log, ENTRIES);
    compare("parts of 100 by copy", ENTRIES, part, "one walk", || walk(&log, 1, ENTRIES + 1));
}

/// Entries that are in memory alone.
fn recent(dir: &Path) {
    let log = filled(open(dir, options()));
    let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
    let record = payload(128, 1);
    for _ in 0..1000 {
        log.append_entry(&NewEntry::plain(&record), &buffered).unwrap();
    }
    let newest = || (0..GETS).for_each(|n| drop(log.get(lsn(ENTRIES + 1 + n % 1000)).unwrap()));
    compare("get of what is not written", GETS, newest, "durable", || gets(&log, HOT));
}

fn packed(dir: &Path) {
    let compression = Compression { codec: CodecId::ZSTD, ..Compression::default() };
    let options = Options { compression, ..options() };
    let storage = Arc::new(LocalStorage::create(dir, LocalOptions::default()).unwrap());
    let codecs = Codecs::with_level(options.compression.level).unwrap();
    let log = Log::open(Environment { codecs, ..Environment::new(storage) }, options).unwrap();
    for n in 0..ENTRIES {
        let text = format!("{n:020} {:107}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        log.append(text.as_bytes()).unwrap();
    }
    log.sync().unwrap();
    let walk = || walk(&log, 1, ENTRIES + 1);
    let in_a_row = || (1..=ENTRIES).for_each(|n| drop(log.get(lsn(n)).unwrap()));
    compare("packs: gets in a row", ENTRIES, in_a_row, "one walk", walk);
    compare("packs: parts of 100", ENTRIES, || in_parts(&log, ENTRIES), "one walk", walk);
}

/// The file of a segment, read as a stream.
fn without_a_log(dir: &Path) {
    let log = filled(open(dir, options()));
    let last = log.headers(lsn(ENTRIES), Lsn::MAX).next().unwrap().unwrap();
    let path = dir.join(FileName::Segment(last.segment).with_prefix(""));
    let first = log.segments().unwrap().iter().find(|it| it.id == last.segment).unwrap().base;
    // Behind the last frame there are zeros.
    let end = last.offset + frame_len(last.body_len);
    let count = ENTRIES - first.get() + 1;
    let stream = || {
        let mut reader = SegmentReader::new(std::fs::File::open(&path).unwrap().take(end));
        let mut entries = 0;
        while let Some(item) = reader.next().unwrap() {
            if let Item::Frame(frame) = item {
                entries +=
                    frame.entries().unwrap().filter(|it| it.as_ref().unwrap().1.payload.len() == 128).count();
            }
        }
        assert_eq!(entries as u64, count);
    };
    let log = || walk(&log, first.get(), ENTRIES + 1);
    compare("a segment's file, read as a stream", count, stream, "the log", log);
}

fn objects() {
    let storage = ObjectStorage::new(Arc::new(InMemory::new()), "log", ObjectOptions::default()).unwrap();
    let log = filled(Log::open(Environment::new(Arc::new(storage)), options()).unwrap());
    gets(&log, ENTRIES);
    compare(
        "objects in the cache: random get",
        GETS,
        || gets(&log, ENTRIES),
        "one walk",
        || {
            walk(&log, 1, GETS + 1);
        },
    );
    let part = || in_parts(&log, ENTRIES);
    compare("objects in the cache: parts of 100", ENTRIES, part, "one walk", || walk(&log, 1, ENTRIES + 1));
}
