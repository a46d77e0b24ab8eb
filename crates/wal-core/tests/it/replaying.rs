//! Replays: batches, ranges, both directions; what was accepted is drained and nothing else.

use std::{
    cell::{Cell, RefCell},
    ops::Bound,
    sync::Arc,
    thread,
};

use wal_core::{
    AppendTime, BatchLimit, CheckpointOptions, Direction, Log, LogError, ReplayError, ReplayOptions,
    ReplayPoint, ReplayReport,
};
use wal_format::Lsn;
use wal_segment::{MemoryStorage, Storage};

use crate::{
    hooked::Hooked,
    reading::{lsn, varied},
    support::{check, environment, fill, on_all, open, payload, small},
};

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new())
}

fn filled(storage: &Arc<dyn Storage>, count: u64) -> Log {
    let log = open(storage, &small()).unwrap();
    fill(&log, 1..=count);
    log
}

fn by(entries: usize) -> ReplayOptions<'static> {
    ReplayOptions { batch: BatchLimit { entries, ..BatchLimit::default() }, ..ReplayOptions::default() }
}

fn draining(entries: usize) -> ReplayOptions<'static> {
    ReplayOptions { drain: true, ..by(entries) }
}

/// The LSNs that a replay hands over, with its report.
fn seen(log: &Log, options: &ReplayOptions<'_>) -> (Vec<u64>, ReplayReport) {
    let mut lsns = Vec::new();
    let report = log.replay(options, |batch| {
        assert!(!batch.is_empty() && batch.len() <= options.batch.entries);
        lsns.extend(batch.iter().map(|entry| entry.lsn.get()));
        Ok::<(), ()>(())
    });
    (lsns, report.unwrap())
}

#[test]
fn every_entry_of_a_range_comes_once_and_in_order() {
    on_all(|storage| {
        let log = filled(&storage, 900);
        let (lsns, report) = seen(&log, &by(7));
        assert_eq!(lsns, (1..=900).collect::<Vec<_>>());
        assert_eq!((report.entries, report.batches, report.left, report.drained), (900, 129, 0, 0));
        assert_eq!((report.first, report.last, report.next), (Some(lsn(1)), Some(lsn(900)), lsn(901)));
        let bytes: usize = (1..=900).map(|n| payload(n).len()).sum();
        assert_eq!(report.bytes, bytes as u64);
        let part = by(10).between(lsn(95)..=lsn(120));
        assert_eq!(seen(&log, &part).0, (95..=120).collect::<Vec<_>>());
        let back = ReplayOptions { direction: Direction::Backward, ..part };
        let (lsns, report) = seen(&log, &back);
        assert_eq!(lsns, (95..=120).rev().collect::<Vec<_>>());
        assert_eq!((report.first, report.last, report.next), (Some(lsn(120)), Some(lsn(95)), lsn(95)));
        assert!(seen(&log, &by(10).between(lsn(901)..)).0.is_empty());
        check(&log, 1, 901);
    });
}

#[test]
fn a_range_may_be_named_by_time() {
    let storage = memory();
    let (log, _) = varied(&storage);
    let entries: Vec<_> = log.range(..).map(Result::unwrap).collect();
    let (from, to) = (entries[50].time, entries[250].time);
    let want = |low: u64, high: u64| -> Vec<u64> {
        let inside = entries.iter().filter(|entry| (low..high).contains(&entry.time));
        inside.map(|entry| entry.lsn.get()).collect()
    };
    let time = AppendTime;
    assert_eq!(seen(&log, &by(9).between(time(from)..time(to))).0, want(from, to));
    assert_eq!(seen(&log, &by(9).between(time(from)..=time(to))).0, want(from, to + 1));
    assert_eq!(seen(&log, &by(9).between(..time(from))).0, want(0, from));
    assert_eq!(seen(&log, &by(9).between(time(to)..)).0, want(to, u64::MAX));
    assert_eq!(seen(&log, &by(9).between(..=time(u64::MAX))).0, want(0, u64::MAX));
}

#[test]
fn a_range_may_begin_and_end_at_checkpoints() {
    let storage = memory();
    let log = filled(&storage, 30);
    let (name, at) = ("early", CheckpointOptions { lsn: Some(lsn(11)), ..CheckpointOptions::default() });
    let early = log.checkpoint(name, at).unwrap();
    let late = log.checkpoint("late", CheckpointOptions::default()).unwrap();
    (31..=40).for_each(|n| drop(log.append(&payload(n))));
    assert_eq!(seen(&log, &by(4).between(early.clone()..late.clone())).0, (11..=30).collect::<Vec<_>>());
    assert_eq!(seen(&log, &by(4).between(early.clone()..=late.clone())).0, (11..=30).collect::<Vec<_>>());
    assert_eq!(seen(&log, &by(4).between(late.clone()..)).0, (31..=40).collect::<Vec<_>>());
    let (lsns, report) = seen(&log, &draining(4).between(..early));
    assert_eq!((lsns.len(), report.drained, log.first_lsn()), (10, 10, Some(lsn(11))));
    let back = ReplayOptions { direction: Direction::Backward, ..by(4).between(..late) };
    assert_eq!(seen(&log, &back).0, (11..=30).rev().collect::<Vec<_>>());
    log.delete_checkpoint("late").unwrap();
    let unknown = log.replay(&back, |_| Ok::<(), ()>(()));
    assert!(
        matches!(unknown, Err(ReplayError::Log { error: LogError::NoSuchName { .. }, .. })),
        "{unknown:?}"
    );
}

#[test]
fn of_a_replay_that_could_not_begin_everything_is_left() {
    let log = filled(&memory(), 30);
    let middle = || ReplayPoint::Checkpoint("middle".to_owned());
    let at = CheckpointOptions { lsn: Some(lsn(11)), ..CheckpointOptions::default() };
    for (direction, range, want) in [
        (Direction::Forward, (Bound::Included(middle()), Bound::Unbounded), (11, 30)),
        (Direction::Backward, (Bound::Unbounded, Bound::Included(middle())), (1, 10)),
    ] {
        let options = ReplayOptions { direction, ..by(8) }.between(range);
        let failed = log.replay(&options, |_| Ok::<(), ()>(())).unwrap_err();
        // The checkpoint comes late, and so does the next attempt.
        log.checkpoint("middle", at).unwrap();
        let (mut lsns, _) = seen(&log, &options.resume(failed.report()));
        lsns.sort_unstable();
        assert_eq!((lsns[0], lsns[lsns.len() - 1]), want);
        assert_eq!(failed.to_string(), "the replay could not begin");
        log.delete_checkpoint("middle").unwrap();
    }
}

#[test]
fn a_replay_that_was_refused_goes_on_where_it_stopped() {
    let log = filled(&memory(), 100);
    for direction in [Direction::Forward, Direction::Backward] {
        let mut options = ReplayOptions { direction, ..by(8) }.between(lsn(11)..=lsn(90));
        let (mut lsns, mut calls) = (Vec::new(), 0);
        let report = loop {
            let replayed = log.replay(&options, |batch| {
                calls += 1;
                if calls % 3 == 0 {
                    return Err(calls);
                }
                lsns.extend(batch.iter().map(|entry| entry.lsn.get()));
                Ok(())
            });
            match replayed {
                Ok(report) => break report,
                Err(ReplayError::Rejected { error, first, report, .. }) => {
                    assert_eq!(error, calls);
                    let next = if direction == Direction::Forward { first } else { first.next() };
                    assert_eq!(report.next, next);
                    options = options.resume(&report);
                }
                Err(error) => panic!("{error}"),
            }
        };
        let mut want: Vec<u64> = (11..=90).collect();
        if direction == Direction::Backward {
            want.reverse();
        }
        assert_eq!(lsns, want);
        assert_eq!(report.left, 0);
    }
}

#[test]
fn draining_removes_what_was_accepted_and_nothing_else() {
    on_all(|storage| {
        let log = filled(&storage, 900);
        let before = log.segments().unwrap().len();
        let reports = RefCell::new(Vec::new());
        let progress = |report: &ReplayReport| reports.borrow_mut().push(*report);
        let options = ReplayOptions { progress: Some(&progress), ..draining(50) };
        let refused = log.replay(&options, |batch| {
            // Nothing of this batch is gone, whatever went before.
            assert!(log.first_lsn().unwrap() <= batch[0].lsn);
            if batch[0].lsn.get() > 600 { Err("enough") } else { Ok(()) }
        });
        let Err(ReplayError::Rejected { error: "enough", first, report, .. }) = refused else { panic!() };
        assert_eq!((first, report.next, report.drained), (lsn(601), lsn(601), 600));
        assert!(log.segments().unwrap().len() < before);
        check(&log, 601, 901);
        let reports = reports.into_inner();
        assert_eq!(reports.len(), 12);
        assert!(reports.windows(2).all(|pair| pair[0].drained <= pair[1].drained));
        // Not after each batch: only when a segment gets free.
        let drains = reports.windows(2).filter(|pair| pair[0].drained < pair[1].drained).count();
        assert!((1..before).contains(&drains), "{drains}");
        drop(log);
        let log = open(&storage, &small()).unwrap();
        check(&log, 601, 901);
        let (lsns, report) = seen(&log, &draining(50));
        assert_eq!((lsns.len(), report.drained, log.first_lsn()), (300, 300, None));
        assert_eq!(log.append(b"next").unwrap(), lsn(901));
    });
}

#[test]
fn what_contradicts_draining_is_refused_before_anything_is_replayed() {
    let storage = memory();
    let log = filled(&storage, 20);
    let refused = |log: &Log, options: &ReplayOptions<'_>| {
        let replayed = log.replay(options, |_| -> Result<(), ()> { panic!("nothing is replayed") });
        match replayed {
            Err(ReplayError::Log { error, report }) => {
                assert_eq!(report.entries, 0);
                error
            }
            other => panic!("{other:?}"),
        }
    };
    let backward = ReplayOptions { direction: Direction::Backward, ..draining(3) };
    assert!(matches!(refused(&log, &backward), LogError::InvalidArgument { .. }));
    assert!(matches!(refused(&log, &draining(3).between(lsn(5)..)), LogError::InvalidArgument { .. }));
    assert!(matches!(refused(&log, &draining(0)), LogError::InvalidArgument { .. }));
    let reader = Log::open_read_only(environment(Arc::clone(&storage)), small()).unwrap();
    assert!(matches!(refused(&reader, &draining(3)), LogError::ReadOnly));
    assert_eq!(seen(&reader, &by(3)).0.len(), 20);
    log.close().unwrap();
    assert!(matches!(refused(&log, &draining(3)), LogError::Closed));
    assert_eq!(seen(&log, &by(3)).0.len(), 20, "reading goes on");
}

#[test]
fn the_callback_may_use_the_log() {
    let log = filled(&memory(), 200);
    let options = draining(25);
    let report = log.replay(&options, |batch| {
        // What is appended now is not part of the replay, or it would never end.
        batch.iter().try_for_each(|entry| log.append(&entry.payload).map(drop))?;
        log.sync()?;
        log.get(batch[0].lsn).map(drop)
    });
    assert_eq!(report.unwrap().drained, 200);
    assert_eq!((log.first_lsn(), log.next_lsn()), (Some(lsn(201)), lsn(401)));
}

#[test]
fn others_append_while_a_log_is_drained() {
    let log = filled(&memory(), 300);
    let done = Cell::new(0);
    thread::scope(|scope| {
        let writer = log.clone();
        let appending = scope.spawn(move || fill(&writer, 301..=600));
        while done.get() < 600 {
            let replayed = log.replay(&draining(40), |batch| {
                for entry in batch {
                    done.set(done.get() + 1);
                    assert_eq!(entry.lsn.get(), done.get(), "each once, in order");
                    assert_eq!(entry.payload, payload(done.get()));
                }
                Ok::<(), ()>(())
            });
            replayed.unwrap();
        }
        appending.join().unwrap();
    });
    assert_eq!((log.first_lsn(), log.next_lsn()), (None, lsn(601)));
}

#[test]
fn entries_that_took_the_place_of_accepted_ones_are_not_drained() {
    let log = filled(&memory(), 40);
    let replayed = log.replay(&draining(10), |batch| {
        if batch[0].lsn == lsn(31) {
            // The callback has seen 21 to 30; others have these numbers now.
            log.truncate_from(lsn(21)).unwrap();
            for _ in 0..15 {
                log.append(b"another").unwrap();
            }
        }
        Ok::<(), ()>(())
    });
    let Err(ReplayError::Log { error: LogError::CutOff { .. }, report }) = replayed else {
        panic!("{replayed:?}")
    };
    assert_eq!(report.drained, 0);
    let others: Vec<u64> = log.range(lsn(21)..).map(|entry| entry.unwrap().lsn.get()).collect();
    assert_eq!(others, (21..=35).collect::<Vec<_>>());
}

#[test]
fn a_trim_beneath_a_replay_ends_it_or_does_not_touch_it() {
    let log = filled(&memory(), 900);
    let mut lsns = Vec::new();
    let replayed = log.replay(&by(10), |batch| {
        lsns.extend(batch.iter().map(|entry| entry.lsn.get()));
        if batch[0].lsn == lsn(11) {
            log.truncate_before(lsn(800)).unwrap();
        }
        Ok::<(), ()>(())
    });
    // Files that are open stay readable; the others are gone, which is said.
    assert!(lsns.iter().copied().eq(1..=lsns.len() as u64), "no gap");
    match replayed {
        Ok(report) => assert_eq!(report.entries, 900),
        Err(ReplayError::Log { error: LogError::Truncated { lsn: at, .. }, report }) => {
            assert_eq!((at, report.next.get()), (report.next, lsns.len() as u64 + 1));
        }
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn a_replay_from_a_place_that_is_gone_is_refused() {
    let log = filled(&memory(), 10);
    let at = CheckpointOptions { lsn: Some(lsn(3)), ..CheckpointOptions::default() };
    let early = log.checkpoint("early", at).unwrap();
    let (_, report) = seen(&log, &by(4).between(..lsn(3)));
    log.truncate_before(lsn(7)).unwrap();
    let backward = ReplayOptions { direction: Direction::Backward, ..by(4) };
    for options in [
        by(4).between(lsn(3)..),
        by(4).between(early..),
        by(4).resume(&report),
        backward.between(lsn(6)..),
        draining(4).between(lsn(6)..),
    ] {
        let replayed = log.replay(&options, |_| -> Result<(), ()> { panic!("there is a gap before it") });
        assert!(
            matches!(replayed, Err(ReplayError::Log { error: LogError::Truncated { first, .. }, .. })
                if first == lsn(7)),
            "{options:?}: {replayed:?}"
        );
    }
    assert_eq!(seen(&log, &by(4)).0, [7, 8, 9, 10], "who names no place begins where the log does");
    assert_eq!(seen(&log, &by(4).between(lsn(7)..)).0, [7, 8, 9, 10]);
    assert_eq!(seen(&log, &by(4).between(lsn(3)..lsn(3))).0, [], "nothing of it is missing");
    let (_, report) = seen(&log, &draining(4).between(..lsn(9)));
    assert_eq!((report.drained, log.first_lsn()), (2, Some(lsn(9))));
}

#[test]
fn damage_ends_a_replay_behind_what_stands_before_it() {
    let storage = memory();
    filled(&storage, 60).close().unwrap();
    let name = storage.list().unwrap().into_iter().find(|name| name.ends_with(".wal")).unwrap();
    let file = storage.open(&name).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    let needle = payload(33);
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[at] ^= 1;
    storage.remove(&name).unwrap();
    storage.create(&name).unwrap().write_at(0, &bytes).unwrap();
    let options = wal_core::Options { recovery: wal_core::RecoveryMode::ReadToDamage, ..small() };
    let log = Log::open_read_only(environment(storage), options).unwrap();
    let mut last = None;
    let replayed = log.replay(&by(50), |batch| {
        last = batch.last().map(|entry| entry.lsn);
        Ok::<(), ()>(())
    });
    let Err(ReplayError::Log { error, report }) = replayed else { panic!("{replayed:?}") };
    assert!(matches!(error, LogError::Lost { .. }), "{error}");
    assert_eq!((last, report.next), (Some(lsn(32)), lsn(33)));
}

#[test]
fn a_drain_that_fails_keeps_what_it_could_not_remove() {
    let hooked = Hooked::new(memory());
    let log = Log::open(environment(Arc::new(hooked.clone())), small()).unwrap();
    fill(&log, 1..=900);
    let replayed = log.replay(&draining(50), |batch| {
        if batch[0].lsn == lsn(301) {
            hooked.fail("sync");
        }
        Ok::<(), ()>(())
    });
    let Err(ReplayError::Log { report, .. }) = replayed else { panic!("{replayed:?}") };
    assert!(report.next > lsn(350) && report.drained < report.entries, "{report:?}");
    assert!(matches!(log.append(b"x"), Err(LogError::Poisoned { .. })));
    let first: Lsn = log.first_lsn().unwrap();
    assert_eq!(first.get(), report.drained + 1);
    assert_eq!(log.get(report.next).unwrap().payload, payload(report.next.get()));
}
