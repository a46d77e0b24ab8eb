//! Every workload, dying at every operation, in every way.

use std::cell::Cell;

use wal_core::Durability;
use wal_sim::{Crash, CrashMoment, DiskOptions, Faults, Rng, SimDisk};

use crate::{
    model::{End, Model},
    rig::{Op, Rig, Setup},
    surroundings::{bare, scale, seed},
    tally,
    workloads::{Workload, workloads},
};

/// The disk is the same after one operation and before the next, and then more was promised: by default that will do.
fn moments() -> &'static [CrashMoment] {
    let moments = &[CrashMoment::Before, CrashMoment::Within, CrashMoment::After];
    if scale() == 1 { &moments[..2] } else { moments }
}

/// How far a search goes.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// So many ways a power cut may end are tried where they cannot be counted.
    pub(crate) samples: u64,
    /// So many levels of crashes during recovery are tried.
    pub(crate) depth: u32,
    /// Of the states that could be taken a level deeper, one in so many is.
    pub(crate) one_in: u64,
    pub(crate) seed: u64,
    pub(crate) states: Cell<u64>,
}

impl Search {
    pub(crate) fn new(samples: u64, depth: u32, one_in: u64) -> Self {
        let samples = samples * scale();
        Self { samples, depth, one_in: (one_in / scale()).max(1), seed: seed(), states: Cell::new(0) }
    }

    fn count(&self) -> u64 {
        self.states.set(self.states.get() + 1);
        self.states.get()
    }

    /// Runs the workload to each of its operations and looks at everything that may be left then.
    pub(crate) fn workload(&self, workload: &Workload, disk: &DiskOptions) -> Result<(), String> {
        let whole = run(workload, disk, self.seed, None)?;
        let operations = whole.disk.operations();
        drop(whole);
        for operation in 0..operations {
            for &moment in moments() {
                let crash = Crash { operation, moment };
                self.died(workload, disk, crash)
                    .map_err(|why| format!("{}: died {crash:?}: {why}", workload.name))?;
            }
        }
        Ok(())
    }

    fn died(&self, workload: &Workload, disk: &DiskOptions, crash: Crash) -> Result<(), String> {
        let (disk, model) = run(workload, disk, self.seed, Some(crash))?.into_parts();
        self.after(&workload.setup, &disk, &model, self.depth)
    }

    /// Looks at all that may follow the death of a process.
    pub(crate) fn after(
        &self,
        setup: &Setup,
        disk: &SimDisk,
        model: &Model,
        depth: u32,
    ) -> Result<(), String> {
        self.recovers(setup, disk, model, End::Process, depth)
            .map_err(|why| format!("then opened: {why}"))?;
        for (n, cut) in self.cuts(disk).enumerate() {
            self.recovers(setup, &cut, model, End::Power, depth)
                .map_err(|why| format!("then a power cut (outcome {n}) and opened: {why}"))?;
        }
        Ok(())
    }

    /// What power cuts leave: all that there is when it is little, else some of it. Enumerating and then taking the
    /// first
    /// few would only ever show disks that have lost nearly everything.
    fn cuts(&self, disk: &SimDisk) -> impl Iterator<Item = SimDisk> + use<> {
        let before = disk.snapshot();
        let count = before.crash_states().filter(|count| *count <= self.samples);
        let mut rng = Rng::new(self.seed ^ disk.operations());
        (0..count.unwrap_or(self.samples)).map(move |n| {
            let after = before.snapshot();
            tally::faults(1);
            match count {
                Some(_) => after.crash_nth(n),
                None => after.crash(rng.next_u64()),
            }
            after
        })
    }

    /// Opens the log, holds it to its promises, uses it, and loses power again.
    fn recovers(
        &self,
        setup: &Setup,
        disk: &SimDisk,
        model: &Model,
        end: End,
        depth: u32,
    ) -> Result<(), String> {
        let state = self.count();
        self.read_only(setup, disk, model, end)?;
        let mut rig = Rig::on(setup, disk.snapshot(), model.clone());
        let before = disk.operations();
        rig.open(end)?;
        let recovery = before..rig.disk.operations();
        self.reported_is_durable(&rig, state)?;
        for round in 0..scale().min(2) as usize {
            rig.step(&Op::AppendAs(30 + round, Durability::Durable))?;
            rig.step(&Op::AppendAs(9000, Durability::Written))?;
            if !rig.errors.is_empty() {
                return Err(format!("an append failed after recovery: {:?}", rig.errors));
            }
            rig.cut_power(self.seed ^ state);
            rig.open(End::Power).map_err(|why| format!("after recovery and a power cut: {why}"))?;
        }
        if depth == 0 || !state.is_multiple_of(self.one_in) {
            return Ok(());
        }
        for operation in recovery {
            for &moment in moments() {
                self.recovery_dies(setup, disk, model, end, depth, Crash { operation, moment })?;
            }
        }
        Ok(())
    }

    /// A reader sees what a writer would, and changes nothing.
    fn read_only(&self, setup: &Setup, disk: &SimDisk, model: &Model, end: End) -> Result<(), String> {
        let log = match setup.open_read_only(disk) {
            Ok(log) => log,
            Err(wal_core::LogError::MissingLog { .. }) => return Ok(()),
            Err(error) => return Err(format!("open for reading failed: {}", crate::rig::chain(&error))),
        };
        let seen = crate::model::Seen::of(&log).map_err(|error| crate::rig::chain(&error))?;
        model.check(&seen, end).map_err(|why| format!("a reader: {why}"))
    }

    /// What opening reported is there for good.
    fn reported_is_durable(&self, rig: &Rig, state: u64) -> Result<(), String> {
        let cut = rig.disk.snapshot();
        tally::faults(1);
        cut.crash(self.seed ^ state ^ 0xc0de);
        let mut again = Rig::on(&rig.setup, cut, rig.model.clone());
        again.open(End::Power).map_err(|why| format!("opened, power cut, opened again: {why}"))
    }

    fn recovery_dies(
        &self,
        setup: &Setup,
        disk: &SimDisk,
        model: &Model,
        end: End,
        depth: u32,
        crash: Crash,
    ) -> Result<(), String> {
        let context = |why| format!("recovery died {crash:?}: {why}");
        let disk = disk.snapshot();
        disk.set_faults(Faults { crash: Some(crash), ..Faults::default() });
        let mut rig = Rig::on(setup, disk, model.clone());
        // Nobody was told anything by a recovery that died.
        let opened = rig.setup.open(&rig.disk);
        if let Err(error) = &opened
            && error.is_damage()
        {
            return Err(context(format!("damage without damage: {}", crate::rig::chain(error))));
        }
        rig.kill();
        drop(opened);
        let (disk, model) = rig.into_parts();
        disk.set_faults(Faults::default());
        // After a power cut, the death of a process changes nothing of what was promised.
        let nested = Self { samples: 1, ..self.clone() };
        let result = match end {
            End::Process => nested.after(setup, &disk, &model, depth - 1),
            End::Power => nested.after_power(setup, &disk, &model, depth - 1),
        };
        self.states.set(nested.states.get());
        result.map_err(context)
    }

    /// The same as [`after`](Self::after), where the power was cut before.
    fn after_power(&self, setup: &Setup, disk: &SimDisk, model: &Model, depth: u32) -> Result<(), String> {
        self.recovers(setup, disk, model, End::Power, depth)?;
        for cut in self.cuts(disk) {
            self.recovers(setup, &cut, model, End::Power, depth)?;
        }
        Ok(())
    }
}

/// Runs a workload on a new disk, to its end or to a crash.
pub(crate) fn run(
    workload: &Workload,
    disk: &DiskOptions,
    seed: u64,
    crash: Option<Crash>,
) -> Result<Rig, String> {
    let mut rig = Rig::new(&workload.setup, seed, disk.clone());
    rig.disk.set_faults(Faults { crash, ..Faults::default() });
    match rig.try_open(End::Process)? {
        Ok(()) => rig.run(&workload.ops)?,
        Err(error) if crash.is_none() => return Err(crate::rig::chain(&error)),
        Err(_) => {}
    }
    if crash.is_none() {
        if let Some(error) = rig.errors.first() {
            return Err(format!("an error without a fault: {}", crate::rig::chain(error)));
        }
        rig.step(&Op::Read)?;
    }
    rig.disk.kill();
    rig.disk.set_faults(Faults::default());
    Ok(rig)
}

#[test]
fn dying_at_any_operation_loses_nothing_that_was_acknowledged() {
    let search = Search::new(2, 1, 300);
    for workload in workloads() {
        let before = search.states.get();
        search.workload(&workload, &bare()).unwrap_or_else(|why| panic!("{why}"));
        println!("{}: {} states", workload.name, search.states.get() - before);
    }
    println!("{} states", search.states.get());
}

#[test]
fn dying_on_a_file_system_with_zero_filling_loses_nothing() {
    let disk = DiskOptions { traced: false, ..DiskOptions::default() };
    let search = Search::new(1, 1, 200);
    for workload in workloads().iter().filter(|workload| ["tiny", "cut", "clear"].contains(&workload.name)) {
        search.workload(workload, &disk).unwrap_or_else(|why| panic!("{why}"));
    }
    println!("{} states", search.states.get());
}

#[test]
fn dying_twice_and_three_times_in_recovery_loses_nothing() {
    let search = Search::new(1, 3, 200);
    for workload in workloads().iter().filter(|workload| ["batches", "tiny", "cut"].contains(&workload.name))
    {
        search.workload(workload, &bare()).unwrap_or_else(|why| panic!("{why}"));
    }
    println!("{} states", search.states.get());
}

#[test]
fn sectors_that_tear_inside_lose_nothing() {
    let disk = DiskOptions { torn_sectors: true, ..bare() };
    let search = Search::new(2, 0, 1);
    for workload in workloads().iter().filter(|workload| workload.name != "longer than a segment") {
        search.workload(workload, &disk).unwrap_or_else(|why| panic!("{why}"));
    }
    println!("{} states", search.states.get());
}
