//! Which of several looks at a log that another process writes is taken in.
//!
//! Threads look when they like and wait for nobody: a look may hang. But of two looks that overlap nobody knows which
//! has seen more, and one that has seen less would take the log back, behind what readers were shown.
//!
//! - A look that began before the one taken in last is not needed: what its caller asks for is there.
//! - One during which an older one was taken in looks again. Every such one began before the second attempt, so that
//!   there are at most as many attempts as threads.

use std::sync::{Arc, atomic::Ordering};

use super::glance::Known;
use crate::sync::{AtomicU64, Mutex};

#[derive(Debug, Default)]
pub(crate) struct Looking {
    /// How many looks were begun.
    begun: AtomicU64,
    /// The one taken in last.
    taken: AtomicU64,
    /// What that one has found, where a glance is enough to go on from it.
    known: Mutex<Option<Arc<Known>>>,
}

/// A look that was begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    nth: u64,
    /// The one taken in last by then.
    before: u64,
}

/// What to do with what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Take it in.
    Newest,
    /// Nothing: somebody who began later was faster.
    Outdated,
    /// It may be older than what is there: look again.
    Doubtful,
}

impl Looking {
    pub(crate) fn known(&self) -> Option<Arc<Known>> {
        self.known.lock().clone()
    }

    /// To be called under the lock under which looks are taken in.
    pub(crate) fn remember(&self, known: Option<Known>) {
        *self.known.lock() = known.map(Arc::new);
    }

    /// To be called before anything is looked at.
    pub(crate) fn begin(&self) -> Look {
        let nth = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        Look { nth, before: self.taken.load(Ordering::Acquire) }
    }

    /// To be called under the lock under which looks are taken in.
    pub(crate) fn end(&self, look: Look) -> Seen {
        let taken = self.taken.load(Ordering::Acquire);
        if taken > look.nth {
            return Seen::Outdated;
        }
        if taken != look.before {
            return Seen::Doubtful;
        }
        self.taken.store(look.nth, Ordering::Release);
        Seen::Newest
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_taken_in_unless_it_may_have_seen_less() {
        let looking = Looking::default();
        let [first, second, third] = [(); 3].map(|()| looking.begin());
        assert_eq!(looking.end(second), Seen::Newest);
        assert_eq!(looking.end(first), Seen::Outdated);
        assert_eq!(looking.end(third), Seen::Doubtful);
        let [again, other] = [(); 2].map(|()| looking.begin());
        assert_eq!(looking.end(again), Seen::Newest);
        assert_eq!(looking.end(other), Seen::Doubtful);
        assert_eq!(looking.end(looking.begin()), Seen::Newest);
    }
}
