//! A repair that dies at any of its operations.

use std::{collections::BTreeMap, sync::Arc};

use wal_core::{Durability, LogError, RepairOptions, RepairReport, repair};
use wal_segment::Storage;
use wal_sim::{Crash, CrashMoment, Faults, SimDisk, VirtualTime};

use crate::{
    model::{End, Seen},
    rig::{Op, Rig, Setup, chain},
    surroundings::{bare, environment, scale},
    tally,
};

/// A damaged log, with what a repair has to remove beside it.
struct Specimen {
    name: &'static str,
    disk: SimDisk,
    cut_at_damage: bool,
}

fn specimen(name: &'static str, ops: &[Op], flipped: Option<(usize, usize)>) -> Specimen {
    let mut rig = Rig::new(&Setup::default(), 3, bare());
    rig.open(End::Process).unwrap();
    rig.run(ops).unwrap();
    assert!(rig.errors.is_empty(), "{:?}", rig.errors);
    rig.kill();
    let mut files = files(&rig.into_parts().0);
    for stray in ["00000000000000000001.idx", "00000000000000000099.wal.tmp"] {
        files.insert(stray.to_owned(), b"stray bytes".to_vec());
    }
    if let Some((segment, at)) = flipped {
        let mut segments = files.iter_mut().filter(|(name, _)| name.ends_with(".wal"));
        segments.nth(segment).unwrap().1[at] ^= 8;
    }
    // All that is there is there for good: what is lost from here on was lost by the repair.
    let disk = SimDisk::with_options(3, bare());
    files.into_iter().for_each(|(name, bytes)| disk.put(&name, bytes));
    Specimen { name, disk, cut_at_damage: flipped.is_some() }
}

fn run(disk: &SimDisk, quarantine: Option<&SimDisk>, cut_at_damage: bool) -> Result<RepairReport, LogError> {
    let time = Arc::new(VirtualTime::new(disk.operations() << 20));
    let environment = environment(disk.storage(), &time, disk.operations() ^ 0x5eed);
    let quarantine = quarantine.map(|disk| -> Arc<dyn Storage> { disk.storage() });
    repair(environment, &Setup::default().options, &RepairOptions { cut_at_damage, quarantine })
}

fn files(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    disk.names().into_iter().map(|name| (name.clone(), disk.read(&name).unwrap())).collect()
}

impl Specimen {
    /// Dies at every operation on either disk.
    fn dies_everywhere(&self) -> Result<u64, String> {
        let (disk, quarantine) = (self.disk.snapshot(), SimDisk::with_options(4, bare()));
        let started = (disk.operations(), quarantine.operations());
        let report = run(&disk, Some(&quarantine), self.cut_at_damage).map_err(|error| chain(&error))?;
        assert!(!report.is_empty(), "there is something to do");
        assert_eq!(report.cut.is_some(), self.cut_at_damage);
        self.check(&disk, &quarantine)?;
        let on_disk = (started.0..disk.operations()).map(|operation| (true, operation));
        let on_quarantine = (started.1..quarantine.operations()).map(|operation| (false, operation));
        let mut states = 0;
        for (on_disk, operation) in on_disk.chain(on_quarantine) {
            for moment in [CrashMoment::Before, CrashMoment::Within] {
                let crash = Crash { operation, moment };
                let context = |why| format!("died {crash:?} (of the log: {on_disk}): {why}");
                states += self.dies(on_disk, crash).map_err(context)?;
            }
        }
        Ok(states)
    }

    fn dies(&self, on_disk: bool, crash: Crash) -> Result<u64, String> {
        let (disk, quarantine) = (self.disk.snapshot(), SimDisk::with_options(4, bare()));
        let dying = if on_disk { &disk } else { &quarantine };
        dying.set_faults(Faults { crash: Some(crash), ..Faults::default() });
        if let Err(error) = run(&disk, Some(&quarantine), self.cut_at_damage)
            && error.is_damage()
        {
            return Err(format!("damage without damage: {}", chain(&error)));
        }
        for disk in [&disk, &quarantine] {
            disk.kill();
            disk.set_faults(Faults::default());
        }
        let cuts = 2 * scale();
        for seed in 0..=cuts {
            let (disk, quarantine) = (disk.snapshot(), quarantine.snapshot());
            tally::state();
            // The process alone died, or the power was cut.
            if seed > 0 {
                tally::faults(1);
                disk.crash(seed);
                quarantine.crash(seed);
            }
            self.check(&disk, &quarantine).map_err(|why| format!("outcome {seed}: {why}"))?;
        }
        Ok(cuts + 1)
    }

    /// Every file is in its place or in quarantine, a repair completes, and the log can be read.
    fn check(&self, disk: &SimDisk, quarantine: &SimDisk) -> Result<(), String> {
        let (there, kept) = (files(disk), files(quarantine));
        for (name, bytes) in files(&self.disk) {
            if there.get(&name) != Some(&bytes) && kept.get(&name) != Some(&bytes) {
                return Err(format!("{name} is gone"));
            }
        }
        let another = SimDisk::with_options(5, bare());
        run(disk, Some(&another), self.cut_at_damage)
            .map_err(|error| format!("the next repair: {}", chain(&error)))?;
        let left = run(disk, None, self.cut_at_damage).map_err(|error| chain(&error))?;
        // A cut leaves it to the next repair to write index files anew.
        if !left.damage.is_empty() || left.cut.is_some() || !left.removed.is_empty() {
            return Err(format!("the next repair has left {left:?}"));
        }
        let log = Setup::default().open(disk).map_err(|error| chain(&error))?;
        let seen = Seen::of(&log).map_err(|error| chain(&error))?;
        if seen.entries().is_empty() { Err("no entry is left".to_owned()) } else { Ok(()) }
    }
}

#[test]
fn a_repair_that_dies_at_any_operation_has_lost_no_byte() {
    let durable = |len: usize| Op::AppendAs(len, Durability::Durable);
    let small = [durable(40), durable(50), durable(60), Op::Maintain, Op::Sync];
    let rotated = [durable(30_000), durable(30_000), durable(30_000), durable(90), Op::Maintain, Op::Sync];
    for specimen in [
        specimen("strays", &small, None),
        specimen("small", &small, Some((0, 512 + 300))),
        specimen("older segment", &rotated, Some((0, 40_000))),
        specimen("newest segment", &rotated, Some((1, 512 + 300))),
    ] {
        let states = specimen.dies_everywhere().unwrap_or_else(|why| panic!("{}: {why}", specimen.name));
        println!("{}: {states} states", specimen.name);
    }
}
