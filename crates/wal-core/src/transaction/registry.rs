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

    /// When the first of those that are open will be past its time. Who asks looks again by then.
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
        let mut all = self.all.lock();
        all.awaited = all.deadlines.first().map(|(deadline, _)| *deadline);
        all.awaited
    }

    fn expire(&self, now: Duration) -> usize {
        let mut due = Vec::new();
        {
            let mut all = self.all.lock();
            while let Some((deadline, id)) = all.deadlines.first().copied().filter(|(due, _)| *due <= now) {
                all.deadlines.remove(&(deadline, id));
                due.extend(all.open(TransactionId(id)).cloned());
            }
        }
        // One that is being committed does not expire.
        due.retain(|pending| self.look(pending, now) == TransactionState::Expired);
        due.len()
    }

    fn roll_back_all(&self) {
        let open: Vec<_> = self.all.lock().known.values().filter_map(Known::open).cloned().collect();
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
    /// The open ones, and those that are remembered.
    known: HashMap<TransactionId, Known>,
    /// Of those that can expire, soonest first. One that is being committed may be missing.
    deadlines: BTreeSet<(Duration, [u8; 16])>,
    /// The log's thread looks at this time at the latest, or, with none of them open, when it is woken.
    awaited: Option<Duration>,
    /// Those that ended and are remembered, oldest first.
    ended: VecDeque<TransactionId>,
}

#[derive(Debug)]
enum Known {
    Open(Arc<Pending>),
    Ended(TransactionState),
}

impl Known {
    const fn open(&self) -> Option<&Arc<Pending>> {
        match self {
            Self::Open(pending) => Some(pending),
            Self::Ended(_) => None,
        }
    }
}

impl All {
    fn open(&self, id: TransactionId) -> Option<&Arc<Pending>> {
        self.known.get(&id)?.open()
    }

    /// Has one expire in time. Says whether the log's thread would look too late.
    fn await_deadline(&mut self, pending: &Pending) -> bool {
        let Some(deadline) = pending.deadline else { return false };
        self.deadlines.insert((deadline, pending.id.0));
        let is_sooner = self.awaited.is_none_or(|awaited| deadline < awaited);
        if is_sooner {
            self.awaited = Some(deadline);
        }
        is_sooner
    }
}

impl Registry {
    /// Opens one. Says whether the log's thread must be woken for its end.
    pub(super) fn begin(
        &self,
        pending: impl FnOnce(TransactionId) -> Pending,
        entropy: &dyn Entropy,
    ) -> Result<(Arc<Pending>, bool), LogError> {
        let mut all = self.all.lock();
        let draw = || {
            let (high, low) = (u128::from(entropy.next()), u128::from(entropy.next()));
            TransactionId((high << 64 | low).to_le_bytes())
        };
        let id = (0..DRAWS).map(|_| draw()).find(|id| !all.known.contains_key(id));
        let id = id.ok_or(LogError::Exhausted { what: "ids of transactions" })?;
        let pending = Arc::new(pending(id));
        all.known.insert(id, Known::Open(Arc::clone(&pending)));
        let is_sooner = all.await_deadline(&pending);
        Ok((pending, is_sooner))
    }

    pub(super) fn state(&self, id: TransactionId, now: Duration) -> TransactionState {
        let open = {
            let all = self.all.lock();
            match all.known.get(&id) {
                Some(Known::Open(pending)) => Arc::clone(pending),
                Some(Known::Ended(state)) => return *state,
                None => return TransactionState::Unknown,
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
        let all = self.all.lock();
        all.known.len() - all.ended.len()
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

    /// Puts the entries back after a commit that appended nothing. Says whether the log's thread must be woken for its
    /// end.
    pub(super) fn put_back(&self, pending: &Pending, entries: EntriesBuilder) -> bool {
        *pending.stage.lock() = Stage::Active(entries);
        self.all.lock().await_deadline(pending)
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
        if let Some(deadline) = pending.deadline {
            all.deadlines.remove(&(deadline, pending.id.0));
        }
        let was = all.known.insert(pending.id, Known::Ended(state));
        if was.is_none_or(|was| was.open().is_some()) {
            all.ended.push_back(pending.id);
        }
        if all.ended.len() > ENDED_MAX {
            let forgotten = all.ended.pop_front();
            forgotten.map(|id| all.known.remove(&id));
        }
    }
}
