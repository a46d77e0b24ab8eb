//! A word that threads sleep on while it has a value, all of whom one system call wakes.

use std::sync::atomic::Ordering;

use crate::sync::AtomicU32;

#[derive(Debug, Default)]
pub(super) struct Futex {
    word: AtomicU32,
    sleepers: Sleepers,
}

impl Futex {
    pub(super) fn load(&self) -> u32 {
        self.word.load(Ordering::Acquire)
    }

    pub(super) fn store(&self, value: u32) {
        self.word.store(value, Ordering::Release);
    }

    /// Whether it was `from`, and is `to` now.
    pub(super) fn replace(&self, from: u32, to: u32) -> bool {
        self.word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Sleeps until somebody wakes the thread, if the word is `value`. May return early.
    pub(super) fn sleep(&self, value: u32) {
        self.sleepers.sleep(&self.word, value);
    }

    /// Wakes who has slept longest. Change the word first: whoever is about to sleep sees it.
    pub(super) fn wake_one(&self) {
        self.sleepers.wake(&self.word, 1);
    }

    /// Wakes everybody who sleeps.
    pub(super) fn wake_all(&self) {
        self.sleepers.wake(&self.word, i32::MAX.cast_unsigned());
    }
}

#[cfg(all(target_os = "linux", not(all(test, loom))))]
use kernel::Sleepers;

#[cfg(any(not(target_os = "linux"), all(test, loom)))]
use listed::Sleepers;

#[cfg(all(target_os = "linux", not(all(test, loom))))]
mod kernel {
    use std::sync::atomic::AtomicU32;

    use rustix::thread::futex::{self, Flags};

    /// The kernel knows them.
    #[derive(Debug, Default)]
    pub(super) struct Sleepers;

    impl Sleepers {
        #[expect(clippy::unused_self, reason = "elsewhere they are listed here")]
        pub(super) fn sleep(&self, word: &AtomicU32, value: u32) {
            // The word has changed, or a signal came: the caller looks in any case.
            let _ = futex::wait(word, Flags::PRIVATE, value, None);
        }

        #[expect(clippy::unused_self, reason = "elsewhere they are listed here")]
        pub(super) fn wake(&self, word: &AtomicU32, count: u32) {
            let _ = futex::wake(word, Flags::PRIVATE, count);
        }
    }
}

/// The same without help of the system, for others than Linux, and for models.
#[cfg(any(not(target_os = "linux"), all(test, loom)))]
mod listed {
    use std::{
        collections::VecDeque,
        sync::{Arc, atomic::Ordering},
    };

    use crate::{
        commit::Sleeper,
        sync::{AtomicU32, Mutex},
    };

    #[derive(Debug, Default)]
    pub(super) struct Sleepers(Mutex<VecDeque<Arc<Sleeper>>>);

    impl Sleepers {
        pub(super) fn sleep(&self, word: &AtomicU32, value: u32) {
            let sleeper = {
                let mut sleepers = self.0.lock();
                // Under the lock: whoever changed it later will find the sleeper.
                if word.load(Ordering::Acquire) != value {
                    return;
                }
                let sleeper = Sleeper::current();
                sleepers.push_back(Arc::clone(&sleeper));
                sleeper
            };
            sleeper.sleep();
        }

        pub(super) fn wake(&self, _: &AtomicU32, count: u32) {
            let woken: Vec<_> = {
                let mut sleepers = self.0.lock();
                let count = sleepers.len().min(count as usize);
                sleepers.drain(..count).collect()
            };
            woken.iter().for_each(|sleeper| sleeper.wake());
        }
    }
}
