//! Retention: what goes, what is held, and what wrong clocks do to it.

mod doubts;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use wal_core::{
    AppendOptions, CheckpointOptions, Clock, Environment, Log, LogError, Options, PinKind, Retained,
    Retention, RetentionReason, SyncPolicy, WhenFull,
};
use wal_format::{EntriesBuilder, Lsn, MetadataRecord, Namespace, NewEntry};
use wal_segment::{MemoryStorage, Storage};
use wal_sim::{DiskOptions, SimDisk, VirtualTime};

use crate::{
    hooked::Hooked,
    support::{environment, on_all, open, small},
};

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);
/// Some day in 2026.
const NOW: u64 = 20_500 * DAY.as_nanos() as u64;

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

/// Three entries fill a segment.
fn fill(log: &Log, count: usize) {
    for _ in 0..count {
        log.append(&[7; 20_000]).unwrap();
    }
}

fn quiet() -> Options {
    Options { background_threads: false, ..small() }
}

fn segments(keep: u64) -> Retention {
    Retention { max_segments: Some(keep), ..Retention::default() }
}

fn week() -> Retention {
    Retention { max_age: Some(DAY * 7), ..Retention::default() }
}

/// A segment that a cut has ended keeps the length of its file, and gives back its space.
#[test]
fn space_that_was_given_back_counts_for_nobody() {
    const MIB: u64 = 1 << 20;
    let disk = SimDisk::new(1);
    let options = Options { segment_len: 4 * MIB, first_segment_len: 4 * MIB, ..quiet() };
    let log = open(&disk.storage(), &options).unwrap();
    for _ in 0..4 {
        for _ in 0..8 {
            log.append(&[7; 100_000]).unwrap();
        }
        log.truncate_after(lsn(log.next_lsn().get() - 2)).unwrap();
    }
    // A log with threads does so by itself.
    log.maintain().unwrap();
    let lens = log.segments().unwrap().iter().map(|segment| segment.file_len).sum::<u64>();
    assert!(lens >= 5 * 4 * MIB, "{lens}");
    let within = |max| Retention { max_bytes: Some(max), ..Retention::default() };
    // Four times less than 1 MiB, and the active one with what is reserved for it.
    assert_eq!(planned_and_done(&log, &within(8 * MIB)).segments, 0);
    assert_ne!(planned_and_done(&log, &within(5 * MIB)).segments, 0);
}

/// Does what was planned, and says what it was.
#[track_caller]
fn planned_and_done(log: &Log, policy: &Retention) -> Retained {
    let plan = log.retention_plan(policy).unwrap();
    let before = log.segments().unwrap();
    let done = log.retain_with(policy).unwrap();
    assert_eq!(done.first_retained, plan.first_retained, "{plan}\n{done:?}");
    assert_eq!((&done.held_back_by, &done.passed), (&plan.held_back_by, &plan.passes), "{plan}");
    assert_eq!(done.dropped, plan.drops, "{plan}");
    assert_eq!(done.rolled_active, plan.rolls_active, "{plan}");
    let files: Vec<_> = plan.remove.iter().map(|removal| removal.segment).collect();
    let gone: Vec<_> = before.iter().map(|segment| segment.id).take(files.len()).collect();
    assert_eq!(files, gone, "{plan}");
    let left = log.segments().unwrap();
    assert!(left.iter().all(|segment| !files.contains(&segment.id)), "{plan}");
    done
}

#[test]
fn limits_remove_whole_segments_and_say_what_they_freed() {
    on_all(|storage| {
        let log = open(&storage, &quiet()).unwrap();
        fill(&log, 30);
        let before = log.segments().unwrap();
        assert_eq!(log.retain().unwrap().segments, 0, "by default everything is kept");

        let done = planned_and_done(&log, &segments(5));
        let left = log.segments().unwrap();
        assert_eq!((left.len(), done.segments), (5, before.len() as u64 - 5));
        assert_eq!(log.first_lsn(), Some(left[0].base), "only whole segments");
        let freed: u64 = before.iter().map(|segment| segment.file_len).take(before.len() - 5).sum();
        assert_eq!((done.freed_bytes, done.entries), (freed, left[0].base.get() - 1));
        assert_eq!(log.last_retained(), Some(done));

        let bytes: u64 = left.iter().map(|segment| segment.file_len).sum();
        let policy = Retention { max_bytes: Some(bytes - 1), ..Retention::default() };
        let plan = log.retention_plan(&policy).unwrap();
        assert_eq!(plan.remove[0].reason, RetentionReason::Bytes);
        planned_and_done(&log, &policy);
        assert_eq!(log.segments().unwrap().len(), 4);

        let keep = log.segments().unwrap()[1].next;
        planned_and_done(&log, &Retention { keep_from: Some(keep), ..Retention::default() });
        assert_eq!((log.first_lsn(), log.segments().unwrap().len()), (Some(keep), 2));
        assert_eq!(planned_and_done(&log, &segments(2)).segments, 0);
        drop(log);

        // A log that was opened and not written yet goes on in a new segment, which may take in a small last one.
        let log = open(&storage, &quiet()).unwrap();
        let next = log.next_lsn();
        planned_and_done(&log, &segments(1));
        assert!(log.first_lsn().is_none_or(|first| first > keep), "{:?}", log.first_lsn());
        assert_eq!(log.append(b"on").unwrap(), next);
    });
}

#[test]
fn cursors_and_protected_checkpoints_hold_entries_back() {
    on_all(|storage| {
        let log = open(&storage, &quiet()).unwrap();
        fill(&log, 30);
        log.create_cursor("slow", Some(lsn(11))).unwrap();
        log.create_cursor("quick", Some(lsn(28))).unwrap();
        for (name, at, protect) in [("old", 5, false), ("mid", 14, false), ("kept", 20, true)] {
            log.checkpoint(name, CheckpointOptions { lsn: Some(lsn(at)), protect }).unwrap();
        }
        let done = planned_and_done(&log, &segments(1));
        assert_eq!(log.first_lsn(), Some(lsn(10)), "the segment that holds entry 11 begins there");
        assert_eq!(done.held_back_by[0].name, "slow");
        assert_eq!((done.dropped, done.passed.len()), (vec!["old".to_owned()], 0));

        log.acknowledge("slow", lsn(12), None).unwrap();
        assert_eq!(planned_and_done(&log, &segments(1)).first_retained, lsn(13));
        let cap = Retention { cursor_max_bytes: Some(200 << 10), ..segments(1) };
        let done = planned_and_done(&log, &cap);
        assert_eq!((done.passed.as_slice(), done.first_retained), (["slow".to_owned()].as_slice(), lsn(19)));
        assert_eq!((done.held_back_by.len(), done.held_back_by[0].kind), (1, PinKind::Checkpoint));
        assert_eq!(log.cursor("slow").unwrap(), lsn(13), "it stands where it stood");
        assert!(matches!(log.range_from(lsn(13), Lsn::MAX), Err(LogError::Truncated { .. })));
        log.delete_checkpoint("kept").unwrap();
        drop(log);
        let log = open(&storage, &quiet()).unwrap();
        assert_eq!((log.first_lsn(), log.checkpoints().unwrap().len()), (Some(lsn(19)), 0));
    });
}

#[test]
fn readers_keep_what_they_hold() {
    on_all(|storage| {
        let log = open(&storage, &quiet()).unwrap();
        fill(&log, 30);
        let mut held = log.range(..);
        let first = held.next().unwrap().unwrap();
        let beside = Log::open_read_only(environment(Arc::clone(&storage)), quiet()).unwrap();
        assert!(log.retention_plan(&segments(1)).unwrap().remove.len() > 5);
        assert_eq!(
            beside.retention_plan(&segments(1)).unwrap().remove.len(),
            log.segments().unwrap().len() - 1
        );
        assert!(matches!(beside.retain_with(&segments(1)), Err(LogError::ReadOnly)));
        planned_and_done(&log, &segments(1));
        assert_eq!(first.payload.len(), 20_000);
        assert!(matches!(log.get(lsn(1)), Err(LogError::Truncated { .. })));
        let read = held.take_while(Result::is_ok).count();
        assert!(read <= 29, "it goes on as far as its files are open");
        beside.refresh().unwrap();
        assert_eq!(beside.first_lsn(), log.first_lsn());
    });
}

#[test]
fn a_consumer_beside_passes_of_retention_loses_nothing() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        log.create_cursor("consumer", None).unwrap();
        fill(&log, 4);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // The last pass comes after everything else, whenever this thread gets its turn.
                loop {
                    let is_last = done.load(Ordering::SeqCst);
                    assert_eq!(log.retain_with(&segments(1)).unwrap().passed.len(), 0);
                    if is_last {
                        break;
                    }
                }
            });
            for n in 0..60 {
                fill(&log, 2);
                let at = log.cursor("consumer").unwrap();
                log.get(at).unwrap();
                if n % 2 == 0 {
                    log.acknowledge("consumer", at.plus(3), None).unwrap();
                }
                let made = log.create_cursor("late", None).unwrap();
                log.get(made).unwrap();
                log.delete_cursor("late").unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        assert!(log.first_lsn() > Some(lsn(1)));
    });
}

#[test]
fn the_threads_remove_at_rotation_and_in_intervals() {
    on_all(|storage| {
        let hooked = Arc::new(Hooked::new(storage));
        let (tell, told) = mpsc::sync_channel(100);
        hooked.set(move |operation, name| {
            if operation == "remove" && name.ends_with(".wal") {
                let _ = tell.try_send(());
            }
            Ok(())
        });
        let storage: Arc<dyn Storage> = hooked;
        let retention = Retention { interval: Duration::from_millis(5), ..segments(3) };
        let log = open(&storage, &Options { retention, ..small() }).unwrap();
        fill(&log, 30);
        // Nobody asks for it.
        told.recv_timeout(Duration::from_secs(60)).unwrap();
        log.create_cursor("consumer", Some(lsn(31))).unwrap();
        fill(&log, 30);
        // No segment is begun any more, and then there is something to do.
        log.acknowledge("consumer", lsn(60), None).unwrap();
        // Some signals may be those of earlier passes.
        while log.first_lsn() <= Some(lsn(33)) {
            told.recv_timeout(Duration::from_secs(60)).unwrap();
        }
        log.close().unwrap();
        assert!(log.last_retained().is_some_and(|last| last.segments > 0));
    });
}

#[test]
fn trims_that_free_nothing_leave_room_for_one_that_does() {
    let disk = SimDisk::new(1);
    let log = open(&disk.storage(), &quiet()).unwrap();
    while log.segments().unwrap().len() < 4 {
        log.append(&[7; 200]).unwrap();
    }
    disk.set_capacity_bytes(Some(0));
    while log.append(&[7; 200]).is_ok() {}
    let second = log.segments().unwrap()[1].base.get();
    let small = (2..second).take_while(|n| log.truncate_before(lsn(*n)).is_ok()).count() as u64;
    assert!(small > 10 && small < second - 2, "{small} of {second}");
    let full = log.truncate_before(lsn(small + 3)).unwrap_err();
    assert!(matches!(full, LogError::Full { .. }), "{full:?}");
    let done = log.truncate_before(log.next_lsn()).unwrap();
    assert_eq!((done.segments, log.first_lsn()), (3, None));
}

#[test]
fn a_full_disk_is_no_obstacle() {
    let disk =
        SimDisk::with_options(3, DiskOptions { capacity_bytes: Some(700 << 10), ..DiskOptions::default() });
    let time = Arc::new(VirtualTime::new(NOW));
    let log = told(&disk.storage(), &time);
    log.checkpoint("early", CheckpointOptions { lsn: Some(lsn(1)), protect: false }).unwrap();
    while log.append(&[7; 20_000]).is_ok() {}
    let before = log.segments().unwrap().len() as u64;
    time.advance(DAY * 8);
    // Not even what is freed is to be had.
    disk.set_capacity_bytes(Some(0));
    let policy = Retention { clock_trial: Duration::ZERO, ..week() };
    let done = log.retain_with(&policy).unwrap();
    assert_eq!((done.segments, done.rolled_active, done.dropped.len()), (before - 1, false, 1), "{done:?}");
    disk.set_capacity_bytes(Some(700 << 10));
    let done = log.retain_with(&policy).unwrap();
    assert!(done.rolled_active && done.segments == 1, "{done:?}");
    assert_eq!(log.first_lsn(), None);
    log.append(&[7; 20_000]).unwrap();
}

#[derive(Debug)]
struct Told(Arc<VirtualTime>);

impl Clock for Told {
    fn now(&self) -> u64 {
        self.0.wall_ns()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.monotonic_ns())
    }
}

/// A log without threads whose clocks say what they are told to.
fn told(storage: &Arc<dyn Storage>, time: &Arc<VirtualTime>) -> Log {
    let clock = Arc::new(Told(Arc::clone(time)));
    let environment = Environment { clock, ..environment(Arc::clone(storage)) };
    Log::open(environment, quiet()).unwrap()
}

/// Lets time pass, with a look every minute.
fn wait(log: &Log, time: &VirtualTime, minutes: u32) {
    for _ in 0..minutes {
        time.advance(MINUTE);
        log.retain_with(&week()).unwrap();
    }
}

/// A day passes at once, and a few minutes with looks.
fn pass(log: &Log, time: &VirtualTime, days: u32) {
    time.advance(DAY * days);
    wait(log, time, 4);
}

fn on_memory() -> (Arc<dyn Storage>, Arc<VirtualTime>, Log) {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let time = Arc::new(VirtualTime::new(NOW));
    let log = told(&storage, &time);
    (storage, time, log)
}

#[test]
fn age_removes_what_is_old_and_closes_the_active_segment() {
    on_all(|storage| {
        let time = Arc::new(VirtualTime::new(NOW));
        let log = told(&storage, &time);
        for _ in 0..10 {
            fill(&log, 3);
            pass(&log, &time, 1);
        }
        // Entry 12 was appended seven days and some minutes ago.
        assert_eq!(log.first_lsn(), Some(lsn(13)));
        let log = {
            drop(log);
            told(&storage, &time)
        };
        // Nothing is appended any more.
        pass(&log, &time, 8);
        assert_eq!(log.first_lsn(), None);
        let left = log.segments().unwrap();
        assert_eq!((left.len(), left[0].base, left[0].next), (1, lsn(31), lsn(31)));
        let stable = log.stats().segments_started;
        pass(&log, &time, 30);
        assert_eq!(log.stats().segments_started, stable, "an empty segment is left alone");
        drop(log);
        assert_eq!(told(&storage, &time).append(b"on").unwrap(), lsn(31));
    });
}

#[test]
fn a_slow_trickle_does_not_keep_its_first_entry_for_ever() {
    let (_storage, time, log) = on_memory();
    for _ in 0..40 {
        log.append(b"one a day").unwrap();
        pass(&log, &time, 1);
    }
    let kept = 41 - log.first_lsn().unwrap().get();
    assert!((7..=15).contains(&kept), "{kept} days");
}

#[test]
fn one_wild_sample_deletes_nothing_and_freezes_nothing() {
    for wild in [0, 60_000_000_000, NOW + 36_500 * DAY.as_nanos() as u64, u64::MAX / 2] {
        let (storage, time, mut log) = on_memory();
        fill(&log, 6);
        for round in 0..40 {
            let right = time.wall_ns();
            time.set_wall(wild);
            // It is stamped, it is in headers, and retention looks at it.
            fill(&log, if round % 10 == 5 { 4 } else { 0 });
            let looked = log.retain_with(&week()).unwrap();
            let younger = log.first_lsn().is_none_or(|first| first.get() + 3 * 9 >= log.next_lsn().get());
            assert!(looked.segments == 0 || !younger, "{wild}, {round}: {looked:?}");
            time.set_wall(right);
            if round % 7 == 3 {
                drop(log);
                log = told(&storage, &time);
            }
            fill(&log, 3);
            let day_old = log.next_lsn().get().saturating_sub(12).max(1);
            pass(&log, &time, 1);
            assert!(log.first_lsn().unwrap().get() <= day_old, "{wild}, {round}: too young to go");
        }
        // What was appended after the wild stamps went, too, in its time.
        let kept = log.next_lsn().get() - log.first_lsn().unwrap().get();
        assert!(kept <= 60, "{wild}: {kept} entries of forty days are left");
        pass(&log, &time, 15);
        pass(&log, &time, 15);
        assert_eq!(log.first_lsn(), None, "{wild}");
    }
}

#[test]
fn a_clock_that_was_not_set_at_boot_does_not_make_entries_old() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    // Once with a battery that is empty, once with the time of the last shutdown.
    for (booted, corrected) in [(60_000_000_000, NOW), (NOW + 1, NOW + 90 * DAY.as_nanos() as u64)] {
        let time = Arc::new(VirtualTime::new(booted));
        let log = told(&storage, &time);
        let began = log.next_lsn();
        fill(&log, 12);
        wait(&log, &time, 5);
        time.set_wall(corrected);
        wait(&log, &time, 10);
        fill(&log, 12);
        wait(&log, &time, 10);
        assert!(log.first_lsn().unwrap() <= began, "what was appended some minutes ago is there");
        pass(&log, &time, 5);
        assert!(log.first_lsn().unwrap() <= began);
        pass(&log, &time, 4);
        assert_eq!(log.first_lsn(), None);
    }
}

#[test]
fn a_suspended_machine_and_a_log_that_was_closed_for_long() {
    let (storage, time, log) = on_memory();
    fill(&log, 12);
    wait(&log, &time, 1);
    // Eight days in which the monotonic clock stood still.
    time.set_wall(time.wall_ns() + 8 * DAY.as_nanos() as u64);
    wait(&log, &time, 10);
    assert_eq!(log.first_lsn(), Some(lsn(1)), "this process saw these entries some minutes ago");
    drop(log);
    // The next process goes by the stamps. It trusts no clock that nobody has watched yet.
    time.advance(DAY);
    let log = told(&storage, &time);
    wait(&log, &time, 4);
    assert_eq!(log.first_lsn(), None);
    fill(&log, 3);
    drop(log);
    time.advance(DAY * 8);
    let log = told(&storage, &time);
    log.retain_with(&week()).unwrap();
    assert_eq!(log.first_lsn(), Some(lsn(13)), "one look proves nothing");
    wait(&log, &time, 4);
    assert_eq!(log.first_lsn(), None);
}

#[test]
fn a_process_that_starts_with_a_wild_clock_waits_and_sees() {
    let (storage, time, log) = on_memory();
    fill(&log, 12);
    drop(log);
    time.set_wall(NOW + 36_500 * DAY.as_nanos() as u64);
    let log = told(&storage, &time);
    log.retain_with(&week()).unwrap();
    log.retain_with(&week()).unwrap();
    time.set_wall(NOW);
    wait(&log, &time, 10);
    assert_eq!(log.first_lsn(), Some(lsn(1)));
    let word = Retention { clock_trial: Duration::ZERO, ..week() };
    time.set_wall(NOW + 8 * DAY.as_nanos() as u64);
    log.retain_with(&word).unwrap();
    assert_eq!(log.first_lsn(), None, "who asks for it gets it");
}

#[test]
fn what_is_appended_behind_a_cut_is_this_processs_too() {
    for is_reset in [false, true] {
        let (storage, time, log) = on_memory();
        fill(&log, 12);
        drop(log);
        let log = told(&storage, &time);
        if is_reset {
            log.reset(lsn(1)).unwrap()
        } else {
            log.clear().unwrap()
        };
        let began = log.next_lsn();
        fill(&log, 12);
        wait(&log, &time, 5);
        // The clock was wrong, and is put right.
        time.set_wall(NOW + 90 * DAY.as_nanos() as u64);
        wait(&log, &time, 10);
        fill(&log, 12);
        wait(&log, &time, 10);
        assert_eq!(log.first_lsn(), Some(began), "appended some minutes ago");
    }
}

/// Another writer may have chosen a name that is no text.
#[test]
fn a_checkpoint_with_a_name_that_is_no_text_is_dropped_like_any_other() {
    let (_storage, _time, log) = on_memory();
    let value = wal_format::Checkpoint { lsn: lsn(1), number: 1, time: 0, protected: false }.encode();
    let mut record = Vec::new();
    let named = MetadataRecord { namespace: Namespace::CHECKPOINT, name: b"\xff\xfe", value: Some(&value) };
    named.encode(&mut record).unwrap();
    let mut batch = EntriesBuilder::default();
    batch.push(&NewEntry::plain(b"one")).unwrap();
    batch.add_metadata(&record);
    log.append_batch(&batch, &AppendOptions::default()).unwrap();
    fill(&log, 40);
    let few = Retention { max_segments: Some(1), ..Retention::default() };
    assert_eq!(log.retain_with(&few).unwrap().dropped.len(), 1);
    assert!(log.checkpoints().unwrap().is_empty());
}
