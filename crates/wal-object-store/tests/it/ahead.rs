//! Reading from front to back, and what is asked for meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use object_store::{
    ObjectStore, ObjectStoreExt,
    path::Path,
    throttle::{ThrottleConfig, ThrottledStore},
};
use tokio::{runtime::Builder, sync::oneshot, time::Instant};
use wal_object_store::{ObjectOptions, ObjectStorage};
use wal_segment::Storage;

use crate::faulty::{Decide, Fate, FaultyStore, Plant, Sea};

const NAMES: [&str; 3] = ["1.wal", "2.wal", "3.wal"];
const LEN: u64 = (5 << 20) + 12_345;
const PIECE: u64 = 256 << 10;

fn content(nth: usize) -> Vec<u8> {
    (0..LEN as u32).map(|n| (n / 7) as u8 ^ nth as u8).collect()
}

fn filled() -> Arc<Sea> {
    let sea = Arc::<Sea>::default();
    let runtime = Builder::new_current_thread().build().unwrap();
    for (nth, name) in NAMES.into_iter().enumerate() {
        let path = Path::from("log").join(name);
        runtime.block_on(sea.store.put(&path, content(nth).into())).unwrap();
    }
    sea
}

fn on(store: impl ObjectStore, options: ObjectOptions) -> ObjectStorage {
    let storage =
        ObjectStorage::new(Arc::new(store), "log", ObjectOptions { pause: Duration::ZERO, ..options })
            .unwrap();
    assert_eq!(storage.list().unwrap(), NAMES);
    storage
}

fn late(milliseconds: u64) -> ThrottleConfig {
    ThrottleConfig { wait_get_per_call: Duration::from_millis(milliseconds), ..ThrottleConfig::default() }
}

/// Reads an object as an iterator does: each piece begins with what was not whole in the one before.
fn read_one(storage: &ObjectStorage, nth: usize) {
    let (file, content) = (storage.open(NAMES[nth]).unwrap(), content(nth));
    let mut at = 0;
    while at < LEN {
        let from = at.saturating_sub(100).max(512 * u64::from(at > 0));
        let to = (at + PIECE).min(LEN);
        assert_eq!(file.view(from..to).unwrap(), content[from as usize..to as usize], "{nth} {from}");
        at = to;
    }
}

fn read_all(storage: &ObjectStorage) {
    (0..NAMES.len()).for_each(|nth| read_one(storage, nth));
}

/// Whether answers come before anybody needs them or not.
#[test]
fn every_byte_is_asked_for_once() {
    for latency in [0, 2] {
        let store = FaultyStore::calm(&filled());
        let counts = Arc::clone(&store.counts);
        let storage = on(ThrottledStore::new(store, late(latency)), ObjectOptions::default());
        read_all(&storage);
        assert_eq!(counts.got_bytes.load(SeqCst), NAMES.len() as u64 * LEN);
        let [_, gets, ..] = counts.take();
        assert!(gets < 30, "{gets}");
    }
}

/// Who has come from the first to the second will come to the third.
#[test]
fn what_comes_behind_an_object_is_asked_for_before_anybody_is_there() {
    let store = FaultyStore::calm(&filled());
    let counts = Arc::clone(&store.counts);
    let storage = on(store, ObjectOptions::default());
    read_one(&storage, 0);
    assert_eq!(counts.got_bytes.load(SeqCst), LEN, "nobody knows that he goes on");
    read_one(&storage, 1);
    let start = Instant::now();
    while counts.got_bytes.load(SeqCst) < 3 * LEN {
        assert!(start.elapsed() < Duration::from_secs(60));
        thread::yield_now();
    }
}

#[test]
fn what_went_from_the_cache_is_read_ahead_again() {
    let store = FaultyStore::calm(&filled());
    let counts = Arc::clone(&store.counts);
    let storage = on(store, ObjectOptions { cache_len: 4 << 20, ..ObjectOptions::default() });
    let [first, second] = [(); 2].map(|()| {
        read_all(&storage);
        counts.take()[1]
    });
    assert!(second <= first + 2, "{first} and {second} requests");
}

/// They share what is on its way: what came for one does not go for another before he has read it.
#[test]
fn readers_beside_each_other_ask_for_every_byte_once() {
    for readers in [2, 4, 8] {
        let names: Vec<String> = (0..readers).map(|n| format!("{n}.wal")).collect();
        let (sea, len) = (Arc::<Sea>::default(), 8 << 20);
        let runtime = Builder::new_current_thread().build().unwrap();
        for name in &names {
            let path = Path::from("log").join(name.as_str());
            runtime.block_on(sea.store.put(&path, vec![7; len as usize].into())).unwrap();
        }
        let store = FaultyStore::calm(&sea);
        let counts = Arc::clone(&store.counts);
        let storage = ObjectStorage::new(Arc::new(store), "log", ObjectOptions::default()).unwrap();
        storage.list().unwrap();
        let files: Vec<_> = names.iter().map(|name| storage.open(name).unwrap()).collect();
        for at in (0..len).step_by(PIECE as usize) {
            files.iter().for_each(|file| drop(file.view(at..at + PIECE).unwrap()));
        }
        let (got, wanted) = (counts.got_bytes.load(SeqCst), readers * len);
        assert!(got <= wanted + wanted / 10, "{readers}: {got} for {wanted}");
    }
}

/// A window is of the object that was listed, as every read is.
#[test]
fn what_replaced_an_object_is_not_taken_for_it() {
    let sea = filled();
    let storage = on(FaultyStore::calm(&sea), ObjectOptions::default());
    let file = storage.open(NAMES[0]).unwrap();
    file.view(0..PIECE).unwrap();
    let runtime = Builder::new_current_thread().build().unwrap();
    let path = Path::from("log").join(NAMES[0]);
    runtime.block_on(sea.store.put(&path, vec![0xEE; LEN as usize].into())).unwrap();
    for block in 1..20 {
        assert!(file.view(block * PIECE..(block + 1) * PIECE).is_err(), "block {block}");
        // What was asked for has the time to come.
        (0..100).for_each(|_| thread::yield_now());
    }
}

/// On a clock that moves when everybody waits: who waits for one request after the other takes as long as all of them.
#[test]
fn requests_run_beside_each_other() {
    let sea = filled();
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let handle = runtime.handle().clone();
    let (over, is_over) = oneshot::channel();
    let took = thread::scope(|scope| {
        scope.spawn(|| {
            let storage = on(
                ThrottledStore::new(FaultyStore::calm(&sea), late(20)),
                ObjectOptions { runtime: Some(handle), ..ObjectOptions::default() },
            );
            read_all(&storage);
            over.send(()).unwrap();
        });
        runtime.block_on(async {
            let start = Instant::now();
            is_over.await.unwrap();
            start.elapsed()
        })
    });
    let requests = NAMES.len() as u64 * LEN.div_ceil(PIECE);
    assert!(took < Duration::from_millis(20 * requests / 2), "{took:?} for {requests} pieces");
}

#[test]
fn who_reads_here_and_there_gets_what_he_asked_for_and_no_more() {
    let store = FaultyStore::calm(&filled());
    let counts = Arc::clone(&store.counts);
    let storage = on(store, ObjectOptions::default());
    let file = storage.open(NAMES[0]).unwrap();
    for block in [3, 17, 9, 0, 12, 6, 19] {
        file.view(block * PIECE + 1000..block * PIECE + 2000).unwrap();
    }
    assert_eq!((counts.got_bytes.load(SeqCst), counts.take()[1]), (7 * PIECE, 7));
}

/// Every second read ends like this.
struct EverySecond(AtomicU64, Fate);

impl Decide for EverySecond {
    fn fate(&self, what: &'static str) -> Fate {
        let is_it = what == "get" && self.0.fetch_add(1, SeqCst) % 2 == 1;
        if is_it { self.1 } else { Fate::Fine }
    }
}

/// What is on its way for nobody fails for nobody, and no part of it is taken for the whole.
#[test]
fn a_request_that_fails_before_anybody_asked_is_made_again() {
    for fate in [Fate::Refused, Fate::Unheard, Fate::Short] {
        let store = FaultyStore::new(&filled(), Arc::new(EverySecond(AtomicU64::new(0), fate)), Plant::None);
        read_all(&on(store, ObjectOptions::default()));
    }
}

#[test]
fn a_small_cache_is_not_flooded() {
    for blocks in [0, 1, 7, 9] {
        let store = FaultyStore::calm(&filled());
        let counts = Arc::clone(&store.counts);
        let cache_len = blocks * PIECE as usize;
        let storage = on(store, ObjectOptions { cache_len, ..ObjectOptions::default() });
        read_all(&storage);
        // A piece that begins in the block before has to have that one, too, where it was not kept.
        let most = NAMES.len() as u64 * LEN * if blocks == 0 { 2 } else { 1 };
        assert!(counts.got_bytes.load(SeqCst) <= most, "{blocks}: {}", counts.got_bytes.load(SeqCst));
    }
}
