//! Disks that fill up.

use wal_core::{Durability, LogError};
use wal_sim::DiskOptions;

use crate::{
    model::End,
    rig::{Op, Rig, chain},
    surroundings::{bare, scale},
    workloads::{Workload, workloads},
};

fn on_a_disk_of(workload: &Workload, capacity: u64, copy_on_write: bool) -> Result<bool, String> {
    let disk = DiskOptions { capacity_bytes: Some(capacity), copy_on_write, ..bare() };
    let mut rig = Rig::new(&workload.setup, 1, disk);
    rig.open(End::Process)?;
    rig.run(&workload.ops)?;
    let was_full = !rig.errors.is_empty();
    if let Some(error) = rig.errors.iter().find(|error| !is_full(error)) {
        return Err(format!("not a full disk: {}", chain(error)));
    }
    if rig.is_dead() {
        // It could not be opened again for want of space: that loses nothing.
        rig.disk.set_capacity_bytes(None);
        return rig.open(End::Process).map(|()| was_full);
    }
    rig.step(&Op::Read)?;
    for end in [End::Process, End::Power] {
        let mut after = Rig::on(&workload.setup, rig.disk.snapshot(), rig.model.clone());
        if end == End::Power {
            after.cut_power(7);
        }
        after.disk.set_capacity_bytes(None);
        after.open(end)?;
    }
    rig.disk.set_capacity_bytes(None);
    rig.errors.clear();
    rig.run(&[Op::AppendAs(5000, Durability::Durable), Op::Read, Op::KeepLast(1), Op::Append(20), Op::Read])?;
    if let Some(error) = rig.errors.first() {
        return Err(format!("an append failed when there was space: {}", chain(error)));
    }
    rig.cut_power(9);
    rig.open(End::Power)?;
    Ok(was_full)
}

fn is_full(error: &LogError) -> bool {
    match error {
        LogError::Full { .. } => true,
        LogError::Unconfirmed { source, .. } | LogError::MetadataUnconfirmed { source } => is_full(source),
        _ => false,
    }
}

#[test]
fn a_full_disk_is_survived_without_reopening() {
    let step = if scale() == 1 { 20 } else { 4 };
    let mut states = 0;
    for workload in workloads() {
        for copy_on_write in [false, true] {
            for kib in (4..400).step_by(step) {
                let survived = on_a_disk_of(&workload, kib << 10, copy_on_write);
                states += 1;
                let was_full = survived
                    .unwrap_or_else(|why| panic!("{}, {kib} KiB, {copy_on_write}: {why}", workload.name));
                if !was_full {
                    break;
                }
            }
        }
    }
    println!("{states} states");
}

/// Trimming needs no space, and gives some back.
#[test]
fn a_full_disk_can_be_trimmed() {
    let disk = DiskOptions { capacity_bytes: Some(200 << 10), ..bare() };
    let mut rig = Rig::new(&crate::rig::Setup::default(), 1, disk);
    rig.open(End::Process).unwrap();
    for _ in 0..4 {
        while rig.errors.is_empty() {
            rig.step(&Op::Append(10_000)).unwrap();
        }
        assert!(rig.errors.iter().all(|error| matches!(error, LogError::Full { .. })), "{:?}", rig.errors);
        rig.errors.clear();
        rig.run(&[Op::Read, Op::KeepLast(1), Op::Append(10_000), Op::Read]).unwrap();
        assert!(rig.errors.is_empty(), "{:?}", rig.errors);
    }
    rig.cut_power(1);
    rig.open(End::Power).unwrap();
}
