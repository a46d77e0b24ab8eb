//! What retention tells of a trim that had to wait, and what it makes of a clock that others believe.

use super::*;

/// Where space is taken as it is written to, a trim may have to wait for some.
#[test]
fn a_cursor_that_is_passed_by_a_trim_that_had_to_wait_is_named() {
    let disk = SimDisk::with_options(5, DiskOptions { copy_on_write: true, ..DiskOptions::default() });
    let log = open(&disk.storage(), &quiet()).unwrap();
    fill(&log, 12);
    log.create_cursor("slow", Some(lsn(1))).unwrap();
    let policy = Retention { cursor_max_bytes: Some(0), ..segments(1) };
    disk.set_capacity_bytes(Some(0));
    let full = log.retain_with(&policy).unwrap_err();
    assert!(matches!(full, LogError::Full { .. }), "{full:?}");
    assert_eq!(log.first_lsn(), Some(lsn(1)));
    disk.set_capacity_bytes(None);
    let done = log.retain_with(&policy).unwrap();
    assert!(done.entries > 0 && log.first_lsn() > Some(lsn(1)), "{done:?}");
    assert_eq!(done.passed, ["slow"]);
    assert_eq!(log.retain_with(&policy).unwrap().passed.len(), 0, "once");
}

/// What `when_full` says is for those who append.
#[test]
fn a_pass_does_not_fail_for_a_checkpoint_that_finds_the_buffer_full() {
    let interval = Duration::from_secs(3600);
    let sync = SyncPolicy::Background { interval };
    let options = Options { sync, when_full: WhenFull::Fail, buffer_entries: 2, ..quiet() };
    let log = open(&(Arc::new(MemoryStorage::new()) as Arc<dyn Storage>), &options).unwrap();
    fill(&log, 2);
    log.checkpoint("old", CheckpointOptions { lsn: Some(lsn(1)), protect: false }).unwrap();
    log.truncate_before(lsn(3)).unwrap();
    fill(&log, 3);
    assert!(matches!(log.append(b"no room"), Err(LogError::Busy { .. })));
    assert_eq!(log.retain_with(&segments(9)).unwrap().dropped.len(), 0);
    log.sync().unwrap();
    assert_eq!(log.retain_with(&segments(9)).unwrap().dropped, ["old"]);
}

/// A plan changes nothing, whatever it takes for granted.
#[test]
fn a_plan_that_takes_the_clock_at_its_word_convinces_nobody() {
    let (storage, time, log) = on_memory();
    fill(&log, 12);
    drop(log);
    let log = told(&storage, &time);
    wait(&log, &time, 4);
    let right = time.wall_ns();
    time.set_wall(right + 36_500 * DAY.as_nanos() as u64);
    let word = Retention { clock_trial: Duration::ZERO, ..week() };
    assert!(!log.retention_plan(&word).unwrap().remove.is_empty());
    time.set_wall(right);
    wait(&log, &time, 1);
    assert_eq!(log.first_lsn(), Some(lsn(1)));
}
