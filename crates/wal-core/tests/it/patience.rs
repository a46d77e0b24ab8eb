//! Appends and closes that may not wait as long as it takes, on a disk that hangs.
#![expect(clippy::disallowed_methods, reason = "a test of waiting has somebody else end the wait")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use wal_core::{AppendOptions, Durability, Log, LogError, Options, SyncPolicy, Ticket, WhenFull};
use wal_format::{EntriesBuilder, Lsn, NewEntry};
use wal_segment::{MemoryStorage, Storage};

use crate::{
    hooked::Hooked,
    support::{environment, open, small},
};

const SOON: Duration = Duration::from_millis(30);
const LATE: Duration = Duration::from_secs(60);

/// A disk on which one kind of operation can be made to hang.
struct Slow {
    disk: Arc<dyn Storage>,
    hooked: Hooked,
    hangs: Arc<AtomicBool>,
    /// Somebody has met it.
    met: Arc<AtomicBool>,
}

impl Slow {
    fn new() -> Self {
        let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        Self { hooked: Hooked::new(Arc::clone(&disk)), disk, hangs: Arc::default(), met: Arc::default() }
    }

    fn open(&self, options: Options) -> Log {
        Log::open(environment(Arc::new(self.hooked.clone())), options).unwrap()
    }

    fn hang(&self, operation: &'static str) {
        self.hangs.store(true, Ordering::SeqCst);
        let (hangs, met) = (Arc::clone(&self.hangs), Arc::clone(&self.met));
        self.hooked.set(move |called, _| {
            while called == operation && hangs.load(Ordering::SeqCst) {
                met.store(true, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        });
    }

    fn recover(&self) {
        self.hangs.store(false, Ordering::SeqCst);
    }

    /// What the log holds once it was closed and opened anew.
    fn payloads(&self) -> Vec<Vec<u8>> {
        let log = open(&self.disk, &small()).unwrap();
        log.range(..).map(|entry| entry.unwrap().payload.to_vec()).collect()
    }
}

/// A test that fails must not hang in the destructor of its log.
impl Drop for Slow {
    fn drop(&mut self) {
        self.recover();
    }
}

fn within(timeout: Duration) -> AppendOptions {
    AppendOptions { timeout: Some(timeout), ..AppendOptions::default() }
}

fn append(log: &Log, payload: &[u8], options: &AppendOptions) -> Result<Lsn, LogError> {
    log.append_entry(&NewEntry::plain(payload), options)
}

fn try_append(log: &Log, payload: &[u8]) -> Result<Ticket, LogError> {
    log.try_append(&NewEntry::plain(payload), None)
}

/// Again and again: what it found missing is seen to meanwhile.
fn append_at_last(log: &Log, payload: &[u8]) -> Ticket {
    for _ in 0..10_000 {
        match try_append(log, payload) {
            Err(LogError::Busy { .. }) => thread::sleep(Duration::from_millis(1)),
            done => return done.unwrap(),
        }
    }
    panic!("busy for ever");
}

#[track_caller]
fn check_unknown(result: Result<Lsn, LogError>, lsn: u64) {
    match result.unwrap_err() {
        LogError::Unconfirmed { first, last, source } => {
            assert_eq!((first.get(), last.get()), (lsn, lsn));
            assert!(matches!(*source, LogError::TimedOut { .. }), "{source:?}");
        }
        other => panic!("{other:?}"),
    }
}

fn background() -> Options {
    Options { sync: SyncPolicy::Background { interval: LATE }, ..small() }
}

#[test]
fn an_append_in_time_is_as_durable_as_any() {
    let slow = Slow::new();
    let log = slow.open(Options { group_window: Duration::from_micros(50), ..small() });
    for n in 1..200 {
        let lsn = append(&log, &[7; 1000], &within(LATE)).unwrap();
        assert_eq!((lsn.get(), log.durable_lsn()), (n, Some(lsn)), "rotation included");
    }
    let written = AppendOptions { durability: Some(Durability::Written), ..within(LATE) };
    append(&log, b"written", &written).unwrap();
    let mut batch = EntriesBuilder::default();
    batch.push(&NewEntry::plain(b"batch")).unwrap();
    log.append_batch(&batch, &within(LATE)).unwrap();
    assert_eq!(log.durable_lsn(), Lsn::new(201));
}

#[test]
fn a_hanging_sync_leaves_the_outcome_open_and_is_not_lost() {
    let slow = Slow::new();
    let log = slow.open(small());
    log.append(b"1").unwrap();
    slow.hang("sync");
    check_unknown(append(&log, b"2", &within(SOON)), 2);
    check_unknown(append(&log, b"3", &within(Duration::ZERO)), 3);
    assert_eq!(log.durable_lsn(), Lsn::new(1));
    drop(log.submit(&NewEntry::plain(b"4"), None).unwrap());
    slow.recover();
    log.sync().unwrap();
    assert_eq!(log.durable_lsn(), Lsn::new(4));
    drop(log);
    assert_eq!(slow.payloads(), [b"1", b"2", b"3", b"4"]);
}

#[test]
fn a_hanging_write_is_given_up_by_those_who_need_it() {
    let slow = Slow::new();
    let log = slow.open(Options { sync: SyncPolicy::OsCache { interval: LATE }, ..small() });
    append(&log, b"1", &within(LATE)).unwrap();
    slow.hang("write");
    check_unknown(append(&log, b"2", &within(SOON)), 2);
    slow.recover();
    append(&log, b"3", &within(LATE)).unwrap();
    drop(log);
    assert_eq!(slow.payloads(), [b"1", b"2", b"3"]);
}

#[test]
fn without_a_segment_nothing_is_appended_in_time() {
    let slow = Slow::new();
    let log = slow.open(small());
    slow.hang("rename");
    let error = append(&log, b"never", &within(SOON)).unwrap_err();
    assert!(matches!(error, LogError::TimedOut { .. }), "{error:?}");
    assert!(matches!(try_append(&log, b"never"), Err(LogError::Busy { .. })));
    assert_eq!(log.next_lsn(), Lsn::FIRST);
    slow.recover();
    append_at_last(&log, b"1").wait().unwrap();
    // The next segments come in time, or are asked for.
    for _ in 0..20 {
        drop(append_at_last(&log, &[7; 30_000]));
    }
    log.close().unwrap();
    assert_eq!(slow.payloads().len(), 21);
    assert!(matches!(try_append(&log, b"late"), Err(LogError::Closed)));
}

#[test]
fn an_error_on_the_way_reaches_the_append_that_cannot_wait() {
    let slow = Slow::new();
    let log = slow.open(small());
    slow.hooked.set(|called, _| match called {
        "create" => Err(std::io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    });
    let error = append(&log, b"full", &within(LATE)).unwrap_err();
    assert!(matches!(error, LogError::Full { .. }), "{error:?}");
    slow.hooked.set(|_, _| Ok(()));
    assert_eq!(append(&log, b"1", &within(LATE)).unwrap(), Lsn::FIRST);
}

#[test]
fn a_full_buffer_blocks_fails_or_is_waited_for_as_was_asked() {
    for options in [
        Options { buffer_len: 1, ..background() },
        Options { buffer_entries: 1, ..background() },
        Options { buffer_entries: 1, when_full: WhenFull::BlockFor(SOON), ..background() },
    ] {
        let slow = Slow::new();
        let log = slow.open(options.clone());
        log.append(b"1").unwrap();
        log.sync().unwrap();
        slow.hang("write");
        // One write takes a part of them along and hangs; the rest fills the buffer.
        let failing = AppendOptions { when_full: Some(WhenFull::Fail), ..AppendOptions::default() };
        let mut appended = 1;
        loop {
            let hangs = slow.met.load(Ordering::SeqCst);
            match append(&log, b"more", &failing) {
                Ok(_) => appended += 1,
                Err(LogError::Busy { .. }) if hangs => break,
                Err(LogError::Busy { .. }) => thread::sleep(Duration::from_millis(1)),
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(matches!(try_append(&log, b"never"), Err(LogError::Busy { .. })));
        let timed_out = append(&log, b"never", &within(SOON));
        assert!(matches!(timed_out, Err(LogError::TimedOut { .. })), "{timed_out:?}");
        if options.when_full != WhenFull::Block {
            let timed_out = log.submit(&NewEntry::plain(b"never"), None);
            assert!(matches!(timed_out, Err(LogError::TimedOut { .. })), "{timed_out:?}");
        }
        slow.recover();
        let blocking = AppendOptions { when_full: Some(WhenFull::Block), ..AppendOptions::default() };
        let last = append(&log, b"last", &blocking).unwrap();
        assert_eq!(last.get(), appended + 1, "no LSN was spent on what failed");
        drop(log);
        assert_eq!(slow.payloads().len() as u64, appended + 1);
    }
}

#[test]
fn what_is_too_old_without_a_sync_keeps_the_impatient_out() {
    let slow = Slow::new();
    let log = slow.open(Options { unsynced_age_max: SOON, ..background() });
    log.append(b"1").unwrap();
    slow.hang("sync");
    thread::sleep(2 * SOON);
    let mut outcomes = [try_append(&log, b"no").map(drop), append(&log, b"no", &within(SOON)).map(drop)];
    assert!(matches!(&mut outcomes, [Err(LogError::Busy { .. }), Err(LogError::TimedOut { .. })]));
    slow.recover();
    assert_eq!(append(&log, b"2", &within(LATE)).unwrap(), Lsn::new(2).unwrap());
}

#[test]
fn a_close_with_a_deadline_goes_on_behind_it() {
    let slow = Slow::new();
    let log = slow.open(background());
    log.append(b"1").unwrap();
    slow.hang("sync");
    for _ in 0..2 {
        assert!(matches!(log.close_timeout(SOON), Err(LogError::TimedOut { .. })));
    }
    let other = log.clone();
    slow.recover();
    log.close_timeout(LATE).unwrap();
    other.close_timeout(LATE).unwrap();
    log.close().unwrap();
    assert!(matches!(log.append(b"late"), Err(LogError::Closed)));
    assert_eq!(slow.payloads(), [b"1"]);
    assert!(open(&slow.disk, &small()).unwrap().recovery_report().clean);
}

#[test]
fn nobody_waits_for_a_close_that_panicked() {
    let hooked = Hooked::new(Arc::new(MemoryStorage::new()));
    let options = Options { background_threads: false, ..background() };
    let log = Log::open(environment(Arc::new(hooked.clone())), options).unwrap();
    log.append(b"1").unwrap();
    hooked.set(|called, _| {
        assert_ne!(called, "sync", "the storage fails in a way it must not");
        Ok(())
    });
    let error = log.close_timeout(LATE).unwrap_err();
    assert!(matches!(error, LogError::Thread { .. }), "{error:?}");
}

#[test]
fn what_a_failed_close_left_behind_is_not_written_once_another_writer_has_the_log() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let hooked = Hooked::new(Arc::clone(&memory));
    // Who syncs for itself gathers for so long first.
    let group_window = Duration::from_millis(500);
    let options = Options { group_window, background_threads: false, ..small() };
    let log = Log::open(environment(Arc::new(hooked.clone())), options).unwrap();
    log.append(b"first").unwrap();
    let late = log.clone();
    let late = thread::spawn(move || late.append(b"late"));
    while log.next_lsn().get() < 3 {
        thread::yield_now();
    }
    hooked.set(|operation, _| match operation {
        "write" => Err(std::io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    });
    assert!(log.close().is_err(), "there is no space for what waits");
    hooked.set(|_, _| Ok(()));
    let other = open(&memory, &small()).unwrap();
    let second = other.append(b"other").unwrap();
    let late = late.join().unwrap();
    assert!(matches!(late, Err(LogError::Unconfirmed { .. })), "{late:?}");
    assert_eq!(other.get(second).unwrap().payload, b"other"[..]);
}

#[test]
fn dropping_a_log_that_cannot_be_closed_in_time_does_not_wait() {
    let slow = Slow::new();
    let log = slow.open(background());
    log.append(b"1").unwrap();
    slow.hang("sync");
    assert!(log.close_timeout(SOON).is_err());
    drop(log);
    assert!(matches!(open(&slow.disk, &small()), Err(LogError::Locked { .. })), "it is not closed yet");
    slow.recover();
    for _ in 0..10_000 {
        match open(&slow.disk, &small()) {
            Err(LogError::Locked { .. }) => thread::sleep(Duration::from_millis(1)),
            opened => return assert!(opened.unwrap().recovery_report().clean),
        }
    }
    panic!("never closed");
}

#[test]
fn what_was_to_be_written_is_written_although_nobody_waits() {
    let slow = Slow::new();
    // A mark of idleness would be one more write.
    let log = slow.open(Options { idle_mark: Duration::MAX, ..small() });
    log.append(b"1").unwrap();
    // The thread that would write is busy with the next segment.
    slow.hang("rename");
    while !slow.met.load(Ordering::SeqCst) && log.segments().unwrap()[0].end < 50_000 {
        log.append(&[7; 1000]).unwrap();
    }
    while !slow.met.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    let writes = log.stats().writes;
    let written = AppendOptions { durability: Some(Durability::Written), ..within(SOON) };
    for n in 0..3 {
        let lsn = log.next_lsn().get();
        check_unknown(append(&log, b"late", &written), lsn);
        assert_eq!(log.stats().writes, writes, "{n}");
    }
    slow.recover();
    for _ in 0..10_000 {
        if log.stats().writes > writes {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("never written");
}

#[test]
fn who_waits_for_a_sync_does_not_wait_until_files_are_removed() {
    let slow = Slow::new();
    let log = slow.open(background());
    while log.segments().unwrap().len() < 3 {
        log.append(&[7; 10_000]).unwrap();
    }
    log.sync().unwrap();
    let ticket = log.submit(&NewEntry::plain(b"waited for"), None).unwrap();
    slow.hang("sync");
    let trimming = thread::spawn({
        let (log, first) = (log.clone(), log.next_lsn());
        move || log.truncate_before(first).unwrap()
    });
    while !slow.met.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    let (told, heard) = mpsc::channel();
    let waiting = thread::spawn(move || told.send(ticket.wait_timeout(LATE).unwrap()).unwrap());
    thread::sleep(SOON);
    // From here on nothing is removed, and the sync goes on.
    let may_go = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&may_go);
    slow.hooked.set(move |called, _| {
        while called == "remove" && !gate.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    });
    slow.recover();
    let heard = heard.recv_timeout(LATE / 6);
    may_go.store(true, Ordering::SeqCst);
    assert_eq!(heard, Ok(true), "it is durable, and nobody has said so");
    waiting.join().unwrap();
    assert!(trimming.join().unwrap().segments > 0);
}

#[test]
fn a_close_leaves_nobody_waiting() {
    let written = AppendOptions { durability: Some(Durability::Written), ..within(LATE) };
    for round in 0..300 {
        let slow = Slow::new();
        let log = slow.open(small());
        log.append(b"1").unwrap();
        let other = log.clone();
        let appending = thread::spawn(move || {
            loop {
                if let Err(error) = append(&other, b"more", &written) {
                    return error;
                }
            }
        });
        thread::sleep(Duration::from_micros(round % 200));
        log.close().unwrap();
        match appending.join().unwrap() {
            LogError::Closed => {}
            LogError::Unconfirmed { source, .. } if matches!(*source, LogError::Closed) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn want_of_space_is_tried_again_under_an_interval() {
    let slow = Slow::new();
    let interval = Duration::from_millis(1);
    let log = slow.open(Options { sync: SyncPolicy::Background { interval }, ..small() });
    log.append(b"1").unwrap();
    log.sync().unwrap();
    let (told, heard) = mpsc::channel();
    slow.hooked.set(move |called, _| match called {
        "write" => {
            let _ = told.send(());
            Err(std::io::ErrorKind::StorageFull.into())
        }
        _ => Ok(()),
    });
    log.append(b"2").unwrap();
    for _ in 0..3 {
        heard.recv_timeout(LATE).expect("again and again");
    }
    slow.hooked.set(|_, _| Ok(()));
    let is_durable = |_| {
        thread::sleep(Duration::from_millis(1));
        log.durable_lsn() == Lsn::new(2)
    };
    assert!((0..10_000).any(is_durable), "there is space again");
}
