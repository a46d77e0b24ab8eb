//! How something went that another thread does.
//!
//! One slot and no channel: a channel is compiled anew, in all its kinds, for each type that goes through it.

use std::{mem, time::Duration};

use crate::{
    LogError,
    sync::{Condvar, Mutex},
};

/// Where one thread says how something went, and another waits to hear it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Open,
    Told(Result<(), LogError>),
    Heard,
}

impl Outcome {
    /// Says it. Only the first word counts.
    pub(crate) fn tell(&self, result: Result<(), LogError>) {
        let mut state = self.state.lock();
        if matches!(*state, State::Open) {
            *state = State::Told(result);
            self.told.notify_all();
        }
    }

    /// How it went, or `None` when that is not known within this time. An error is heard once; who asks later learns
    /// only that it is over.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Result<(), LogError>> {
        let mut state = self.state.lock();
        self.told.wait_while_for(&mut state, |state| matches!(state, State::Open), timeout);
        match mem::replace(&mut *state, State::Heard) {
            State::Open => {
                *state = State::Open;
                None
            }
            State::Told(result) => Some(result),
            State::Heard => Some(Ok(())),
        }
    }
}

#[cfg(all(test, loom))]
mod model;

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    #[test]
    fn an_error_is_heard_once_and_the_end_always() {
        let outcome = Outcome::default();
        assert!(outcome.wait(Duration::ZERO).is_none());
        outcome.tell(Err(LogError::Closed));
        outcome.tell(Ok(()));
        assert!(matches!(outcome.wait(Duration::ZERO), Some(Err(LogError::Closed))));
        assert!(matches!(outcome.wait(Duration::ZERO), Some(Ok(()))));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "nothing says that a thread waits but time")]
    fn all_who_wait_hear_of_the_end() {
        let outcome = Outcome::default();
        let waiting = Barrier::new(3);
        thread::scope(|scope| {
            let wait = || {
                waiting.wait();
                outcome.wait(Duration::from_secs(60))
            };
            let waiters = [(); 2].map(|()| scope.spawn(wait));
            waiting.wait();
            thread::sleep(Duration::from_millis(50));
            outcome.tell(Ok(()));
            // It would find out by itself, too, when its time is over.
            assert_eq!(outcome.told.notify_all(), 0, "somebody was left waiting");
            waiters.into_iter().for_each(|waiter| assert!(waiter.join().unwrap().is_some()));
        });
    }
}
