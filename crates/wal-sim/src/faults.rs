//! A plan of failures.

/// Failures to come. The default is none.
///
/// Set it with [`SimDisk::set_faults`](crate::SimDisk::set_faults), before a run or at any time during one; that starts
/// the count of every [`Shots`] anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Kills the process at an operation. Follow it with [`SimDisk::crash`](crate::SimDisk::crash) for a power cut.
    pub crash: Option<Crash>,
    /// Syncs of files that fail: pages that were dirty are dropped, and a later sync succeeds without them.
    pub sync: Shots,
    /// What reads show after a failed sync.
    pub sync_mode: FailedSync,
    /// Whether a failed sync writes some of the dirty sectors, chosen by the seed, before it drops the others. By
    /// default it drops all of them.
    pub sync_keeps_some: bool,
    /// Calls of `write_back` that fail, and drop what a failed sync drops; a later sync succeeds without it. What the
    /// medium finds only after such a call is the failure of a sync.
    pub write_back: Shots,
    /// Writes that fail after a prefix of them was written.
    pub write: Shots,
    /// How these writes fail.
    pub write_mode: FailedWrite,
    /// Reads and views that fail.
    pub read: Shots,
    /// How these reads fail.
    pub read_mode: FailedRead,
    /// Calls of `create` that fail and create nothing.
    pub create: Shots,
    /// Renames that fail and change nothing.
    pub rename: Shots,
    /// Removals that fail and remove nothing.
    pub remove: Shots,
    /// Syncs of names that fail. What was not durable stays so for ever: no later `sync_names` saves it, and a power
    /// cut keeps any part of it.
    pub sync_names: Shots,
    /// Reservations that fail for want of space. The file may have grown all the same.
    pub reserve: Shots,
    /// Calls of `punch` that fail and change nothing.
    pub punch: Shots,
}

/// Which of the calls of one kind fail, counted from 0 since the plan was set. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shots {
    /// So many calls pass before the first failure.
    pub after: u64,
    /// So many calls fail, in a row.
    pub times: u64,
}

impl Shots {
    /// No call.
    pub const NONE: Self = Self { after: 0, times: 0 };

    /// The call with this number alone; 0 is the next.
    #[must_use]
    pub const fn nth(number: u64) -> Self {
        Self { after: number, times: 1 }
    }

    /// The call with this number and all later ones.
    #[must_use]
    pub const fn from(number: u64) -> Self {
        Self { after: number, times: u64::MAX }
    }

    const fn hits(self, number: u64) -> bool {
        number >= self.after && number - self.after < self.times
    }
}

/// The death of the process at one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The number of the operation, as [`SimDisk::operations`](crate::SimDisk::operations) counts them.
    pub operation: u64,
    /// Whether the operation takes effect.
    pub moment: CrashMoment,
}

/// How far the operation came at which the process died. The process never learns the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashMoment {
    /// It did nothing.
    Before,
    /// A write wrote some of its first sectors, as many as the seed says; anything else did nothing.
    Within,
    /// It was complete.
    After,
}

/// What reads show after a failed sync, until the power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailedSync {
    /// What was written, as ext4 and XFS do: the page cache keeps it and calls it clean. The power cut reveals the
    /// loss.
    #[default]
    KeepReadable,
    /// What was durable before, at once, as btrfs does. The length stays.
    Revert,
}

/// How a write fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailedWrite {
    /// With `StorageFull`.
    #[default]
    Full,
    /// With an input/output error.
    Error,
}

/// How a read fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailedRead {
    /// With an input/output error.
    #[default]
    Error,
    /// With success, and one bit of the result flipped, chosen by the seed. What is stored does not change.
    FlippedBit,
}

/// The plan with its counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) faults: Faults,
    pub(crate) fired: u64,
    calls: [u64; 10],
}

/// The kinds of calls that are counted apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Sync,
    Write,
    Read,
    Create,
    Rename,
    Remove,
    SyncNames,
    Reserve,
    Punch,
    WriteBack,
}

impl Plan {
    pub(crate) fn set(&mut self, faults: Faults) {
        self.faults = faults;
        self.calls = Default::default();
    }

    /// Counts a call, and tells whether it is to fail.
    pub(crate) fn fails(&mut self, call: Call) -> bool {
        let faults = &self.faults;
        let shots = match call {
            Call::Sync => faults.sync,
            Call::Write => faults.write,
            Call::Read => faults.read,
            Call::Create => faults.create,
            Call::Rename => faults.rename,
            Call::Remove => faults.remove,
            Call::SyncNames => faults.sync_names,
            Call::Reserve => faults.reserve,
            Call::Punch => faults.punch,
            Call::WriteBack => faults.write_back,
        };
        let number = self.calls[call as usize];
        self.calls[call as usize] += 1;
        let hit = shots.hits(number);
        self.fired += u64::from(hit);
        hit
    }

    /// Whether and how the process dies at this operation.
    pub(crate) fn crash(&mut self, operation: u64) -> Option<CrashMoment> {
        let crash = self.faults.crash.filter(|crash| crash.operation == operation)?;
        self.faults.crash = None;
        self.fired += 1;
        Some(crash.moment)
    }
}

#[cfg(test)]
mod tests {
    use super::Shots;

    #[test]
    fn shots_hit_what_they_say() {
        let hits = |shots: Shots| (0..5).filter(|&n| shots.hits(n)).collect::<Vec<_>>();
        assert_eq!(hits(Shots::NONE), []);
        assert_eq!(hits(Shots::nth(2)), [2]);
        assert_eq!(hits(Shots::from(3)), [3, 4]);
        assert_eq!(hits(Shots { after: 1, times: 2 }), [1, 2]);
    }
}
