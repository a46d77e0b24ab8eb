//! Values, checkpoints, cursors: through rotation, reopening, truncation and recovery.

use std::{sync::Arc, thread, time::Duration};

use wal_core::{
    AppendOptions, CheckpointOptions, Durability, Log, LogError, Options, SyncPolicy, user_value,
};
use wal_format::{EntriesBuilder, Lsn, NewEntry};
use wal_segment::{MemoryStorage, Storage};
use wal_sim::{Faults, Shots, SimDisk};

use crate::{
    hooked::Hooked,
    support::{environment, on_all, open, payload, small},
};

fn fill(log: &Log, count: u64) {
    for n in 0..count {
        log.append(&payload(n)).unwrap();
    }
}

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

fn names(log: &Log) -> Vec<(String, u64, u64, bool)> {
    let of = |known: wal_core::Checkpoint| (known.name, known.lsn.get(), known.number, known.protected);
    log.checkpoints().unwrap().into_iter().map(of).collect()
}

fn batch(payload: &[u8], name: &str, value: &[u8]) -> EntriesBuilder {
    let mut batch = EntriesBuilder::default();
    batch.push(&NewEntry::plain(payload)).unwrap();
    batch.add_metadata(&user_value(name, Some(value)).unwrap());
    batch
}

#[test]
fn values_survive_rotation_reopening_and_truncation() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        log.set_meta("vote", Some(b"1"), None).unwrap();
        fill(&log, 600);
        assert!(log.segments().unwrap().len() > 1, "several segments");
        log.set_meta("vote", Some(b"2"), None).unwrap();
        log.set_meta("gone", Some(b"x"), None).unwrap();
        log.set_meta("gone", None, None).unwrap();
        log.set_meta("never there", None, None).unwrap();
        log.append_batch(&batch(b"entry", "applied", b"601"), &AppendOptions::default()).unwrap();
        let check = |log: &Log| {
            assert_eq!(log.meta("vote").unwrap().as_deref(), Some(b"2".as_slice()));
            assert_eq!(log.meta("applied").unwrap().as_deref(), Some(b"601".as_slice()));
            assert_eq!(log.meta_names().unwrap(), ["applied", "vote"]);
        };
        check(&log);
        drop(log);
        let log = open(&storage, &small()).unwrap();
        check(&log);
        // Cuts through the batch's frame and those before: values are not rolled back.
        log.truncate_from(lsn(601)).unwrap();
        check(&log);
        log.truncate_from(lsn(30)).unwrap();
        log.truncate_before(lsn(20)).unwrap();
        check(&log);
        log.clear().unwrap();
        log.reset(lsn(5000)).unwrap();
        drop(log);
        let log = open(&storage, &small()).unwrap();
        check(&log);
        assert_eq!(log.append(b"next").unwrap(), lsn(5000));
    });
}

#[test]
fn a_cut_through_a_batch_does_not_bring_back_an_older_value() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        let mut two = batch(b"one", "vote", b"old");
        two.push(&NewEntry::plain(b"two")).unwrap();
        log.append_batch(&two, &AppendOptions::default()).unwrap();
        log.set_meta("vote", Some(b"new"), None).unwrap();
        log.truncate_after(lsn(1)).unwrap();
        drop(log);
        let log = open(&storage, &small()).unwrap();
        assert_eq!(log.meta("vote").unwrap().as_deref(), Some(b"new".as_slice()));
        assert_eq!((log.get(lsn(1)).unwrap().payload.as_ref(), log.next_lsn()), (b"one".as_slice(), lsn(2)));
    });
}

#[test]
fn metadata_is_bounded_and_can_always_shrink() {
    on_all(|storage| {
        let log = open(&storage, &Options { metadata_len_max: 1000, ..small() }).unwrap();
        log.set_meta("a", Some(&[1; 900]), None).unwrap();
        let full = log.set_meta("b", Some(&[2; 200]), None).unwrap_err();
        assert!(matches!(full, LogError::MetadataFull { len: 1118, max: 1000 }), "{full:?}");
        let mut too_much = batch(b"entry", "c", &[3; 200]);
        let refused = log.append_batch(&too_much, &AppendOptions::default()).unwrap_err();
        assert!(matches!(refused, LogError::MetadataFull { .. }), "{refused:?}");
        assert_eq!((log.next_lsn(), log.meta_names().unwrap().len()), (Lsn::FIRST, 1));
        too_much.add_metadata(&user_value("a", None).unwrap());
        log.append_batch(&too_much, &AppendOptions::default()).unwrap();
        assert_eq!(log.meta_names().unwrap(), ["c"]);
        drop(log);
        let log = open(&storage, &Options { metadata_len_max: 100, ..small() }).unwrap();
        log.set_meta("c", Some(&[3; 150]), None).unwrap();
        log.set_meta("c", Some(&[3; 151]), None).unwrap_err();
        for name in ["", &"n".repeat(256)] {
            let refused = log.set_meta(name, Some(b"v"), None).unwrap_err();
            assert!(matches!(refused, LogError::InvalidArgument { .. }), "{refused:?}");
        }
    });
}

#[test]
fn values_larger_than_the_rest_of_a_segment_go_to_the_next() {
    on_all(|storage| {
        let options = Options { metadata_len_max: 1 << 20, ..small() };
        let log = open(&storage, &options).unwrap();
        let large = vec![7; 1 << 19];
        log.set_meta("large", Some(&large), None).unwrap();
        fill(&log, 300);
        log.set_meta("small", Some(b"1"), None).unwrap();
        drop(log);
        let log = open(&storage, &options).unwrap();
        assert_eq!(log.meta("large").unwrap(), Some(large.clone()));
        assert_eq!(log.last_lsn(), Some(lsn(300)));
    });
}

#[test]
fn checkpoints_are_numbered_move_and_are_dropped_beyond_a_cut() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        fill(&log, 10);
        let first = log.checkpoint("a", CheckpointOptions::default()).unwrap();
        assert_eq!((first.lsn, first.number), (lsn(11), 1));
        let protect = CheckpointOptions { lsn: Some(lsn(4)), protect: true };
        log.checkpoint("b", protect).unwrap();
        fill(&log, 10);
        log.checkpoint("c", CheckpointOptions::default()).unwrap();
        log.checkpoint("a", CheckpointOptions::default()).unwrap();
        let all = [("b", 4, 2, true), ("c", 21, 3, false), ("a", 21, 4, false)];
        let all = all.map(|(name, lsn, number, protected)| (name.to_owned(), lsn, number, protected));
        assert_eq!(names(&log), all);
        drop(log);
        let log = open(&storage, &small()).unwrap();
        assert_eq!(names(&log), all);
        assert_eq!(log.find_checkpoint("c").unwrap().number, 3);
        let beyond = CheckpointOptions { lsn: Some(lsn(22)), protect: false };
        assert!(matches!(log.checkpoint("d", beyond), Err(LogError::OutOfRange { .. })));
        log.create_cursor("far", Some(lsn(18))).unwrap();
        log.create_cursor("near", Some(lsn(12))).unwrap();
        let cut = log.truncate_after(lsn(12)).unwrap();
        assert_eq!((cut.entries, cut.cursors.as_slice()), (8, ["far".to_owned()].as_slice()));
        assert_eq!(cut.checkpoints, ["a", "c"]);
        let check = |log: &Log| {
            assert_eq!(names(log), all[..1]);
            assert_eq!((log.cursor("far").unwrap(), log.cursor("near").unwrap()), (lsn(13), lsn(12)));
        };
        check(&log);
        drop(log);
        let log = open(&storage, &small()).unwrap();
        check(&log);
        log.delete_checkpoint("b").unwrap();
        assert!(matches!(log.delete_checkpoint("b"), Err(LogError::NoSuchName { .. })));
        log.truncate_before(lsn(6)).unwrap();
        let before = CheckpointOptions { lsn: Some(lsn(5)), protect: false };
        assert!(matches!(log.checkpoint("d", before), Err(LogError::Truncated { .. })));
    });
}

#[test]
fn a_cursor_moves_forward_by_acknowledgement_and_anywhere_by_decree() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        fill(&log, 10);
        assert_eq!(log.create_cursor("c", None).unwrap(), lsn(1));
        log.acknowledge("c", lsn(4), None).unwrap();
        log.acknowledge("c", lsn(2), None).unwrap();
        assert_eq!(log.cursor("c").unwrap(), lsn(5));
        assert_eq!(log.create_cursor("c", Some(lsn(9))).unwrap(), lsn(5), "it was there");
        assert!(matches!(log.acknowledge("c", lsn(11), None), Err(LogError::OutOfRange { .. })));
        log.acknowledge("c", lsn(10), None).unwrap();
        drop(log);
        let log = open(&storage, &small()).unwrap();
        assert_eq!(log.cursor("c").unwrap(), lsn(11));
        log.move_cursor("c", lsn(3), None).unwrap();
        let cursors = log.cursors().unwrap();
        assert_eq!((cursors[0].next, cursors[0].lag), (lsn(3), 8));
        log.delete_cursor("c").unwrap();
        assert!(matches!(log.acknowledge("c", lsn(4), None), Err(LogError::NoSuchName { .. })));
        assert!(matches!(log.cursor("c"), Err(LogError::NoSuchName { .. })));
    });
}

#[test]
fn a_reset_goes_forward_and_back() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        fill(&log, 10);
        let mut held = log.range(..);
        held.next().unwrap().unwrap();
        assert_eq!(log.reset(lsn(100)).unwrap().entries, 10);
        assert_eq!(held.map(Result::unwrap).count(), 9, "readers keep what they hold");
        assert_eq!((log.first_lsn(), log.append(b"x").unwrap()), (None, lsn(100)));
        let mut held = log.range(..);
        log.reset(lsn(3)).unwrap();
        assert!(matches!(held.next(), Some(Err(LogError::CutOff { .. }))));
        assert_eq!(log.append(b"three").unwrap(), lsn(3));
        drop(log);
        let log = open(&storage, &small()).unwrap();
        assert_eq!((log.first_lsn(), log.next_lsn()), (Some(lsn(3)), lsn(4)));
        assert_eq!(log.get(lsn(3)).unwrap().payload, b"three".as_slice());
    });
}

/// What stands beyond the place of a cut stays there until the cut is made: an acknowledgement that was taken back
/// would have its consumer do everything again.
#[test]
fn a_cut_that_fails_moves_no_cursor_and_drops_no_checkpoint() {
    let mut refused = 0;
    for write in 0..6 {
        let disk = SimDisk::new(1);
        let options = Options { background_threads: false, ..small() };
        let log = open(&disk.storage(), &options).unwrap();
        fill(&log, 10);
        log.create_cursor("far", Some(lsn(9))).unwrap();
        log.checkpoint("end", CheckpointOptions::default()).unwrap();
        let check = |log: &Log| {
            assert_eq!(log.cursor("far").unwrap(), lsn(9), "write {write}");
            assert_eq!(names(log), [("end".to_owned(), 11, 1, false)], "write {write}");
        };
        disk.set_faults(Faults { write: Shots::nth(write), ..Faults::default() });
        let cut = log.truncate_after(lsn(4));
        disk.set_faults(Faults::default());
        if let Err(error) = cut {
            assert!(matches!(error, LogError::Full { .. }), "write {write}: {error}");
            refused += 1;
            check(&log);
            assert_eq!(log.append(b"x").unwrap(), lsn(11));
            check(&log);
            drop(log);
            let log = open(&disk.storage(), &options).unwrap();
            check(&log);
            assert_eq!(log.next_lsn(), lsn(12));
        }
    }
    assert!(refused > 1, "{refused}");
}

/// A log of 100 entries whose trim to the 50th found no space, and which has space now.
fn waiting_to_be_trimmed(disk: &SimDisk, options: &Options) -> Log {
    let log = open(&disk.storage(), options).unwrap();
    fill(&log, 100);
    disk.set_faults(Faults { write: Shots::from(0), ..Faults::default() });
    assert!(matches!(log.truncate_before(lsn(50)), Err(LogError::Full { .. })));
    assert_eq!(log.first_lsn(), Some(lsn(1)), "nobody was told of it");
    disk.set_faults(Faults::default());
    log
}

/// Its frame is in the log as soon as there is space, behind which one that asks for less takes nothing back.
#[test]
fn a_trim_that_waits_for_space_counts_when_a_shorter_one_follows() {
    let disk = SimDisk::new(1);
    let options = Options { background_threads: false, ..small() };
    let log = waiting_to_be_trimmed(&disk, &options);
    log.truncate_before(lsn(20)).unwrap();
    assert_eq!(log.first_lsn(), Some(lsn(50)));
    // An opening carries on what the frames said.
    log.truncate_after(lsn(90)).unwrap();
    assert_eq!(log.first_lsn(), Some(lsn(50)));
    drop(log);
    let log = open(&disk.storage(), &options).unwrap();
    assert_eq!((log.first_lsn(), log.next_lsn()), (Some(lsn(50)), lsn(91)));
}

/// Whatever makes its frame durable: what another process finds begins there.
#[test]
fn a_trim_that_waits_for_space_counts_when_a_cut_that_removes_nothing_follows() {
    let disk = SimDisk::new(1);
    let options = Options { background_threads: false, ..small() };
    let log = waiting_to_be_trimmed(&disk, &options);
    assert_eq!(log.truncate_from(lsn(101)).unwrap().entries, 0);
    assert_eq!(log.first_lsn(), Some(lsn(50)));
    let found = Log::open_read_only(environment(disk.storage()), options).unwrap();
    assert_eq!(found.first_lsn(), Some(lsn(50)));
}

type Change = dyn Fn(&Log) -> Result<(), LogError>;

/// As of entries only what is durable is shown then: whoever goes by a cursor that was moved would skip what another
/// life of the log gives out again.
#[test]
fn what_a_failed_sync_left_in_doubt_is_not_shown() {
    let options = Options { background_threads: false, ..small() };
    let after_failure = |change: &Change| {
        let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let hooked = Hooked::new(Arc::clone(&memory));
        let storage: Arc<dyn Storage> = Arc::new(hooked.clone());
        let log = open(&storage, &options).unwrap();
        fill(&log, 10);
        log.set_meta("name", Some(b"value"), None).unwrap();
        log.create_cursor("c", Some(lsn(3))).unwrap();
        hooked.fail("sync");
        change(&log).unwrap_err();
        log
    };
    let changes: [&Change; 3] =
        [&|log| log.set_meta("name", None, None), &|log| log.acknowledge("c", lsn(5), None), &|log| {
            log.checkpoint("p", CheckpointOptions::default()).map(drop)
        }];
    for change in changes {
        let log = after_failure(change);
        let poisoned = |error: Option<LogError>| matches!(error, Some(LogError::Poisoned { .. }));
        assert!(poisoned(log.meta("name").err()) && poisoned(log.meta_names().err()));
        assert!(poisoned(log.cursor("c").err()) && poisoned(log.cursors().err()));
        assert!(poisoned(log.checkpoints().err()) && poisoned(log.find_checkpoint("p").err()));
    }
    let log = after_failure(&|log| log.append(b"in doubt").map(drop));
    assert_eq!(log.meta("name").unwrap().as_deref(), Some(&b"value"[..]), "that was durable before");
    assert_eq!(log.cursor("c").unwrap(), lsn(3));
}

/// Under a policy with an interval a value is as urgent as an entry.
#[test]
fn a_value_is_synced_within_an_interval() {
    on_all(|storage| {
        let interval = Duration::from_millis(20);
        let options = Options { sync: SyncPolicy::Background { interval }, ..small() };
        let log = open(&storage, &options).unwrap();
        fill(&log, 3);
        log.sync().unwrap();
        let before = log.stats();
        log.set_meta("vote", Some(b"1"), None).unwrap();
        let is_synced = || log.stats().syncs > before.syncs && log.stats().writes > before.writes;
        assert!((0..3000).any(|_| is_synced() || sleep(interval)), "it waits in memory for ever");
    });
    on_all(|storage| {
        let interval = Duration::from_secs(3600);
        let sync = SyncPolicy::Background { interval };
        let log = open(&storage, &Options { sync, background_threads: false, ..small() }).unwrap();
        log.set_meta("vote", Some(b"1"), None).unwrap();
        let before = log.stats().syncs;
        log.maintain().unwrap();
        assert!(log.stats().syncs > before);
    });
}

/// Always `false`.
fn sleep(time: Duration) -> bool {
    thread::park_timeout(time);
    false
}

/// What a call says is durable on return is, even if an earlier call had done it less durably.
#[test]
fn what_changes_nothing_is_durable_all_the_same() {
    on_all(|storage| {
        let log = open(&storage, &Options { background_threads: false, ..small() }).unwrap();
        fill(&log, 10);
        log.create_cursor("c", None).unwrap();
        log.set_meta("x", Some(b"1"), Some(Durability::Durable)).unwrap();
        let synced = |change: &dyn Fn(Durability)| {
            change(Durability::Buffered);
            let before = log.stats().syncs;
            change(Durability::Durable);
            assert!(log.stats().syncs > before);
        };
        synced(&|durability| log.set_meta("x", None, Some(durability)).unwrap());
        synced(&|durability| log.acknowledge("c", lsn(5), Some(durability)).unwrap());
    });
}

/// Every entry before it is still there.
#[test]
fn a_checkpoint_and_a_cursor_at_a_cut_stay_where_they_are() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&storage, &small()).unwrap();
    fill(&log, 20);
    for (name, at) in [("at", 13), ("beyond", 14)] {
        log.checkpoint(name, CheckpointOptions { lsn: Some(lsn(at)), protect: false }).unwrap();
        log.create_cursor(name, Some(lsn(at))).unwrap();
    }
    let cut = log.truncate_after(lsn(12)).unwrap();
    assert_eq!((cut.checkpoints, cut.cursors), (vec!["beyond".to_owned()], vec!["beyond".to_owned()]));
    assert_eq!(log.find_checkpoint("at").unwrap().lsn, lsn(13));
    assert_eq!(log.cursor("at").unwrap(), lsn(13));
}
