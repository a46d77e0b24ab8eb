//! One operation in the middle of another.
#![expect(clippy::disallowed_methods, reason = "races need threads")]

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use wal_compress::Codecs;
use wal_core::{
    AppendOptions, Durability, Log, LogError, Options, Retention, SyncPolicy, TransactionOptions,
    TransactionState, examine,
};
use wal_format::{Lsn, NewEntry};
use wal_segment::{LocalOptions, LocalStorage, MemoryStorage, Storage};

use crate::{
    hooked::Hooked,
    support::{environment, on_all, open, payload, small},
};

/// Far longer than anything takes.
const LONG: Duration = Duration::from_secs(60);

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

pub(crate) fn quiet() -> Options {
    Options { background_threads: false, ..small() }
}

/// Nothing is synced that nobody asks for.
fn background() -> Options {
    let interval = Duration::from_secs(3600);
    Options { sync: SyncPolicy::Background { interval }, unsynced_age_max: 2 * interval, ..small() }
}

/// Fails if `run` never ends.
#[track_caller]
fn ends(run: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        run();
        let _ = done.send(());
    });
    ended.recv_timeout(LONG).expect("it must end");
}

/// Has the sync thread run a callback that lasts until the sender is used or dropped.
fn occupied(log: &Log) -> mpsc::Sender<()> {
    let (entered, inside) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let ticket = log.submit(&NewEntry::plain(b"occupies"), None).unwrap();
    ticket.on_durable(move |_| {
        let _ = entered.send(());
        let _ = gone.lock().unwrap().recv_timeout(LONG);
    });
    inside.recv_timeout(LONG).unwrap();
    go
}

fn hooked() -> (Arc<dyn Storage>, Hooked) {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    (Arc::clone(&memory), Hooked::new(memory))
}

#[test]
fn a_trim_keeps_the_newest_segment_whose_opening_is_on_disk() {
    let (memory, hooked) = hooked();
    let log = Log::open(environment(Arc::new(hooked.clone())), quiet()).unwrap();
    for _ in 0..50 {
        log.append(&[7; 1000]).unwrap();
    }
    let (writer, done) = (log.clone(), Arc::new(AtomicBool::new(false)));
    let rolled = Arc::clone(&done);
    hooked.set(move |operation, _| {
        if operation == "sync" && !rolled.swap(true, Ordering::SeqCst) {
            // While the trim waits for its sync, another thread goes on in the next segment, in memory only.
            let writer = writer.clone();
            let append = move || {
                let buffered = AppendOptions { durability: Some(Durability::Buffered), ..Default::default() };
                writer.append_entry(&NewEntry::plain(&[9; 20_000]), &buffered).unwrap();
            };
            thread::spawn(append).join().unwrap();
        }
        Ok(())
    });
    log.truncate_before(lsn(51)).unwrap();
    assert!(done.load(Ordering::SeqCst));
    let seen = Log::open_read_only(environment(memory), quiet()).unwrap();
    assert_eq!((seen.first_lsn(), seen.next_lsn()), (None, lsn(51)), "the log must not forget where it was");
}

#[test]
fn the_last_handle_may_be_dropped_by_a_callback() {
    let (_, hooked) = hooked();
    let log = Log::open(environment(Arc::new(hooked.clone())), small()).unwrap();
    log.append(b"first").unwrap();
    let (go, gone) = mpsc::channel::<()>();
    let (gone, entered) = (Mutex::new(gone), Arc::new(AtomicBool::new(false)));
    let inside = Arc::clone(&entered);
    hooked.set(move |operation, _| {
        if operation == "sync" && !inside.swap(true, Ordering::SeqCst) {
            let _ = gone.lock().unwrap().recv_timeout(Duration::from_secs(60));
        }
        Ok(())
    });
    let ticket = log.submit(&NewEntry::plain(b"a"), None).unwrap();
    while !entered.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    let (last, (done, finished)) = (log.clone(), mpsc::channel());
    ticket.on_durable(move |_| {
        drop(last);
        done.send(()).unwrap();
    });
    for _ in 0..4 {
        drop(log.submit(&NewEntry::plain(b"b"), None).unwrap());
    }
    drop((log, ticket));
    go.send(()).unwrap();
    finished.recv_timeout(Duration::from_secs(60)).expect("closing from a callback must end");
}

#[test]
fn a_callback_may_truncate_while_others_do() {
    on_all(|storage| {
        let log = open(&storage, &background()).unwrap();
        ends(move || {
            for n in 1..200 {
                let ticket = log.submit(&NewEntry::plain(&payload(n)), None).unwrap();
                let other = log.clone();
                ticket.on_durable(move |_| drop(other.truncate_before(lsn(n))));
                log.truncate_before(lsn(n)).unwrap();
            }
            log.close().unwrap();
        });
    });
}

#[test]
fn a_callback_may_close_the_log_while_it_is_closed() {
    let (memory, _) = hooked();
    let log = open(&memory, &background()).unwrap();
    let go = occupied(&log);
    let ticket = log.submit(&NewEntry::plain(b"closes"), None).unwrap();
    let (other, (told, heard)) = (log.clone(), mpsc::channel());
    ticket.on_durable(move |_| {
        told.send(()).unwrap();
        other.close().unwrap();
    });
    // The close runs the callback, because the thread that would is busy with another one.
    thread::spawn(move || heard.recv_timeout(LONG).map(|()| drop(go)));
    ends(move || log.close().unwrap());
    assert!(open(&memory, &small()).unwrap().recovery_report().clean);
}

#[test]
fn the_last_handle_may_be_dropped_while_the_log_trims_itself() {
    let (memory, hooked) = hooked();
    let (at, go) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (inside, may_go) = (Arc::clone(&at), Arc::clone(&go));
    hooked.set(move |_, name| {
        // An index is written before a pass of retention.
        while name.contains(".idx") && !may_go.load(Ordering::SeqCst) {
            inside.store(true, Ordering::SeqCst);
            thread::yield_now();
        }
        Ok(())
    });
    let retention = Retention { max_segments: Some(1), ..Retention::default() };
    let log = Log::open(environment(Arc::new(hooked)), Options { retention, ..background() }).unwrap();
    while log.segments().unwrap().len() < 2 {
        log.append(&[7; 10_000]).unwrap();
    }
    log.sync().unwrap();
    while !at.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    let busy = occupied(&log);
    let ticket = log.submit(&NewEntry::plain(b"drops"), None).unwrap();
    let (told, heard) = mpsc::channel();
    ticket.on_durable(move |_| {
        drop(log);
        told.send(()).unwrap();
    });
    drop(ticket);
    go.store(true, Ordering::SeqCst);
    heard.recv_timeout(LONG).expect("closing from a callback must end");
    drop(busy);
    let closed = (0..10_000).find_map(|_| {
        thread::sleep(Duration::from_millis(1));
        open(&memory, &small()).ok()
    });
    assert!(closed.unwrap().recovery_report().clean);
}

#[test]
fn a_commit_that_fails_while_the_log_is_closed_leaves_nothing_open() {
    let (_, hooked) = hooked();
    let log = Log::open(environment(Arc::new(hooked.clone())), small()).unwrap();
    log.append(b"first").unwrap();
    let (at, go) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (inside, may_go) = (Arc::clone(&at), Arc::clone(&go));
    hooked.set(move |operation, _| {
        while operation == "rename" && !may_go.load(Ordering::SeqCst) {
            inside.store(true, Ordering::SeqCst);
            thread::yield_now();
        }
        Ok(())
    });
    let transaction = log.begin(&TransactionOptions::default()).unwrap();
    transaction.append(&NewEntry::plain(&[7; 64 << 10])).unwrap();
    let committing = transaction.clone();
    // It waits for a segment.
    let in_time = AppendOptions { timeout: Some(Duration::from_millis(300)), ..AppendOptions::default() };
    let commit = thread::spawn(move || committing.commit(&in_time));
    while !at.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    let closer = log.clone();
    let close = thread::spawn(move || closer.close());
    let failed = commit.join().unwrap();
    go.store(true, Ordering::SeqCst);
    close.join().unwrap().unwrap();
    assert!(matches!(failed, Err(LogError::TimedOut { .. })), "{failed:?}");
    assert_eq!((transaction.state(), log.active_transactions()), (TransactionState::RolledBack, 0));
}

#[test]
fn a_close_waits_for_a_segment_that_is_being_prepared() {
    let (memory, hooked) = hooked();
    let log = Log::open(environment(Arc::new(hooked.clone())), quiet()).unwrap();
    for _ in 0..55 {
        log.append(&[7; 1000]).unwrap();
    }
    let (entered, go) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (inside, may_go) = (Arc::clone(&entered), Arc::clone(&go));
    hooked.set(move |operation, _| {
        if operation == "rename" {
            inside.store(true, Ordering::SeqCst);
            while !may_go.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        }
        Ok(())
    });
    let (appender, closer) = (log.clone(), log.clone());
    let append = thread::spawn(move || appender.append(&[8; 30_000]));
    while !entered.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    let close = thread::spawn(move || closer.close());
    // However far the close has come: while a file of this writer may still appear, nobody else may write.
    for _ in 0..1000 {
        thread::yield_now();
        let other = Log::open(environment(Arc::clone(&memory)), quiet());
        assert!(matches!(other, Err(LogError::Locked { .. })));
    }
    go.store(true, Ordering::SeqCst);
    close.join().unwrap().unwrap();
    assert!(append.join().unwrap().is_err(), "the log was closed before the entry had a place");
    let other = Log::open(environment(memory), quiet()).unwrap();
    assert_eq!(other.append(&[1; 1000]).unwrap(), lsn(56));
}

#[test]
fn after_a_failed_sync_no_reader_sees_what_is_not_durable() {
    let (_, hooked) = hooked();
    let interval = Duration::from_secs(1000);
    let options = Options { sync: SyncPolicy::OsCache { interval }, ..quiet() };
    let log = Log::open(environment(Arc::new(hooked.clone())), options).unwrap();
    for _ in 0..3 {
        log.append(b"durable").unwrap();
    }
    log.sync().unwrap();
    for _ in 0..3 {
        log.append(b"doubtful").unwrap();
    }
    let (mut forward, mut backward) = (log.range(..), log.range(..));
    forward.next().unwrap().unwrap();
    hooked.fail("sync");
    log.sync().unwrap_err();
    assert!(log.get(lsn(5)).is_err());
    let rest: Vec<_> = forward.collect();
    assert_eq!(rest.len(), 3, "two durable ones and the error: {rest:?}");
    assert!(rest[..2].iter().flatten().all(|entry| entry.payload == "durable") && rest[2].is_err());
    assert!(backward.next_back().unwrap().is_err() && backward.next_back().is_none());
}

#[test]
fn a_reader_never_splices_two_histories() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = Log::open(environment(Arc::clone(&memory)), quiet()).unwrap();
    let append = |kind: u8, from: u64, to: u64| {
        for n in from..to {
            let mut payload = vec![kind; 1000];
            payload.extend_from_slice(&n.to_le_bytes());
            log.append(&payload).unwrap();
        }
    };
    append(b'o', 0, 300);
    let reader = Log::open_read_only(environment(memory), quiet()).unwrap();
    let mut iter = reader.range(..);
    for _ in 0..20 {
        iter.next().unwrap().unwrap();
    }
    log.truncate_after(lsn(10)).unwrap();
    append(b'n', 10, 300);
    let read: Vec<_> = iter.collect();
    let new = read.iter().flatten().filter(|entry| entry.payload[0] == b'n').count();
    assert_eq!(new, 0, "entries of the old history, then an error");
    assert!(matches!(read.last(), Some(Err(LogError::CutOff { .. }))), "{:?}", read.last());
}

/// Entries of one kind, written and not synced.
pub(crate) fn write(log: &Log, kind: u8, count: usize) {
    let written = AppendOptions { durability: Some(Durability::Written), ..Default::default() };
    for _ in 0..count {
        log.append_entry(&NewEntry::plain(&[kind; 1000]), &written).unwrap();
    }
}

/// A log of which 100 entries are durable and 20 more are written, and somebody who reads beside its writer through a
/// storage with hooks.
pub(crate) fn half_durable(dir: &Path) -> (Log, Log, Hooked) {
    let local: Arc<dyn Storage> = Arc::new(LocalStorage::open(dir, LocalOptions::default()).unwrap());
    let log =
        Log::open(environment(Arc::clone(&local)), Options { background_threads: false, ..background() })
            .unwrap();
    write(&log, b'o', 100);
    log.sync().unwrap();
    write(&log, b'o', 20);
    let hooked = Hooked::new(local);
    let reader = Log::open_read_only(environment(Arc::new(hooked.clone())), quiet()).unwrap();
    assert_eq!(reader.next_lsn(), lsn(121));
    // So that the first segment is open, and has its index; the last entries are found in another way.
    reader.get(lsn(50)).unwrap();
    assert!(reader.durable_lsn().unwrap() < lsn(120));
    (log, reader, hooked)
}

/// The other history: the same but for the first ten entries.
pub(crate) fn rewrite(log: &Log) {
    log.truncate_after(lsn(10)).unwrap();
    write(log, b'n', 110);
}

/// What was trimmed meanwhile says of no entry which history it was of.
#[test]
fn many_entries_are_of_one_history_although_the_cut_was_trimmed_away() {
    let dir = tempfile::tempdir().unwrap();
    let (log, reader, _) = half_durable(dir.path());
    let (mut shown, again) = (Vec::new(), reader.clone());
    let result = reader.get_many_with(&[lsn(40), lsn(500)], |_, entry| {
        if shown.is_empty() {
            log.truncate_after(lsn(10)).unwrap();
            write(&log, b'n', 600);
            log.sync().unwrap();
            log.truncate_before(lsn(400)).unwrap();
            again.refresh().unwrap();
        }
        shown.push(entry.lsn);
    });
    assert!(matches!(result, Err(LogError::CutOff { .. })), "{result:?} after {shown:?}");
}

#[test]
fn many_entries_are_of_one_history_although_a_reader_looks_again_among_them() {
    let dir = tempfile::tempdir().unwrap();
    let (log, reader, _) = half_durable(dir.path());
    let lsns: Vec<_> = (1..=120).map(lsn).collect();
    let (mut shown, again) = (Vec::new(), reader.clone());
    let result = reader.get_many_with(&lsns, |_, entry| {
        if shown.is_empty() {
            rewrite(&log);
            again.refresh().unwrap();
        }
        shown.push(entry.payload[0]);
    });
    assert!(shown.contains(&b'o'), "the first was shown before the log was cut");
    assert!(matches!(result, Err(LogError::CutOff { next, .. }) if next == lsn(11)), "{result:?} {shown:?}");
    let entries = reader.get_many(&lsns).unwrap();
    let kinds: Vec<_> = entries.iter().map(|entry| entry.payload[0]).collect();
    assert_eq!(kinds, [[b'o'; 10].to_vec(), [b'n'; 110].to_vec()].concat());
}

#[test]
fn a_reader_may_look_again_among_many_entries_when_nothing_was_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (log, reader, _) = half_durable(dir.path());
    let (lsns, again) = ((2..=220).map(lsn).collect::<Vec<_>>(), reader.clone());
    let mut shown = 0;
    let result = reader.get_many_with(&lsns, |_, _| {
        if shown == 0 {
            // More segments, an entry that is gone, and a cut behind all that was asked for.
            write(&log, b'o', 120);
            log.truncate_before(lsn(2)).unwrap();
            again.refresh().unwrap();
            log.truncate_after(lsn(220)).unwrap();
            write(&log, b'o', 1);
            again.refresh().unwrap();
        }
        shown += 1;
    });
    result.unwrap();
    assert_eq!((shown, reader.next_lsn()), (219, lsn(222)));
}

#[test]
fn many_entries_are_of_one_history_although_the_files_of_some_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (log, reader, hooked) = half_durable(dir.path());
    let newest = log.segments().unwrap().pop().unwrap();
    // Some of the first segment, which are shown from its mapping, and those whose file nobody has opened yet.
    let lsns: Vec<_> = (1..=40).chain(newest.base.get()..=120).map(lsn).collect();
    let rewritten = Arc::new(AtomicBool::new(false));
    let (once, newest) = (Arc::clone(&rewritten), format!("{:020}.wal", newest.id.0));
    hooked.set(move |operation, name| {
        if operation == "open" && name == newest && !once.swap(true, Ordering::SeqCst) {
            rewrite(&log);
        }
        Ok(())
    });
    let result = reader.get_many(&lsns);
    assert!(rewritten.load(Ordering::SeqCst), "the file was open already");
    let kinds = result.as_ref().map(|all| all.iter().map(|entry| entry.payload[0]).collect::<Vec<_>>());
    assert!(matches!(result, Err(LogError::CutOff { next, .. }) if next == lsn(11)), "{kinds:?}");
}

#[test]
fn a_cut_counts_although_old_files_cannot_be_removed() {
    let (memory, hooked) = hooked();
    let log = Log::open(environment(Arc::new(hooked.clone())), quiet()).unwrap();
    for _ in 0..300 {
        log.append(&[7; 1000]).unwrap();
    }
    hooked.fail("remove");
    log.truncate_after(lsn(10)).unwrap();
    assert_eq!(log.append(b"eleven").unwrap(), lsn(11));
    drop(log);
    let log = Log::open(environment(memory), quiet()).unwrap();
    assert_eq!(log.next_lsn(), lsn(12));
    assert!(!log.recovery_report().dead.is_empty());
}

#[test]
fn an_examination_is_not_misled_by_a_writer_that_is_quicker() {
    let (memory, hooked) = hooked();
    let log = Log::open(environment(memory), quiet()).unwrap();
    log.append(&[7; 1000]).unwrap();
    let newest = |log: &Log| log.segments().unwrap().last().unwrap().id.0;
    // Whenever the newest segment is about to be read, the writer seals it and goes on in one that was not listed.
    let (writer, rolled) = (log.clone(), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&rolled);
    hooked.set(move |operation, name| {
        let before = newest(&writer);
        if operation == "open" && name == format!("{before:020}.wal") {
            while newest(&writer) == before {
                writer.append(&[7; 10_000]).unwrap();
            }
            count.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    });
    let found = examine(Arc::new(hooked.clone()), Codecs::default(), &quiet()).unwrap();
    assert_eq!(found.damage, [], "{}", rolled.load(Ordering::SeqCst));
    assert!(rolled.load(Ordering::SeqCst) > 0 && found.entries > 0);
    let opened = Log::open_read_only(environment(Arc::new(hooked)), quiet()).unwrap();
    assert!(opened.last_lsn().is_some());
}
