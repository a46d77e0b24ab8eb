//! How something went, told and heard in every order.

use std::sync::Arc;

use loom::thread::{JoinHandle, spawn};

use super::*;
use crate::commit::model::{check, fails};

/// In a model any other time may be over at once.
const ENDLESS: Duration = Duration::MAX;

fn spawned<T: 'static>(outcome: &Arc<Outcome>, run: impl FnOnce(&Outcome) -> T + 'static) -> JoinHandle<T> {
    let outcome = Arc::clone(outcome);
    spawn(move || run(&outcome))
}

fn told(outcome: &Arc<Outcome>, result: fn() -> Result<(), LogError>) -> JoinHandle<()> {
    spawned(outcome, move |outcome| outcome.tell(result()))
}

/// Whether the error is heard; the wait must have an end.
fn hears_error(outcome: &Outcome) -> bool {
    outcome.wait(ENDLESS).unwrap().is_err()
}

#[test]
fn all_who_wait_hear_of_the_end_and_one_of_the_error() {
    check(4, || {
        let outcome = Arc::new(Outcome::default());
        let teller = told(&outcome, || Err(LogError::Closed));
        let other = spawned(&outcome, hears_error);
        let heard = hears_error(&outcome);
        assert!(heard ^ other.join().unwrap(), "once, and never twice");
        teller.join().unwrap();
    });
}

#[test]
fn whoever_does_not_wait_long_enough_takes_nothing_away() {
    check(4, || {
        let outcome = Arc::new(Outcome::default());
        let teller = told(&outcome, || Err(LogError::Closed));
        let early = outcome.wait(Duration::ZERO);
        let late = hears_error(&outcome);
        match early {
            None => assert!(late, "it is told later"),
            Some(early) => assert!(early.is_err() && !late, "it was heard"),
        }
        teller.join().unwrap();
    });
}

#[test]
fn only_the_first_word_counts() {
    check(4, || {
        let outcome = Arc::new(Outcome::default());
        let tellers = [told(&outcome, || Err(LogError::Closed)), told(&outcome, || Ok(()))];
        outcome.wait(ENDLESS).unwrap().ok();
        tellers.into_iter().for_each(|teller| teller.join().unwrap());
        assert!(!hears_error(&outcome), "a second word");
    });
}

#[test]
fn an_end_that_nobody_tells_of_is_caught() {
    fails(4, || {
        let outcome = Arc::new(Outcome::default());
        let early = spawned(&outcome, |outcome| outcome.wait(Duration::ZERO).is_none());
        outcome.wait(ENDLESS).unwrap().unwrap();
        early.join().unwrap();
    });
}
