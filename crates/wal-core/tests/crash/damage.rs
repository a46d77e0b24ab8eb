//! Bits that flip on the medium: every byte of small logs.

use wal_core::{Durability, LogError};
use wal_sim::SimDisk;

use crate::{
    model::{End, Model, Seen},
    rig::{Op, Rig, Setup, chain},
    surroundings::{bare, scale},
    tally,
};

/// A log, and how much of it is proven: entries before this LSN are never cut.
struct Specimen {
    name: &'static str,
    disk: SimDisk,
    whole: Seen,
    proven: u64,
}

fn specimen(name: &'static str, ops: &[Op], unproven: u64) -> Specimen {
    let mut rig = Rig::new(&Setup::default(), 3, bare());
    rig.open(End::Process).unwrap();
    rig.run(ops).unwrap();
    assert!(rig.errors.is_empty(), "{:?}", rig.errors);
    rig.kill();
    rig.open(End::Process).unwrap();
    rig.cut_power(1);
    let (disk, model) = rig.into_parts();
    let log = Setup::default().open_read_only(&disk).unwrap();
    let whole = Seen::of(&log).unwrap();
    Model::check(&model, &whole, End::Power).unwrap();
    let proven = whole.next() - unproven;
    Specimen { name, disk, whole, proven }
}

#[derive(Debug, Default)]
struct Tally {
    intact: u64,
    refused: u64,
    unreadable: u64,
    cut: u64,
}

impl Specimen {
    /// Flips one bit of every `step`-th byte that is not a zero far from anything.
    fn flip_all(&self, step: usize, tally: &mut Tally) {
        for name in self.disk.names() {
            let content = self.disk.read(&name).unwrap();
            let end = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 64);
            for at in (0..end.min(content.len())).step_by(step) {
                let bit = (at % 8) as u8;
                let disk = self.disk.snapshot();
                disk.flip_bit(&name, at as u64, bit).unwrap();
                self.judge(&disk, tally).unwrap_or_else(|why| {
                    panic!("{}: bit {bit} of byte {at} of {name}: {why}", self.name);
                });
            }
        }
    }

    /// All is there, or an error says that it is not, or the unproven end was cut and reported. Nothing else.
    fn judge(&self, disk: &SimDisk, tally: &mut Tally) -> Result<(), String> {
        tally::state();
        tally::faults(1);
        let log = match Setup::default().open_read_only(disk) {
            Ok(log) => log,
            Err(error) => {
                tally.refused += 1;
                return typed(&error);
            }
        };
        let entries: Vec<_> = log.range(..).collect();
        for (entry, (lsn, bytes)) in entries.iter().zip(self.whole.entries()) {
            match entry {
                Ok(entry) if entry.lsn.get() == *lsn && entry.payload == *bytes => {}
                Ok(entry) => return Err(format!("entry {} is not what it was", entry.lsn)),
                Err(error) => {
                    tally.unreadable += 1;
                    return typed(error);
                }
            }
        }
        let next = log.next_lsn().get();
        if next == self.whole.next() && entries.len() == self.whole.entries().len() {
            tally.intact += 1;
            return Ok(());
        }
        tally.cut += 1;
        match log.recovery_report().cut {
            None => Err(format!("the log ends before {next}, and nobody says so")),
            Some(_) if next < self.proven => Err(format!("proven entries from {next} on were cut")),
            Some(_) => Ok(()),
        }
    }
}

fn typed(error: &LogError) -> Result<(), String> {
    if error.is_damage() { Ok(()) } else { Err(format!("not called damage: {}", chain(error))) }
}

fn durable(len: usize) -> Op {
    Op::AppendAs(len, Durability::Durable)
}

#[test]
fn a_flipped_bit_is_refused_or_reported_and_never_believed() {
    // The mark proves something on the medium once it is synced itself.
    let batch = Op::Batch(vec![30, 40, 50]);
    let small = vec![durable(40), batch, durable(60), Op::Maintain, Op::Sync];
    let closed = [small.clone(), vec![Op::Reopen]].concat();
    // Recovery has written this one anew, in one sync that nothing proves.
    let torn = vec![durable(40), durable(50), durable(60)];
    let rotated =
        vec![durable(20_000), durable(30_000), durable(20_000), durable(90), Op::Maintain, Op::Sync];
    let cut =
        vec![durable(40), durable(50), durable(60), Op::CutLast(1), durable(70), Op::Maintain, Op::Sync];
    let mut tally = Tally::default();
    let stride = |step: u64| (step / scale()).max(1) as usize;
    specimen("idle", &small, 0).flip_all(1, &mut tally);
    specimen("closed", &closed, 0).flip_all(1, &mut tally);
    specimen("torn", &torn, 3).flip_all(1, &mut tally);
    specimen("cut", &cut, 0).flip_all(1, &mut tally);
    specimen("rotated", &rotated, 0).flip_all(stride(31), &mut tally);
    println!("{tally:?}");
    assert!(tally.refused > 0 && tally.unreadable > 0 && tally.cut > 0, "{tally:?}");
}
