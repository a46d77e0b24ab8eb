//! Files of frames, and what a power cut leaves of them.

use std::collections::{BTreeMap, BTreeSet};

use wal_sim::Rng;

pub(crate) type Id = u64;

/// A place in a segment: which, and how many frames precede it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) id: Id,
    pub(crate) at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Opening { predecessor: Option<Place>, durable: Place },
    Entry { lsn: u64, value: u64, claim: Option<u64> },
    Seal { next: Id, claim: Option<u64> },
}

impl Frame {
    pub(crate) const fn claim(&self) -> Option<u64> {
        match self {
            Self::Opening { .. } => None,
            Self::Entry { claim, .. } | Self::Seal { claim, .. } => *claim,
        }
    }
}

pub(crate) type Frames = BTreeMap<u64, Frame>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    /// What reads show.
    pub(crate) cached: BTreeMap<Id, Frames>,
    durable: BTreeMap<Id, Frames>,
    pending: BTreeMap<Id, Vec<(u64, Frame)>>,
    pub(crate) names: BTreeSet<Id>,
    durable_names: BTreeSet<Id>,
    /// In order: whether the name was created or removed.
    pending_names: Vec<(bool, Id)>,
}

impl Disk {
    /// A disk on which everything is durable.
    pub(crate) fn of(files: BTreeMap<Id, Frames>) -> Self {
        let names: BTreeSet<Id> = files.keys().copied().collect();
        Self { cached: files.clone(), durable: files, durable_names: names.clone(), names, ..Self::default() }
    }

    pub(crate) fn create(&mut self, id: Id) {
        self.cached.insert(id, Frames::new());
        self.durable.insert(id, Frames::new());
        self.pending.insert(id, Vec::new());
        self.names.insert(id);
        self.pending_names.push((true, id));
    }

    pub(crate) fn write(&mut self, id: Id, at: u64, frame: Frame) {
        self.cached.entry(id).or_default().insert(at, frame);
        self.pending.entry(id).or_default().push((at, frame));
    }

    pub(crate) fn sync(&mut self, id: Id) {
        let pending = std::mem::take(self.pending.entry(id).or_default());
        self.durable.entry(id).or_default().extend(pending);
    }

    /// What was pending is lost, and reads go on showing it.
    pub(crate) fn fail_sync(&mut self, id: Id) {
        self.pending.entry(id).or_default().clear();
    }

    pub(crate) fn remove(&mut self, id: Id) {
        self.names.remove(&id);
        self.pending_names.push((false, id));
    }

    pub(crate) fn sync_names(&mut self) {
        self.durable_names.clone_from(&self.names);
        self.pending_names.clear();
    }

    pub(crate) fn cut_power(&mut self, rng: &mut Rng) {
        let habit = rng.below(257);
        for (id, pending) in &mut self.pending {
            let durable = self.durable.entry(*id).or_default();
            durable.extend(pending.drain(..).filter(|_| rng.chance(habit)));
        }
        self.cached.clone_from(&self.durable);
        for (is_created, id) in self.pending_names.drain(..) {
            if rng.chance(128) {
                if is_created {
                    self.durable_names.insert(id);
                } else {
                    self.durable_names.remove(&id);
                }
            }
        }
        self.names.clone_from(&self.durable_names);
    }

    pub(crate) fn frame(&self, place: Place) -> Option<Frame> {
        self.cached.get(&place.id)?.get(&place.at).copied()
    }

    /// Predecessor and durable position of a segment's opening.
    pub(crate) fn opening(&self, id: Id) -> Option<(Option<Place>, Place)> {
        match self.frame(Place { id, at: 0 })? {
            Frame::Opening { predecessor, durable } => Some((predecessor, durable)),
            _ => None,
        }
    }
}
