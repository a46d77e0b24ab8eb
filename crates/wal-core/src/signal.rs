//! Waking a thread that waits for work.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

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

    /// Returns once it is raised, or was since the last wait, and at the latest after this time, if there is one.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        let mut raised = self.raised.lock();
        let is_down = |raised: &mut bool| !*raised;
        match timeout {
            Some(timeout) => drop(self.changed.wait_while_for(&mut raised, is_down, timeout)),
            None => self.changed.wait_while(&mut raised, is_down),
        }
        *raised = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_came_before_is_seen_once() {
        let signal = Signal::default();
        signal.raise();
        signal.raise();
        signal.wait(None);
        signal.wait(Some(Duration::ZERO));
        std::thread::scope(|scope| {
            scope.spawn(|| signal.wait(None));
            signal.raise();
        });
    }
}
