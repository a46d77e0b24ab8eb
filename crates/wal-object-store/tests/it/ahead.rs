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

/// Reads all objects as an iterator does: each piece begins with what was not whole in the one before.
fn read_all(storage: &ObjectStorage) {
    for (nth, name) in NAMES.into_iter().enumerate() {
        let (file, content) = (storage.open(name).unwrap(), content(nth));
        let mut at = 0;
        while at < LEN {
            let from = at.saturating_sub(100).max(512 * u64::from(at > 0));
            let to = (at + PIECE).min(LEN);
            assert_eq!(file.view(from..to).unwrap(), content[from as usize..to as usize], "{name} {from}");
            at = to;
        }
    }
}

#[test]
fn every_byte_is_asked_for_once() {
    let store = FaultyStore::calm(&filled());
    let counts = Arc::clone(&store.counts);
    let storage = on(store, ObjectOptions::default());
    read_all(&storage);
    assert_eq!(counts.got_bytes.load(SeqCst), NAMES.len() as u64 * LEN);
    let [_, gets, ..] = counts.take();
    assert!(gets < 30, "{gets}");
}

/// On a clock that moves when everybody waits: who waits for one request after the other takes as long as all of them.
#[test]
fn requests_run_beside_each_other() {
    let late = ThrottleConfig { wait_get_per_call: Duration::from_millis(20), ..ThrottleConfig::default() };
    let sea = filled();
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let handle = runtime.handle().clone();
    let (over, is_over) = oneshot::channel();
    let took = thread::scope(|scope| {
        scope.spawn(|| {
            let storage = on(
                ThrottledStore::new(FaultyStore::calm(&sea), late),
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

/// What is on its way for nobody may fail for nobody.
struct EverySecond(AtomicU64);

impl Decide for EverySecond {
    fn fate(&self, what: &'static str) -> Fate {
        let is_refused = what == "get" && self.0.fetch_add(1, SeqCst) % 2 == 1;
        if is_refused { Fate::Refused } else { Fate::Fine }
    }
}

#[test]
fn a_request_that_fails_before_anybody_asked_is_made_again() {
    let store = FaultyStore::new(&filled(), Arc::new(EverySecond(AtomicU64::new(0))), Plant::None);
    read_all(&on(store, ObjectOptions::default()));
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
