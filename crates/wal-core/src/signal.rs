//! Waking a thread that waits for work.

use std::{mem, time::Duration};

use crate::sync::{Condvar, Mutex};

/// Says only that there is something to look at: one that was not seen yet says enough. For one thread that waits.
///
/// No channel of `()`, which is a lot of code for one bit: all kinds of channels are behind one type.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn raise(&self) {
        let mut raised = self.raised.lock();
        if !*raised {
            *raised = true;
            self.changed.notify_one();
        }
    }

    /// Returns once it is raised, or was since the last wait, and at the latest after this time, if there is one. Says
    /// whether it was raised.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut raised = self.raised.lock();
        let is_down = |raised: &mut bool| !*raised;
        match timeout {
            Some(timeout) => drop(self.changed.wait_while_for(&mut raised, is_down, timeout)),
            None => self.changed.wait_while(&mut raised, is_down),
        }
        mem::take(&mut *raised)
    }
}

#[cfg(all(test, loom))]
mod model;

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    #[test]
    fn a_signal_that_came_before_is_seen_once() {
        let signal = Signal::default();
        signal.raise();
        signal.raise();
        assert!(signal.wait(None));
        assert!(!signal.wait(Some(Duration::ZERO)));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "nothing says that a thread waits but time")]
    fn whoever_waits_is_woken() {
        let signal = Signal::default();
        let waiting = Barrier::new(2);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                waiting.wait();
                signal.wait(None)
            });
            waiting.wait();
            thread::sleep(Duration::from_millis(50));
            signal.raise();
            assert!(!signal.changed.notify_one(), "it was left waiting");
            assert!(waiter.join().unwrap());
        });
    }
}
