//! Appends to a log that somebody follows, and the same without.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use wal_core::{Environment, Hooks, Log, Options, SyncPolicy, TailFrom, TailOptions, Visibility};
use wal_segment::{LocalOptions, LocalStorage};

use crate::sample::{median, payload, row};

/// Repetitions of each row, the rivals of a row in turn.
const REPEATS: usize = 5;
/// Appends to the operating system, and durable ones.
const WRITTEN: u64 = 200_000;
const DURABLE: u64 = 4_000;
const OS_CACHE: SyncPolicy = SyncPolicy::OsCache { interval: Duration::from_millis(200) };

/// Who looks on.
#[derive(Clone, Copy)]
enum Watcher {
    Tails(usize, Visibility),
    OnEvent,
    OnCommit,
}

/// Prints the rows.
pub fn table(dir: &Path) {
    use Watcher::{OnCommit, OnEvent, Tails};
    let watchers = [
        ("a tail of what is written", OS_CACHE, Tails(1, Visibility::Written)),
        ("four tails of what is written", OS_CACHE, Tails(4, Visibility::Written)),
        ("a tail of what is durable", OS_CACHE, Tails(1, Visibility::Durable)),
        ("a hook for events", OS_CACHE, OnEvent),
        ("a hook for commits", OS_CACHE, OnCommit),
        ("a tail of what is durable", SyncPolicy::Always, Tails(1, Visibility::Durable)),
        ("a hook for events", SyncPolicy::Always, OnEvent),
        ("a hook for commits", SyncPolicy::Always, OnCommit),
    ];
    for (what, sync, watcher) in watchers {
        let (mut figures, mut alone) = (Vec::new(), Vec::new());
        for _ in 0..REPEATS {
            figures.push(append(dir, sync, Some(watcher)));
            alone.push(append(dir, sync, None));
        }
        let (figure, alone) = (median(&figures), median(&alone));
        let kind = if sync == OS_CACHE { "to the operating system" } else { "durable" };
        let what = format!("append 128 B, {kind}, beside {what}");
        row(&what, &format!("{figure:.0} ns"), &format!("alone {alone:.0} ns"), figure / alone);
    }
}

/// What an append takes, in nanoseconds.
fn append(dir: &Path, sync: SyncPolicy, watcher: Option<Watcher>) -> f64 {
    let dir = dir.join("watched");
    let log = open(&dir, sync, watcher);
    let (count, record) = (if sync == OS_CACHE { WRITTEN } else { DURABLE }, payload(128, 1));
    let (is_over, log) = (&AtomicBool::new(false), &log);
    let figure = thread::scope(|scope| {
        if let Some(Watcher::Tails(tails, visibility)) = watcher {
            for _ in 0..tails {
                scope.spawn(move || follow(log, visibility, count, is_over));
            }
        }
        let start = Instant::now();
        for _ in 0..count {
            log.append(&record).unwrap();
        }
        let took = start.elapsed();
        log.sync().unwrap();
        is_over.store(true, Ordering::Release);
        took.as_nanos() as f64 / count as f64
    });
    log.close().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    figure
}

/// Takes every entry, whether it has to wait for it or not.
fn follow(log: &Log, visibility: Visibility, count: u64, is_over: &AtomicBool) {
    let mut tail = log.tail(TailOptions { from: TailFrom::Start, visibility });
    let mut seen = 0;
    while seen < count {
        let entry = tail.next_timeout(Duration::from_secs(1)).unwrap();
        assert!(entry.is_some() || !is_over.load(Ordering::Acquire), "{seen} of {count}");
        seen += u64::from(entry.is_some());
    }
}

fn open(dir: &Path, sync: SyncPolicy, watcher: Option<Watcher>) -> Log {
    let hooks = match watcher {
        Some(Watcher::OnEvent) => Hooks::default().on_event(|_| {}),
        Some(Watcher::OnCommit) => Hooks::default().on_commit(|_| {}),
        _ => Hooks::default(),
    };
    let storage = Arc::new(LocalStorage::create(dir, LocalOptions::default()).unwrap());
    let environment = Environment { hooks, ..Environment::new(storage) };
    Log::open(environment, Options { sync, ..Options::default() }).unwrap()
}
