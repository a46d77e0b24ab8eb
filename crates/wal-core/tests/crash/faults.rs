//! A medium that fails: syncs, names, reads.

use wal_core::{Durability, LogError};
use wal_sim::{DiskOptions, FailedRead, FailedSync, FailedWrite, Faults, Shots};

use crate::{
    exhaustive::run,
    model::{End, Seen},
    rig::{Op, Rig, chain},
    surroundings::{bare, scale, seed},
    workloads::{IN_PARTS, Workload, workloads},
};

/// A workload that meets a fault ends in a log that keeps its promises, and that is poisoned where `poisons` says so.
pub(crate) fn meets(workload: &Workload, faults: Faults, poisons: bool) -> Result<bool, String> {
    meets_on(bare(), workload, faults, |rig| if poisons { is_poisoned(rig) } else { Ok(()) })
}

/// The same on a disk of this kind; what is to become of the log at once is checked by `check`.
fn meets_on(
    disk: DiskOptions,
    workload: &Workload,
    faults: Faults,
    check: impl FnOnce(&mut Rig) -> Result<(), String>,
) -> Result<bool, String> {
    let mut rig = Rig::new(&workload.setup, seed(), disk);
    rig.reverts = faults.sync_mode == FailedSync::Revert;
    rig.open(End::Process)?;
    rig.disk.set_faults(faults);
    rig.run(&workload.ops)?;
    let fired = rig.disk.faults_fired() > 0;
    rig.disk.set_faults(Faults::default());
    let was_reopened = workload.ops.iter().any(|op| matches!(op, Op::Reopen | Op::Kill));
    if fired && !was_reopened {
        check(&mut rig)?;
    }
    for cut in 0..2 * scale() {
        let (disk, model) = (rig.disk.snapshot(), rig.model.clone());
        let mut after = Rig::on(&workload.setup, disk, model);
        after.reverts = rig.reverts;
        let end = if cut == 0 { End::Process } else { End::Power };
        if cut > 0 {
            after.cut_power(cut);
        }
        after.open(end)?;
        after.step(&Op::AppendAs(70, Durability::Durable))?;
        // The page cache may have shown what the disk had lost.
        after.cut_power(cut);
        after.open(End::Power)?;
    }
    Ok(fired)
}

fn is_poisoned(rig: &mut Rig) -> Result<(), String> {
    if rig.errors.is_empty() {
        // Nobody had to be told yet: what failed was not asked for.
        return Ok(());
    }
    let log = rig.log();
    let append = log.append(b"late");
    if !matches!(append, Err(LogError::Poisoned { .. })) {
        return Err(format!("appending after a failed sync: {append:?}"));
    }
    if log.sync().is_ok() || log.clear().is_ok() {
        return Err("a poisoned log acknowledges".into());
    }
    let seen = Seen::of(log).map_err(|error| format!("reading what is durable: {}", chain(&error)))?;
    let seen = seen.without_claims(rig.model.durable());
    rig.model.check(&seen, End::Power)
}

/// Lets each call of one kind fail in turn, until the workload makes no more of them.
fn each_call(plan: impl Fn(Shots) -> Faults, poisons: bool) -> u64 {
    let mut states = 0;
    for workload in workloads() {
        for call in 0.. {
            let faults = plan(Shots::nth(call));
            let met = meets(&workload, faults.clone(), poisons);
            states += 1;
            if !met.unwrap_or_else(|why| panic!("{}, call {call}, {faults:?}: {why}", workload.name)) {
                break;
            }
        }
    }
    states
}

#[test]
fn a_failed_sync_is_final_and_costs_nothing_acknowledged() {
    let mut states = 0;
    for sync_mode in [FailedSync::KeepReadable, FailedSync::Revert] {
        for sync_keeps_some in [false, true] {
            // A sync that fails while a segment is prepared touches nothing of the log.
            let plan = |sync| Faults { sync, sync_mode, sync_keeps_some, ..Faults::default() };
            states += each_call(plan, false);
        }
    }
    println!("{states} states");
}

#[test]
fn a_failed_sync_of_names_is_final() {
    println!("{} states", each_call(|sync_names| Faults { sync_names, ..Faults::default() }, true));
}

#[test]
fn other_failures_cost_nothing_acknowledged() {
    let mut states = 0;
    for write_mode in [FailedWrite::Full, FailedWrite::Error] {
        states += each_call(|write| Faults { write, write_mode, ..Faults::default() }, false);
    }
    states += each_call(|create| Faults { create, ..Faults::default() }, false);
    states += each_call(|rename| Faults { rename, ..Faults::default() }, false);
    states += each_call(|remove| Faults { remove, ..Faults::default() }, false);
    states += each_call(|reserve| Faults { reserve, ..Faults::default() }, false);
    states += each_call(|punch| Faults { punch, ..Faults::default() }, false);
    println!("{states} states");
}

/// What a sync is about to cover is written back in parts: what fails there is a failed sync.
#[test]
fn a_failed_write_back_before_a_sync_is_final_and_costs_nothing_acknowledged() {
    let workload = workloads().into_iter().find(|workload| workload.name == IN_PARTS).unwrap();
    let disk = || DiskOptions { traced: false, ..DiskOptions::default() };
    let meets = |call| {
        let faults = Faults { write_back: Shots::nth(call), ..Faults::default() };
        let was_told = |rig: &mut Rig| {
            assert!(!rig.errors.is_empty(), "somebody waited for what failed");
            is_poisoned(rig)
        };
        meets_on(disk(), &workload, faults, was_told).unwrap_or_else(|why| panic!("call {call}: {why}"))
    };
    let states = (0..).take_while(|call| meets(*call)).count();
    assert_eq!(states, 2, "the long entry, and the batch");
}

/// Segments that are being filled are written back, too. What that finds is no matter of the log: whoever needs the
/// segment may learn of it, and the next one who does gets one.
#[test]
fn a_failed_write_back_of_the_next_segment_costs_nobody_the_log() {
    let goes_on = |rig: &mut Rig| {
        rig.disk.set_faults(Faults::default());
        let told = std::mem::take(&mut rig.errors);
        rig.step(&Op::Append(100))?;
        let is_another =
            |error: &&LogError| !matches!(error, LogError::Segment { operation: "prepare a segment", .. });
        let wrong = rig.errors.first().or(told.iter().find(is_another));
        wrong.map_or(Ok(()), |error| Err(chain(error)))
    };
    let mut states = 0;
    for workload in workloads().into_iter().filter(|workload| workload.name != IN_PARTS) {
        for call in 0.. {
            let disk = DiskOptions { traced: false, ..DiskOptions::default() };
            let faults = Faults { write_back: Shots::nth(call), ..Faults::default() };
            let met = meets_on(disk, &workload, faults, goes_on);
            if !met.unwrap_or_else(|why| panic!("{}, call {call}: {why}", workload.name)) {
                break;
            }
            states += 1;
        }
    }
    assert!(states > 0, "nothing was written back");
    println!("{states} states");
}

/// An append whose sync failed is not acknowledged by any later one.
#[test]
fn nothing_is_acknowledged_after_a_failed_sync_of_an_append() {
    for sync_mode in [FailedSync::KeepReadable, FailedSync::Revert] {
        let mut rig = Rig::new(&crate::rig::Setup::default(), 1, bare());
        rig.open(End::Process).unwrap();
        rig.run(&[Op::Append(100), Op::Append(200)]).unwrap();
        rig.reverts = sync_mode == FailedSync::Revert;
        rig.disk.set_faults(Faults { sync: Shots::nth(0), sync_mode, ..Faults::default() });
        rig.step(&Op::Append(300)).unwrap();
        assert!(matches!(rig.errors[..], [LogError::Unconfirmed { .. }]), "{:?}", rig.errors);
        is_poisoned(&mut rig).unwrap();
        assert!(rig.log().close().is_err());
    }
}

/// A read that fails is neither the end of the log nor damage.
#[test]
fn a_read_error_in_recovery_is_an_error_and_never_an_end() {
    let mut states = 0;
    for workload in workloads() {
        let (disk, model) = run(&workload, &bare(), seed(), None).unwrap().into_parts();
        for read in 0.. {
            let disk = disk.snapshot();
            disk.set_faults(Faults { read: Shots::nth(read), ..Faults::default() });
            let mut rig = Rig::on(&workload.setup, disk, model.clone());
            states += 1;
            match rig.try_open(End::Process).unwrap_or_else(|why| panic!("read {read}: {why}")) {
                Ok(()) if rig.disk.faults_fired() == 0 => break,
                Ok(()) => {}
                Err(error) => assert!(!error.is_damage(), "read {read}: {}", chain(&error)),
            }
            rig.kill();
            rig.disk.set_faults(Faults::default());
            rig.open(End::Process).unwrap_or_else(|why| panic!("read {read}, then: {why}"));
        }
    }
    println!("{states} states");
}

/// A bus that flips a bit may cost the unproven end, which is reported; it never makes an entry up.
#[test]
fn a_read_that_lies_invents_nothing() {
    let mut states = 0;
    for workload in workloads() {
        let (disk, model) = run(&workload, &bare(), seed(), None).unwrap().into_parts();
        for read in 0..20 {
            let disk = disk.snapshot();
            let read_mode = FailedRead::FlippedBit;
            disk.set_faults(Faults { read: Shots::nth(read), read_mode, ..Faults::default() });
            let Ok(log) = workload.setup.open_read_only(&disk) else { continue };
            states += 1;
            let Ok(seen) = Seen::of(&log) else { continue };
            if model.check(&seen, End::Process).is_err() {
                assert!(log.recovery_report().cut.is_some(), "{}: {seen:?}", workload.name);
            }
        }
    }
    println!("{states} states");
}
