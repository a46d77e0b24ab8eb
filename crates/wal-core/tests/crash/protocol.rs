//! The model of the recovery protocol: any subset of unsynced frames and names survives a power cut; kills, failed
//! syncs, crashes in recovery, truncation. It knows nothing of bytes: a file is a row of numbered frames.
//!
//! The rules as they are must stay clean; each rule left out must fail. The engine goes through the same schedules
//! (`engine`), and must say what the model says of every disk that it leaves. `WAL_CRASH_STATES` multiplies the runs.

mod disk;
mod engine;
mod log;
mod run;
mod schedule;
mod translate;

use run::{Tally, run};

use crate::surroundings::{scale, seed};

/// The rules that can be left out or replaced.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    /// An opening is written only after its predecessor, seal included, is synced.
    predecessor_first: bool,
    /// An opening is written only after its predecessor's opening is synced; a torn tail may span two segments.
    overlap: bool,
    /// Any bad place in an older segment is damage.
    older_is_damage: bool,
    /// The newest opening counts as a proof of itself.
    self_proof: bool,
    /// Recovery writes its opening before what it carries over.
    opening_first: bool,
    /// Proofs count beyond the end that a successor names.
    unclipped: bool,
    /// Two segments with one predecessor are an error.
    fork_is_error: bool,
}

const RUNS: u64 = 500;

fn tally(rules: Rules) -> Tally {
    let first = seed();
    let mut tally = Tally::default();
    (first..first + RUNS * scale()).for_each(|seed| tally.add(seed, run(seed, rules)));
    println!("{rules:?}: {tally:?}");
    tally
}

#[track_caller]
fn is_clean(rules: Rules) {
    let tally = tally(rules);
    assert_eq!(tally.first, None);
}

#[track_caller]
fn fails(rules: Rules) {
    let tally = tally(rules);
    assert!(tally.first.is_some(), "a rule was left out, and nothing happened");
}

fn rules() -> Rules {
    Rules { predecessor_first: true, ..Rules::default() }
}

#[test]
fn the_rules_lose_nothing() {
    is_clean(rules());
}

#[test]
fn a_bad_place_in_an_older_segment_is_damage() {
    is_clean(Rules { older_is_damage: true, ..rules() });
}

/// The reference clips them. While predecessors come first there is nothing to clip.
#[test]
fn proofs_that_are_not_clipped_do_no_harm_when_predecessors_come_first() {
    is_clean(Rules { unclipped: true, ..rules() });
}

#[test]
fn overlap_is_clean_when_an_opening_waits_for_the_one_before() {
    is_clean(Rules { overlap: true, ..Rules::default() });
}

#[test]
fn an_opening_that_proves_itself_fails() {
    fails(Rules { self_proof: true, ..rules() });
}

#[test]
fn an_opening_written_first_in_recovery_fails() {
    fails(Rules { opening_first: true, ..rules() });
}

#[test]
fn forks_as_errors_fail() {
    fails(Rules { fork_is_error: true, ..rules() });
}

#[test]
fn unrestricted_overlap_fails() {
    fails(Rules::default());
}

#[test]
fn overlap_with_older_damage_fails() {
    fails(Rules { overlap: true, older_is_damage: true, ..Rules::default() });
}
