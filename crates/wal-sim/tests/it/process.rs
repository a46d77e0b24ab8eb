//! Processes that die, and what is the same in every run.

use std::io::ErrorKind::{BrokenPipe, WouldBlock};

use wal_segment::Storage;
use wal_sim::{Crash, CrashMoment, Event, Faults, Outcome, Rng, SimDisk};

use crate::{durable, kind};

#[test]
fn a_kill_loses_nothing_and_makes_nothing_durable() {
    let disk = SimDisk::new(1);
    let file = durable(&*disk.storage(), "a", b"old");
    file.write_at(3, b"new").unwrap();
    disk.kill();
    let reader = disk.storage().open("a").unwrap();
    assert_eq!(reader.view(0..6).unwrap(), "oldnew");
    assert_eq!(disk.durable("a").unwrap(), b"old");
    assert!(disk.crash_states() > Some(1));
    // A fresh process syncs what the killed one wrote.
    reader.sync().unwrap();
    assert_eq!(disk.crash_states(), Some(1));
}

#[test]
fn what_a_dead_process_held_fails_and_changes_nothing() {
    let disk = SimDisk::new(1);
    let storage = disk.storage();
    let file = durable(&*storage, "a", b"x");
    let view = file.view(0..1).unwrap();
    let lock = storage.lock().unwrap();
    disk.kill();
    let now = disk.operations();
    assert_eq!(kind(storage.lock()), Some(BrokenPipe));
    assert_eq!(kind(storage.list()), Some(BrokenPipe));
    assert_eq!(kind(storage.create("b")), Some(BrokenPipe));
    assert_eq!(kind(storage.open("a")), Some(BrokenPipe));
    assert_eq!(kind(storage.rename("a", "b")), Some(BrokenPipe));
    assert_eq!(kind(storage.remove("a")), Some(BrokenPipe));
    assert_eq!(kind(storage.sync_names()), Some(BrokenPipe));
    assert_eq!(kind(file.len()), Some(BrokenPipe));
    assert_eq!(kind(file.read_at(0, &mut [0])), Some(BrokenPipe));
    assert_eq!(kind(file.view(0..1)), Some(BrokenPipe));
    assert_eq!(kind(file.write_at(0, b"y")), Some(BrokenPipe));
    assert_eq!(kind(file.reserve(9)), Some(BrokenPipe));
    assert_eq!(kind(file.punch(0..1)), Some(BrokenPipe));
    assert_eq!(kind(file.sync()), Some(BrokenPipe));
    assert_eq!((disk.operations(), disk.read("a").unwrap()), (now, b"x".to_vec()));
    assert_eq!(view, "x");
    // Its lock is free, and dropping what is left of it does not free the next one.
    let next = disk.storage();
    let _held = next.lock().unwrap();
    drop((lock, file));
    assert_eq!(kind(next.lock()), Some(WouldBlock));
}

#[test]
fn two_views_of_one_age_exclude_each_other() {
    let disk = SimDisk::new(1);
    let (one, two) = (disk.storage(), disk.storage());
    let lock = one.lock().unwrap();
    assert_eq!(kind(two.lock()), Some(WouldBlock));
    drop(lock);
    two.lock().unwrap();
}

#[test]
fn a_snapshot_is_another_disk() {
    let disk = SimDisk::new(1);
    let storage = disk.storage();
    let file = durable(&*storage, "a", b"x");
    let _lock = storage.lock().unwrap();
    let snapshot = disk.snapshot();
    file.write_at(0, b"y").unwrap();
    snapshot.storage().remove("a").unwrap();
    snapshot.storage().lock().unwrap();
    assert_eq!(disk.read("a").unwrap(), b"y");
    assert_eq!(snapshot.read("a"), None);
}

/// Two segments' worth of a log's calls; stops at the first error.
fn workload(storage: &dyn Storage) -> std::io::Result<()> {
    for (temporary, name) in [("1.tmp", "1"), ("2.tmp", "2")] {
        let file = storage.create(temporary)?;
        file.reserve(4_096)?;
        file.write_at(0, &[1; 64])?;
        file.sync()?;
        storage.rename(temporary, name)?;
        storage.sync_names()?;
        for i in 0..3 {
            file.write_at(64 + i * 1_000, &[2; 1_000])?;
            file.sync()?;
        }
        file.punch(3_100..4_096)?;
    }
    storage.remove("1")
}

#[test]
fn a_process_dies_at_each_operation() {
    let whole = SimDisk::new(1);
    workload(&*whole.storage()).unwrap();
    assert!(whole.operations() > 20);
    for operation in 0..whole.operations() {
        for moment in [CrashMoment::Before, CrashMoment::Within, CrashMoment::After] {
            let disk = SimDisk::new(1);
            disk.set_faults(Faults { crash: Some(Crash { operation, moment }), ..Default::default() });
            assert_eq!(kind(workload(&*disk.storage())), Some(BrokenPipe));
            assert_eq!(disk.operations(), operation + 1);
            assert_eq!(disk.faults_fired(), 1);
            assert_eq!(disk.trace().last().unwrap().outcome, Outcome::Died);
            disk.storage().create("fresh").unwrap();
        }
    }
}

#[test]
fn a_process_dies_before_within_or_after_a_write() {
    let mut lens = std::collections::BTreeSet::new();
    for (moment, seed) in [(CrashMoment::Before, 0), (CrashMoment::After, 0)]
        .into_iter()
        .chain((0..60).map(|seed| (CrashMoment::Within, seed)))
    {
        let disk = SimDisk::new(seed);
        let file = durable(&*disk.storage(), "a", b"");
        let operation = disk.operations();
        disk.set_faults(Faults { crash: Some(Crash { operation, moment }), ..Default::default() });
        assert_eq!(kind(file.write_at(0, &[1; 1_300])), Some(BrokenPipe));
        let len = disk.read("a").unwrap().len();
        match moment {
            CrashMoment::Before => assert_eq!(len, 0),
            CrashMoment::After => assert_eq!(len, 1_300),
            CrashMoment::Within => _ = lens.insert(len),
        }
    }
    assert_eq!(lens, [0, 512, 1_024, 1_300].into());
}

#[test]
fn a_seed_repeats_the_trace_and_every_byte() {
    let run = |seed: u64| {
        let disk = SimDisk::new(seed);
        let mut rng = Rng::new(seed);
        for _ in 0..5 {
            let operation = disk.operations() + rng.below(25);
            let crash = Some(Crash { operation, moment: CrashMoment::Within });
            disk.set_faults(Faults { crash, sync_keeps_some: true, ..Default::default() });
            for name in disk.names() {
                disk.storage().remove(&name).unwrap_or_default();
            }
            _ = workload(&*disk.storage());
            disk.crash(rng.next_u64());
        }
        let files: Vec<_> = disk.names().iter().map(|name| disk.read(name).unwrap()).collect();
        (disk.trace(), disk.names(), files)
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(1), run(2));
}

#[test]
fn the_trace_says_what_was_done() {
    let disk = SimDisk::new(1);
    let storage = disk.storage();
    let file = durable(&*storage, "a.tmp", b"x");
    storage.rename("a.tmp", "a").unwrap();
    file.punch(0..1).unwrap();
    storage.remove("missing").unwrap_err();
    let copy = disk.snapshot();
    copy.crash(1);
    let lines: Vec<String> = copy.trace().iter().map(|record| record.to_string().trim().to_owned()).collect();
    assert_eq!(lines[..4], ["0 start", "0 create a.tmp", "1 write a.tmp 0..1", "2 sync a.tmp"]);
    assert_eq!(lines[4..7], ["3 sync names", "4 rename a.tmp to a", "5 punch a 0..1"]);
    assert_eq!(lines[7..], ["6 remove missing: entity not found", "7 power cut"]);
    assert_eq!(disk.trace().last().unwrap().event, Event::Remove("missing".into()));
}
