//! The disk from outside: what a test does to it.

use std::{fmt, io, sync::Arc};

use parking_lot::Mutex;
use wal_segment::Storage;

use crate::{
    choices::{Choices, Nth, Sample},
    crash,
    faults::Faults,
    inode::Inode,
    options::DiskOptions,
    random::Rng,
    state::State,
    trace::{Event, Record},
    view::View,
};

/// More states than this after a power cut are sampled, not enumerated.
pub const CRASH_STATES_MAX: u64 = 1 << 12;

/// One directory on a simulated disk. Clones are the same disk; [`snapshot`](Self::snapshot) makes another.
///
/// Whatever it decides follows from its seed and from the calls that were made, so a run of one thread can be repeated
/// exactly.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl SimDisk {
    /// An empty disk with the default options.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_options(seed, DiskOptions::default())
    }

    /// An empty disk.
    #[must_use]
    pub fn with_options(seed: u64, options: DiskOptions) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(seed, options))) }
    }

    /// The disk as the present process sees it. After a power cut, a kill or a planned crash this is a fresh process,
    /// and every view, file and lock from before fails with `BrokenPipe`. Before one, a further call gives another view
    /// of the same age, as to a second process: the lock excludes one from the other.
    #[must_use]
    pub fn storage(&self) -> Arc<dyn Storage> {
        let mut state = self.state.lock();
        state.note(Event::Start);
        Arc::new(View::new(Arc::clone(&self.state), state.generation))
    }

    /// Kills every process. What they wrote stays readable, and as little durable as it was.
    pub fn kill(&self) {
        let mut state = self.state.lock();
        state.note(Event::Kill);
        state.end_process();
    }

    /// Cuts the power. The seed chooses what is kept of what was not synced; every process ends.
    pub fn crash(&self, seed: u64) {
        let mut state = self.state.lock();
        let torn = state.options.torn_sectors;
        cut(&mut state, &mut Sample::new(seed, torn));
    }

    /// In how many ways a power cut could end now, or `None` when they are more than [`CRASH_STATES_MAX`] or when
    /// sectors may be torn. Two ways may leave the same bytes.
    ///
    /// Each pending sector, each name and each length is a choice of its own. Of the lengths between the durable one
    /// and the present one, the ends of pending sectors and writes are counted; [`crash`](Self::crash) tries others
    /// too.
    #[must_use]
    pub fn crash_states(&self) -> Option<u64> {
        let state = self.state.lock();
        let count = crash::count(&state);
        (count <= CRASH_STATES_MAX && !state.options.torn_sectors).then_some(count)
    }

    /// Cuts the power in the `n`-th of the ways that [`crash_states`](Self::crash_states) counted.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    pub fn crash_nth(&self, n: u64) {
        let mut state = self.state.lock();
        let count = crash::count(&state);
        assert!(n < count, "a power cut could end in {count} ways, and there is no way {n}");
        cut(&mut state, &mut Nth::new(n));
    }

    /// A disk for each way in which a power cut could end now: all of them when they can be enumerated, or else
    /// `samples` of them, chosen by the seed. This disk keeps its power.
    pub fn outcomes(&self, samples: u64, seed: u64) -> impl Iterator<Item = Self> + use<> {
        let before = self.snapshot();
        let count = before.crash_states();
        let mut rng = Rng::new(seed);
        (0..count.unwrap_or(samples)).map(move |n| {
            let after = before.snapshot();
            match count {
                Some(_) => after.crash_nth(n),
                None => after.crash(rng.next_u64()),
            }
            after
        })
    }

    /// Another disk in the same state, without any process: it has no lock, and no view or file of this one reaches it.
    /// Cheap: bytes are shared until one of the two changes them.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let mut state = {
            let mut state = self.state.lock();
            state.trace.settle();
            state.clone()
        };
        state.end_process();
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Replaces the plan of failures, and starts its counters anew.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().plan.set(faults);
    }

    /// How many planned failures have happened.
    #[must_use]
    pub fn faults_fired(&self) -> u64 {
        self.state.lock().plan.fired
    }

    /// How many operations were done, which is also the number of the next. Those are operations that may change
    /// something: create, rename, remove and sync of names; write, reserve, punch and sync of files, failed ones too.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// What was done, in order.
    #[must_use]
    pub fn trace(&self) -> Vec<Record> {
        self.state.lock().trace.records()
    }

    /// Changes the space for all files. Files that take more keep it.
    pub fn set_capacity_bytes(&self, capacity: Option<u64>) {
        self.state.lock().options.capacity_bytes = capacity;
    }

    /// The space that files take, those included that have no name and are open.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().used()
    }

    /// Damages the medium: flips one bit (0 to 7) of the byte at `offset`. Reads show it unless the byte was written
    /// and not yet synced.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such file, `UnexpectedEof` behind its durable length.
    pub fn flip_bit(&self, name: &str, offset: u64, bit: u8) -> io::Result<()> {
        let mut state = self.state.lock();
        let id = state.names.find(name)?;
        state.inode(id)?.flip_bit(offset, bit).ok_or(io::ErrorKind::UnexpectedEof)?;
        state.note(Event::Damage(name.into()));
        Ok(())
    }

    /// Puts a file there with durable content, in place of what has the name now. A new name is durable; a present one
    /// is as durable as it was. No operation of any process; open files change beneath their handles.
    pub fn put(&self, name: &str, content: impl Into<Vec<u8>>) {
        let mut state = self.state.lock();
        let name: Arc<str> = name.into();
        let inode = Inode::new(Arc::clone(&name), content.into());
        match state.names.find(&name) {
            Ok(id) => {
                state.inodes.insert(id, Arc::new(inode));
            }
            Err(_) => {
                let id = state.add(inode);
                state.names.put(Arc::clone(&name), id);
            }
        }
        state.note(Event::Damage(name));
    }

    /// The names that processes see, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.state.lock().names.current().keys().map(ToString::to_string).collect()
    }

    /// The names that were synced, in order.
    #[must_use]
    pub fn durable_names(&self) -> Vec<String> {
        self.state.lock().names.durable().keys().map(ToString::to_string).collect()
    }

    /// What a process would read from the file that has this name now, without the faults.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.with(name, |inode| Vec::clone(inode.cached()))
    }

    /// What was synced of the file that has this name now, durable name or not.
    #[must_use]
    pub fn durable(&self, name: &str) -> Option<Vec<u8>> {
        self.with(name, |inode| Vec::clone(inode.durable()))
    }

    fn with<T>(&self, name: &str, look: impl FnOnce(&Inode) -> T) -> Option<T> {
        let state = self.state.lock();
        let id = state.names.find(name).ok()?;
        state.inodes.get(&id).map(|inode| look(inode))
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("SimDisk")
            .field("operations", &state.operations)
            .field("names", state.names.current())
            .finish_non_exhaustive()
    }
}

fn cut(state: &mut State, choices: &mut dyn Choices) {
    let verdict = crash::decide(state, choices);
    state.note(Event::PowerCut);
    crash::cut(state, &verdict);
}
