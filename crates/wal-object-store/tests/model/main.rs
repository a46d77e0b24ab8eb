//! The protocol of logs on objects as a model: `docs/adr/0009`. Writers crash, stall for long, lose answers, have
//! creations that arrive late; they compete, and remove what was trimmed. Each rule, left out, must be found to matter.
//!
//! `WAL_OBJECT_RUNS` sets the number of runs for each width.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it counted"
)]

mod world;
mod writer;

use world::{Outcome, Rules, run};

/// Steps of a run.
const STEPS: usize = 400;

fn runs() -> u64 {
    std::env::var("WAL_OBJECT_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(500)
}

#[test]
fn nothing_acknowledged_is_lost() {
    for width in [1, 2, 4] {
        let mut sum = Outcome::default();
        for seed in 0..runs() {
            match run(seed, STEPS, Rules { width, ..Rules::ALL }) {
                Ok(outcome) => sum.add(&outcome),
                Err(violation) => panic!("width {width}, seed {seed}: {violation}"),
            }
        }
        println!("width {width}: {} runs, {sum:?}", runs());
        assert!(sum.acknowledged > 0 && sum.fenced > 0 && sum.removed > 0 && sum.late > 0, "{sum:?}");
        assert!(sum.void > 0, "a fence that came too late was seen: {sum:?}");
    }
}

#[track_caller]
fn control(rules: Rules, what: &str) {
    let failing = (0..10 * runs()).filter(|seed| run(*seed, STEPS, rules).is_err()).take(3).count();
    assert!(failing > 0, "{what}: not found in {} runs", 10 * runs());
}

#[test]
fn fences_must_stay() {
    control(Rules { fences_stay: false, ..Rules::ALL }, "fences are removed like other segments");
}

#[test]
fn a_fence_must_be_looked_at_once_more() {
    control(Rules { look_again: false, ..Rules::ALL }, "whoever created a fence believes in it");
}

#[test]
fn objects_must_be_acknowledged_in_order() {
    control(Rules { in_order: false, ..Rules::ALL }, "an object is acknowledged when it arrives");
}

#[test]
fn a_claim_must_be_true() {
    control(Rules { honest_claims: false, ..Rules::ALL }, "an opening claims what is on its way");
}

#[test]
fn only_what_is_claimed_may_go() {
    control(
        Rules { claimed_only: false, ..Rules::ALL },
        "what was trimmed goes although its claim is not published",
    );
}

#[test]
fn a_reader_must_follow_the_predecessors() {
    control(Rules { follow: false, ..Rules::ALL }, "the newest segment is the greatest id");
}
