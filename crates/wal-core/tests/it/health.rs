//! Examination, salvage and repair find nothing wrong with logs of which nothing is wrong, whatever was done to them.

use std::{ops::ControlFlow, sync::Arc};

use wal_core::{Log, Options, RecoveryMode, RepairOptions, examine, repair, salvage};
use wal_format::{FileName, Lsn, SegmentId, SegmentIndex};
use wal_segment::{MemoryStorage, Storage};

use crate::support::{environment, open, small};

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

/// What is there by now is whole for everybody, and all see the same.
#[track_caller]
fn check(storage: &Arc<MemoryStorage>, context: &str) {
    let shared: Arc<dyn Storage> = Arc::<MemoryStorage>::clone(storage);
    let options = Options { recovery: RecoveryMode::ReadToDamage, ..small() };
    let log = Log::open_read_only(environment(Arc::clone(&shared)), options).unwrap();
    assert!(log.recovery_report().lost.is_empty(), "{context}");
    let want: Vec<_> = log.range(..).map(|entry| entry.unwrap()).collect();
    let mut salvaged = Vec::new();
    let report = salvage(Arc::clone(&shared), Default::default(), &small(), |entries| {
        salvaged.extend_from_slice(entries);
        ControlFlow::Continue(())
    });
    let report = report.unwrap();
    assert!(report.damage.is_empty(), "{context}: {report:?}");
    assert!(salvaged == want, "{context}: {} of {}", salvaged.len(), want.len());
    let found = examine(Arc::clone(&shared), Default::default(), &small()).unwrap();
    assert!(found.damage.is_empty(), "{context}: {found:?}");
    assert_eq!(found.entries, want.len() as u64, "{context}");
    let cut = RepairOptions { cut_at_damage: true, quarantine: None };
    let plan = repair(environment(shared), &small(), &cut).unwrap();
    assert!(plan.cut.is_none() && plan.damage.is_empty(), "{context}: {plan:?}");
}

fn fill(log: &Log, count: usize) {
    for n in 0..count {
        log.append(&vec![b'x'; 100 + n * 7 % 900]).unwrap();
    }
}

#[test]
fn a_log_stays_whole_through_all_that_is_done_to_it() {
    let storage = Arc::new(MemoryStorage::new());
    let shared: Arc<dyn Storage> = Arc::<MemoryStorage>::clone(&storage);
    let mut log = open(&shared, &small()).unwrap();
    for round in 0..3 {
        fill(&log, 400);
        log.sync().unwrap();
        check(&storage, &format!("{round}: filled"));
        let end = log.next_lsn().get();
        log.truncate_after(lsn(end - 150)).unwrap();
        check(&storage, &format!("{round}: cut"));
        fill(&log, 100);
        log.sync().unwrap();
        log.truncate_before(lsn(end - 170)).unwrap();
        check(&storage, &format!("{round}: trimmed"));
        if round == 1 {
            log.clear().unwrap();
            check(&storage, "cleared");
            fill(&log, 3);
            log.sync().unwrap();
        }
        log.close().unwrap();
        drop(log);
        check(&storage, &format!("{round}: closed"));
        log = open(&shared, &small()).unwrap();
        check(&storage, &format!("{round}: opened"));
    }
}

#[test]
fn an_index_that_leads_astray_is_found_and_written_anew() {
    let storage = Arc::new(MemoryStorage::new());
    let shared: Arc<dyn Storage> = Arc::<MemoryStorage>::clone(&storage);
    let log = open(&shared, &small()).unwrap();
    fill(&log, 400);
    log.close().unwrap();
    let name = FileName::Index(SegmentId(1)).with_prefix("");
    let read = || {
        let file = storage.open(&name).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(0, &mut bytes).unwrap();
        SegmentIndex::decode(&bytes).unwrap()
    };
    let mut index = read();
    index.points[5].lsn_delta += 1;
    index.points[9].units += 1;
    storage.remove(&name).unwrap();
    storage.create(&name).unwrap().write_at(0, &index.encode()).unwrap();
    let found = examine(Arc::clone(&shared), Default::default(), &small()).unwrap();
    assert_eq!(found.damage.len(), 2, "{found:?}");
    let how = RepairOptions { cut_at_damage: false, quarantine: Some(Arc::new(MemoryStorage::new())) };
    let done = repair(environment(Arc::clone(&shared)), &small(), &how).unwrap();
    assert_eq!(done.indexes.len(), 1, "{done:?}");
    assert!(read().points != index.points);
    check(&storage, "repaired");
}
