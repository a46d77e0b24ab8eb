//! The protocol: recovery and writing, step by step, any step of which may be the last.

mod recover;

use super::{
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

/// One process with the log open.
#[derive(Debug)]
pub(crate) struct Log<'a> {
    pub(crate) disk: &'a mut Disk,
    pub(crate) rules: Rules,
    /// So many steps are left to this process.
    steps_left: u64,
    /// So many of its syncs do not fail.
    syncs_left: u64,
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
    /// The process dies before a step, and a sync of it fails, by number.
    pub(crate) const fn new(disk: &'a mut Disk, rules: Rules, dies_at: u64, sync_fails: u64) -> Self {
        let durable = Place { id: 0, at: 0 };
        Self {
            disk,
            rules,
            steps_left: dies_at,
            syncs_left: sync_fails,
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
        self.steps_left = self.steps_left.checked_sub(1).ok_or(Stop::Crash)?;
        Ok(())
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
        let Some(left) = self.syncs_left.checked_sub(1) else {
            self.disk.fail_sync(id);
            return Err(Stop::Crash);
        };
        self.syncs_left = left;
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
