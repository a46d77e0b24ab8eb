//! What may go wrong between a log and its tier.

use wal_core::{AppendOptions, Durability, Environment};
use wal_format::NewEntry;
use wal_segment::TieredStorage;
use wal_sim::{Shots, VirtualTime};

use super::*;
use crate::reading::TestClock;

const FIRST: &str = "00000000000000000001.wal";

#[test]
fn a_log_that_is_closed_while_it_ships_says_so() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 1..=1000);
    let closing = log.clone();
    *far.meanwhile.lock().unwrap() = Some(Box::new(move || closing.close().unwrap()));
    assert!(matches!(log.ship(), Err(LogError::Closed)));
    // What had arrived is found to be there.
    drop(log);
    let log = open(&near, &far, &options()).unwrap();
    log.ship().unwrap();
    check(&log, 1, 1001);
}

#[test]
fn nothing_leaves_on_the_word_of_another_place() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let with = |local_len| {
        let tier = TierOptions { local_len, ..options().tier };
        Options { tier, ..options() }
    };
    let log = open(&near, &far, &with(None)).unwrap();
    fill(&log, 1..=1000);
    log.maintain().unwrap();
    log.close().unwrap();
    // By mistake, or by intent: whatever was shipped is still here, and goes to the other place, too.
    let elsewhere = Arc::new(Far::default());
    elsewhere.deaf.store(true, SeqCst);
    let log = open(&near, &elsewhere, &options()).unwrap();
    log.maintain().unwrap();
    assert!(near.open(FIRST).is_ok(), "the other place does not have it");
    elsewhere.deaf.store(false, SeqCst);
    log.maintain().unwrap();
    assert_eq!(segments(&elsewhere.names()), segments(&far.names()));
    assert!(near.open(FIRST).is_err());
    check(&log, 1, 1001);
    log.close().unwrap();
    // Now something has left, and a third place is a mistake.
    let wrong = Arc::new(Far::default());
    let log = open(&near, &wrong, &options()).unwrap();
    fill(&log, 1001..=1500);
    log.maintain().unwrap();
    let tier = log.stats().tier.unwrap();
    assert!(wrong.names().is_empty() && tier.unshipped_segments > 0 && !tier.conflict, "{tier:?}");
    assert!(tier.last_error.unwrap().contains("is this the tier of the log"));
    log.close().unwrap();
    let log = open(&near, &elsewhere, &options()).unwrap();
    log.ship().unwrap();
    check(&log, 1, 1501);
}

#[test]
fn a_tier_that_lets_nothing_be_removed_gets_everything_and_costs_nothing() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let tier = TierOptions {
        unshipped_max: Some(100 << 10),
        when_unshipped: WhenUnshipped::Drop,
        retry: Duration::from_secs(1 << 20),
        ..options().tier
    };
    let log = open(&near, &far, &Options { tier, ..options() }).unwrap();
    fill(&log, 1..=100);
    log.ship().unwrap();
    fill(&log, 101..=200);
    log.truncate_before(lsn(150)).unwrap();
    log.ship().unwrap();
    fill(&log, 201..=210);
    far.keeps.store(true, SeqCst);
    assert!(log.ship().is_err(), "there is something to be removed");
    fill(&log, 211..=2000);
    log.maintain().unwrap();
    let tier = log.stats().tier.unwrap();
    assert_eq!((tier.dropped_segments, tier.unshipped_segments), (0, 0), "{tier:?}");
    assert!(tier.last_error.unwrap().contains("kept"));
    check(&log, 150, 2001);
}

#[test]
fn who_is_behind_is_told_of_what_was_given_up() {
    let (tell, told) = mpsc::channel();
    let hooks = Hooks::default().on_event(move |event| drop(tell.send(event.clone())));
    let far = Arc::new(Far::default());
    far.out.store(true, SeqCst);
    let when_unshipped = WhenUnshipped::Drop;
    let tier = TierOptions { unshipped_max: Some(100 << 10), when_unshipped, ..options().tier };
    let place: Arc<dyn Storage> = Arc::<Far>::clone(&far);
    let mut environment = environment(Arc::new(MemoryStorage::new())).with_tier(place);
    environment.hooks = hooks;
    let log = Log::open(environment, Options { tier, ..options() }).unwrap();
    fill(&log, 1..=2000);
    log.create_cursor("behind", Some(lsn(1))).unwrap();
    log.create_cursor("ahead", Some(lsn(2000))).unwrap();
    log.maintain().unwrap();
    let first = log.first_lsn().unwrap();
    assert!(first > lsn(1));
    let passed: Vec<_> = told.try_iter().filter(|event| matches!(event, LogEvent::Passed { .. })).collect();
    let want = LogEvent::Passed { cursor: "behind".to_owned(), first };
    assert_eq!(passed, [want], "once, and with what is left");
}

#[test]
fn who_drops_what_waits_does_so_beside_somebody_else_too() {
    let far = Arc::new(Far::default());
    let other = open(&MemoryStorage::new(), &far, &options()).unwrap();
    fill(&other, 1..=500);
    other.ship().unwrap();
    let when_unshipped = WhenUnshipped::Drop;
    let tier = TierOptions { unshipped_max: Some(100 << 10), when_unshipped, ..options().tier };
    let log = open(&MemoryStorage::new(), &far, &Options { tier, ..options() }).unwrap();
    for n in 0..4 {
        fill(&log, n * 500 + 1..=(n + 1) * 500);
        log.maintain().unwrap();
        let tier = log.stats().tier.unwrap();
        assert!(tier.conflict && tier.unshipped_bytes <= 100 << 10, "{tier:?}");
    }
}

#[test]
fn long_entries_at_the_end_of_a_segment_do_not_take_the_tier_to_open_the_log() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let log = open(&near, &far, &options()).unwrap();
    let long = vec![7; 9000];
    for _ in 0..100 {
        log.append(&long).unwrap();
    }
    log.ship().unwrap();
    log.close().unwrap();
    far.out.store(true, SeqCst);
    let log = open(&near, &far, &options()).unwrap();
    assert_eq!(log.append(b"goes on").unwrap(), lsn(101));
    far.out.store(false, SeqCst);
    assert!((1..=100).all(|n| log.get(lsn(n)).unwrap().payload == long));
}

/// What is restored from the tier after everything was shipped is the log as it is, and there is no more to ship.
fn ships_all(log: &Log, far: &Arc<Far>, first: u64, next: u64) {
    log.ship().unwrap();
    let target: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    restore(Arc::<Far>::clone(far), "", &target).unwrap();
    let restored = Log::open(environment(target), options()).unwrap();
    check(&restored, first, next);
    assert_eq!(restored.meta("m").unwrap(), log.meta("m").unwrap());
    let count = log.segments().unwrap().len();
    (0..3).for_each(|_| assert_eq!(log.ship().unwrap().segments, 0));
    assert_eq!(log.segments().unwrap().len(), count);
}

#[test]
fn entries_that_were_removed_are_not_in_what_was_shipped_since() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 1..=500);
    ships_all(&log, &far, 1, 501);
    // In the middle of a segment, and where one begins.
    for cut in [451, log.segments().unwrap()[1].base.get()] {
        log.truncate_from(lsn(cut)).unwrap();
        ships_all(&log, &far, 1, cut);
    }
    let next = log.next_lsn().get();
    log.set_meta("m", Some(b"new"), None).unwrap();
    ships_all(&log, &far, 1, next);
    log.truncate_before(lsn(next)).unwrap();
    ships_all(&log, &far, next, next);
    log.clear().unwrap();
    fill(&log, next..=next + 300);
    log.truncate_from(lsn(next + 9)).unwrap();
    // The cut is told by another life of the log, which made its segment anew.
    log.close().unwrap();
    drop(log);
    let log = open(&near, &far, &options()).unwrap();
    ships_all(&log, &far, next, next + 9);
    log.clear().unwrap();
    ships_all(&log, &far, next + 9, next + 9);
}

#[test]
fn a_log_that_is_opened_and_shipped_again_and_again_does_not_grow() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let lives = |count| {
        for _ in 0..count {
            let log = open(&near, &far, &options()).unwrap();
            log.ship().unwrap();
            log.close().unwrap();
        }
        far.names().len()
    };
    fill(&open(&near, &far, &options()).unwrap(), 1..=500);
    let there = lives(3);
    assert_eq!(lives(10), there);
}

#[test]
fn a_quiet_log_that_is_shipped_again_and_again_does_not_grow() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 1..=500);
    ships_all(&log, &far, 1, 501);
    let there = far.names().len();
    for _ in 0..5 {
        // A log in which nothing happens marks that.
        log.maintain().unwrap();
        log.ship().unwrap();
    }
    assert_eq!(far.names().len(), there);
}

/// A request to the tier may hang, and a pass holds what closing the log waits for.
#[test]
fn retention_by_age_asks_nothing_of_the_tier() {
    let (far, time) = (Arc::new(Far::default()), Arc::new(VirtualTime::new(3 << 59)));
    let clock = Arc::new(TestClock(Arc::clone(&time)));
    let environment = Environment { clock, ..environment(Arc::new(MemoryStorage::new())) };
    let log = Log::open(environment.with_tier(Arc::<Far>::clone(&far)), options()).unwrap();
    // Their ends are longer than what is kept here of a segment.
    for _ in 0..12 {
        log.append(&[7; 20_000]).unwrap();
    }
    log.maintain().unwrap();
    let gone = log.stats().tier.unwrap().evicted_segments as usize;
    far.opened.store(0, SeqCst);
    time.advance(Duration::from_secs(10));
    let (max_age, clock_trial) = (Some(Duration::from_secs(9)), Duration::ZERO);
    let plan = log.retention_plan(&Retention { max_age, clock_trial, ..Retention::default() }).unwrap();
    assert!(gone > 1 && plan.remove.len() >= gone, "{plan}");
    assert_eq!(far.opened.load(SeqCst), 0);
}

#[test]
fn the_thread_that_ships_outlives_a_panic_of_the_tier() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    *far.meanwhile.lock().unwrap() = Some(Box::new(|| panic!("the tier panics")));
    let (tell, told) = mpsc::channel();
    let hooks = Hooks::default().on_event(move |event| drop(tell.send(event.clone())));
    let tier: Arc<dyn Storage> = Arc::<Far>::clone(&far);
    let environment = Environment { hooks, ..environment(Arc::new(near.clone())) }.with_tier(tier);
    let log = Log::open(environment, Options { background_threads: true, ..options() }).unwrap();
    fill(&log, 1..=1000);
    let is_shipped = |event: LogEvent| matches!(event, LogEvent::Shipped { .. });
    let mut events = std::iter::from_fn(|| told.recv_timeout(Duration::from_secs(60)).ok());
    assert!(events.any(is_shipped), "nothing is shipped any more");
    assert!(far.meanwhile.lock().unwrap().is_none(), "it did not panic");
    log.close().unwrap();
}

/// A disk with a segment on it that is durable, and what is in it.
fn with_a_segment() -> (SimDisk, Bytes) {
    let how = DiskOptions { capabilities: Capabilities::MEMORY, ..DiskOptions::default() };
    let (disk, content) = (SimDisk::with_options(1, how), Bytes::from(vec![7; 10_000]));
    let storage = disk.storage();
    let file = storage.create(FIRST).unwrap();
    file.write_at(0, &content).unwrap();
    file.sync().unwrap();
    storage.sync_names().unwrap();
    (disk, content)
}

/// The next life of the process.
fn behind(disk: &SimDisk) -> TieredStorage {
    TieredStorage::new(disk.storage(), Arc::new(MemoryStorage::new()))
}

/// Whatever a power cut keeps: there is the segment, or the note that says where it is.
fn check_not_forgotten(disk: &SimDisk, context: &str) {
    for after in disk.outcomes(64, 1) {
        let listed = behind(&after).list().unwrap();
        assert_eq!(listed, [FIRST], "{context}: {:?}", after.names());
    }
}

/// A note is seen from its rename on, and what has the name in memory only may go with the power, with the file that it
/// spoke of gone before.
#[test]
fn nothing_leaves_on_the_word_of_a_note_that_a_killed_process_had_not_made_durable() {
    let mut noted = 0;
    for operation in 0.. {
        let (disk, content) = with_a_segment();
        let crash = Some(Crash { operation: disk.operations() + operation, moment: CrashMoment::Before });
        disk.set_faults(Faults { crash, ..Faults::default() });
        let recorded = behind(&disk).record(FIRST, &content);
        disk.set_faults(Faults::default());
        disk.kill();
        let tiered = behind(&disk);
        noted += usize::from(tiered.evict(FIRST).is_ok());
        check_not_forgotten(&disk, &format!("operation {operation}"));
        if recorded.is_ok() {
            break;
        }
    }
    assert_eq!(noted, 2, "one that was killed before the note was durable, and one that was not");
}

/// What a failed sync of names leaves can be seen and may be lost, and no later sync says so.
#[test]
fn nothing_leaves_on_the_word_of_a_note_whose_name_could_not_be_synced() {
    let (disk, content) = with_a_segment();
    let tiered = behind(&disk);
    disk.set_faults(Faults { sync_names: Shots::nth(0), ..Faults::default() });
    tiered.record(FIRST, &content).unwrap_err();
    disk.set_faults(Faults::default());
    assert!(tiered.evict(FIRST).is_err());
    check_not_forgotten(&disk, "not noted");
    tiered.record(FIRST, &content).unwrap();
    tiered.evict(FIRST).unwrap();
    check_not_forgotten(&disk, "noted anew");
}

/// A segment is sealed in memory first: what is in its file by then is not all of it.
#[test]
fn a_segment_whose_seal_is_not_written_is_not_shipped() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 1..=100);
    let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
    let rolls = |n: &u64| {
        log.append_entry(&NewEntry::plain(&payload(*n)), &buffered).unwrap();
        log.segments().unwrap().len() == 2
    };
    let last = (101..).find(rolls).unwrap();
    assert_eq!(log.durable_lsn(), Some(lsn(100)), "the rest is in memory");
    log.maintain().unwrap();
    assert!(far.names().is_empty(), "{:?}", far.names());
    log.sync().unwrap();
    log.maintain().unwrap();
    assert_eq!(far.names(), [FIRST]);
    check(&log, 1, last + 1);
    drop(log);
    check(&open(&near, &far, &options()).unwrap(), 1, last + 1);
}

/// Two lives of one log that have no name in common in the tier but those of segments that both know of. The first has
/// shipped that it was trimmed, and has nothing more to ship; the other one was restored before that, and went on.
#[test]
fn nothing_is_removed_that_another_life_of_the_log_goes_on_from() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 1..=1000);
    log.ship().unwrap();
    let tier: Arc<dyn Storage> = Arc::<Far>::clone(&far);
    let place = MemoryStorage::new();
    let target: Arc<dyn Storage> = Arc::new(place.clone());
    restore(tier, "", &target).unwrap();
    // Each life begins with a segment that takes the place of the small one before it.
    for n in 1001..=1005 {
        let other = open(&place, &far, &options()).unwrap();
        fill(&other, [n]);
        other.close().unwrap();
    }
    far.keeps.store(true, SeqCst);
    log.truncate_before(lsn(990)).unwrap();
    log.ship().unwrap();
    fill(&log, [1001]);
    assert!(log.ship().is_err(), "the tier lets nothing be removed");
    far.keeps.store(false, SeqCst);
    let other = open(&place, &far, &options()).unwrap();
    fill(&other, 1006..=1500);
    other.ship().unwrap();
    let there = far.names();
    log.maintain().unwrap();
    assert!(log.stats().tier.unwrap().conflict);
    assert_eq!(far.names(), there);
    check(&other, 1, 1501);
}

/// The same, where the one that comes second would find no name taken.
#[test]
fn a_log_that_is_behind_another_life_of_it_sends_nothing() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 1..=1000);
    log.ship().unwrap();
    log.close().unwrap();
    let place = (*storage(&files(&near))).clone();
    for n in 1001..=1005 {
        let other = open(&place, &far, &options()).unwrap();
        fill(&other, [n]);
        other.close().unwrap();
    }
    let other = open(&place, &far, &options()).unwrap();
    fill(&other, 1006..=1500);
    other.ship().unwrap();
    let there = far.names();
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 1001..=1010);
    assert!(matches!(log.ship(), Err(LogError::TierConflict { .. })));
    assert_eq!(far.names(), there);
    check(&log, 1, 1011);
    check(&other, 1, 1501);
}

/// Of the directories of two lives of one log one was made: here are the segments of the one, and notes of the other.
#[test]
fn nothing_leaves_on_the_word_of_a_note_of_another_segment() {
    let (near, far) = (MemoryStorage::new(), Arc::new(Far::default()));
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 1..=500);
    log.close().unwrap();
    let place = (*storage(&files(&near))).clone();
    let log = open(&near, &far, &options()).unwrap();
    fill(&log, 501..=1000);
    log.ship().unwrap();
    let elsewhere = Environment::new(Arc::new(place.clone()));
    let other = Log::open(elsewhere, options()).unwrap();
    fill(&other, 501..=1500);
    other.close().unwrap();
    for (name, content) in files(&near).into_iter().filter(|(name, _)| name.ends_with(".tier")) {
        place.create(&name).unwrap().write_at(0, &content).unwrap();
    }
    let other = open(&place, &far, &options()).unwrap();
    other.maintain().unwrap();
    assert_eq!(other.stats().tier.unwrap().evicted_segments, 0);
    check(&other, 1, 1501);
}

/// Of a segment that has left there is a note at any time.
#[test]
fn a_damaged_note_goes_once_the_name_of_the_one_that_replaces_it_is_durable() {
    for operation in 0.. {
        let (disk, content) = with_a_segment();
        let tiered = behind(&disk);
        tiered.record(FIRST, &content).unwrap();
        tiered.evict(FIRST).unwrap();
        tiered.sync_names().unwrap();
        disk.flip_bit(&format!("{FIRST}.tier"), 100, 1).unwrap();
        let crash = Some(Crash { operation: disk.operations() + operation, moment: CrashMoment::Before });
        disk.set_faults(Faults { crash, ..Faults::default() });
        let recorded = tiered.record(FIRST, &content);
        disk.set_faults(Faults::default());
        disk.kill();
        check_not_forgotten(&disk, &format!("operation {operation}"));
        if recorded.is_ok() {
            assert!(operation > 5, "{operation} operations");
            break;
        }
    }
}

#[test]
fn a_note_that_was_never_written_speaks_of_no_segment() {
    let (disk, _) = with_a_segment();
    disk.storage().create(&format!("{FIRST}.tier.tmp")).unwrap();
    let tiered = behind(&disk);
    assert_eq!(tiered.list().unwrap(), [FIRST]);
    tiered.remove(FIRST).unwrap();
    assert!(tiered.list().unwrap().is_empty());
}
