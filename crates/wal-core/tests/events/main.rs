//! What a subscriber of `tracing` hears. In a process of its own: whether anybody listens to an event is remembered for
//! all threads, and those of other tests have no subscriber.

#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test should say so")]
#![allow(dead_code, reason = "the helpers are shared with the tests in `it`")]

#[path = "../it/hooked.rs"]
mod hooked;
#[path = "../it/support.rs"]
mod support;

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use wal_core::{AppendOptions, Log, Options, ReplayOptions};
use wal_format::{Lsn, NewEntry};
use wal_segment::{MemoryStorage, Storage};

use crate::{
    hooked::Hooked,
    support::{environment, open, small},
};

/// Target, level, and all fields in one line.
type Heard = Arc<Mutex<Vec<(&'static str, Level, String)>>>;

struct Listener(Heard);

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut line = Line(format!("span={} ", span.metadata().name()));
        span.record(&mut line);
        self.0.lock().unwrap().push((span.metadata().target(), *span.metadata().level(), line.0));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push((event.metadata().target(), *event.metadata().level(), line.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

/// A whole test at a time, not only while it listens: an event that another test meets first, without a subscriber,
/// would be remembered as one that nobody hears.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is heard while `run` runs, in this thread.
fn listen(_alone: &MutexGuard<'static, ()>, run: impl FnOnce()) -> Vec<(&'static str, Level, String)> {
    let heard = Heard::default();
    tracing::subscriber::with_default(Listener(Arc::clone(&heard)), run);
    let mut heard = heard.lock().unwrap();
    std::mem::take(&mut *heard)
}

fn quiet() -> Options {
    Options { background_threads: false, ..small() }
}

#[track_caller]
fn check(heard: &[(&str, Level, String)], target: &str, level: Level, fields: &[&str]) {
    let says = |line: &str| fields.iter().all(|field| line.contains(field));
    let found = heard.iter().any(|(other, at, line)| (*other, *at) == (target, level) && says(line));
    assert!(found, "no {level} {target} with {fields:?} in {heard:#?}");
}

#[test]
fn the_life_of_a_log_is_told() {
    let alone = alone();
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let heard = listen(&alone, || {
        let log = open(&storage, &quiet()).unwrap();
        for _ in 0..20 {
            log.append(&[b'S'; 9000]).unwrap();
        }
        log.replay(&ReplayOptions::default(), |_| Ok::<(), ()>(())).unwrap();
        let spanned = AppendOptions { span: true, ..AppendOptions::default() };
        log.append_entry(&NewEntry::plain(b"spanned"), &spanned).unwrap();
        log.truncate_before(Lsn::new(15).unwrap()).unwrap();
        log.truncate_from(Lsn::new(18).unwrap()).unwrap();
        log.clear().unwrap();
        log.close().unwrap();
        open(&storage, &quiet()).unwrap();
    });
    check(&heard, "wal::open", Level::INFO, &["path=", "read_only=false", "segments=0", "elapsed_us="]);
    check(&heard, "wal::open", Level::INFO, &["clean=true", "segments=1", "next=18"]);
    check(&heard, "wal::open", Level::INFO, &["span=open", "path="]);
    check(&heard, "wal::recovery", Level::INFO, &["span=recovery"]);
    check(&heard, "wal::rotate", Level::DEBUG, &["span=rotate"]);
    check(&heard, "wal::flush", Level::TRACE, &["span=flush"]);
    check(&heard, "wal::retention", Level::INFO, &["span=retention"]);
    check(&heard, "wal::replay", Level::INFO, &["span=replay"]);
    let appends = heard.iter().filter(|(target, ..)| *target == "wal::append").count();
    assert_eq!(appends, 1, "only the append that asked is a span");
    check(&heard, "wal::prepare", Level::DEBUG, &["path=", "segment=1", "bytes=65536", "elapsed_us="]);
    check(&heard, "wal::rotate", Level::DEBUG, &["segment=2", "lsn=7", "bytes=65536"]);
    check(&heard, "wal::write", Level::TRACE, &["segment=1", "offset=", "bytes=", "next=2"]);
    check(&heard, "wal::sync", Level::TRACE, &["path=", "segment=1", "offset=", "next=2", "elapsed_us="]);
    check(&heard, "wal::truncate", Level::INFO, &["what=\"before\"", "lsn=15"]);
    check(&heard, "wal::truncate", Level::INFO, &["what=\"from\"", "lsn=18"]);
    check(&heard, "wal::truncate", Level::INFO, &["what=\"all\"", "lsn=18"]);
    check(&heard, "wal::remove", Level::DEBUG, &["files="]);
    check(&heard, "wal::close", Level::INFO, &["clean=true"]);
    assert!(heard.iter().all(|(_, _, line)| !line.contains("SSSS")), "no payload is told");
}

#[test]
fn appends_are_told_at_the_level_trace_only() {
    let alone = alone();
    let log = open(&(Arc::new(MemoryStorage::new()) as Arc<dyn Storage>), &quiet()).unwrap();
    log.append(b"first").unwrap();
    let heard = listen(&alone, || {
        for _ in 0..10 {
            log.append(b"entry").unwrap();
        }
    });
    assert!(heard.len() >= 20, "{heard:?}");
    // A sync of a second would be told as slow: that is not with every append.
    let slow = |line: &str| line.contains("slow");
    assert!(heard.iter().all(|(_, level, line)| *level == Level::TRACE || slow(line)), "{heard:#?}");
}

#[test]
fn what_went_wrong_is_told_once() {
    let alone = alone();
    let hooked = Hooked::new(Arc::new(MemoryStorage::new()));
    let storage: Arc<dyn Storage> = Arc::new(hooked.clone());
    let heard = listen(&alone, || {
        let log = open(&storage, &quiet()).unwrap();
        log.append(b"first").unwrap();
        open(&storage, &quiet()).unwrap_err();
        hooked.fail("sync");
        log.append(b"second").unwrap_err();
        log.append(b"third").unwrap_err();
    });
    check(&heard, "wal::open", Level::WARN, &["path=", "error=", "open for writing elsewhere"]);
    check(&heard, "wal::poison", Level::ERROR, &["path=", "cause=", "could not sync entries"]);
    assert_eq!(heard.iter().filter(|(target, ..)| *target == "wal::poison").count(), 1);
    let documented = include_str!("../../../../docs/OBSERVABILITY.md");
    assert!(heard.iter().all(|(target, ..)| documented.contains(&format!("| `{target}` |"))));
}

#[test]
fn a_panic_in_a_thread_of_the_log_is_told() {
    let _alone = alone();
    // The log's threads have no other than that of the process.
    let heard = Heard::default();
    tracing::subscriber::set_global_default(Listener(Arc::clone(&heard))).unwrap();
    let hooked = Hooked::new(Arc::new(MemoryStorage::new()));
    let log = open(&(Arc::new(hooked.clone()) as Arc<dyn Storage>), &small()).unwrap();
    let (meet, met) = mpsc::channel();
    hooked.set(move |called, _| {
        if called == "create" && thread::current().name() == Some("wal-prepare") {
            let _ = meet.send(());
            panic!("the storage panics");
        }
        Ok(())
    });
    for _ in 0..40 {
        log.append(&[b'S'; 1000]).unwrap();
    }
    met.recv_timeout(Duration::from_secs(60)).unwrap();
    // Waits for the thread.
    log.close().unwrap();
    let heard = heard.lock().unwrap();
    check(&heard, "wal::panic", Level::ERROR, &["path=", "thread=\"wal-prepare\""]);
    let documented = include_str!("../../../../docs/OBSERVABILITY.md");
    assert!(documented.contains("| `wal::panic` |"));
}

#[test]
fn a_torn_end_is_told() {
    let alone = alone();
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&storage, &quiet()).unwrap();
    log.append(b"first").unwrap();
    let (end, file_len) = (log.segments().unwrap()[0].end, log.segments().unwrap()[0].file_len);
    let name = storage.list().unwrap().into_iter().find(|name| name.ends_with(".wal")).unwrap();
    let mut bytes = vec![0; file_len as usize];
    storage.open(&name).unwrap().read_at(0, &mut bytes).unwrap();
    bytes[end as usize..][..100].fill(7);
    let torn: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    torn.create(&name).unwrap().write_at(0, &bytes).unwrap();
    let heard = listen(&alone, || {
        Log::open_read_only(environment(Arc::clone(&torn)), quiet()).unwrap();
    });
    check(&heard, "wal::recovery", Level::WARN, &["segment=1", &format!("offset={end}"), "next=2"]);
    check(&heard, "wal::open", Level::INFO, &["read_only=true", "clean=false"]);
}
