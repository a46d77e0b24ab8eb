//! The next segment, which is filled while the one before it is in use.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use wal_core::{AppendOptions, Environment, Log, LogError, Options, Retention, SyncPolicy};
use wal_format::{Lsn, NewEntry};
use wal_segment::{Filling, LocalOptions, LocalStorage, MemoryStorage};
use wal_sim::{Event, Faults, Outcome, Record, Shots, SimDisk, VirtualTime};

use crate::{
    damage::{files, storage},
    hooked::Hooked,
    reading::TestClock,
    support::{environment, small},
};

const MIB: u64 = 1 << 20;
const LEN: usize = 60_000;
/// The file of the second segment, as it is called until it is finished.
const SECOND: &str = "00000000000000000002.wal.tmp";

fn options() -> Options {
    let segment_len = 4 * MIB;
    Options { background_threads: false, segment_len, first_segment_len: segment_len, ..Options::default() }
}

/// A log without threads, the storage under it, and how many writes there were to the second segment.
fn log(dir: &Path) -> (Log, Hooked, Arc<AtomicU64>) {
    log_with(dir, options())
}

fn log_with(dir: &Path, options: Options) -> (Log, Hooked, Arc<AtomicU64>) {
    let storage = LocalStorage::create(dir, LocalOptions::default()).unwrap();
    let hooked = Hooked::new(Arc::new(storage));
    let writes = counted(&hooked, "write");
    (Log::open(environment(Arc::new(hooked.clone())), options).unwrap(), hooked, writes)
}

/// From now on, how often this is done to the second segment.
fn counted(hooked: &Hooked, wanted: &'static str) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    hooked.set(move |operation, name| {
        counted.fetch_add(u64::from((operation, name) == (wanted, SECOND)), Ordering::SeqCst);
        Ok(())
    });
    count
}

#[allow(clippy::disallowed_methods, reason = "a test looks behind the storage")]
fn names(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

fn has(dir: &Path, end: &str) -> bool {
    names(dir).iter().any(|name| name.ends_with(end))
}

/// Appends and looks after the log until so much of the segment is full.
fn fill_to(log: &Log, end: u64) -> Result<(), LogError> {
    while log.segments()?.last().map_or(0, |segment| segment.end) < end {
        log.append(&[7; LEN])?;
        log.maintain()?;
    }
    Ok(())
}

#[test]
fn it_is_filled_bit_by_bit_and_ready_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let (log, hooked, writes) = log(dir.path());
    let (mut before, mut steps) = (0, 0);
    for _ in 0..58 {
        log.append(&[7; LEN]).unwrap();
        log.maintain().unwrap();
        let now = writes.load(Ordering::SeqCst);
        assert!(now - before <= 2 * Filling::STEP / (64 << 10), "{} pieces at once", now - before);
        steps += u64::from(now > before);
        before = now;
    }
    assert!(
        steps > 12 && has(dir.path(), "2.wal") && !has(dir.path(), ".tmp"),
        "{steps} {:?}",
        names(dir.path())
    );
    // Whoever goes on in it waits for nothing.
    hooked.set(|operation, _| match operation {
        "create" | "reserve" | "rename" => Err(io::Error::other("an append made a file")),
        _ => Ok(()),
    });
    for _ in 0..20 {
        log.append(&[7; LEN]).unwrap();
    }
    assert_eq!(log.segments().unwrap().len(), 2);
}

#[test]
fn whoever_needs_it_sooner_finishes_it() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _, writes) = log(dir.path());
    fill_to(&log, 2 * MIB).unwrap();
    let filled = writes.load(Ordering::SeqCst);
    assert!(has(dir.path(), SECOND) && filled > 10);
    log.append(&vec![8; 3 << 20]).unwrap();
    assert!(has(dir.path(), "2.wal") && !has(dir.path(), ".tmp"));
    assert!(writes.load(Ordering::SeqCst) - filled < 64, "what was filled is not filled again");
    let next = log.next_lsn();
    drop(log);
    let log = self::log(dir.path()).0;
    assert_eq!(log.next_lsn(), next);
    assert_eq!(log.range(..).last().unwrap().unwrap().payload, vec![8; 3 << 20]);
}

/// An append that cannot go on before the next segment is ready has it as it is: to fill the rest may take longer than
/// a thousand syncs.
#[test]
fn whoever_waits_for_it_does_not_wait_for_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _, writes) = log_with(dir.path(), Options { background_threads: true, ..options() });
    while log.segments().unwrap().last().map_or(0, |segment| segment.end) < 2 * MIB {
        log.append(&[7; LEN]).unwrap();
    }
    // What is too long for the rest of the segment, of which less than that was due to be filled.
    log.append(&vec![8; 3 << 20]).unwrap();
    assert_eq!(log.segments().unwrap().len(), 2);
    // The entry itself is written in six parts.
    let (pieces, zeros) = (4 * MIB / (64 << 10), writes.load(Ordering::SeqCst) - 6);
    assert!(zeros < pieces * 3 / 4, "{zeros} writes");
    let next = log.next_lsn();
    drop(log);
    let log = self::log(dir.path()).0;
    assert_eq!(log.next_lsn(), next);
    assert_eq!(log.range(..).last().unwrap().unwrap().payload, vec![8; 3 << 20]);
}

/// Nor does one whose time is limited, which has a thread of the log see to it: the one that fills.
#[test]
#[allow(clippy::disallowed_methods, reason = "a medium that takes its time")]
fn whoever_waits_for_it_for_some_time_does_not_wait_for_zeros_either() {
    let dir = tempfile::tempdir().unwrap();
    let (log, hooked, writes) = log_with(dir.path(), Options { background_threads: true, ..options() });
    log.append(&[7; LEN]).unwrap();
    let is_full = Arc::new(AtomicBool::new(false));
    let (counted, may_go_on) = (Arc::clone(&writes), Arc::clone(&is_full));
    hooked.set(move |operation, name| {
        if (operation, name) == ("write", SECOND) {
            counted.fetch_add(1, Ordering::SeqCst);
            // In the middle of the first step, until all the others are due, too.
            while !may_go_on.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    });
    while log.segments().unwrap().last().map_or(0, |segment| segment.end) < 4 * MIB - 100_000 {
        log.append(&[7; LEN]).unwrap();
    }
    is_full.store(true, Ordering::SeqCst);
    while writes.load(Ordering::SeqCst) < 10 {
        // Whoever comes behind the place where more is due says so.
        log.append(&[7]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    let in_time = AppendOptions { timeout: Some(Duration::from_secs(60)), ..AppendOptions::default() };
    log.append_entry(&NewEntry::plain(&[8; 2 * LEN]), &in_time).unwrap();
    assert_eq!(log.segments().unwrap().len(), 2);
    let pieces = 4 * MIB / (64 << 10);
    assert!(writes.load(Ordering::SeqCst) < pieces * 3 / 4, "{} writes", writes.load(Ordering::SeqCst));
}

/// A segment that is closed because its time has come is followed by one that is filled beside appends and their syncs.
#[test]
fn nobody_queues_behind_one_that_retention_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    let storage = LocalStorage::create(dir.path(), LocalOptions::default()).unwrap();
    let hooked = Hooked::new(Arc::new(storage));
    let time = Arc::new(VirtualTime::new(1 << 60));
    let environment = Environment {
        clock: Arc::new(TestClock(Arc::clone(&time))),
        ..environment(Arc::new(hooked.clone()))
    };
    let log = Log::open(environment, options()).unwrap();
    log.append(&[7; LEN]).unwrap();
    let (pieces, longest) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let most = Arc::clone(&longest);
    hooked.set(move |operation, name| {
        match operation {
            "write" if name == SECOND => _ = pieces.fetch_add(1, Ordering::SeqCst),
            "sync" if name == SECOND => {
                _ = most.fetch_max(pieces.swap(0, Ordering::SeqCst), Ordering::SeqCst)
            }
            _ => {}
        }
        Ok(())
    });
    let max_age = Duration::from_secs(60);
    let policy = Retention { max_age: Some(max_age), clock_trial: Duration::ZERO, ..Retention::default() };
    let is_closed = |_| {
        time.advance(max_age);
        log.retain_with(&policy).unwrap().rolled_active
    };
    assert!((0..9).any(is_closed));
    let longest = longest.load(Ordering::SeqCst);
    assert!((1..=Filling::STEP / (64 << 10) + 1).contains(&longest), "{longest} pieces between two syncs");
}

#[test]
fn an_entry_that_is_too_long_for_it_gets_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let (log, ..) = log(dir.path());
    fill_to(&log, 2 * MIB).unwrap();
    assert!(has(dir.path(), SECOND));
    log.append(&vec![8; 6 << 20]).unwrap();
    assert!(has(dir.path(), "2.wal") && !has(dir.path(), ".tmp"));
    assert_eq!(log.range(..).last().unwrap().unwrap().payload.len(), 6 << 20);
}

#[test]
fn a_close_takes_away_what_is_half_filled() {
    let dir = tempfile::tempdir().unwrap();
    let (log, ..) = log(dir.path());
    fill_to(&log, 2 * MIB).unwrap();
    assert!(has(dir.path(), SECOND));
    log.close().unwrap();
    assert!(!has(dir.path(), ".tmp"), "{:?}", names(dir.path()));
}

#[test]
fn a_failure_on_the_way_is_left_to_whoever_needs_it() {
    for operation in ["create", "reserve", "write", "sync", "rename"] {
        let dir = tempfile::tempdir().unwrap();
        let (log, hooked, _) = log(dir.path());
        log.append(&[7; LEN]).unwrap();
        hooked.set(move |called, name| {
            let is_second = name == SECOND || called == "rename";
            if called == operation && is_second { Err(io::Error::other("bad")) } else { Ok(()) }
        });
        fill_to(&log, 4 * MIB - 200_000).unwrap();
        let failed = (0..10).find_map(|_| log.append(&[7; LEN]).err());
        assert!(matches!(failed, Some(LogError::Segment { .. })), "{operation}: {failed:?}");
        assert!(
            !has(dir.path(), "2.wal") && !has(dir.path(), ".tmp"),
            "{operation}: {:?}",
            names(dir.path())
        );
        hooked.set(|_, _| Ok(()));
        let lsn = log.append(&[7; LEN]).unwrap();
        assert_eq!(log.get(lsn).unwrap().payload.len(), LEN);
        assert!(has(dir.path(), "2.wal") && !has(dir.path(), ".tmp"), "{operation}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn no_step_waits_for_the_medium() {
    let dir = tempfile::tempdir().unwrap();
    let (log, hooked, _) = log(dir.path());
    log.append(&[7; LEN]).unwrap();
    let syncs = counted(&hooked, "sync");
    fill_to(&log, 2 * MIB).unwrap();
    assert!(has(dir.path(), SECOND));
    assert_eq!(syncs.load(Ordering::SeqCst), 0);
}

#[test]
fn what_failed_once_is_tried_again_before_somebody_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    let (log, hooked, _) = log(dir.path());
    log.append(&[7; LEN]).unwrap();
    hooked.set(|operation, name| {
        let is_second = name == SECOND && ["write", "sync", "write_back"].contains(&operation);
        if is_second { Err(io::Error::other("bad")) } else { Ok(()) }
    });
    fill_to(&log, 2 * MIB).unwrap();
    assert!(!has(dir.path(), "2.wal") && !has(dir.path(), SECOND));
    hooked.set(|_, _| Ok(()));
    fill_to(&log, 4 * MIB - 100_000).unwrap();
    assert!(has(dir.path(), "2.wal"), "{:?}", names(dir.path()));
}

#[test]
fn without_zeros_it_is_made_at_the_half() {
    let dir = tempfile::tempdir().unwrap();
    let interval = Duration::from_secs(3600);
    let sync = SyncPolicy::Background { interval };
    let (log, _, writes) =
        log_with(dir.path(), Options { sync, unsynced_age_max: 2 * interval, ..options() });
    let append = |count| {
        for _ in 0..count {
            log.append(&[7; LEN]).unwrap();
            log.maintain().unwrap();
        }
    };
    append(30);
    assert!(!has(dir.path(), "2.wal") && !has(dir.path(), SECOND));
    append(8);
    assert!(has(dir.path(), "2.wal") && writes.load(Ordering::SeqCst) == 1, "its header alone was written");
}

/// The file of the second segment once it is finished.
const SECOND_DONE: &str = "00000000000000000002.wal";

/// A log on a simulated disk after so many entries. The segment behind the first was looked after but for the last one.
fn on_disk(entries: usize) -> (Log, SimDisk) {
    let disk = SimDisk::new(1);
    let log = Log::open(environment(disk.storage()), options()).unwrap();
    for nth in 1..=entries {
        log.append(&[7; LEN / 4]).unwrap();
        if nth < entries {
            log.maintain().unwrap();
        }
    }
    (log, disk)
}

/// How many entries it takes until the last step is due that fills the second segment.
fn last_step() -> usize {
    let (log, disk) = on_disk(1);
    let is_due = |_: &usize| {
        log.maintain().unwrap();
        let is_done = disk.read(SECOND_DONE).is_some();
        log.append(&[7; LEN / 4]).unwrap();
        is_done
    };
    (1..1000).find(is_due).unwrap()
}

#[test]
fn a_disk_that_is_full_at_the_last_step_gets_a_shorter_one() {
    let entries = last_step();
    // The first write is a mark that the log is idle.
    for write in 1..=Filling::STEP / (64 << 10) {
        let (log, disk) = on_disk(entries);
        assert!(disk.read(SECOND).is_some() && disk.read(SECOND_DONE).is_none());
        disk.set_faults(Faults { write: Shots::nth(write), ..Faults::default() });
        log.maintain().unwrap();
        let refused = |record: &Record| {
            matches!(&record.event, Event::Write(name, _) if **name == *SECOND)
                && record.outcome == Outcome::Failed(io::ErrorKind::StorageFull)
        };
        assert!(disk.trace().iter().any(refused), "write {write} was not of the last step");
        assert_eq!(disk.read(SECOND_DONE).map(|file| file.len()), Some(64 << 10), "write {write}");
        assert!(disk.read(SECOND).is_none(), "what is too long is taken away");
        goes_on_in_it(log, &disk, 64 << 10);
    }
}

#[test]
fn a_medium_that_fails_to_write_back_costs_a_file_that_nobody_needs_yet() {
    for call in 0.. {
        let (log, disk) = on_disk(1);
        disk.set_faults(Faults { write_back: Shots::nth(call), ..Faults::default() });
        while disk.read(SECOND_DONE).is_none() {
            let fired = disk.faults_fired();
            log.maintain().unwrap();
            if disk.faults_fired() > fired {
                let is_gone = disk.read(SECOND).is_none() && disk.read(SECOND_DONE).is_none();
                assert!(is_gone, "call {call}: nothing is left of a file with a hole");
            }
            log.append(&[7; LEN / 4]).unwrap();
        }
        assert_eq!(log.segments().unwrap().len(), 1, "it is ready in time");
        let fired = disk.faults_fired();
        disk.set_faults(Faults::default());
        goes_on_in_it(log, &disk, 4 * MIB);
        if fired == 0 {
            assert_eq!(call, 4 * MIB / Filling::STEP, "each step is written back");
            break;
        }
    }
}

/// Appends until the log is in its second segment, which is so long, and finds all of it after a power cut.
fn goes_on_in_it(log: Log, disk: &SimDisk, len: u64) {
    while log.segments().unwrap().len() == 1 {
        log.append(&[7; LEN / 4]).unwrap();
    }
    let (next, last) = (log.next_lsn(), log.segments().unwrap().pop().unwrap());
    assert_eq!((last.id.0, last.file_len), (2, len));
    disk.crash(1);
    drop(log);
    let log = Log::open(environment(disk.storage()), options()).unwrap();
    assert_eq!((log.next_lsn(), log.range(..).count() as u64), (next, next.get() - 1));
}

/// The segment that a cut begins is the one that was half filled, as far as it is. Whatever fails on the way, the log
/// goes on, or ends where it should.
#[test]
fn a_cut_goes_on_in_what_is_filled() {
    let faults: [fn(Shots) -> Faults; 3] = [
        |write| Faults { write, ..Faults::default() },
        |sync| Faults { sync, ..Faults::default() },
        |reserve| Faults { reserve, ..Faults::default() },
    ];
    for fault in faults {
        let failed = (0..).take_while(|nth| cut_while_it_is_filled(fault(Shots::nth(*nth)))).count();
        assert!(failed < 20);
    }
}

/// Says whether the fault was met.
fn cut_while_it_is_filled(faults: Faults) -> bool {
    let options = || Options { first_segment_len: 3 << 18, ..options() };
    let disk = SimDisk::new(1);
    let log = Log::open(environment(disk.storage()), options()).unwrap();
    while disk.read("00000000000000000003.wal.tmp").is_none() {
        log.append(&[7; LEN / 4]).unwrap();
        log.maintain().unwrap();
    }
    let next = Lsn::new(log.next_lsn().get() - 3).unwrap();
    disk.set_faults(faults);
    let cut = log.truncate_from(next).is_ok();
    let is_met = disk.faults_fired() > 0;
    disk.set_faults(Faults::default());
    let mut next = if cut { next } else { log.next_lsn() };
    for _ in 0..100 {
        let Ok(lsn) = log.append(&[8; LEN / 4]) else { break };
        assert_eq!(lsn, next);
        next = lsn.next();
        log.maintain().unwrap();
    }
    if !is_met {
        let segments: Vec<_> =
            log.segments().unwrap().iter().map(|it| (it.id.0, it.end, it.file_len)).collect();
        let (id, end, len) = segments[2];
        assert!(id == 3 && len == 4 * MIB && end < MIB && segments.len() == 4, "{segments:?}");
    }
    let payloads = |log: &Log| log.range(..).map(|entry| entry.unwrap().payload[0]).collect::<Vec<_>>();
    let seen = payloads(&log);
    disk.crash(1);
    drop(log);
    let log = Log::open(environment(disk.storage()), options()).unwrap();
    assert_eq!((log.next_lsn(), payloads(&log)), (next, seen));
    is_met
}

/// With so much metadata a segment of 64 KiB has room for the opening and an entry without bytes, and not for a trim.
const METADATA: usize = 60_767;

#[test]
fn a_trim_that_gets_no_segment_is_not_in_one_that_another_append_begins() {
    let lsn = |n| Lsn::new(n).unwrap();
    let options = || Options { background_threads: false, ..small() };
    let memory = Arc::new(MemoryStorage::new());
    let hooked = Hooked::new(Arc::<MemoryStorage>::clone(&memory));
    let log = Log::open(environment(Arc::new(hooked.clone())), options()).unwrap();
    (1..=100).for_each(|n| _ = log.append(&[n]).unwrap());
    log.set_meta("m", Some(&[7; METADATA]), None).unwrap();
    log.maintain().unwrap();
    let has_room = |reserve| log.segments().unwrap().last().is_some_and(|it| it.end + reserve <= it.file_len);
    let full = (2..100).find(|n| {
        log.truncate_before(lsn(*n)).unwrap();
        !has_room(48 + 1024)
    });
    let first = full.unwrap();
    let (writer, count) = (log.clone(), log.segments().unwrap().len());
    hooked.set(move |operation, _| match operation {
        "create" => {
            // The segment that was ready is too short for the trim, and not for this.
            writer.append(b"").unwrap();
            Err(io::Error::other("bad"))
        }
        _ => Ok(()),
    });
    log.truncate_before(lsn(first + 1)).unwrap_err();
    hooked.set(|_, _| Ok(()));
    assert_eq!(log.segments().unwrap().len(), count + 1, "the append went on in the next segment");
    let seen = Log::open_read_only(environment(storage(&files(&*memory))), options()).unwrap();
    assert_eq!((seen.first_lsn(), log.first_lsn()), (Some(lsn(first)), Some(lsn(first))));
}
