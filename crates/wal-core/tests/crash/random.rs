//! Long random runs, with everything that may go wrong.

use std::time::Duration;

use wal_core::{Durability, Options, SyncPolicy};
use wal_sim::{Crash, CrashMoment, DiskOptions, FailedSync, FailedWrite, Faults, Rng, Shots};

use crate::{
    model::End,
    rig::{Op, Rig, Setup, chain},
    surroundings::{bare, options, scale, seed},
};

/// What a run consists of: made from the seed alone, so that a run can be cut short and repeated.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) setup: Setup,
    pub(crate) disk: DiskOptions,
    pub(crate) lives: Vec<Life>,
}

/// One process: how it fails, what it does, how it ends.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) faults: Faults,
    /// Counts from the first operation of this process.
    pub(crate) dies_at: Option<(u64, CrashMoment)>,
    pub(crate) ops: Vec<Op>,
    pub(crate) end: End,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let interval = Duration::from_millis(20);
        let sync = match rng.below(4) {
            0 => SyncPolicy::OsCache { interval },
            1 => SyncPolicy::Background { interval },
            _ => SyncPolicy::Always,
        };
        let setup = Setup::of(Options { sync, ..options() });
        let mut disk = match rng.below(8) {
            0 => DiskOptions { traced: false, ..DiskOptions::default() },
            1 | 2 => DiskOptions { torn_sectors: true, ..bare() },
            _ => bare(),
        };
        if rng.chance(48) {
            disk.capacity_bytes = Some((128 << 10) + rng.below(256 << 10));
            disk.copy_on_write = rng.chance(128);
        }
        let lives = (0..3 + rng.below(6)).map(|_| life(&mut rng)).collect();
        Self { seed, setup, disk, lives }
    }

    /// The first failure.
    pub(crate) fn run(&self) -> Result<u64, String> {
        let mut rig = Rig::new(&self.setup, self.seed, self.disk.clone());
        let mut rng = Rng::new(self.seed ^ 0xfa11);
        let mut end = End::Process;
        let mut steps = 0;
        for (at, life) in self.lives.iter().enumerate() {
            let context = |why: String| format!("life {at}: {why}");
            let crash = life
                .dies_at
                .map(|(after, moment)| Crash { operation: rig.disk.operations() + after, moment });
            rig.disk.set_faults(Faults { crash, ..life.faults.clone() });
            end = if end == End::Power || life.end == End::Power { end } else { End::Process };
            rig.reverts = life.faults.sync_mode == FailedSync::Revert;
            let opened = rig.try_open(end).map_err(context)?;
            if let Err(error) = &opened
                && error.is_damage()
            {
                return Err(context(format!("damage without damage: {}", chain(error))));
            }
            // The next process finds what this one left.
            let end_before = if rig.reverts { End::Power } else { end };
            // Nothing was promised by an open that failed, so what ended the life before still counts.
            let before = if opened.is_ok() && !rig.reverts { End::Process } else { end_before };
            if opened.is_ok() {
                rig.run(&life.ops).map_err(context)?;
                steps += life.ops.len() as u64;
            }
            rig.kill();
            rig.errors.clear();
            end = before;
            if life.end == End::Power {
                rig.cut_power(rng.next_u64());
                end = End::Power;
            }
        }
        rig.disk.set_faults(Faults::default());
        rig.disk.set_capacity_bytes(None);
        rig.open(end).map_err(|why| format!("at the end: {why}"))?;
        rig.step(&Op::AppendAs(50, Durability::Durable)).map_err(|why| format!("at the end: {why}"))?;
        if let Some(error) = rig.errors.first() {
            return Err(format!("at the end: {}", chain(error)));
        }
        rig.cut_power(rng.next_u64());
        rig.open(End::Power).map_err(|why| format!("at the very end: {why}"))?;
        Ok(steps)
    }

    /// A shorter plan that fails too: without lives, then without operations, as long as that works.
    pub(crate) fn shrunk(mut self) -> Self {
        loop {
            let lives = (0..self.lives.len()).map(|at| self.without_life(at));
            let ops = self.lives.iter().enumerate().flat_map(|(at, life)| {
                let count = life.ops.len();
                let plan = &self;
                (0..count).map(move |op| plan.without_op(at, op))
            });
            let Some(shorter) = lives.chain(ops).find(|plan| plan.run().is_err()) else { return self };
            self = shorter;
        }
    }

    fn without_life(&self, at: usize) -> Self {
        let mut plan = self.clone();
        plan.lives.remove(at);
        plan
    }

    fn without_op(&self, at: usize, op: usize) -> Self {
        let mut plan = self.clone();
        plan.lives[at].ops.remove(op);
        plan
    }
}

fn life(rng: &mut Rng) -> Life {
    let ops = (0..1 + rng.below(16)).map(|_| op(rng)).collect();
    let moment = [CrashMoment::Before, CrashMoment::Within, CrashMoment::After][rng.below(3) as usize];
    let dies_at = rng.chance(128).then(|| (rng.below(40), moment));
    let faults = if rng.chance(96) { faults(rng) } else { Faults::default() };
    let end = if rng.chance(128) { End::Power } else { End::Process };
    Life { faults, dies_at, ops, end }
}

fn faults(rng: &mut Rng) -> Faults {
    let shots = Shots { after: rng.below(12), times: 1 + rng.below(2) };
    let mut faults = Faults::default();
    match rng.below(10) {
        0..=2 => faults.sync = shots,
        3 => faults.sync_names = shots,
        4 | 5 => faults.write = shots,
        6 => faults.reserve = shots,
        7 => faults.create = shots,
        8 => faults.rename = shots,
        _ => faults.remove = shots,
    }
    faults.sync_mode = if rng.chance(128) { FailedSync::KeepReadable } else { FailedSync::Revert };
    faults.sync_keeps_some = rng.chance(128);
    faults.write_mode = if rng.chance(160) { FailedWrite::Full } else { FailedWrite::Error };
    faults
}

pub(crate) fn op(rng: &mut Rng) -> Op {
    let len = match rng.below(8) {
        0..=3 => 8 + rng.below(100),
        4 | 5 => rng.below(3000),
        6 => 8000 + rng.below(12_000),
        _ => 20_000 + rng.below(20_000),
    } as usize;
    match rng.below(36) {
        0..=9 => Op::Append(len),
        10..=12 => Op::AppendAs(len, Durability::Durable),
        13 => Op::AppendAs(len, Durability::Written),
        14 | 15 => Op::AppendAs(len, Durability::Buffered),
        16 | 17 => Op::Batch((0..1 + rng.below(5)).map(|_| rng.below(4000) as usize).collect()),
        18 | 19 => Op::Submit(len),
        20 => Op::Wait,
        21 => Op::Sync,
        22 | 23 => Op::Maintain,
        24 | 25 => Op::KeepLast(rng.below(12)),
        26 | 27 => Op::CutLast(rng.below(6)),
        28 => {
            if rng.chance(100) {
                Op::Clear
            } else {
                Op::Sync
            }
        }
        29 => Op::Reopen,
        30 => Op::Kill,
        31 | 32 => Op::Raise,
        33 => Op::RaiseWith((0..1 + rng.below(3)).map(|_| rng.below(2000) as usize).collect()),
        34 => Op::Checkpoint,
        _ => Op::Read,
    }
}

#[track_caller]
pub(crate) fn check(seed: u64) -> u64 {
    let plan = Plan::new(seed);
    plan.run().unwrap_or_else(|why| {
        let plan = plan.shrunk();
        let short = plan.run();
        let lives: Vec<String> = plan.lives.iter().map(|life| format!("  {life:?}")).collect();
        panic!("seed {seed}: {why}\nshorter: {short:?}\nby {}", lives.join("\n"));
    })
}

#[test]
fn random_lives_and_deaths_lose_nothing_that_was_acknowledged() {
    let runs = 250 * scale();
    let mut steps = 0;
    for n in 0..runs {
        steps += check(seed() + n);
    }
    println!("{runs} runs, {steps} steps");
}
