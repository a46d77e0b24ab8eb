//! What operations do to the content of files.

use std::{io, ops::Range, sync::Arc};

use super::{State, dead, medium_error};
use crate::{
    faults::{Call, FailedRead, FailedSync, FailedWrite},
    inode::{SECTOR_LEN, check_range},
    names::InodeId,
    random::Rng,
    trace::Event,
};

impl State {
    pub(crate) fn write(&mut self, id: InodeId, offset: u64, data: &[u8], dies: bool) -> io::Result<()> {
        self.check_appendable(id)?;
        let range = check_range(offset, data.len() as u64)?;
        let len = data.len() as u64;
        let (written, result) = if dies {
            let sectors = range.end.div_ceil(SECTOR_LEN) - offset / SECTOR_LEN;
            let end = (offset / SECTOR_LEN + self.rng.below(sectors + 1)) * SECTOR_LEN;
            (end.clamp(offset, range.end) - offset, Ok(()))
        } else if self.plan.fails(Call::Write) {
            let error = match self.plan.faults.write_mode {
                FailedWrite::Full => full(),
                FailedWrite::Error => medium_error(),
            };
            (self.rng.below(len), Err(error))
        } else {
            let free = self.free();
            let inode = self.inode(id)?;
            let fitting = free.map_or(len, |free| inode.fitting(&range, free.0, free.1));
            (fitting, if fitting < len { Err(full()) } else { Ok(()) })
        };
        if written > 0 {
            self.inode(id)?.write(offset, &data[..written as usize]);
        }
        result
    }

    pub(crate) fn reserve(&mut self, id: InodeId, len: u64) -> io::Result<()> {
        self.check_appendable(id)?;
        let range = check_range(0, len)?;
        let is_planned = self.plan.fails(Call::Reserve);
        let free = self.free();
        let has_room = free.is_none_or(|free| self.inodes[&id].fitting(&range, free.0, false) == len);
        let grows = is_planned && self.rng.chance(128);
        let inode = self.inode(id)?;
        if is_planned || !has_room {
            if grows {
                inode.extend(len);
            }
            return Err(full());
        }
        inode.reserve(len);
        Ok(())
    }

    pub(crate) fn punch(&mut self, id: InodeId, range: &Range<u64>) -> io::Result<()> {
        self.check_appendable(id)?;
        self.check_plan(Call::Punch)?;
        self.inode(id)?.punch(range);
        Ok(())
    }

    pub(crate) fn sync(&mut self, id: InodeId) -> io::Result<()> {
        if self.plan.fails(Call::Sync) {
            return self.drop_pages(id);
        }
        self.inode(id)?.sync();
        Ok(())
    }

    /// Promises nothing, as a medium that has only begun to write: what was written may be lost as before.
    pub(crate) fn write_back(&mut self, id: InodeId, range: Range<u64>) -> io::Result<()> {
        if !self.plan.fails(Call::WriteBack) {
            return Ok(());
        }
        let name = Arc::clone(&self.inode(id)?.name);
        self.note(Event::BadWriteBack(name, range));
        self.drop_pages(id)
    }

    /// The medium failed to take what was written.
    fn drop_pages(&mut self, id: InodeId) -> io::Result<()> {
        let mut rng = Rng::new(self.rng.next_u64());
        let chance = self.plan.faults.sync_keeps_some.then_some(&mut rng);
        let reverts = self.plan.faults.sync_mode == FailedSync::Revert;
        self.inode(id)?.fail_sync(chance, reverts);
        Err(medium_error())
    }

    /// Reads as much of `buf` as there is.
    pub(crate) fn read(&mut self, id: InodeId, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let inode = self.inodes.get(&id).ok_or_else(dead)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = inode.cached().get(start..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        if self.plan.fails(Call::Read) {
            let event = Event::BadRead(Arc::clone(&inode.name), offset..offset.saturating_add(n as u64));
            self.note(event);
            if self.plan.faults.read_mode == FailedRead::Error {
                return Err(medium_error());
            }
            let bit = self.rng.below(n as u64 * 8);
            if let Some(byte) = buf[..n].get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
        }
        Ok(n)
    }

    /// Free bytes, and whether every write takes some; `None` when there is no limit.
    fn free(&self) -> Option<(u64, bool)> {
        let capacity = self.options.capacity_bytes?;
        Some((capacity.saturating_sub(self.used()), self.options.copy_on_write))
    }

    fn check_appendable(&self, id: InodeId) -> io::Result<()> {
        let is_final = self.inodes.get(&id).is_some_and(|inode| inode.was_synced);
        if is_final && !self.options.capabilities.append_after_sync {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the file was published by its first sync",
            ));
        }
        Ok(())
    }
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "the simulated disk is full")
}
