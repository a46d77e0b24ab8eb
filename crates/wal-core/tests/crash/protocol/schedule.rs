//! What befalls a log, drawn from a seed alone: the protocol's model and the engine go through the same.

use wal_sim::Rng;

const LIVES: u64 = 10;
/// The chance of 1024 that a process dies at a step, and that a sync fails.
const DIES: u64 = 31;
const SYNC_FAILS: u64 = 20;

/// One log's processes, one after the other.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) lives: Vec<Life>,
}

/// One process: it recovers, does these steps as long as it lives, and dies without closing the log.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) steps: Vec<Step>,
    /// It dies before the operation of this number: of those that the model counts, or of the disk's.
    pub(crate) dies_at: u64,
    /// The sync of this number fails.
    pub(crate) sync_fails: u64,
    /// Seed of what survives, when the power goes too.
    pub(crate) power_cut: Option<u64>,
}

#[derive(Debug)]
pub(crate) enum Step {
    /// One entry, not synced. The number says how long it is, where lengths count.
    Append(u64),
    Sync,
    /// Cuts off all but the first `1 + n % count` of the entries.
    Keep(u64),
}

impl Schedule {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self { lives: (0..LIVES).map(|_| life(&mut rng)).collect() }
    }
}

fn life(rng: &mut Rng) -> Life {
    let steps = (0..1 + rng.below(13)).map(|_| step(rng)).collect();
    let (dies_at, sync_fails) = (first_of(rng, DIES), first_of(rng, SYNC_FAILS));
    let power_cut = (rng.below(10) < 6).then(|| rng.next_u64());
    Life { steps, dies_at, sync_fails, power_cut }
}

fn step(rng: &mut Rng) -> Step {
    match rng.below(10) {
        0..=5 => Step::Append(rng.next_u64()),
        6..=8 => Step::Sync,
        _ => Step::Keep(rng.next_u64()),
    }
}

/// The number of the first of many tries that hits, when so many of 1024 do.
fn first_of(rng: &mut Rng, hits: u64) -> u64 {
    (0..).find(|_| rng.below(1024) < hits).unwrap_or(u64::MAX)
}
