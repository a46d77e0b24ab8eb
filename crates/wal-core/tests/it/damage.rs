//! What each recovery mode, salvage and examination make of damaged logs: every cut and every flipped bit, strided.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use wal_core::{
    Log, LogError, Options, RecoveryMode, RepairOptions, SalvageReport, examine, repair, salvage,
};
use wal_format::Lsn;
use wal_segment::{MemoryStorage, Storage};

use crate::{
    hooked::Hooked,
    support::{environment, open, payload, small},
};

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

const ENTRIES: u64 = 1000;

pub(crate) fn storage(files: &Files) -> Arc<MemoryStorage> {
    let storage = Arc::new(MemoryStorage::new());
    for (name, bytes) in files {
        storage.create(name).unwrap().write_at(0, bytes).unwrap();
    }
    storage
}

pub(crate) fn files(storage: &dyn Storage) -> Files {
    let read = |name: String| {
        let file = storage.open(&name).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        (name, bytes)
    };
    storage.list().unwrap().into_iter().map(read).collect()
}

/// A log of several segments, closed; without index files, which change nothing.
fn specimen(close: bool) -> Files {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&memory, &Options { background_threads: false, ..small() }).unwrap();
    for n in 1..=ENTRIES {
        log.append(&payload(n)).unwrap();
    }
    if close {
        log.close().unwrap();
    }
    let mut files = files(&*memory);
    files.retain(|name, _| name.ends_with(".wal"));
    for bytes in files.values_mut() {
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 64;
        bytes.truncate(end.next_multiple_of(8).max(4096));
    }
    assert!(files.len() > 3, "{:?}", files.keys());
    files
}

fn mode(recovery: RecoveryMode) -> Options {
    Options { recovery, background_threads: false, ..small() }
}

fn reader(files: &Files, recovery: RecoveryMode) -> Result<Log, LogError> {
    Log::open_read_only(environment(storage(files)), mode(recovery))
}

/// The LSNs that can be read one by one; each entry is the one that was written.
fn readable(log: &Log, context: &str) -> Vec<u64> {
    let mut found = Vec::new();
    for n in 1..=ENTRIES {
        match log.get(Lsn::new(n).unwrap()) {
            Ok(entry) => {
                assert_eq!(entry.payload, payload(n), "{context}");
                found.push(n);
            }
            Err(LogError::OutOfRange { .. }) => {}
            Err(error) => assert!(error.is_damage(), "{context}: {n}: {error:?}"),
        }
    }
    found
}

/// Iterating yields a prefix, and then the end or an error of damage.
fn check_iterator(log: &Log, context: &str) -> (u64, bool) {
    let mut next = 1;
    for item in log.range(..) {
        match item {
            Ok(entry) => {
                assert_eq!(entry.lsn.get(), next, "{context}");
                assert_eq!(entry.payload, payload(next), "{context}");
                next += 1;
            }
            Err(error) => {
                assert!(error.is_damage(), "{context}: {error:?}");
                return (next, true);
            }
        }
    }
    (next, false)
}

fn salvaged(files: &Files) -> Result<(Vec<u64>, SalvageReport), LogError> {
    let mut found = Vec::new();
    let report = salvage(storage(files), Default::default(), &small(), |entries| {
        for entry in entries {
            assert_eq!(entry.payload, payload(entry.lsn.get()));
            found.push(entry.lsn.get());
        }
        ControlFlow::Continue(())
    })?;
    assert!(found.is_sorted_by(|a, b| a < b));
    Ok((found, report))
}

/// The entries that were salvaged and those that the report calls lost are all there were, and none is both. A torn end
/// was never acknowledged: `torn` says from where on entries may be missing without a word.
#[track_caller]
fn check_salvage(files: &Files, torn: u64, context: &str) {
    let (found, report) = match salvaged(files) {
        Ok(salvaged) => salvaged,
        Err(error) => {
            assert!(error.is_damage(), "{context}: {error:?}");
            return;
        }
    };
    let lost = |n: u64| {
        let lsn = Lsn::new(n).unwrap();
        report.damage.iter().filter_map(|it| it.lsns.as_ref()).any(|lsns| lsns.contains(&lsn))
    };
    for n in 1..=ENTRIES {
        let is_found = found.binary_search(&n).is_ok();
        assert!(
            is_found != lost(n) || (n >= torn && !is_found),
            "{context}: {n}: {is_found} {:?}",
            report.damage
        );
    }
}

fn check_all(files: &Files, proven: u64, context: &str) {
    for recovery in [RecoveryMode::Refuse, RecoveryMode::CutTornTail, RecoveryMode::ReadToDamage] {
        let context = format!("{context}, {recovery:?}");
        match reader(files, recovery) {
            Ok(log) => {
                let (next, failed) = check_iterator(&log, &context);
                assert!(failed || next >= proven, "{context}: ends silently at {next}");
                if recovery == RecoveryMode::Refuse {
                    assert!(log.recovery_report().cut.is_none(), "{context}");
                }
                let readable = readable(&log, &context);
                assert!(readable.len() as u64 + 1 >= next, "{context}");
            }
            Err(LogError::TornTail { .. }) => assert_eq!(recovery, RecoveryMode::Refuse, "{context}"),
            Err(error) => assert!(error.is_damage() || is_foreign(&error), "{context}: {error:?}"),
        }
    }
    check_salvage(files, proven, context);
}

pub(crate) fn is_foreign(error: &LogError) -> bool {
    let LogError::Segment { source, .. } = error else { return false };
    matches!(
        source,
        wal_segment::SegmentError::Foreign { .. } | wal_segment::SegmentError::Unsupported { .. }
    )
}

#[test]
fn a_whole_log_is_whole_for_everybody() {
    let files = specimen(true);
    for recovery in [RecoveryMode::Refuse, RecoveryMode::CutTornTail, RecoveryMode::ReadToDamage] {
        let log = reader(&files, recovery).unwrap();
        assert_eq!(check_iterator(&log, ""), (ENTRIES + 1, false));
        assert!(log.recovery_report().lost.is_empty());
    }
    let (found, report) = salvaged(&files).unwrap();
    assert_eq!((found.len() as u64, report.entries), (ENTRIES, ENTRIES));
    assert!(report.damage.is_empty(), "{report:?}");
    let found = examine(storage(&files), Default::default(), &small()).unwrap();
    assert!(found.damage.is_empty() && found.notes.is_empty(), "{found:?}");
    assert_eq!(found.entries, ENTRIES);
}

#[test]
fn every_flipped_bit_is_survived_in_every_mode() {
    let files = specimen(true);
    for (name, bytes) in &files {
        let step = if bytes.len() > 20_000 { 3001 } else { 641 };
        for at in (0..600).step_by(17).chain((600..bytes.len()).step_by(step)) {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
            check_all(&damaged, ENTRIES + 1, &format!("byte {at} of {name}"));
        }
    }
}

#[test]
fn every_cut_is_survived_in_every_mode() {
    let files = specimen(true);
    let newest = files.keys().next_back().unwrap().clone();
    for (name, bytes) in &files {
        for at in (0..600).step_by(31).chain((600..bytes.len()).step_by(7001)) {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap().truncate(at);
            // Nothing beyond a cut of the newest segment proves that there was more.
            let proven = if *name == newest { 1 } else { ENTRIES + 1 };
            check_all(&damaged, proven, &format!("{name} cut at {at}"));
        }
    }
}

#[test]
fn a_missing_segment_costs_its_entries_and_no_others() {
    let files = specimen(true);
    let names: Vec<String> = files.keys().cloned().collect();
    for (at, name) in names.iter().enumerate() {
        let mut damaged = files.clone();
        damaged.remove(name);
        let Err(refused) = reader(&damaged, RecoveryMode::CutTornTail) else {
            panic!("{name} is not missed");
        };
        assert!(matches!(refused, LogError::MissingSegment { .. }), "{refused:?}");
        let log = reader(&damaged, RecoveryMode::ReadToDamage).unwrap();
        let report = log.recovery_report().clone();
        let [lost] = &report.lost[..] else { panic!("{report:?}") };
        assert!(lost.path.ends_with(name), "{lost:?}");
        let lsns = lost.lsns.clone().unwrap();
        let gone = lsns.start().get()..=lsns.end().get();
        let want: Vec<u64> = (1..=ENTRIES).filter(|n| !gone.contains(n)).collect();
        assert_eq!(readable(&log, name), want);
        assert_eq!(check_iterator(&log, name), (*gone.start(), true));
        let first = log.get(*lsns.start());
        assert!(matches!(&first, Err(LogError::Lost { first, .. }) if first == lsns.start()), "{first:?}");
        assert_eq!(lsns.end() == &Lsn::MAX, at + 1 == names.len());
        assert_eq!(salvaged(&damaged).unwrap().0, want);
        check_all(&damaged, ENTRIES + 1, name);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_not_absent() {
    let files = specimen(true);
    for name in files.keys() {
        let broken = || {
            let hooked = Hooked::new(storage(&files));
            hooked.refuse(name);
            Arc::new(hooked)
        };
        let is_io = |error: &LogError| {
            assert!(!error.is_damage(), "{error:?}");
            assert!(matches!(error, LogError::Segment { .. }), "{error:?}");
        };
        for recovery in [RecoveryMode::Refuse, RecoveryMode::CutTornTail, RecoveryMode::ReadToDamage] {
            is_io(&Log::open_read_only(environment(broken()), mode(recovery)).unwrap_err());
        }
        is_io(&Log::open(environment(broken()), mode(RecoveryMode::CutTornTail)).unwrap_err());
        let all = |_: &[wal_core::Entry]| ControlFlow::Continue(());
        is_io(&salvage(broken(), Default::default(), &small(), all).unwrap_err());
        is_io(&examine(broken(), Default::default(), &small()).unwrap_err());
    }
}

#[test]
fn a_torn_end_is_refused_by_the_strict_mode_and_cut_by_the_usual_one() {
    let mut torn = specimen(false);
    let newest = torn.values_mut().next_back().unwrap();
    let end = newest.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    newest[end.next_multiple_of(8)..][..16].fill(0xa5);
    let writer = |recovery| Log::open(environment(storage(&torn)), mode(recovery));
    let refused = writer(RecoveryMode::Refuse).unwrap_err();
    let LogError::TornTail { next, offset, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(next.get(), ENTRIES + 1);
    assert_eq!(*offset, end.next_multiple_of(8) as u64);
    assert!(matches!(reader(&torn, RecoveryMode::Refuse), Err(LogError::TornTail { .. })));
    let log = writer(RecoveryMode::CutTornTail).unwrap();
    assert!(log.recovery_report().cut.is_some());
    assert_eq!(log.append(b"more").unwrap().get(), ENTRIES + 1);
    let (found, report) = salvaged(&torn).unwrap();
    assert!(found.len() as u64 == ENTRIES && report.damage.is_empty(), "{report:?}");
}

#[test]
fn what_is_left_is_not_written_to() {
    let error = Log::open(environment(storage(&specimen(true))), mode(RecoveryMode::ReadToDamage));
    assert!(matches!(error, Err(LogError::InvalidOption { option: "recovery", .. })), "{error:?}");
}

#[test]
fn entries_behind_a_damaged_header_are_found_without_an_index_file() {
    let files = specimen(true);
    let name = files.keys().nth(1).unwrap();
    let mut damaged = files.clone();
    let bytes = damaged.get_mut(name).unwrap();
    bytes[20_000..20_400].fill(0x5a);
    let log = reader(&damaged, RecoveryMode::CutTornTail).unwrap();
    let found = readable(&log, name);
    assert_eq!(salvaged(&damaged).unwrap().0, found);
    assert!(found.len() as u64 >= ENTRIES - 10 && (found.len() as u64) < ENTRIES, "{}", found.len());
    assert!(found.contains(&ENTRIES));
    let told = examine(storage(&damaged), Default::default(), &small()).unwrap();
    let [finding] = &told.damage[..] else { panic!("{told:?}") };
    let lsns = finding.lsns.clone().unwrap();
    assert_eq!(lsns.end().get() - lsns.start().get() + 1, ENTRIES - found.len() as u64);
}

/// Repair without leave changes nothing; with it, what it removes is in quarantine, and the log opens with the entries
/// that the plan did not give up.
fn check_repair(files: &Files, context: &str) -> Option<u64> {
    let damaged = storage(files);
    let env = |storage: &Arc<MemoryStorage>| environment(Arc::<MemoryStorage>::clone(storage));
    let options = mode(RecoveryMode::CutTornTail);
    let cut = RepairOptions { cut_at_damage: true, quarantine: None };
    let plan = match repair(env(&damaged), &options, &cut) {
        Ok(plan) => plan,
        Err(LogError::InvalidArgument { .. }) => return None,
        Err(error) => {
            assert!(error.is_damage() || is_foreign(&error), "{context}: {error:?}");
            return None;
        }
    };
    assert!(&self::files(&*damaged) == files, "{context}: the plan changed something");
    let quarantine = Arc::new(MemoryStorage::new());
    let apply = RepairOptions { quarantine: Some(Arc::<MemoryStorage>::clone(&quarantine)), ..cut };
    assert_eq!(repair(env(&damaged), &options, &apply).unwrap(), plan, "{context}");
    let (after, kept) = (self::files(&*damaged), self::files(&*quarantine));
    for (name, bytes) in files {
        assert!(after.get(name) == Some(bytes) || kept.get(name) == Some(bytes), "{context}: {name} is gone");
    }
    let log = Log::open(env(&damaged), options).unwrap_or_else(|error| panic!("{context}: {error:?}"));
    let (next, failed) = check_iterator(&log, context);
    assert!(!failed && log.next_lsn().get() == next, "{context}: {next}");
    if let Some(cut) = &plan.cut {
        let first = cut.lsns.as_ref().map_or(ENTRIES + 1, |lsns| lsns.start().get());
        assert_eq!(first.min(ENTRIES + 1), next, "{context}: {plan:?}");
    }
    assert_eq!(log.append(&payload(next)).unwrap().get(), next, "{context}");
    Some(next)
}

#[test]
fn a_repaired_log_opens_with_what_was_not_given_up() {
    let files = specimen(true);
    assert_eq!(check_repair(&files, "whole"), Some(ENTRIES + 1));
    let mut repaired = 0;
    for (at, (name, bytes)) in files.iter().enumerate() {
        for place in (0..600).step_by(61).chain((600..bytes.len()).step_by(4999)) {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap()[place] ^= 1 << (place % 8);
            repaired += u64::from(check_repair(&damaged, &format!("byte {place} of {name}")).is_some());
        }
        let mut damaged = files.clone();
        damaged.remove(name);
        let next = check_repair(&damaged, &format!("without {name}"));
        assert_eq!(next.is_some(), at > 0, "{name}");
    }
    assert!(repaired > 50, "{repaired}");
}

/// A writer died between sealing a segment and beginning the next one, when the one after that was ready, too.
#[test]
fn a_repair_leaves_what_the_newest_segment_names() {
    let mut files = specimen(false);
    for (_, bytes) in files.iter_mut().skip(1) {
        bytes.truncate(512);
    }
    let next = reader(&files, RecoveryMode::Refuse).unwrap().next_lsn();
    assert!(next.get() > 100, "{next}");
    let damaged = storage(&files);
    let apply = RepairOptions { quarantine: Some(storage(&Files::new())), ..RepairOptions::default() };
    let report = repair(environment(Arc::<MemoryStorage>::clone(&damaged)), &small(), &apply).unwrap();
    assert!(report.damage.is_empty(), "{report:?}");
    let log = Log::open(environment(damaged), small()).unwrap();
    assert_eq!(log.next_lsn(), next);
}

#[test]
fn a_file_that_does_not_say_where_its_data_is_is_no_damage() {
    let before = specimen(false);
    let memory: Arc<dyn Storage> = storage(&before);
    let hooked = Hooked::new(Arc::clone(&memory));
    hooked.fail("next_data");
    let environment = environment(Arc::new(hooked));
    for recovery in [RecoveryMode::Refuse, RecoveryMode::CutTornTail] {
        let error = Log::open(environment.clone(), mode(recovery)).unwrap_err();
        assert!(matches!(error, LogError::Segment { .. }) && !error.is_damage(), "{error:?}");
    }
    for recovery in [RecoveryMode::CutTornTail, RecoveryMode::ReadToDamage] {
        let error = Log::open_read_only(environment.clone(), mode(recovery)).unwrap_err();
        assert!(matches!(error, LogError::Segment { .. }) && !error.is_damage(), "{error:?}");
    }
    assert_eq!(files(&*memory), before);
    assert_eq!(open(&memory, &mode(RecoveryMode::CutTornTail)).unwrap().next_lsn().get(), ENTRIES + 1);
}
