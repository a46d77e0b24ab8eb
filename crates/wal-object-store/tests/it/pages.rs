//! Pages of beginnings: what they save, and that nothing depends on them.

use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use wal_core::{Environment, Log, Options};
use wal_format::Lsn;
use wal_object_store::{ObjectOptions, ObjectStorage};

use crate::{
    faulty::{Counts, FaultyStore, Sea},
    log::{options, payloads},
};

fn environment(sea: &Arc<Sea>, heads_per_page: usize) -> (Environment, Arc<Counts>) {
    let store = FaultyStore::calm(sea);
    let counts = Arc::clone(&store.counts);
    let how = ObjectOptions {
        heads_per_page,
        pause: std::time::Duration::ZERO,
        assume_conditional_writes: true,
        ..ObjectOptions::default()
    };
    (Environment::new(Arc::new(ObjectStorage::new(Arc::new(store), "log", how).unwrap())), counts)
}

/// Opens the log for writing, with how many reads that took.
fn open(sea: &Arc<Sea>, heads_per_page: usize, options: Options) -> (Log, u64) {
    let (environment, counts) = environment(sea, heads_per_page);
    let log = Log::open(environment, options).unwrap();
    let [_, gets, ..] = counts.take();
    (log, gets)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The names of the pages.
fn pages(sea: &Sea) -> Vec<Path> {
    let all: Vec<_> = block_on(sea.store.list(None).try_collect()).unwrap();
    let paths = all.into_iter().map(|object: object_store::ObjectMeta| object.location);
    paths.filter(|path| path.as_ref().ends_with(".heads")).collect()
}

fn filled(sea: &Arc<Sea>, heads_per_page: usize, entries: usize) {
    let (log, _) = open(sea, heads_per_page, options());
    for n in 0..entries as u64 {
        log.append(&n.to_be_bytes()).unwrap();
    }
    log.close().unwrap();
}

#[test]
fn two_thousand_objects_are_opened_with_few_requests() {
    let sea = Arc::new(Sea::default());
    filled(&sea, 64, 2000);
    assert_eq!(pages(&sea).len(), 31);
    let (log, gets) = open(&sea, 64, options());
    assert!(gets <= 31 + 64 + 2, "{gets}");
    assert_eq!(payloads(&log).len(), 2000);
    drop(log);
    let (environment, counts) = environment(&sea, 64);
    let reader = Log::open_read_only(environment, options()).unwrap();
    let [puts, gets, lists, _] = counts.take();
    assert!(puts == 0 && gets <= 31 + 64 + 2 && lists == 1, "{gets} {lists}");
    assert_eq!(reader.next_lsn(), Lsn::new(2001).unwrap());
}

#[test]
fn what_was_written_without_pages_gets_them_when_it_is_opened() {
    let sea = Arc::new(Sea::default());
    filled(&sea, 0, 200);
    assert!(pages(&sea).is_empty());
    let (log, gets) = open(&sea, 64, options());
    assert!(gets >= 200, "{gets}");
    log.append(b"more").unwrap();
    drop(log);
    assert_eq!(pages(&sea).len(), 3);
    let (_log, gets) = open(&sea, 64, options());
    assert!(gets <= 3 + 64, "{gets}");
}

#[test]
fn pages_that_are_gone_damaged_or_untrue_cost_time_only() {
    let sea = Arc::new(Sea::default());
    filled(&sea, 32, 200);
    let all = pages(&sea);
    assert_eq!(all.len(), 6);
    let content = |path: &Path| block_on(async { sea.store.get(path).await.unwrap().bytes().await }).unwrap();
    // One is gone, one is cut short, one has a bit flipped, one is another one's content.
    block_on(sea.store.delete(&all[0])).unwrap();
    let mut flipped = content(&all[2]).to_vec();
    flipped[700] ^= 1;
    let other = content(&all[4]);
    for (path, bytes) in
        [(&all[1], content(&all[1]).slice(..1000)), (&all[2], flipped.into()), (&all[3], other)]
    {
        block_on(sea.store.put(path, bytes.into())).unwrap();
    }
    let (log, gets) = open(&sea, 32, options());
    assert!((3 * 32..4 * 32 + 48).contains(&gets), "{gets}");
    assert_eq!(payloads(&log).len(), 200);
    log.append(b"more").unwrap();
    drop(log);
    // The writer has replaced what was of no use.
    let (log, gets) = open(&sea, 32, options());
    assert!(gets <= 9 + 48, "{gets}");
    assert_eq!(payloads(&log).len(), 201);
}

#[test]
fn an_object_that_is_not_the_one_of_the_page_is_read() {
    let (sea, other) = (Arc::new(Sea::default()), Arc::new(Sea::default()));
    filled(&sea, 16, 40);
    // This store numbers its objects: the same numbers would be the same tags.
    block_on(async {
        for n in 0..100 {
            other.store.put(&Path::from(format!("else/{n}")), "x".into()).await.unwrap();
        }
    });
    filled(&other, 16, 40);
    // The pages of another log, whose objects have the same names and lengths.
    for path in pages(&other) {
        let bytes = block_on(async { other.store.get(&path).await.unwrap().bytes().await }).unwrap();
        block_on(sea.store.put(&path, bytes.into())).unwrap();
    }
    let (log, gets) = open(&sea, 16, options());
    assert_eq!(payloads(&log).len(), 40);
    assert!(gets > 40, "{gets}");
}

#[test]
fn pages_of_what_was_trimmed_go_and_fences_stay_in_one() {
    let sea = Arc::new(Sea::default());
    for _ in 0..3 {
        filled(&sea, 16, 60);
    }
    let before = pages(&sea).len();
    let (log, _) = open(&sea, 16, options());
    log.truncate_before(log.next_lsn()).unwrap();
    drop(log);
    filled(&sea, 16, 40);
    let after = pages(&sea).len();
    assert!(after < before, "{after} of {before} pages are left");
    let (log, gets) = open(&sea, 16, options());
    assert_eq!(payloads(&log).len(), 40);
    assert!(gets < 40, "{gets}");
}
