//! Whose turn it is, among threads that each stamp and write by themselves.
//!
//! A thread that goes on mostly has the lock again before one that sleeps for it is awake. That is wanted: what an
//! append touches stays in one core's cache, and entries are written sooner than if threads shared their writes
//! (`docs/adr/0021`). After some turns in a row a thread gives way between any two, so that nobody sleeps for long.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// So many turns one thread takes in a row while others wait.
const ROW: u32 = 256;

/// The standard library's lock: who waits for it looks for a moment and sleeps then, and whoever comes first has it.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// How many were taken since a thread had to wait for one.
    row: Mutex<u32>,
    waiting: AtomicUsize,
}

/// The right to write, until dropped.
#[must_use]
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    row: MutexGuard<'a, u32>,
}

impl Turns {
    /// Waits for a turn.
    pub(crate) fn take(&self) -> Turn<'_> {
        let mut row = match self.row.try_lock() {
            Ok(row) => row,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => self.wait(),
        };
        *row = row.saturating_add(1);
        Turn { turns: self, row }
    }

    #[cold]
    fn wait(&self) -> MutexGuard<'_, u32> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let mut row = self.row.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        *row = 0;
        row
    }
}

impl Turn<'_> {
    /// Ends it, and gives way to other threads if it is time.
    pub(crate) fn end(self) {
        let gives_way = *self.row >= ROW && self.turns.waiting.load(Ordering::Relaxed) > 0;
        drop(self.row);
        if gives_way {
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// Ends only when a thread that waits gets its turn while another one takes turns without a pause.
    #[test]
    fn who_waits_gets_a_turn() {
        let (turns, is_served) = (Turns::default(), AtomicBool::new(false));
        thread::scope(|scope| {
            let first = turns.take();
            scope.spawn(|| {
                turns.take().end();
                is_served.store(true, Ordering::Release);
            });
            while turns.waiting.load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
            first.end();
            while !is_served.load(Ordering::Acquire) {
                turns.take().end();
            }
        });
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn there_is_no_last_turn() {
        let turns = Turns::default();
        *turns.row.lock().unwrap() = u32::MAX - 1;
        (0..4).for_each(|_| turns.take().end());
    }

    #[test]
    fn a_turn_that_ended_with_a_panic_is_followed_by_others() {
        let turns = Turns::default();
        thread::scope(|scope| {
            let panicked = scope.spawn(|| {
                let _turn = turns.take();
                panic!("in its turn");
            });
            assert!(panicked.join().is_err());
        });
        turns.take().end();
    }
}
