//! Random lives and deaths of one log, held against what was promised.

use wal_sim::Rng;

use crate::{
    Rules,
    disk::Disk,
    log::{Log, Stop},
};

const LIVES: u64 = 10;

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
    let mut rng = Rng::new(seed);
    let mut disk = Disk::default();
    let mut known = Known::default();
    let mut values = 0;
    for _ in 0..LIVES {
        live(&mut disk, &mut rng, rules, &mut known, &mut values)?;
        if rng.below(10) < 6 {
            disk.cut_power(&mut rng);
        }
    }
    Ok(())
}

fn live(
    disk: &mut Disk,
    rng: &mut Rng,
    rules: Rules,
    known: &mut Known,
    values: &mut u64,
) -> Result<(), String> {
    let mut log = Log::new(disk, rng, rules);
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
    let ended = work(&mut log, values);
    *known = Known { content: log.content, acked: log.acked, intent: log.intent };
    match ended {
        Err(Stop::Damage(why)) => Err(why),
        _ => Ok(()),
    }
}

fn work(log: &mut Log<'_>, values: &mut u64) -> Result<(), Stop> {
    for _ in 0..1 + log.rng.below(13) {
        match log.rng.below(10) {
            0..=5 => {
                *values += 1;
                log.append(*values)?;
            }
            6..=8 => log.sync_all()?,
            _ => {
                let count = log.content.len() as u64;
                if count > 0 {
                    let keep = 1 + log.rng.below(count);
                    log.truncate(keep)?;
                }
            }
        }
    }
    Ok(())
}
