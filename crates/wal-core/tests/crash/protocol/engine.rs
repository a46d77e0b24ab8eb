//! The engine through the model's schedules. Whatever disk a process leaves, translated frame by frame the model must
//! say of it what the engine says: the same entries in the same order, or that acknowledged data is lost.
//!
//! The engine's disk is the real one: sectors of which any survive, and not whole frames; the schedule says what is
//! done, at which operation the process dies, which sync fails, and with which seed the power goes. The same disks are
//! compared with one bit flipped, so that there is something to refuse. Trims, clean closes and marks are left out,
//! since the model has none, and so is what both may choose: which frames recovery copies, and when it starts a
//! segment.

use std::ops::AddAssign;

use wal_core::{Durability, Options, SyncPolicy};
use wal_format::FIRST_FRAME;
use wal_sim::{Crash, CrashMoment, Faults, Rng, Shots, SimDisk};

use super::{
    Rules,
    disk::{Disk, Frame, Frames},
    log::{Log, Stop},
    rules,
    schedule::{Life, Schedule, Step},
    translate::{translated, used},
};
use crate::{
    model::{End, Seen},
    planted::Bug,
    rig::{Op, Rig, Setup, chain},
    surroundings::{bare, options, scale, seed},
    tally,
};

const SCHEDULES: u64 = 2000;
/// So many bits are flipped, one at a time, on each disk that a process left.
const FLIPS: u64 = 1;

/// What is made of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Recovered(Vec<u64>),
    /// Acknowledged data is lost.
    Refused,
}

#[derive(Clone, Copy, Debug, Default)]
struct Compared {
    recoveries: u64,
    refused: u64,
    /// Recoveries that cut something off.
    cut: u64,
    entries: u64,
}

impl AddAssign for Compared {
    fn add_assign(&mut self, more: Self) {
        self.recoveries += more.recoveries;
        self.refused += more.refused;
        self.cut += more.cut;
        self.entries += more.entries;
    }
}

fn by_model(mut disk: Disk, rules: Rules) -> Result<Said, String> {
    let mut log = Log::new(&mut disk, rules, u64::MAX, u64::MAX);
    match log.recover() {
        Ok(()) => Ok(Said::Recovered(log.content)),
        Err(Stop::Damage(_)) => Ok(Said::Refused),
        Err(Stop::Crash) => Err("the model died".to_owned()),
    }
}

/// Opens and reads everything. Also says whether something was cut off.
fn by_engine(setup: &Setup, disk: &SimDisk) -> Result<(Said, bool), String> {
    let disk = disk.snapshot();
    disk.set_faults(Faults::default());
    tally::state();
    let opened = setup.open(&disk);
    let read = opened.and_then(|log| {
        let seen = Seen::of(&log);
        disk.kill();
        seen.map(|seen| (seen, log.recovery_report().cut.is_some()))
    });
    let value = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    match read {
        Ok((seen, cut)) => {
            Ok((Said::Recovered(seen.entries().iter().map(|(_, bytes)| value(bytes)).collect()), cut))
        }
        Err(error) if error.is_damage() => Ok((Said::Refused, false)),
        Err(error) => Err(chain(&error)),
    }
}

fn compare(setup: &Setup, disk: &SimDisk, frames: Disk, rules: Rules) -> Result<Compared, String> {
    let model = by_model(frames, rules)?;
    let (engine, cut) = by_engine(setup, disk)?;
    if engine != model {
        return Err(format!("the engine says {engine:?}, the model {model:?}"));
    }
    let (refused, entries) = match model {
        Said::Recovered(entries) => (0, entries.len() as u64),
        Said::Refused => (1, 0),
    };
    Ok(Compared { recoveries: 1, refused, cut: u64::from(cut), entries })
}

/// Compares the disk as it is, and with bits flipped. Seals are left whole: with one that a successor follows no entry
/// is lost, and opening looks no further than its header.
fn compare_all(setup: &Setup, disk: &SimDisk, rules: Rules, rng: &mut Rng) -> Result<Compared, String> {
    let frames = translated(disk)?;
    let whole = seals(&frames);
    let mut compared = compare(setup, disk, frames, rules)?;
    let mut names = disk.names();
    names.retain(|name| name.ends_with(".wal"));
    for _ in 0..if names.is_empty() { 0 } else { FLIPS } {
        let name = &names[rng.below(names.len() as u64) as usize];
        let used = used(&disk.read(name).unwrap_or_default()).max(FIRST_FRAME + 1);
        let (offset, bit) = (FIRST_FRAME + rng.below(used - FIRST_FRAME), rng.below(8) as u8);
        let flipped = disk.snapshot();
        flipped.flip_bit(name, offset, bit).map_err(|error| error.to_string())?;
        let frames = translated(&flipped)?;
        if seals(&frames) == whole {
            tally::faults(1);
            let more = compare(setup, &flipped, frames, rules);
            compared += more.map_err(|why| format!("bit {bit} of byte {offset} of {name} flipped: {why}"))?;
        }
    }
    Ok(compared)
}

fn seals(disk: &Disk) -> usize {
    let frames = disk.cached.values().flat_map(Frames::values);
    frames.filter(|frame| matches!(frame, Frame::Seal { .. })).count()
}

/// One schedule, after each process of which both are asked.
fn run(seed: u64, bug: Bug, rules: Rules) -> Result<Compared, String> {
    let sync = SyncPolicy::OsCache { interval: std::time::Duration::from_secs(3600) };
    let setup = Setup { options: Options { sync, ..options() }, bug };
    let mut rig = Rig::new(&setup, seed, bare());
    let mut rng = Rng::new(seed ^ 0xf11b);
    let mut end = End::Process;
    let mut compared = Compared::default();
    for (at, life) in Schedule::new(seed).lives.iter().enumerate() {
        let context = |why: String| format!("schedule {seed}, life {at}: {why}");
        end = live(&mut rig, life, end).map_err(context)?;
        compared += compare_all(&setup, &rig.disk, rules, &mut rng).map_err(context)?;
    }
    Ok(compared)
}

/// How it ended, as far as what was promised is concerned.
fn live(rig: &mut Rig, life: &Life, end: End) -> Result<End, String> {
    let operation = rig.disk.operations().saturating_add(life.dies_at);
    let crash = Some(Crash { operation, moment: CrashMoment::Before });
    rig.disk.set_faults(Faults { crash, sync: Shots::nth(life.sync_fails), ..Faults::default() });
    let opened = rig.try_open(end)?;
    for step in if opened.is_ok() { life.steps.as_slice() } else { &[] } {
        let count = rig.model.next() - 1;
        let op = match step {
            // The longest ones fill a segment with three.
            Step::Append(chance) => {
                Op::AppendAs([50, 700, 9000, 20_000][(chance % 4) as usize], Durability::Written)
            }
            Step::Sync => Op::Sync,
            Step::Keep(_) if count == 0 => continue,
            Step::Keep(share) => Op::CutLast(count - (1 + share % count)),
        };
        rig.step(&op)?;
        if rig.is_dead() || !rig.errors.is_empty() {
            break;
        }
    }
    rig.kill();
    rig.errors.clear();
    // Nothing was promised by an open that failed, so what ended the life before still counts.
    let before = if opened.is_ok() { End::Process } else { end };
    let Some(seed) = life.power_cut else { return Ok(before) };
    rig.cut_power(seed);
    Ok(End::Power)
}

#[test]
fn the_engine_says_what_the_model_says() {
    let mut compared = Compared::default();
    for n in 0..SCHEDULES * scale() {
        compared += run(seed() + n, Bug::None, rules()).unwrap_or_else(|why| panic!("{why}"));
    }
    println!("{} schedules: {compared:?}", SCHEDULES * scale());
    assert!(
        compared.refused > 0 && compared.cut > 0 && compared.entries > compared.recoveries,
        "{compared:?}"
    );
}

#[track_caller]
fn differ(bug: Bug, rules: Rules) {
    let why = (0..SCHEDULES).find_map(|n| run(n, bug, rules).err());
    let why = why.expect("both say the same, whatever is wrong with one of them");
    println!("{why}");
    assert!(why.contains("the engine says"), "{why}");
}

#[test]
fn a_model_with_another_rule_says_something_else() {
    differ(Bug::None, Rules { fork_is_error: true, ..rules() });
}

#[test]
fn an_engine_that_believes_bodies_says_something_else() {
    differ(Bug::BodiesUnchecked, rules());
}
