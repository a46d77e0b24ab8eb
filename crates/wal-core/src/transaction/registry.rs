//! All transactions of a log: the open ones, and what became of the last ones that ended.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fmt, mem,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use wal_format::EntriesBuilder;

use super::{
    TransactionId, TransactionState,
    pending::{Pending, Stage},
};
use crate::{Entropy, LogError};

/// So many that ended are remembered.
const ENDED_MAX: usize = 1024;
/// So often an id is drawn when there are others with it. Two of 128 honest bits never meet.
const DRAWS: usize = 8;

/// The transactions of a log, once somebody has begun one or asked for them. What a log does with them by itself goes
/// through a pointer that is made then: a program without transactions has no code for them (`adr/0018`).
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    registry: OnceLock<Box<dyn Upkeep>>,
}

impl Transactions {
    pub(super) fn registry(&self) -> &Registry {
        self.registry.get_or_init(|| Box::<Registry>::default()).registry()
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.registry.get()?.next_deadline()
    }

    /// Ends those past their time, and says how many.
    pub(crate) fn expire(&self, now: Duration) -> usize {
        self.registry.get().map_or(0, |registry| registry.expire(now))
    }

    /// Rolls all back that are active: the log is closed.
    pub(crate) fn roll_back_all(&self) {
        if let Some(registry) = self.registry.get() {
            registry.roll_back_all();
        }
    }
}

trait Upkeep: fmt::Debug + Send + Sync {
    fn registry(&self) -> &Registry;
    fn next_deadline(&self) -> Option<Duration>;
    fn expire(&self, now: Duration) -> usize;
    fn roll_back_all(&self);
}

impl Upkeep for Registry {
    fn registry(&self) -> &Registry {
        self
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.all.lock().deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn expire(&self, now: Duration) -> usize {
        let mut due = Vec::new();
        {
            let mut all = self.all.lock();
            while let Some((deadline, id)) = all.deadlines.first().copied().filter(|(due, _)| *due <= now) {
                all.deadlines.remove(&(deadline, id));
                due.extend(all.open.get(&TransactionId(id)).cloned());
            }
        }
        // One that is being committed does not expire.
        due.retain(|pending| self.look(pending, now) == TransactionState::Expired);
        due.len()
    }

    fn roll_back_all(&self) {
        let open: Vec<_> = self.all.lock().open.values().cloned().collect();
        for pending in open {
            let _ = self.roll_back(&pending);
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    open: HashMap<TransactionId, Arc<Pending>>,
    /// Of those that can expire, soonest first. One that is being committed may be missing.
    deadlines: BTreeSet<(Duration, [u8; 16])>,
    /// Oldest first.
    ended: VecDeque<(TransactionId, TransactionState)>,
}

impl All {
    fn ended(&self, id: TransactionId) -> Option<TransactionState> {
        self.ended.iter().rev().find(|(ended, _)| *ended == id).map(|(_, state)| *state)
    }
}

impl Registry {
    pub(super) fn begin(
        &self,
        pending: impl FnOnce(TransactionId) -> Pending,
        entropy: &dyn Entropy,
    ) -> Result<Arc<Pending>, LogError> {
        let mut all = self.all.lock();
        let draw = || {
            let (high, low) = (u128::from(entropy.next()), u128::from(entropy.next()));
            TransactionId((high << 64 | low).to_le_bytes())
        };
        let is_new = |id: &TransactionId| !all.open.contains_key(id) && all.ended(*id).is_none();
        let id = (0..DRAWS).map(|_| draw()).find(is_new);
        let id = id.ok_or(LogError::Exhausted { what: "ids of transactions" })?;
        let pending = Arc::new(pending(id));
        all.open.insert(id, Arc::clone(&pending));
        all.deadlines.extend(pending.deadline.map(|deadline| (deadline, id.0)));
        Ok(pending)
    }

    pub(super) fn state(&self, id: TransactionId, now: Duration) -> TransactionState {
        let open = {
            let all = self.all.lock();
            match all.open.get(&id) {
                Some(pending) => Arc::clone(pending),
                None => return all.ended(id).unwrap_or(TransactionState::Unknown),
            }
        };
        self.look(&open, now)
    }

    pub(super) fn look(&self, pending: &Pending, now: Duration) -> TransactionState {
        self.lock(pending, now).state()
    }

    /// The stage of a transaction, which has ended by now if it is past its time: the only place where that is decided.
    fn lock<'a>(&self, pending: &'a Pending, now: Duration) -> MutexGuard<'a, Stage> {
        let mut stage = pending.stage.lock();
        if matches!(*stage, Stage::Active(_)) && pending.is_past(now) {
            self.end(pending, &mut stage, TransactionState::Expired);
        }
        stage
    }

    pub(super) fn active(&self) -> usize {
        self.all.lock().open.len()
    }

    pub(super) fn change<T>(
        &self,
        pending: &Pending,
        now: Duration,
        change: impl FnOnce(&mut EntriesBuilder) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        match &mut *self.lock(pending, now) {
            Stage::Active(entries) => change(entries),
            other => Err(pending.refusal(other.state())),
        }
    }

    /// Takes the entries out, for a commit.
    pub(super) fn take(&self, pending: &Pending, now: Duration) -> Result<EntriesBuilder, LogError> {
        let mut stage = self.lock(pending, now);
        match &mut *stage {
            Stage::Active(entries) => {
                let entries = mem::take(entries);
                *stage = Stage::Committing;
                Ok(entries)
            }
            other => Err(pending.refusal(other.state())),
        }
    }

    /// Puts the entries back after a commit that appended nothing.
    pub(super) fn put_back(&self, pending: &Pending, entries: EntriesBuilder) {
        *pending.stage.lock() = Stage::Active(entries);
        self.all.lock().deadlines.extend(pending.deadline.map(|deadline| (deadline, pending.id.0)));
    }

    /// A commit is over.
    pub(super) fn settle(&self, pending: &Pending, state: TransactionState) {
        self.end(pending, &mut pending.stage.lock(), state);
    }

    pub(super) fn roll_back(&self, pending: &Pending) -> Result<(), LogError> {
        let mut stage = pending.stage.lock();
        match &*stage {
            Stage::Active(_) => self.end(pending, &mut stage, TransactionState::RolledBack),
            Stage::Ended(TransactionState::RolledBack | TransactionState::Expired) => {}
            other => return Err(pending.refusal(other.state())),
        }
        Ok(())
    }

    /// Moves one from the open ones to the others, and gives its memory back.
    fn end(&self, pending: &Pending, stage: &mut Stage, state: TransactionState) {
        *stage = Stage::Ended(state);
        let mut all = self.all.lock();
        all.open.remove(&pending.id);
        if let Some(deadline) = pending.deadline {
            all.deadlines.remove(&(deadline, pending.id.0));
        }
        if all.ended.len() == ENDED_MAX {
            all.ended.pop_front();
        }
        all.ended.push_back((pending.id, state));
    }
}
