//! What a log on object storage costs in time, requests, bytes and dollars, on a store in memory that answers late.

#![allow(clippy::print_stdout, reason = "it prints a table")]

mod late;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use wal_core::{Environment, Log, Options, RequestStats, SyncPolicy};
use wal_format::Lsn;
use wal_object_store::{ObjectOptions, ObjectStorage};

use crate::sample::{median, payload};
use late::Late;

const OBJECT: u64 = 8 << 20;
const UPLOADS: usize = 4;
const REPEATS: usize = 5;
const LATENCY: Duration = Duration::from_millis(20);
/// Bytes a second of one connection.
const BANDWIDTH: f64 = 100e6;

/// Prints the table.
pub fn table(quick: bool) {
    println!("| what | this log | compared with | ratio | wanted |");
    println!("|---|---|---|---|---|");
    bandwidth(if quick { 24 } else { 64 });
    shared(if quick { 40 } else { 200 });
    reading(if quick { 24 } else { 64 });
    paced(Duration::from_secs(if quick { 2 } else { 10 }));
    opening(if quick { 2_000 } else { 10_000 });
    rewriting(200);
    println!("\n| workload, all month long | requests a second | dollars a month |");
    println!("|---|---|---|");
    dollars();
}

fn row(what: &str, ours: &str, theirs: &str, ratio: f64, wanted: &str) {
    println!("| {what} | {ours} | {theirs} | {ratio:.2} | {wanted} |");
}

fn open(store: Arc<dyn ObjectStore>, options: Options) -> Log {
    Log::open(environment(store), options).unwrap()
}

fn environment(store: Arc<dyn ObjectStore>) -> Environment {
    let storage = ObjectStorage::new(store, "log", ObjectOptions::default()).unwrap();
    Environment::new(Arc::new(storage))
}

fn asked(log: &Log) -> RequestStats {
    log.stats().requests.unwrap()
}

fn background(interval: Duration) -> Options {
    Options {
        sync: SyncPolicy::Background { interval },
        segment_len: OBJECT,
        first_segment_len: OBJECT,
        uploads: UPLOADS,
        buffer_len: OBJECT as usize,
        ..Options::default()
    }
}

/// Full objects, as many at once as the bare client makes of the same bytes.
fn bandwidth(objects: usize) {
    let record = payload(64 << 10, 1);
    let count = objects * (OBJECT as usize / record.len());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let megabytes = (count * record.len()) as f64 / 1e6;
    for _ in 0..REPEATS {
        let store = Arc::new(Late::new(LATENCY, BANDWIDTH));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let body = Bytes::from(payload(OBJECT as usize, 2));
        let start = Instant::now();
        runtime.block_on(async {
            let puts = stream::iter(0..objects).map(|n| {
                let (store, body) = (Arc::clone(&store), body.clone());
                async move { store.put(&Path::from(format!("bare/{n}")), body.into()).await.unwrap() }
            });
            puts.buffer_unordered(UPLOADS).for_each(|_| async {}).await;
        });
        theirs.push(megabytes / start.elapsed().as_secs_f64());
        let log = open(Arc::new(Late::new(LATENCY, BANDWIDTH)), background(Duration::from_secs(3600)));
        let start = Instant::now();
        (0..count).for_each(|_| {
            log.append(&record).unwrap();
        });
        log.sync().unwrap();
        ours.push(megabytes / start.elapsed().as_secs_f64());
        assert_eq!(log.stats().entries, count as u64);
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    row(
        "bandwidth, 8 MiB objects, 4 at once",
        &format!("{ours:.0} MB/s"),
        &format!("bare client {theirs:.0} MB/s"),
        ours / theirs,
        "at least 0.90",
    );
}

/// All entries in order, and some here and there, cold.
fn reading(objects: usize) {
    let record = payload(64 << 10, 1);
    let count = objects * (OBJECT as usize / record.len());
    let memory = Arc::new(InMemory::new());
    let log = open(Arc::clone(&memory) as _, background(Duration::from_secs(3600)));
    (0..count).for_each(|_| {
        log.append(&record).unwrap();
    });
    log.close().unwrap();
    let cold =
        || open(Arc::new(Late::around(Arc::clone(&memory) as _, LATENCY, BANDWIDTH)), Options::default());
    let (mut ours, mut gets) = (Vec::new(), 0);
    for _ in 0..REPEATS {
        let log = cold();
        let before = asked(&log).gets;
        let start = Instant::now();
        assert_eq!(
            log.range(..).map(|entry| entry.unwrap().payload.len()).sum::<usize>(),
            count * record.len()
        );
        ours.push((count * record.len()) as f64 / 1e6 / start.elapsed().as_secs_f64());
        gets = asked(&log).gets - before;
    }
    let (ours, bare) = (median(&ours), BANDWIDTH / 1e6);
    let what = format!("{ours:.0} MB/s, {gets} GETs");
    row("reading in order", &what, &format!("one connection {bare:.0} MB/s"), ours / bare, "");
    let lsns: Vec<_> = (0..64).map(|n| Lsn::new(1 + n * 7919 % count as u64).unwrap()).collect();
    let (mut many, mut single) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let time = |read: &dyn Fn(&Log)| {
            let log = cold();
            let start = Instant::now();
            read(&log);
            start.elapsed().as_secs_f64() * 1000.0 / lsns.len() as f64
        };
        many.push(time(&|log| assert_eq!(log.get_many(&lsns).unwrap().len(), lsns.len())));
        single.push(time(&|log| lsns.iter().for_each(|lsn| drop(log.get(*lsn).unwrap()))));
    }
    let (many, single) = (median(&many), median(&single));
    row(
        "`get_many` of 64",
        &format!("{many:.1} ms each"),
        &format!("`get` {single:.1} ms"),
        many / single,
        "",
    );
}

/// Many threads, every append durable.
fn shared(each: usize) {
    let store = Arc::new(Late::new(LATENCY, BANDWIDTH));
    let log = open(Arc::clone(&store) as _, Options { segment_len: OBJECT, ..Options::default() });
    let before = asked(&log).puts;
    let record = payload(128, 1);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                (0..each).for_each(|_| {
                    log.append(&record).unwrap();
                })
            });
        }
    });
    let rate = (16 * each) as f64 / start.elapsed().as_secs_f64();
    let puts = asked(&log).puts - before;
    let per_put = (16 * each) as f64 / puts as f64;
    row(
        "16 writers under `always`, 20 ms a PUT",
        &format!("{rate:.0}/s, {puts} PUTs"),
        "one PUT an append",
        per_put,
        "at least 10",
    );
    drop(log);
    assert_eq!(open(store, Options::default()).next_lsn().get(), (16 * each) as u64 + 1);
}

/// Ten thousand appends a second, published every 100 ms.
fn paced(time: Duration) {
    let log = open(Arc::new(Late::new(LATENCY, BANDWIDTH)), background(Duration::from_millis(100)));
    let before = asked(&log);
    let record = payload(128, 1);
    let start = Instant::now();
    let mut appended = 0_u64;
    while start.elapsed() < time {
        let due = (start.elapsed().as_secs_f64() * 1e4) as u64;
        while appended < due {
            log.append(&record).unwrap();
            appended += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
    let (took, after) = (start.elapsed().as_secs_f64(), asked(&log));
    let puts = (after.puts - before.puts) as f64;
    row(
        "10,000 appends of 128 B a second, published every 100 ms",
        &format!("{:.1} PUTs/s, {:.0} appends a PUT", puts / took, appended as f64 / puts),
        "10 PUTs/s",
        puts / took / 10.0,
        "at most 1.10",
    );
    let sent = (after.sent_bytes - before.sent_bytes) as f64 / (appended * 128) as f64;
    row("the same, bytes sent", &format!("{sent:.2} for one of payload"), "payload", sent, "");
}

/// A log of many objects.
fn opening(objects: usize) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let log = open(Arc::clone(&store), Options::default());
    let record = payload(128, 1);
    (0..objects).for_each(|_| {
        log.append(&record).unwrap();
    });
    log.close().unwrap();
    drop(log);
    let late = |pages: bool| {
        let store = Arc::new(Late::around(Arc::clone(&store), LATENCY, BANDWIDTH));
        if !pages {
            store.hide(".heads");
        }
        let start = Instant::now();
        let log = Log::open_read_only(environment(store), Options::default()).unwrap();
        (start.elapsed(), asked(&log))
    };
    let ((took, with), (longer, without)) = (late(true), late(false));
    assert!(with.gets < 300 && without.gets >= objects as u64);
    row(
        &format!("open {objects} objects"),
        &format!(
            "{} LIST, {} GET, {:.1} MB, {:.2} s",
            with.lists,
            with.gets,
            with.received_bytes as f64 / 1e6,
            took.as_secs_f64()
        ),
        &format!(
            "without pages {} GET, {:.1} MB, {:.2} s",
            without.gets,
            without.received_bytes as f64 / 1e6,
            longer.as_secs_f64()
        ),
        with.gets as f64 / without.gets as f64,
        "",
    );
}

/// The same flushes by reading the segment, appending to it and writing it anew, as another library does.
fn rewriting(flushes: usize) {
    let flush = payload(128 << 10, 1);
    let log = open(Arc::new(InMemory::new()), background(Duration::from_secs(3600)));
    let before = asked(&log);
    for _ in 0..flushes {
        log.append(&flush).unwrap();
        log.sync().unwrap();
    }
    let after = asked(&log);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (store, path) = (InMemory::new(), Path::from("segment"));
    let (mut requests, mut moved) = (0_u64, 0_u64);
    runtime.block_on(async {
        store.put(&path, Bytes::new().into()).await.unwrap();
        for _ in 0..flushes {
            store.head(&path).await.unwrap();
            let mut whole = store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
            moved += whole.len() as u64;
            whole.extend_from_slice(&flush);
            moved += whole.len() as u64;
            store.put(&path, whole.into()).await.unwrap();
            requests += 3;
        }
    });
    let ours = after.sent_bytes + after.received_bytes - before.sent_bytes - before.received_bytes;
    let made = after.puts + after.gets - before.puts - before.gets;
    row(
        &format!("{flushes} flushes of 128 KiB"),
        &format!("{made} requests, {:.0} MB", ours as f64 / 1e6),
        &format!("read and rewrite the segment: {requests} requests, {:.0} MB", moved as f64 / 1e6),
        ours as f64 / moved as f64,
        "",
    );
}

/// Prices of S3 Standard in us-east-1, a request: creations and pages of listings, and reads. Removing costs nothing.
const PUT: f64 = 0.005 / 1000.0;
const GET: f64 = 0.0004 / 1000.0;
const MONTH: f64 = 30.0 * 86_400.0;

fn dollars() {
    let page = 1.0 + 1.0 / 256.0;
    let lines: [(&str, f64, f64); 6] = [
        ("nothing is appended", 0.0, 0.0),
        ("published every second", page, 0.0),
        ("published every 100 ms", 10.0 * page, 0.0),
        ("one writer under `always`, 20 ms a PUT", 50.0 * page, 0.0),
        ("100 MB/s in objects of 8 MiB", 100e6 / OBJECT as f64 * page, 0.0),
        ("read and rewrite every 100 ms", 10.0, 20.0),
    ];
    for (what, puts, gets) in lines {
        let dollars = MONTH * (puts * PUT + gets * GET);
        println!("| {what} | {puts:.1} PUT, {gets:.0} GET | {dollars:.2} |");
    }
    let scan = 11.0 * PUT + 300.0 * GET;
    println!("| one look a second for new objects (a tail) | 1 LIST | {:.2} |", MONTH * PUT);
    println!("| opening 10,000 objects, once | 11 LIST, 300 GET | {scan:.5} |");
}
