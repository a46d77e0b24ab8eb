//! Short scripts that reach every transition of the protocol.

use std::time::Duration;

use wal_core::{Durability, Options, SyncPolicy};

use crate::{
    codec::{compressing, compression},
    metadata, retention,
    rig::{Op, Setup},
    surroundings::options,
    transactions::Step,
};

/// A script, and what the log runs with.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) setup: Setup,
    pub(crate) ops: Vec<Op>,
}

const BIG: usize = 20_000;
const LONG: usize = 800 << 10;
/// The workload with entries that the medium is asked to begin with before all of them is written.
pub(crate) const IN_PARTS: &str = "in parts";

fn with(sync: SyncPolicy) -> Setup {
    Setup::of(Options { sync, ..options() })
}

fn always() -> Setup {
    with(SyncPolicy::Always)
}

fn os_cache() -> Setup {
    with(SyncPolicy::OsCache { interval: Duration::from_millis(100) })
}

fn background() -> Setup {
    with(SyncPolicy::Background { interval: Duration::from_millis(100) })
}

/// Segments so long that reopening copies only what is not proven.
fn long() -> Setup {
    Setup::of(Options { segment_len: 256 << 10, first_segment_len: 256 << 10, ..options() })
}

/// Segments in which long entries have room.
fn in_parts() -> Setup {
    Setup::of(Options { segment_len: 2 << 20, first_segment_len: 2 << 20, ..options() })
}

fn begin(lens: &[usize]) -> Op {
    Op::Transact(Step::Begin(lens.to_vec()))
}

const fn commit() -> Op {
    Op::Transact(Step::Commit)
}

pub(crate) fn workloads() -> Vec<Workload> {
    use Op::*;
    let script = |name, setup, ops| Workload { name, setup, ops };
    let mut all = vec![
        script(IN_PARTS, in_parts(), vec![Append(10), Append(LONG), Batch(vec![LONG / 3; 3]), Append(11)]),
        script("tiny", always(), vec![Append(10), Append(700), Sync, Append(9)]),
        script(
            "batches",
            always(),
            vec![Batch(vec![10, 600, 30]), Batch(vec![2000; 4]), Batch(vec![8, 8]), Append(11)],
        ),
        script(
            "rotation",
            always(),
            vec![Append(BIG), Append(BIG), Append(BIG), Append(BIG), Append(10), Append(BIG), Append(12)],
        ),
        script(
            "rotation unsynced",
            background(),
            vec![
                Append(BIG),
                Append(BIG),
                Append(BIG),
                Append(BIG),
                Sync,
                Append(BIG),
                Append(BIG),
                Append(BIG),
            ],
        ),
        script(
            "os cache",
            os_cache(),
            vec![
                Append(BIG),
                Append(9000),
                AppendAs(20, Durability::Durable),
                Append(BIG),
                Append(BIG),
                Append(BIG),
                Maintain,
                Append(30),
            ],
        ),
        script(
            "tickets",
            background(),
            vec![Submit(100), Submit(9000), Wait, Submit(BIG), Submit(BIG), Submit(BIG), Wait, Wait],
        ),
        script("idle", always(), vec![Append(100), Maintain, Append(5000), Maintain, Maintain, Append(8)]),
        script(
            "trim",
            always(),
            vec![
                Append(BIG),
                Append(BIG),
                Append(BIG),
                Append(BIG),
                KeepLast(2),
                Append(40),
                KeepLast(1),
                Append(10),
            ],
        ),
        script(
            "trim all",
            background(),
            vec![Append(BIG), Append(10), KeepLast(0), Append(10), Sync, KeepLast(0), Append(20)],
        ),
        script(
            "cut",
            always(),
            vec![
                Append(BIG),
                Append(10),
                Batch(vec![10, 20, 30, 40]),
                CutLast(2),
                Append(50),
                CutLast(3),
                Append(60),
            ],
        ),
        script(
            "cut older",
            always(),
            vec![
                Append(BIG),
                Append(BIG),
                Append(BIG),
                Append(BIG),
                Append(10),
                CutLast(3),
                Append(60),
                CutLast(3),
                Append(70),
            ],
        ),
        script(
            "clear",
            background(),
            vec![Append(100), Append(BIG), Clear, Append(10), Sync, Clear, Append(20)],
        ),
        script(
            "reopen",
            always(),
            vec![Append(100), Reopen, Append(BIG), Append(BIG), Append(BIG), Reopen, Append(200), Reopen],
        ),
        script(
            "kill",
            os_cache(),
            vec![Append(100), Kill, Append(BIG), Append(BIG), Append(BIG), Kill, Append(BIG), Kill],
        ),
        script(
            "cut after reopen",
            always(),
            vec![
                Append(100),
                Append(BIG),
                Append(200),
                Reopen,
                CutLast(2),
                Append(10),
                Reopen,
                KeepLast(1),
                Clear,
            ],
        ),
        script(
            "longer than a segment",
            always(),
            vec![Append(50), Append(90_000), Append(60), Batch(vec![40_000, 40_000]), Append(70)],
        ),
        script(
            "trim below",
            always(),
            [vec![Append(BIG); 10], vec![KeepLast(6), Append(10), KeepLast(3), Append(20)]].concat(),
        ),
        script(
            "long segments",
            long(),
            vec![
                Append(50_000),
                Append(40_000),
                Append(100),
                Kill,
                Append(70_000),
                AppendAs(30_000, Durability::Written),
                Kill,
                Append(10),
                Reopen,
                Append(20),
            ],
        ),
        script(
            "long segments cut",
            long(),
            vec![
                Append(50_000),
                Batch(vec![10_000, 20_000, 300]),
                Append(40_000),
                CutLast(2),
                Append(10),
                Kill,
                CutLast(1),
                Append(90_000),
                KeepLast(1),
                Append(9),
            ],
        ),
        script(
            "compressed",
            Setup::of(Options { compression: compression(), ..options() }),
            vec![
                Append(BIG),
                Append(600),
                Batch(vec![500, 300, 900, 2000]),
                Append(BIG),
                CutLast(3),
                Append(BIG),
                Kill,
                Append(300),
                Append(BIG),
                Reopen,
                KeepLast(2),
            ],
        ),
        script(
            "packs",
            Setup::of(compressing(Options { sync: background().options.sync, ..options() })),
            [
                vec![Submit(300); 12],
                vec![Sync, Submit(200), Submit(3000), CutLast(6)],
                vec![Append(400); 5],
                vec![Batch(vec![300, 200]), Append(300), Wait, Append(BIG), Kill],
                vec![Append(250); 8],
                vec![CutLast(3), KeepLast(4), Append(90), Reopen, Append(120), Append(120), Clear, Append(8)],
            ]
            .concat(),
        ),
        script(
            "packs that roll",
            Setup::of(compressing(Options { sync: background().options.sync, ..options() })),
            [vec![Submit(BIG); 3], vec![Append(9000); 12], vec![Sync], vec![Append(BIG); 5]].concat(),
        ),
        script(
            "dictionaries",
            Setup::of(compressing(options())),
            [
                vec![Append(300); 3],
                vec![Train, Append(300), Submit(300), Submit(200), Train, Append(300), CutLast(2)],
                vec![Append(300), Kill, Append(200), Reopen, KeepLast(1), Append(500), Train, Append(300)],
            ]
            .concat(),
        ),
        script(
            "transactions",
            always(),
            vec![
                begin(&[10, 3000, 20]),
                Append(12),
                begin(&[500, 9000]),
                commit(),
                Append(BIG),
                begin(&[30_000, 40_000]),
                commit(),
                commit(),
                begin(&[8, 8]),
                Transact(Step::Rollback),
                begin(&[70, 80]),
                Reopen,
                Append(9),
            ],
        ),
        script("metadata", always(), metadata::ops(BIG)),
        script("metadata, unsynced", background(), metadata::ops(BIG)),
        script("retention", always(), retention::held_by_a_cursor(BIG)),
        script("retention by age", background(), retention::by_age(BIG)),
    ];
    all.extend(crate::draining::workloads());
    all.extend(crate::copying::workloads());
    // The next segment is filled step by step while the one before it is in use, and half filled at the cut.
    all.push(script(
        "ahead",
        Setup::of(Options { first_segment_len: 256 << 10, segment_len: 512 << 10, ..options() }),
        [
            vec![vec![Append(2 * BIG), Maintain]; 12],
            vec![vec![CutLast(2)]],
            vec![vec![Append(2 * BIG), Maintain]; 8],
        ]
        .concat()
        .concat(),
    ));
    all
}
