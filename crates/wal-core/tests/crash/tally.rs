//! How much was tried.

use std::{
    cell::Cell,
    ops::{AddAssign, Sub},
};

/// What a thread has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Disks that a death, a power cut or damage left and on which the log was opened and held to its promises.
    pub(crate) states: u64,
    /// Planned deaths and failures that took place, power cuts, and flipped bits.
    pub(crate) faults: u64,
}

thread_local! {
    static TALLY: Cell<Tally> = const { Cell::new(Tally { states: 0, faults: 0 }) };
}

/// One more disk.
pub(crate) fn state() {
    add(Tally { states: 1, faults: 0 });
}

/// So many more failures.
pub(crate) fn faults(count: u64) {
    add(Tally { states: 0, faults: count });
}

/// What this thread has looked at so far.
pub(crate) fn here() -> Tally {
    TALLY.get()
}

fn add(more: Tally) {
    let mut tally = TALLY.get();
    tally += more;
    TALLY.set(tally);
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.states += more.states;
        self.faults += more.faults;
    }
}

impl Sub for Tally {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { states: self.states - before.states, faults: self.faults - before.faults }
    }
}
