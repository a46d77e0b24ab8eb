//! What the search is worth: it catches every planted bug, and soon.

use wal_sim::{FailedWrite, Faults, Shots};

use crate::{
    copying, draining,
    exhaustive::{Search, run},
    faults::meets,
    model::End,
    planted::Bug,
    rig::{Op, Rig},
    surroundings::{bare, scale},
    tally,
    workloads::{Workload, workloads},
};

/// How a bug is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hunt {
    /// Death and power cuts at every operation.
    Crashes,
    /// Each sync fails in turn.
    Syncs,
    /// Each write finds the disk full in turn.
    Writes,
    /// Each read of recovery fails in turn.
    Reads,
}

impl Hunt {
    /// What was found first.
    fn find(self, bug: Bug) -> Result<(), String> {
        let mut search = Search::new(3, 1, 100);
        search.samples = 3;
        // Nothing else drains, or receives.
        let all = match bug {
            Bug::DrainsRefused => draining::workloads(),
            Bug::ReceivedUnchecked => copying::workloads(),
            _ => workloads(),
        };
        for mut workload in all {
            // No other workload has a place for these.
            let concerns = |op: &Op| match bug {
                Bug::CommitInParts => matches!(op, Op::Transact(_)),
                Bug::ValueApart => matches!(op, Op::RaiseWith(_)),
                _ => true,
            };
            let packs = workload.setup.options.compression.packs(0);
            if !workload.ops.iter().any(concerns) || bug == Bug::PackAcknowledged && !packs {
                continue;
            }
            workload.setup.bug = bug;
            let named = |why| format!("{}: {why}", workload.name);
            match self {
                Self::Crashes => search.workload(&workload, &bare())?,
                Self::Syncs => {
                    calls(&workload, |sync| Faults { sync, ..Faults::default() }).map_err(named)?
                }
                Self::Writes => calls(&workload, |write| Faults {
                    write,
                    write_mode: FailedWrite::Full,
                    ..Faults::default()
                })
                .map_err(named)?,
                Self::Reads => reads(&workload).map_err(named)?,
            }
        }
        Ok(())
    }
}

fn calls(workload: &Workload, plan: impl Fn(Shots) -> Faults) -> Result<(), String> {
    for call in 0.. {
        if !meets(workload, plan(Shots::nth(call)), false)? {
            break;
        }
    }
    Ok(())
}

fn reads(workload: &Workload) -> Result<(), String> {
    let (disk, model) = run(workload, &bare(), 1, None)?.into_parts();
    for read in 0..20 {
        let disk = disk.snapshot();
        disk.set_faults(Faults { read: Shots::nth(read), ..Faults::default() });
        let mut rig = Rig::on(&workload.setup, disk, model.clone());
        if let Err(error) = rig.try_open(End::Process)?
            && error.is_damage()
        {
            return Err(format!("damage without damage: {}", crate::rig::chain(&error)));
        }
    }
    Ok(())
}

/// A bug, what it breaks, how it is looked for, and within how many states it must be caught.
type Plant = (Bug, &'static str, Hunt, u64);

const PLANTS: &[Plant] = &[
    (Bug::NoSync, "C1: data is not synced", Hunt::Crashes, 50),
    (Bug::EarlyAcknowledgement, "C1: acknowledged before the sync", Hunt::Crashes, 200),
    (Bug::HalfSync, "C1: half of a write is synced", Hunt::Crashes, 50),
    (Bug::NoNameSync, "C1: the directory is not synced", Hunt::Crashes, 2000),
    (Bug::NamesBeforeRename, "C1: the directory is synced before the rename only", Hunt::Crashes, 50),
    (Bug::HeaderNotSynced, "a name comes before the header it leads to", Hunt::Crashes, 200),
    (Bug::SealBeforeName, "a seal names a file that may be gone", Hunt::Crashes, 5000),
    (Bug::OpeningBeforeSeal, "a successor opens before what it follows is synced", Hunt::Crashes, 5000),
    (Bug::OpeningBeforeCopies, "recovery: opened before the copies are synced", Hunt::Crashes, 5000),
    (Bug::OpeningFirst, "recovery: opened before the copies are written", Hunt::Crashes, 5000),
    (Bug::TailNotSynced, "recovery: reported before it is synced", Hunt::Crashes, 5000),
    (Bug::RemovalBeforeTrim, "removed before the trim is synced", Hunt::Crashes, 20_000),
    (Bug::RemovalBeforeOpening, "removed before what replaces it is synced", Hunt::Crashes, 5000),
    (Bug::OneTooMany, "retention removes one file too many", Hunt::Crashes, 20_000),
    (Bug::TrimOneTooMany, "retention: a trim gives up one segment too many", Hunt::Crashes, 20_000),
    (Bug::TrimPastCursors, "retention: a trim passes a cursor", Hunt::Crashes, 50_000),
    (Bug::SyncTriedAgain, "C5: a failed sync is tried again", Hunt::Syncs, 50),
    (Bug::PoisonForgotten, "C5: a failed sync is forgotten", Hunt::Syncs, 50),
    (Bug::FullIsWhole, "C6: what met a full disk counts as written", Hunt::Writes, 50),
    (Bug::ShortWrite, "a short write counts as whole", Hunt::Crashes, 2000),
    (Bug::Hole, "acknowledged over a hole", Hunt::Crashes, 2000),
    (Bug::FillerOverAppender, "preparing a segment overwrites the one in use", Hunt::Crashes, 2000),
    (Bug::ClaimsUnsynced, "C7: frames claim what was not synced", Hunt::Crashes, 2000),
    (Bug::OpeningProvesItself, "C7: an opening is claimed before it is there", Hunt::Crashes, 5000),
    (Bug::CommitInParts, "C3: a transaction is committed in two parts", Hunt::Crashes, 2000),
    (Bug::ValueApart, "C3: a value is set behind the batch that it belongs to", Hunt::Crashes, 2000),
    (Bug::PackAcknowledged, "C1: acknowledged once it is in a pack", Hunt::Crashes, 2000),
    (Bug::NoLock, "C9: two writers", Hunt::Crashes, 50),
    (Bug::BodiesUnchecked, "C2: checksums of bodies are ignored", Hunt::Crashes, 2000),
    (Bug::SaltIgnored, "C2: frames of other files are believed", Hunt::Crashes, 5000),
    (Bug::StaleReads, "reads are older than writes", Hunt::Crashes, 2000),
    (Bug::DrainsRefused, "a replay drains a batch too many", Hunt::Crashes, 5000),
    (Bug::ReceivedUnchecked, "C2: a frame of another log is not verified", Hunt::Crashes, 50),
    (Bug::ErrorIsEnd, "a read error counts as the end of the file", Hunt::Reads, 100),
];

#[test]
fn every_planted_bug_is_caught() {
    println!("| planted bug | it breaks | states until caught |\n|---|---|---|");
    let mut missed = Vec::new();
    for (bug, breaks, hunt, states_max) in PLANTS {
        let before = tally::here();
        let found = hunt.find(*bug);
        let states = (tally::here() - before).states;
        println!("| {bug:?} | {breaks} | {states} |");
        match found {
            Err(why) => println!("  {}", why.chars().take(300).collect::<String>()),
            Ok(()) => missed.push(format!("{bug:?} was not caught in {states} states")),
        }
        if states > states_max * scale() {
            missed.push(format!("{bug:?} was caught only after {states} states"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn the_same_searches_find_nothing_without_a_bug() {
    let before = tally::here();
    for hunt in [Hunt::Crashes, Hunt::Syncs, Hunt::Writes, Hunt::Reads] {
        hunt.find(Bug::None).unwrap_or_else(|why| panic!("{hunt:?}: {why}"));
    }
    // Salts are there for this.
    Hunt::Crashes.find(Bug::StrayBlocks).unwrap_or_else(|why| panic!("stray blocks: {why}"));
    println!("{} states without a bug", (tally::here() - before).states);
}
