//! Everything a disk is, and what operations do to it.

mod files;

use std::{collections::BTreeMap, io, sync::Arc};

use crate::{
    faults::{Call, CrashMoment, Plan},
    inode::Inode,
    names::{InodeId, Names, check_plain},
    options::DiskOptions,
    random::Rng,
    trace::{Event, Outcome, Record, Trace},
};

/// So many removed files are remembered as garbage.
const GRAVES: usize = 8;

/// A disk and the process that uses it.
///
/// - `inodes` holds every file that has a name, may have one after a power cut, or is open.
/// - Views and handles of a `generation` other than the present one are dead.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) options: DiskOptions,
    pub(crate) names: Names,
    pub(crate) inodes: BTreeMap<InodeId, Arc<Inode>>,
    /// The bytes of files that are gone.
    pub(crate) graveyard: Vec<Arc<Vec<u8>>>,
    pub(crate) plan: Plan,
    pub(crate) generation: u64,
    pub(crate) is_locked: bool,
    pub(crate) operations: u64,
    pub(crate) trace: Trace,
    next_inode: InodeId,
    /// How many handles a file has.
    handles: BTreeMap<InodeId, u32>,
    rng: Rng,
}

impl State {
    pub(crate) fn new(seed: u64, options: DiskOptions) -> Self {
        Self {
            options,
            names: Names::default(),
            inodes: BTreeMap::new(),
            graveyard: Vec::new(),
            plan: Plan::default(),
            generation: 0,
            is_locked: false,
            operations: 0,
            trace: Trace::default(),
            next_inode: 0,
            handles: BTreeMap::new(),
            rng: Rng::new(seed),
        }
    }

    pub(crate) fn check_alive(&self, generation: u64) -> io::Result<()> {
        if generation == self.generation { Ok(()) } else { Err(dead()) }
    }

    /// Does one numbered operation, unless the process dies before it. `run` learns whether it dies within.
    pub(crate) fn operate<T>(
        &mut self,
        generation: u64,
        event: Event,
        run: impl FnOnce(&mut Self, bool) -> io::Result<T>,
    ) -> io::Result<T> {
        self.check_alive(generation)?;
        let operation = self.operations;
        self.operations += 1;
        let moment = self.plan.crash(operation);
        let takes_part = match moment {
            None | Some(CrashMoment::After) => true,
            Some(CrashMoment::Within) => matches!(event, Event::Write(..)),
            Some(CrashMoment::Before) => false,
        };
        let mut result = Err(dead());
        if takes_part {
            result = run(self, moment == Some(CrashMoment::Within));
        }
        if moment.is_some() {
            self.record(operation, event, Outcome::Died);
            self.end_process();
            return Err(dead());
        }
        let outcome = result.as_ref().map_or_else(|error| Outcome::Failed(error.kind()), |_| Outcome::Done);
        self.record(operation, event, outcome);
        result
    }

    pub(crate) fn note(&mut self, event: Event) {
        self.record(self.operations, event, Outcome::Done);
    }

    fn record(&mut self, operation: u64, event: Event, outcome: Outcome) {
        if self.options.traced {
            self.trace.push(Record { operation, event, outcome });
        }
    }

    /// Everything that the process held is gone; what it wrote is not.
    pub(crate) fn end_process(&mut self) {
        self.generation += 1;
        self.is_locked = false;
        self.handles.clear();
        self.bury();
    }

    pub(crate) fn create(&mut self, name: &str) -> io::Result<InodeId> {
        check_plain(name)?;
        self.names.check_free(name)?;
        self.check_plan(Call::Create)?;
        let id = self.add(Inode::new(name.into(), Vec::new()));
        self.names.change(id, None, Some(name.into()));
        Ok(self.hold(id))
    }

    pub(crate) fn open(&mut self, name: &str) -> io::Result<InodeId> {
        check_plain(name)?;
        let id = self.names.find(name)?;
        Ok(self.hold(id))
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        check_plain(from)?;
        check_plain(to)?;
        let id = self.names.find(from)?;
        self.names.check_free(to)?;
        self.check_plan(Call::Rename)?;
        let to: Arc<str> = to.into();
        self.inode(id)?.name = Arc::clone(&to);
        self.names.change(id, Some(from), Some(to));
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) -> io::Result<()> {
        check_plain(name)?;
        let id = self.names.find(name)?;
        self.check_plan(Call::Remove)?;
        self.names.change(id, Some(name), None);
        self.bury();
        Ok(())
    }

    pub(crate) fn sync_names(&mut self) -> io::Result<()> {
        if self.plan.fails(Call::SyncNames) {
            self.names.fail_sync();
            return Err(medium_error());
        }
        self.names.sync();
        self.bury();
        Ok(())
    }

    /// Adds a file without a name.
    pub(crate) fn add(&mut self, inode: Inode) -> InodeId {
        let id = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(id, Arc::new(inode));
        id
    }

    pub(crate) fn inode(&mut self, id: InodeId) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&id).map(Arc::make_mut).ok_or_else(dead)
    }

    /// The bytes of space that files take. One that is open takes space without a name.
    pub(crate) fn used(&self) -> u64 {
        let named = self.names.named();
        let takes = |id: &InodeId| named.contains(id) || self.handles.contains_key(id);
        let taking = self.inodes.iter().filter(|(id, _)| takes(id));
        taking.map(|(_, inode)| inode.allocated_len()).sum()
    }

    /// One handle less.
    pub(crate) fn release(&mut self, id: InodeId) {
        if let Some(count) = self.handles.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                self.handles.remove(&id);
                self.bury();
            }
        }
    }

    fn hold(&mut self, id: InodeId) -> InodeId {
        *self.handles.entry(id).or_default() += 1;
        id
    }

    fn check_plan(&mut self, call: Call) -> io::Result<()> {
        if self.plan.fails(call) { Err(medium_error()) } else { Ok(()) }
    }

    /// Forgets files that nothing leads to.
    fn bury(&mut self) {
        let (named, survivors) = (self.names.named(), self.names.survivors());
        let (handles, graveyard) = (&self.handles, &mut self.graveyard);
        self.inodes.retain(|id, inode| {
            let stays = named.contains(id) || survivors.contains(id) || handles.contains_key(id);
            if !stays && inode.cached().len() >= 8 {
                graveyard.push(Arc::clone(inode.cached()));
            }
            stays
        });
        graveyard.drain(..graveyard.len().saturating_sub(GRAVES));
    }
}

/// What everything answers that belongs to a process that is gone.
pub(crate) fn dead() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the process was killed")
}

fn medium_error() -> io::Error {
    io::Error::other("simulated input/output error")
}
