//! What a tail, headers, frames, a replay or a search by time give beside a writer that cuts the log is of one history.
#![expect(clippy::disallowed_methods, reason = "two readers at once need threads")]

use std::{
    ops::Bound,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use wal_core::{
    AppendTime, Environment, Log, LogError, Options, RecoveryMode, ReplayError, ReplayOptions, ReplayPoint,
    Tail, TailFrom, TailOptions, Visibility,
};
use wal_format::Lsn;
use wal_segment::{MemoryStorage, Storage};
use wal_sim::VirtualTime;

use crate::{
    hooked::Hooked,
    races::{half_durable, quiet, rewrite, write},
    reading::{TestClock, lsn},
    support::{environment, open},
};

fn written(log: &Log, from: TailFrom) -> Tail {
    log.tail(TailOptions { from, visibility: Visibility::Written })
}

/// The next entries must be these, of this kind.
#[track_caller]
fn gives(tail: &mut Tail, lsns: std::ops::RangeInclusive<u64>, kind: u8) {
    for n in lsns {
        let given = tail.try_next().map(|entry| entry.map(|it| (it.lsn, char::from(it.payload[0]))));
        assert_eq!(given.unwrap(), Some((lsn(n), char::from(kind))));
    }
}

/// It has ended, and stays so.
#[track_caller]
fn is_cut_off(tail: &mut Tail) {
    let next = tail.next_lsn();
    for _ in 0..4 {
        let item = tail.try_next().map(|entry| entry.map(|it| (it.lsn, char::from(it.payload[0]))));
        assert!(matches!(item, Err(LogError::CutOff { lsn, .. }) if lsn == next), "{item:?}");
    }
}

/// A log in memory with 10 entries, its writer, and a tail beside that that has given all of them.
fn followed() -> (Log, Log, Tail) {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&memory, &quiet()).unwrap();
    write(&log, b'o', 10);
    let reader = Log::open_read_only(environment(memory), quiet()).unwrap();
    let mut tail = written(&reader, TailFrom::Start);
    gives(&mut tail, 1..=10, b'o');
    assert!(tail.try_next().unwrap().is_none());
    (log, reader, tail)
}

fn newest_base(log: &Log) -> Lsn {
    log.segments().unwrap().pop().unwrap().base
}

#[test]
fn what_comes_next_in_files_that_are_gone_is_cut_off_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let (log, reader, _) = half_durable(dir.path());
    let newest = newest_base(&log).get();
    let mut tail = written(&reader, TailFrom::Start);
    gives(&mut tail, 1..=newest - 1, b'o');
    rewrite(&log);
    is_cut_off(&mut tail);
    write(&log, b'n', 10);
    reader.refresh().unwrap();
    is_cut_off(&mut tail);
    // Whoever has been told may go on, in the log as it is.
    tail.seek(lsn(9));
    gives(&mut tail, 9..=10, b'o');
    gives(&mut tail, 11..=130, b'n');
}

#[test]
fn a_cut_counts_although_somebody_else_has_looked() {
    let dir = tempfile::tempdir().unwrap();
    let (log, reader, _) = half_durable(dir.path());
    let mut tail = written(&reader, TailFrom::Start);
    gives(&mut tail, 1..=120, b'o');
    rewrite(&log);
    write(&log, b'n', 10);
    reader.clone().refresh().unwrap();
    is_cut_off(&mut tail);
}

#[test]
fn the_place_where_a_tail_began_is_of_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let (log, reader, _) = half_durable(dir.path());
    let mut tail = written(&reader, TailFrom::End);
    rewrite(&log);
    write(&log, b'n', 10);
    reader.refresh().unwrap();
    is_cut_off(&mut tail);
}

#[test]
fn a_cut_behind_what_was_given_is_none() {
    let (log, reader, mut tail) = followed();
    write(&log, b'o', 20);
    log.truncate_after(lsn(10)).unwrap();
    write(&log, b'n', 5);
    gives(&mut tail, 11..=15, b'n');
    log.truncate_after(lsn(15)).unwrap();
    assert!(tail.try_next().unwrap().is_none());
    write(&log, b'm', 5);
    reader.refresh().unwrap();
    gives(&mut tail, 16..=20, b'm');
    log.truncate_after(lsn(19)).unwrap();
    is_cut_off(&mut tail);
}

#[test]
fn a_tail_that_was_sent_somewhere_is_free_until_it_gives_something() {
    let (log, _, mut tail) = followed();
    tail.seek(lsn(14));
    log.truncate_after(lsn(5)).unwrap();
    write(&log, b'n', 10);
    gives(&mut tail, 14..=15, b'n');
    log.truncate_after(lsn(14)).unwrap();
    write(&log, b'm', 2);
    is_cut_off(&mut tail);
}

#[test]
fn copies_that_the_next_writer_made_end_no_tail() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let hooked = Hooked::new(Arc::clone(&memory));
    let log = Log::open(environment(Arc::new(hooked.clone())), quiet()).unwrap();
    write(&log, b'o', 120);
    let reader = Log::open_read_only(environment(Arc::clone(&memory)), quiet()).unwrap();
    let mut tails = [TailFrom::Start, TailFrom::End].map(|from| written(&reader, from));
    gives(&mut tails[0], 1..=120, b'o');
    let before = log.segments().unwrap().pop().unwrap();
    hooked.fail("sync");
    log.sync().unwrap_err();
    drop(log);
    let log = open(&memory, &quiet()).unwrap();
    assert!(log.segments().unwrap().iter().all(|segment| segment.id != before.id), "it was replaced");
    write(&log, b'n', 5);
    for tail in &mut tails {
        gives(tail, 121..=125, b'n');
    }
}

/// The first entry that does not fit into the first segment.
fn second_base() -> Lsn {
    let (log, ..) = followed();
    while newest_base(&log) == Lsn::FIRST {
        write(&log, b'o', 1);
    }
    newest_base(&log)
}

/// The next segment begins with the next entry, and the one with the last that was given is gone.
#[test]
fn a_trim_of_all_that_was_given_ends_no_tail() {
    let base = second_base().get();
    for is_known in [false, true] {
        let (log, _, mut tail) = followed();
        write(&log, b'o', base as usize - 11);
        if is_known {
            // There is an empty segment behind it already.
            write(&log, b'o', 1);
            log.truncate_after(lsn(base - 1)).unwrap();
        }
        gives(&mut tail, 11..=base - 1, b'o');
        assert!(tail.try_next().unwrap().is_none());
        write(&log, b'o', 1);
        assert_eq!(newest_base(&log), lsn(base));
        log.truncate_before(lsn(base)).unwrap();
        assert_eq!(log.segments().unwrap().len(), 1);
        gives(&mut tail, base..=base, b'o');
        log.clear().unwrap();
        assert!(tail.try_next().unwrap().is_none());
        write(&log, b'o', 1);
        gives(&mut tail, base + 1..=base + 1, b'o');
    }
}

/// Not by its time either, where the clock stands still or is coarse.
#[test]
fn an_entry_that_is_the_same_in_both_histories_does_not_make_them_one() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let clock = Arc::new(TestClock(Arc::new(VirtualTime::new(1))));
    let log = Log::open(Environment { clock, ..environment(Arc::clone(&memory)) }, quiet()).unwrap();
    write(&log, b'o', 9);
    write(&log, b'=', 1);
    let reader = Log::open_read_only(environment(memory), quiet()).unwrap();
    let mut tail = written(&reader, TailFrom::Start);
    gives(&mut tail, 1..=9, b'o');
    gives(&mut tail, 10..=10, b'=');
    log.truncate_after(lsn(5)).unwrap();
    write(&log, b'n', 4);
    write(&log, b'=', 1);
    write(&log, b'n', 1);
    is_cut_off(&mut tail);
}

/// Nothing is left of either history, and the numbers go on.
#[test]
fn a_cut_of_which_nothing_is_left_is_one() {
    let (log, _, mut tail) = followed();
    log.truncate_after(lsn(5)).unwrap();
    write(&log, b'n', 5);
    log.clear().unwrap();
    write(&log, b'n', 1);
    is_cut_off(&mut tail);
    tail.seek(lsn(11));
    gives(&mut tail, 11..=11, b'n');
}

#[test]
fn an_error_does_not_make_a_tail_forget_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let (log, reader, hooked) = half_durable(dir.path());
    let newest = log.segments().unwrap().pop().unwrap();
    let mut tail = written(&reader, TailFrom::Start);
    gives(&mut tail, 1..=newest.base.get() - 1, b'o');
    hooked.refuse(&format!("{:020}.wal", newest.id.0));
    for _ in 0..2 {
        let failed = tail.try_next().map(|entry| entry.map(|it| it.lsn));
        assert!(matches!(failed, Err(LogError::Segment { .. })), "{failed:?}");
    }
    rewrite(&log);
    hooked.set(|_, _| Ok(()));
    is_cut_off(&mut tail);
}

/// The writer has cut nothing: a file is missing, around which the rest is read.
#[test]
fn an_entry_that_is_lost_was_not_cut_off() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&memory, &quiet()).unwrap();
    write(&log, b'o', 70);
    let options = Options { recovery: RecoveryMode::ReadToDamage, ..quiet() };
    let reader = Log::open_read_only(environment(Arc::clone(&memory)), options).unwrap();
    let mut tail = written(&reader, TailFrom::Start);
    gives(&mut tail, 1..=70, b'o');
    write(&log, b'o', 70);
    let [_, second, _] = &log.segments().unwrap()[..] else { panic!("three segments") };
    memory.remove(&format!("{:020}.wal", second.id.0)).unwrap();
    for _ in 0..3 {
        let lost = tail.try_next();
        assert!(matches!(lost, Err(LogError::Lost { .. })), "{lost:?}");
    }
}

/// Each by its first entry, and by what is different in the other history.
type Walk = Box<dyn Iterator<Item = Result<(Lsn, u64), LogError>>>;

/// Headers and frames.
fn both(reader: &Log) -> [Walk; 2] {
    let headers = reader.headers(Lsn::FIRST, Lsn::MAX).map(|it| it.map(|it| (it.first, it.segment.0)));
    let frames = reader.frames(..).map(|it| it.map(|it| (it.first_lsn, it.body_crc.into())));
    [Box::new(headers), Box::new(frames)]
}

#[test]
fn headers_and_frames_are_of_one_history() {
    for nth in [0, 1] {
        let dir = tempfile::tempdir().unwrap();
        let (log, reader, _) = half_durable(dir.path());
        let second = log.segments().unwrap()[1].base;
        let old: Vec<_> = both(&log)[nth].by_ref().map(Result::unwrap).collect();
        let mut all = both(&reader).into_iter().nth(nth).unwrap();
        let mut given: Vec<_> = all.by_ref().take(20).map(Result::unwrap).collect();
        rewrite(&log);
        // As far as its file is open.
        given.extend(all.by_ref().take(second.get() as usize - 21).map(Result::unwrap));
        assert_eq!(given, old[..second.get() as usize - 1]);
        let cut = all.next();
        assert!(matches!(cut, Some(Err(LogError::CutOff { lsn, .. })) if lsn == second), "{cut:?}");
        assert!(all.next().is_none());
    }
}

#[test]
fn copies_that_the_next_writer_made_end_no_headers() {
    for nth in [0, 1] {
        let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let hooked = Hooked::new(Arc::clone(&memory));
        let log = Log::open(environment(Arc::new(hooked.clone())), quiet()).unwrap();
        write(&log, b'o', 120);
        let reader = Log::open_read_only(environment(Arc::clone(&memory)), quiet()).unwrap();
        let mut all = both(&reader).into_iter().nth(nth).unwrap().map(|it| it.unwrap().0);
        assert!(all.by_ref().take(20).eq((1..=20).map(lsn)));
        hooked.fail("sync");
        log.sync().unwrap_err();
        drop(log);
        let _log = open(&memory, &quiet()).unwrap();
        assert!(all.eq((21..=120).map(lsn)));
    }
}

/// Two threads share a reader, and one of them looks while the other one is in the middle of a look, at whichever call
/// of the storage.
#[test]
fn a_look_that_was_overtaken_does_not_take_the_log_back() {
    let mut calls = 0;
    for nth in 0.. {
        let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let (log, hooked) = (open(&memory, &quiet()).unwrap(), Hooked::new(memory));
        write(&log, b'o', 10);
        let reader = Log::open_read_only(environment(Arc::new(hooked.clone())), quiet()).unwrap();
        let mut tail = written(&reader, TailFrom::Start);
        gives(&mut tail, 1..=10, b'o');
        let tail = Arc::new(Mutex::new(tail));
        let (count, writer, again) = (Arc::new(AtomicUsize::new(0)), log.clone(), reader.clone());
        let (counted, follower) = (Arc::clone(&count), Arc::clone(&tail));
        hooked.set(move |operation, _| {
            // One file is closed under a lock.
            if operation != "close" && counted.fetch_add(1, Ordering::SeqCst) == nth {
                write(&writer, b'o', 190);
                again.refresh().unwrap();
                gives(&mut follower.lock().unwrap(), 11..=200, b'o');
            }
            Ok(())
        });
        reader.refresh().unwrap();
        hooked.set(|_, _| Ok(()));
        calls = count.load(Ordering::SeqCst);
        if calls <= nth {
            break;
        }
        assert!(log.segments().unwrap().len() > 1);
        assert_eq!(reader.next_lsn(), lsn(201), "at call {nth} of the storage");
        assert!(tail.lock().unwrap().try_next().unwrap().is_none(), "at call {nth} of the storage");
    }
    assert!(calls > 2, "a look reads files");
}

/// The old files are closed in the middle of taking a look in.
#[test]
fn a_tail_begins_at_the_end_as_one_look_has_seen_it() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let (log, hooked) = (open(&memory, &quiet()).unwrap(), Hooked::new(memory));
    write(&log, b'o', 9);
    let reader = Log::open_read_only(environment(Arc::new(hooked.clone())), quiet()).unwrap();
    reader.get(lsn(1)).unwrap();
    log.truncate_after(lsn(4)).unwrap();
    write(&log, b'n', 4);
    let (begun, tail) = mpsc::channel();
    let (begun, before, follower) = (Mutex::new(Some(begun)), newest_base(&reader), reader.clone());
    hooked.set(move |operation, _| {
        if operation == "close" && newest_base(&follower) != before {
            assert_eq!(follower.next_lsn(), lsn(10), "the end moves last");
            if let Some(begun) = begun.lock().unwrap().take() {
                let (follower, (done, is_done)) = (follower.clone(), mpsc::channel());
                thread::spawn(move || {
                    let _ = begun.send(written(&follower, TailFrom::End));
                    let _ = done.send(());
                });
                // It waits until the look is over. If it does not, this is time enough.
                let _ = is_done.recv_timeout(Duration::from_millis(200));
            }
        }
        Ok(())
    });
    reader.refresh().unwrap();
    let mut tail = tail.recv_timeout(Duration::from_secs(60)).expect("a file was closed");
    hooked.set(|_, _| Ok(()));
    write(&log, b'n', 3);
    gives(&mut tail, 9..=11, b'n');
}

/// Calls `read` with a log whose entries have the times 1 to 120, in its writer and beside it, and cuts it at whichever
/// read of a file: behind entry 10 the others have the times 121 to 230.
fn at_any_read(read: impl Fn(&Log, &str)) {
    for (is_beside, nth) in [true, false].iter().flat_map(|beside| (0..40).map(move |nth| (*beside, nth))) {
        let hooked = Hooked::new(Arc::new(MemoryStorage::new()));
        let time = Arc::new(VirtualTime::new(0));
        let clock = Arc::new(TestClock(Arc::clone(&time)));
        let environment = Environment { clock, ..environment(Arc::new(hooked.clone())) };
        let log = Log::open(environment.clone(), quiet()).unwrap();
        let timed = move |log: &Log, kind: u8, count: u64| {
            (0..count).for_each(|_| {
                time.advance(Duration::from_nanos(1));
                write(log, kind, 1);
            });
        };
        timed(&log, b'o', 120);
        let reader = Log::open_read_only(environment, quiet()).unwrap();
        let (reads, writer, again) = (AtomicUsize::new(0), log.clone(), reader.clone());
        hooked.set(move |operation, _| {
            if operation == "read" && reads.fetch_add(1, Ordering::SeqCst) == nth {
                writer.truncate_after(lsn(10)).unwrap();
                timed(&writer, b'n', 110);
                again.refresh().unwrap();
            }
            Ok(())
        });
        read(if is_beside { &reader } else { &log }, &format!("beside {is_beside}, read {nth}"));
    }
}

#[test]
fn a_search_by_time_is_in_one_history() {
    at_any_read(|log, what| {
        let found = log.lsn_at_time(AppendTime(80)).unwrap().unwrap();
        assert!(found == lsn(80) || found == lsn(11), "{found}, {what}");
    });
}

/// The entries of both ends of a span, and all between, or those as far as the log was cut meanwhile.
#[track_caller]
fn is_a_span(entries: &[(u64, u8)], cut: bool, what: &str) {
    let is = |first: u64, last: u64, kind: u8| {
        entries.iter().copied().eq((first..=last).map(|n| (n, kind)).take(entries.len()))
            && (cut || entries.len() as u64 == last + 1 - first)
    };
    assert!(is(80, 120, b'o') || is(11, 30, b'n'), "{entries:?}, {what}");
}

#[test]
fn a_replay_by_time_is_of_one_history() {
    let options = ReplayOptions {
        from: Bound::Included(ReplayPoint::Time(AppendTime(80))),
        to: Bound::Included(ReplayPoint::Time(AppendTime(140))),
        ..ReplayOptions::default()
    };
    at_any_read(|log, what| {
        let mut entries = Vec::new();
        let replayed = log.replay(&options, |batch| {
            entries.extend(batch.iter().map(|entry| (entry.lsn.get(), entry.payload[0])));
            Ok::<(), ()>(())
        });
        let cut = matches!(replayed, Err(ReplayError::Log { error: LogError::CutOff { .. }, .. }));
        assert!(cut || replayed.is_ok(), "{replayed:?}, {what}");
        is_a_span(&entries, cut, what);
    });
}

#[test]
fn a_span_of_time_is_of_one_history() {
    let span = (Bound::Included(AppendTime(80)), Bound::Included(AppendTime(140)));
    at_any_read(|log, what| {
        let (entries, cut): (Vec<_>, Vec<_>) = log.range_by_time(span).unwrap().partition(Result::is_ok);
        assert!(cut.iter().all(|it| matches!(it, Err(LogError::CutOff { .. }))), "{cut:?}, {what}");
        let entries: Vec<_> = entries.into_iter().flatten().map(|it| (it.lsn.get(), it.payload[0])).collect();
        is_a_span(&entries, !cut.is_empty(), what);
    });
}
