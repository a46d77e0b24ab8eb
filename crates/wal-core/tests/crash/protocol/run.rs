//! Random lives and deaths of one log, held against what was promised.

use wal_sim::Rng;

use super::{
    Rules,
    disk::Disk,
    log::{Log, Stop},
    schedule::{Life, Schedule, Step},
};

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) clean: u64,
    pub(crate) failed: u64,
    /// The first failure, with its seed.
    pub(crate) first: Option<(u64, String)>,
}

impl Tally {
    pub(crate) fn add(&mut self, seed: u64, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.clean += 1,
            Err(why) => {
                self.failed += 1;
                self.first.get_or_insert((seed, why));
            }
        }
    }
}

/// What outlives a process: what was appended, what was acknowledged, what may have been cut.
#[derive(Debug, Default)]
struct Known {
    content: Vec<u64>,
    acked: Vec<u64>,
    intent: Option<Vec<u64>>,
}

impl Known {
    fn admits(&self, found: &[u64]) -> bool {
        let is_prefix = self.content.starts_with(found) && found.starts_with(&self.acked);
        is_prefix || self.intent.as_deref() == Some(found)
    }
}

pub(crate) fn run(seed: u64, rules: Rules) -> Result<(), String> {
    let mut disk = Disk::default();
    let mut known = Known::default();
    let mut values = 0;
    for life in Schedule::new(seed).lives {
        live(&mut disk, &life, rules, &mut known, &mut values)?;
        if let Some(seed) = life.power_cut {
            disk.cut_power(&mut Rng::new(seed));
        }
    }
    Ok(())
}

fn live(
    disk: &mut Disk,
    life: &Life,
    rules: Rules,
    known: &mut Known,
    values: &mut u64,
) -> Result<(), String> {
    let mut log = Log::new(disk, rules, life.dies_at, life.sync_fails);
    match log.recover() {
        Ok(()) => {}
        // Nobody was told anything.
        Err(Stop::Crash) => return Ok(()),
        Err(Stop::Damage(why)) => return Err(format!("damage: {why}")),
    }
    if !known.admits(&log.content) {
        return Err(format!("lost or invented: {:?} of {known:?}", log.content));
    }
    log.acked.clone_from(&log.content);
    let ended = work(&mut log, &life.steps, values);
    *known = Known { content: log.content, acked: log.acked, intent: log.intent };
    match ended {
        Err(Stop::Damage(why)) => Err(why),
        _ => Ok(()),
    }
}

fn work(log: &mut Log<'_>, steps: &[Step], values: &mut u64) -> Result<(), Stop> {
    for step in steps {
        match step {
            Step::Append(_) => {
                *values += 1;
                log.append(*values)?;
            }
            Step::Sync => log.sync_all()?,
            Step::Keep(share) => {
                let count = log.content.len() as u64;
                if count > 0 {
                    log.truncate(1 + share % count)?;
                }
            }
        }
    }
    Ok(())
}
