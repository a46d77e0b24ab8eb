//! The store, what is on its way to it, and what it means.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::writer::Writer;

/// What is kept, and what is left out to see that it matters.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// Objects on their way at once.
    pub(crate) width: u64,
    pub(crate) fences_stay: bool,
    pub(crate) look_again: bool,
    pub(crate) in_order: bool,
    pub(crate) honest_claims: bool,
    pub(crate) follow: bool,
    /// Only what the newest published segment claims is removed.
    pub(crate) claimed_only: bool,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        width: 4,
        fences_stay: true,
        look_again: true,
        in_order: true,
        honest_claims: true,
        follow: true,
        claimed_only: true,
    };
}

/// Between a fence and the next segment of its writer; greater than any width.
pub(crate) const GAP: u64 = 8;

/// A segment with one entry, or a fence.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) id: u64,
    pub(crate) salt: u64,
    pub(crate) epoch: u64,
    pub(crate) fence: bool,
    pub(crate) predecessor: Option<(u64, u64)>,
    /// Everything of the log up to this id was published when this was stamped.
    pub(crate) claim: u64,
    /// Number of the entry in it, or of the next one.
    pub(crate) lsn: u64,
    pub(crate) first_retained: u64,
}

/// A creation on its way.
pub(crate) struct Flight {
    pub(crate) object: Rc<Object>,
    pub(crate) answer: Rc<std::cell::Cell<Option<Answer>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Created,
    Exists,
    Unknown,
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) acknowledged: u64,
    pub(crate) fenced: u64,
    pub(crate) removed: u64,
    /// Creations that arrived after nobody waited for them.
    pub(crate) late: u64,
    /// Fences under ids that had been used and removed.
    pub(crate) void: u64,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.fenced += other.fenced;
        self.removed += other.removed;
        self.late += other.late;
        self.void += other.void;
    }
}

pub(crate) struct World {
    pub(crate) rules: Rules,
    random: u64,
    pub(crate) objects: BTreeMap<u64, Rc<Object>>,
    pub(crate) net: Vec<Flight>,
    salts: u64,
    /// Entries that were in the log, and not any more since a trim.
    trimmed: BTreeSet<(u64, u64)>,
    /// Number and salt of every entry that somebody was told of.
    acknowledged: BTreeSet<(u64, u64)>,
    pub(crate) outcome: Outcome,
}

/// The log as a reader finds it, oldest first.
pub(crate) type Chain = Vec<Rc<Object>>;

impl World {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn salt(&mut self) -> u64 {
        self.salts += 1;
        self.salts
    }

    pub(crate) fn send(&mut self, object: Rc<Object>) -> Rc<std::cell::Cell<Option<Answer>>> {
        let answer = Rc::new(std::cell::Cell::new(None));
        self.net.push(Flight { object, answer: Rc::clone(&answer) });
        answer
    }

    fn deliver(&mut self) {
        let at = self.below(self.net.len() as u64) as usize;
        let Flight { object, answer } = self.net.swap_remove(at);
        let free = !self.objects.contains_key(&object.id);
        if answer.get().is_some() || Rc::strong_count(&answer) == 1 {
            self.outcome.late += u64::from(free);
        }
        if free {
            self.objects.insert(object.id, object);
            self.note_trims();
        }
        if answer.get().is_none() && self.percent(80) {
            answer.set(Some(if free { Answer::Created } else { Answer::Exists }));
        }
    }

    fn reaches_claim(&self, newest: &Object) -> bool {
        let mut predecessor = newest.predecessor;
        while let Some((id, salt)) = predecessor.filter(|(id, _)| *id > newest.claim) {
            match self.objects.get(&id).filter(|found| found.salt == salt) {
                Some(found) => predecessor = found.predecessor,
                None => return false,
            }
        }
        true
    }

    /// The log from its first retained entry on.
    pub(crate) fn read(&self) -> Result<Chain, String> {
        let greatest = self.objects.values().rev().find(|o| !self.rules.follow || self.reaches_claim(o));
        let Some(head) = greatest else { return Ok(Vec::new()) };
        let mut chain = vec![Rc::clone(head)];
        let mut current = head;
        while current.lsn > head.first_retained {
            let Some((id, salt)) = current.predecessor else { break };
            match self.objects.get(&id).filter(|found| found.salt == salt) {
                Some(found) => current = found,
                None => return Err(format!("damage: {id} is missing below {current:?}, head {head:?}")),
            }
            chain.push(Rc::clone(current));
        }
        chain.reverse();
        let epochs = chain.windows(2).all(|two| two[0].epoch <= two[1].epoch);
        let numbers = chain.windows(2).all(|two| two[1].lsn == two[0].lsn + u64::from(!two[0].fence));
        if !epochs || !numbers {
            return Err(format!("the log contradicts itself: {chain:?}"));
        }
        Ok(chain)
    }

    fn entries(chain: &Chain) -> BTreeSet<(u64, u64)> {
        chain.iter().filter(|object| !object.fence).map(|object| (object.lsn, object.salt)).collect()
    }

    /// What the newest segment trims was in the log and is not any more, told or not.
    fn note_trims(&mut self) {
        let newest = self.objects.values().rev().find(|object| self.reaches_claim(object)).cloned();
        let first = newest.as_ref().map_or(0, |newest| newest.first_retained);
        let mut current = newest;
        while let Some(object) = current {
            if object.lsn < first && !object.fence {
                self.trimmed.insert((object.lsn, object.salt));
            }
            let named = object.predecessor;
            current = named
                .and_then(|(id, salt)| self.objects.get(&id).filter(|found| found.salt == salt).cloned());
        }
    }

    /// A writer tells somebody that an entry is durable.
    pub(crate) fn acknowledge(&mut self, object: &Object) -> Result<(), String> {
        let there = Self::entries(&self.read()?);
        let entry = (object.lsn, object.salt);
        if !there.contains(&entry) && !self.trimmed.contains(&entry) {
            return Err(format!("acknowledged and not in the log: {object:?}"));
        }
        self.acknowledged.insert(entry);
        self.outcome.acknowledged += 1;
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let there = Self::entries(&self.read()?);
        match self.acknowledged.iter().find(|entry| !there.contains(entry) && !self.trimmed.contains(entry)) {
            Some(lost) => Err(format!("entry {lost:?} was acknowledged and is lost")),
            None => Ok(()),
        }
    }
}

/// A run: everything that happens is drawn from the seed.
pub(crate) fn run(seed: u64, steps: usize, rules: Rules) -> Result<Outcome, String> {
    let mut world = World {
        rules,
        random: seed.wrapping_mul(0x2545_f491_4f6c_dd1d),
        objects: BTreeMap::new(),
        net: Vec::new(),
        salts: 0,
        trimmed: BTreeSet::new(),
        acknowledged: BTreeSet::new(),
        outcome: Outcome::default(),
    };
    let mut writers: Vec<Writer> = Vec::new();
    for _ in 0..steps {
        let what = world.below(100);
        if (what < 3 || writers.is_empty()) && writers.len() < 4 {
            writers.push(Writer::new());
        } else if what < 5 && !writers.is_empty() {
            // It dies; what is on its way is on its way.
            writers.swap_remove(world.below(writers.len() as u64) as usize);
        } else if what < 45 && !world.net.is_empty() {
            world.deliver();
        } else if !writers.is_empty() {
            // The first are favoured, so that others stall for long.
            let any = world.below(writers.len() as u64);
            let at =
                if world.percent(75) { any.min(world.below(writers.len() as u64)) } else { any } as usize;
            if !writers[at].step(&mut world)? {
                writers.remove(at);
                world.outcome.fenced += 1;
            }
        }
    }
    while !world.net.is_empty() {
        world.deliver();
    }
    world.check()?;
    Ok(world.outcome)
}
