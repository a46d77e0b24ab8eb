//! The protocol: recovery and writing, step by step, any step of which may be the last.

mod recover;

use wal_sim::Rng;

use crate::{
    Rules,
    disk::{Disk, Frame, Id, Place},
};

/// Why a step did not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The process died, or a sync failed.
    Crash,
    /// Recovery says that acknowledged data is lost.
    Damage(String),
}

/// A segment takes so many frames.
const CAPACITY: u64 = 5;
/// The chance of 1024 that a process dies at a step, and that a sync fails.
const DIES: u64 = 31;
const SYNC_FAILS: u64 = 20;

/// One process with the log open.
#[derive(Debug)]
pub(crate) struct Log<'a> {
    pub(crate) disk: &'a mut Disk,
    pub(crate) rng: &'a mut Rng,
    pub(crate) rules: Rules,
    pub(crate) content: Vec<u64>,
    /// What the content will be if the truncation under way takes effect.
    pub(crate) intent: Option<Vec<u64>>,
    /// What was acknowledged, as far as this process knows.
    pub(crate) acked: Vec<u64>,
    /// Ids of the segments, oldest first.
    chain: Vec<Id>,
    ids: Id,
    current: Id,
    at: u64,
    durable: Place,
    /// Segments with frames that were not synced, under overlap.
    dirty: Vec<Id>,
}

impl<'a> Log<'a> {
    pub(crate) const fn new(disk: &'a mut Disk, rng: &'a mut Rng, rules: Rules) -> Self {
        let durable = Place { id: 0, at: 0 };
        Self {
            disk,
            rng,
            rules,
            content: Vec::new(),
            intent: None,
            acked: Vec::new(),
            chain: Vec::new(),
            ids: 0,
            current: 0,
            at: 0,
            durable,
            dirty: Vec::new(),
        }
    }

    fn tick(&mut self) -> Result<(), Stop> {
        if self.rng.below(1024) < DIES { Err(Stop::Crash) } else { Ok(()) }
    }

    /// A name is final only when the file, and then the name, is durable.
    fn prepare(&mut self, id: Id) -> Result<(), Stop> {
        self.tick()?;
        self.disk.create(id);
        self.tick()?;
        self.disk.sync(id);
        self.disk.sync_names();
        self.tick()
    }

    fn sync(&mut self, id: Id) -> Result<(), Stop> {
        self.tick()?;
        if self.rng.below(1024) < SYNC_FAILS {
            self.disk.fail_sync(id);
            return Err(Stop::Crash);
        }
        self.disk.sync(id);
        self.tick()
    }

    fn write(&mut self, id: Id, at: u64, frame: Frame) -> Result<(), Stop> {
        self.tick()?;
        self.disk.write(id, at, frame);
        Ok(())
    }

    /// Removes what is no longer part of the log.
    fn clean(&mut self) -> Result<(), Stop> {
        for id in self.disk.names.clone() {
            if !self.chain.contains(&id) && id != self.current {
                self.tick()?;
                self.disk.remove(id);
            }
        }
        self.tick()?;
        self.disk.sync_names();
        Ok(())
    }

    fn claim(&self) -> Option<u64> {
        (self.durable.id == self.current).then_some(self.durable.at)
    }

    fn put(&mut self, frame: Frame) -> Result<(), Stop> {
        self.write(self.current, self.at, frame)?;
        self.at += 1;
        Ok(())
    }

    const fn end(&self) -> Place {
        Place { id: self.current, at: self.at }
    }

    pub(crate) fn append(&mut self, value: u64) -> Result<(), Stop> {
        if self.at >= CAPACITY - 1 {
            self.rotate()?;
        }
        let lsn = self.content.len() as u64 + 1;
        self.put(Frame::Entry { lsn, value, claim: self.claim() })?;
        self.content.push(value);
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), Stop> {
        let next = self.ids + 1;
        self.prepare(next)?;
        self.ids = next;
        if self.rules.predecessor_first {
            self.put(Frame::Seal { next, claim: self.claim() })?;
            self.sync(self.current)?;
            self.durable = self.end();
        } else {
            if self.rules.overlap {
                for id in std::mem::take(&mut self.dirty) {
                    self.sync(id)?;
                }
                if self.durable.id != self.current {
                    self.sync(self.current)?;
                    self.durable = self.end();
                }
            }
            self.put(Frame::Seal { next, claim: self.claim() })?;
            self.dirty.push(self.current);
        }
        let opening = Frame::Opening { predecessor: Some(self.end()), durable: self.durable };
        self.write(next, 0, opening)?;
        (self.current, self.at) = (next, 1);
        self.chain.push(next);
        Ok(())
    }

    /// Everything appended is acknowledged.
    pub(crate) fn sync_all(&mut self) -> Result<(), Stop> {
        for id in std::mem::take(&mut self.dirty) {
            self.sync(id)?;
        }
        self.sync(self.current)?;
        self.durable = self.end();
        self.acked.clone_from(&self.content);
        Ok(())
    }

    /// Keeps the first `count` entries.
    pub(crate) fn truncate(&mut self, count: u64) -> Result<(), Stop> {
        self.sync_all()?;
        let next = self.ids + 1;
        self.prepare(next)?;
        self.ids = next;
        let Some(cut) = self.behind(count) else { return Err(Stop::Damage("nothing to cut".into())) };
        self.put(Frame::Seal { next, claim: self.claim() })?;
        self.sync(self.current)?;
        let kept = self.content[..count as usize].to_vec();
        self.intent = Some(kept.clone());
        self.write(next, 0, Frame::Opening { predecessor: Some(cut), durable: cut })?;
        self.sync(next)?;
        self.acked.clone_from(&kept);
        self.content = kept;
        self.intent = None;
        (self.current, self.at) = (next, 1);
        self.durable = self.end();
        let stay = self.chain.iter().position(|id| *id == cut.id).map_or(0, |at| at + 1);
        self.chain.truncate(stay);
        self.chain.push(next);
        self.clean()
    }

    /// The place behind the entry with this LSN.
    fn behind(&self, lsn: u64) -> Option<Place> {
        let mut found = None;
        for id in &self.chain {
            for (at, frame) in self.disk.cached.get(id)? {
                if matches!(frame, Frame::Entry { lsn: found, .. } if *found == lsn) {
                    found = Some(Place { id: *id, at: at + 1 });
                }
            }
        }
        found
    }
}
