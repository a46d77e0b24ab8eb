//! Lives and deaths that proptest draws, and shortens when one of them fails.
//!
//! `WAL_CRASH_SEED` chooses other ones, `WAL_CRASH_STATES` more of them. What failed once is kept by its seed in
//! `proptest-regressions/props.txt`, and tried first from then on.

use std::time::Duration;

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{
        Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner,
    },
};
use wal_core::{Durability, Options, SyncPolicy};
use wal_sim::{CrashMoment, FailedSync, FailedWrite, Faults, Shots};

use crate::{
    model::End,
    planted::Bug,
    random::{Life, Plan},
    rig::{Op, Setup},
    surroundings::{bare, options, scale, seed},
};

const CASES: u32 = 600;
const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash/proptest-regressions/props.txt");

fn len() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 8..100_usize, 2 => 0..3000_usize, 2 => 8000..40_000_usize]
}

/// Simple ones first: a shrunken plan prefers them.
fn op() -> impl Strategy<Value = Op> {
    let durability = prop_oneof![
        3 => Just(Durability::Durable),
        1 => Just(Durability::Written),
        2 => Just(Durability::Buffered),
    ];
    prop_oneof![
        10 => len().prop_map(Op::Append),
        1 => Just(Op::Sync),
        6 => (len(), durability).prop_map(|(len, durability)| Op::AppendAs(len, durability)),
        2 => vec(0..4000_usize, 1..6).prop_map(Op::Batch),
        2 => len().prop_map(Op::Submit),
        1 => Just(Op::Wait),
        2 => Just(Op::Maintain),
        2 => (0..12_u64).prop_map(Op::KeepLast),
        2 => (0..6_u64).prop_map(Op::CutLast),
        1 => Just(Op::Clear),
        1 => Just(Op::Reopen),
        1 => Just(Op::Kill),
        1 => Just(Op::Read),
        2 => Just(Op::Raise),
        1 => vec(0..2000_usize, 1..4).prop_map(Op::RaiseWith),
        1 => Just(Op::Checkpoint),
    ]
}

fn faults() -> impl Strategy<Value = Faults> {
    let shots = (0..12_u64, 1..3_u64).prop_map(|(after, times)| Shots { after, times });
    let modes = (any::<bool>(), any::<bool>(), any::<bool>());
    (0..7_u8, shots, modes).prop_map(|(call, shots, (reverts, keeps_some, is_full))| {
        let mut faults = Faults {
            sync_mode: if reverts { FailedSync::Revert } else { FailedSync::KeepReadable },
            sync_keeps_some: keeps_some,
            write_mode: if is_full { FailedWrite::Full } else { FailedWrite::Error },
            ..Faults::default()
        };
        match call {
            0 => faults.sync = shots,
            1 => faults.sync_names = shots,
            2 => faults.write = shots,
            3 => faults.reserve = shots,
            4 => faults.create = shots,
            5 => faults.rename = shots,
            _ => faults.remove = shots,
        }
        faults
    })
}

fn life() -> impl Strategy<Value = Life> {
    let moment = prop_oneof![Just(CrashMoment::Before), Just(CrashMoment::Within), Just(CrashMoment::After)];
    let faults = prop_oneof![5 => Just(Faults::default()), 3 => faults()];
    let end = prop_oneof![Just(End::Process), Just(End::Power)];
    (faults, prop::option::of((0..40_u64, moment)), vec(op(), 0..17), end)
        .prop_map(|(faults, dies_at, ops, end)| Life { faults, dies_at, ops, end })
}

fn plan(bug: Bug) -> impl Strategy<Value = Plan> {
    let interval = Duration::from_millis(20);
    let sync = prop_oneof![
        2 => Just(SyncPolicy::Always),
        1 => Just(SyncPolicy::OsCache { interval }),
        1 => Just(SyncPolicy::Background { interval }),
    ];
    let capacity = prop::option::weighted(0.2, ((128_u64 << 10)..(384 << 10), any::<bool>()));
    (any::<u64>(), sync, capacity, any::<bool>(), vec(life(), 0..7)).prop_map(
        move |(seed, sync, capacity, torn_sectors, lives)| {
            let setup = Setup { options: Options { sync, ..options() }, bug };
            let mut disk = bare();
            disk.torn_sectors = torn_sectors;
            disk.capacity_bytes = capacity.map(|(bytes, _)| bytes);
            disk.copy_on_write = capacity.is_some_and(|(_, copies)| copies);
            Plan { seed, setup, disk, lives }
        },
    )
}

/// What is found in so many plans with this bug, as short as it could be made.
fn search(bug: Bug, seed: u64, cases: u32, keep: bool) -> Option<TestError<Plan>> {
    let kept = || Box::new(FileFailurePersistence::Direct(REGRESSIONS)) as _;
    let config =
        Config { cases, failure_persistence: keep.then(kept), max_shrink_iters: 4000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    runner.run(&plan(bug), |plan| plan.run().map(drop).map_err(TestCaseError::fail)).err()
}

#[test]
fn whatever_proptest_draws_nothing_acknowledged_is_lost() {
    let cases = CASES * u32::try_from(scale()).unwrap_or(u32::MAX / CASES);
    if let Some(error) = search(Bug::None, seed(), cases, true) {
        panic!("{error}");
    }
    println!("{cases} plans");
}

/// A bug that needs several things to happen is found, and next to nothing is left beside them.
#[test]
fn what_proptest_finds_it_makes_short() {
    let bugs = [
        Bug::Hole,
        Bug::PoisonForgotten,
        Bug::SaltIgnored,
        Bug::SealBeforeName,
        Bug::RemovalBeforeOpening,
        Bug::OneTooMany,
        Bug::OpeningBeforeCopies,
    ];
    for bug in bugs {
        let Some(TestError::Fail(why, plan)) = search(bug, 0, 600, false) else {
            panic!("{bug:?} was not found");
        };
        let ops: usize = plan.lives.iter().map(|life| life.ops.len()).sum();
        let lives = plan.lives.len();
        println!("{bug:?}: {ops} operations in {lives} lives: {why}");
        // A plan has up to four lives of sixteen operations.
        assert!(lives <= 3 && ops <= 14, "{bug:?}: {ops} operations in {lives} lives");
    }
}
