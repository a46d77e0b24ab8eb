//! As many states as one likes: jobs without end, each made from its number alone.

use std::{
    num::NonZero,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use wal_core::{Clock, Options, SyncPolicy, SystemClock};
use wal_sim::{DiskOptions, FailedSync, FailedWrite, Faults, Rng, Shots, Unwritten};

use crate::{
    codec::compression,
    exhaustive::Search,
    faults::meets,
    random::{self, Plan},
    rig::Setup,
    surroundings::{bare, number, options, seed},
    tally::{self, Tally},
    workloads::{Workload, workloads},
};

/// So many states are looked at by default.
const STATES: u64 = 100_000;
/// So many random runs make a job.
const PLANS: u64 = 16;

/// What a job does follows from its number alone.
fn job(number: u64) -> Result<(), String> {
    let mut rng = Rng::new(number ^ 0x10b5);
    match number % 8 {
        0 => {
            let workloads = workloads();
            let workload = &workloads[(number / 8) as usize % workloads.len()];
            let search = Search { seed: number, ..Search::new(2, 1, 300) };
            search.workload(workload, &disk(&mut rng))
        }
        1..=3 => searched(number, &mut rng),
        4 => failing(&mut rng),
        _ => (0..PLANS).try_for_each(|n| planned(number * PLANS + n)),
    }
}

fn disk(rng: &mut Rng) -> DiskOptions {
    let unwritten = [Unwritten::Any, Unwritten::Garbage, Unwritten::Zeros][rng.below(3) as usize];
    let mut disk = DiskOptions { unwritten, torn_sectors: rng.chance(64), ..bare() };
    disk.capabilities.stores = rng.chance(128);
    disk
}

/// A script that nobody wrote.
fn script(rng: &mut Rng) -> Workload {
    let interval = Duration::from_millis(20);
    let sync = match rng.below(4) {
        0 => SyncPolicy::OsCache { interval },
        1 => SyncPolicy::Background { interval },
        _ => SyncPolicy::Always,
    };
    let ops = (0..4 + rng.below(8)).map(|_| random::op(rng)).collect();
    let mut options = Options { sync, ..options() };
    if rng.chance(64) {
        lengthen(&mut options);
    }
    if rng.chance(64) {
        options.compression = compression();
    }
    Workload { name: "random", setup: Setup::of(options), ops }
}

/// Segments so long that reopening copies only what is not proven.
const fn lengthen(options: &mut Options) {
    (options.segment_len, options.first_segment_len) = (256 << 10, 256 << 10);
}

/// Dies at each operation of a random script.
fn searched(number: u64, rng: &mut Rng) -> Result<(), String> {
    let (workload, disk) = (script(rng), disk(rng));
    let run =
        |workload: &Workload| Search { seed: number, ..Search::new(2, 1, 300) }.workload(workload, &disk);
    let Err(why) = run(&workload) else { return Ok(()) };
    let mut short = workload;
    loop {
        let shorter = (0..short.ops.len()).map(|at| {
            let mut workload = short.clone();
            workload.ops.remove(at);
            workload
        });
        let Some(found) = shorter.into_iter().find(|workload| run(workload).is_err()) else { break };
        short = found;
    }
    Err(format!("{why}\nshorter: {:?} with {:?}: {:?}", run(&short), short.setup.options.sync, short.ops))
}

/// Lets each call of one kind fail in a random script.
fn failing(rng: &mut Rng) -> Result<(), String> {
    let workload = script(rng);
    let kind = rng.below(7);
    let sync_mode = if rng.chance(128) { FailedSync::KeepReadable } else { FailedSync::Revert };
    let write_mode = if rng.chance(128) { FailedWrite::Full } else { FailedWrite::Error };
    let mut faults = Faults { sync_mode, write_mode, sync_keeps_some: rng.chance(128), ..Faults::default() };
    for call in 0.. {
        let shots = Shots::nth(call);
        match kind {
            0 | 1 => faults.sync = shots,
            2 => faults.sync_names = shots,
            3 => faults.write = shots,
            4 => faults.create = shots,
            5 => faults.remove = shots,
            _ => faults.reserve = shots,
        }
        let met = meets(&workload, faults.clone(), false);
        if !met.map_err(|why| format!("{faults:?} in {:?}: {why}", workload.ops))? {
            break;
        }
    }
    Ok(())
}

fn planned(seed: u64) -> Result<(), String> {
    let mut plan = Plan::new(seed);
    if seed.is_multiple_of(4) {
        lengthen(&mut plan.setup.options);
    }
    if seed.is_multiple_of(3) {
        plan.setup.options.compression = compression();
    }
    let Err(why) = plan.run() else { return Ok(()) };
    let plan = plan.shrunk();
    Err(format!("random run {seed}: {why}\nshorter: {:?}\nby {:#?}", plan.run(), plan.lives))
}

/// What all threads together have seen, and the first job that found something.
type Outcome = (Tally, Option<(u64, String)>);

/// Runs the jobs with these numbers on all processors, while `goes_on` says so of the states seen.
fn jobs(number: impl Fn(u64) -> u64 + Sync, goes_on: impl Fn(u64) -> bool + Sync) -> Outcome {
    let (next, states) = (AtomicU64::new(0), AtomicU64::new(0));
    let total = Mutex::new(Tally::default());
    let violation: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let work = || {
        while violation.lock().unwrap().is_none() && goes_on(states.load(Ordering::Relaxed)) {
            let number = number(next.fetch_add(1, Ordering::Relaxed));
            let before = tally::here();
            if let Err(why) = job(number) {
                violation.lock().unwrap().get_or_insert((number, why));
            }
            let seen = tally::here() - before;
            states.fetch_add(seen.states, Ordering::Relaxed);
            *total.lock().unwrap() += seen;
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    (total.into_inner().unwrap(), violation.into_inner().unwrap())
}

/// `WAL_CRASH_SLICE` says how many states, `WAL_CRASH_SEED` which job is the first, `WAL_CRASH_RANDOM_SECONDS` how long
/// random runs go on afterwards.
#[test]
fn whatever_happens_nothing_acknowledged_is_lost() {
    let clock = SystemClock;
    let started = clock.monotonic();
    let (states, first) = (number("WAL_CRASH_SLICE").unwrap_or(STATES), seed());
    let (mut tally, mut violation) = jobs(|n| first + n, |seen| seen < states);
    let random_until =
        clock.monotonic() + Duration::from_secs(number("WAL_CRASH_RANDOM_SECONDS").unwrap_or(0));
    if violation.is_none() {
        // Of eight jobs, the last three are random runs. These are far beyond those done before.
        let beyond = (1 << 40) + (first | 7) + 1;
        let random = |n| beyond + 8 * (n / 3) + 5 + n % 3;
        let (more, found) = jobs(random, |_| clock.monotonic() < random_until);
        tally += more;
        violation = found;
    }
    let seconds = (clock.monotonic() - started).as_secs_f64();
    println!("crash: {} states, {} faults, {seconds:.1} s", tally.states, tally.faults);
    if let Some((number, why)) = violation {
        panic!("{why}\nviolation; to see it again: cargo xtask crash --states 1 --seed {number}");
    }
    println!("crash: no violation");
}
