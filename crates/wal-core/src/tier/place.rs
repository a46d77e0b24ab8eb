//! Whose place the tier is.

use std::{io, sync::Arc};

use wal_format::SegmentId;
use wal_segment::{Directory, inspect};

use super::{Tier, Work, ids, report::Known};
use crate::{LogError, engine::Engine, error::TierConflictSnafu, open};

impl Engine {
    /// Takes the right to write to the tier, once, after a look at what is there. Nothing is sent there, removed from
    /// there or evicted for its sake before.
    pub(super) fn enter(&self, tier: &Tier, work: &mut Work) -> Result<(), LogError> {
        if work.guard.is_some() {
            return Ok(());
        }
        // A store that does not refuse a second creation is found out here.
        let guard = open::lock(tier.storage.remote())?;
        let there = self.check_owner(tier)?;
        self.find_shipped(tier, &there)?;
        work.guard = Some(guard);
        Ok(())
    }

    /// Makes sure that nobody else ships to the place. Two logs, or two lives of one log, that have no name in common
    /// would not notice each other otherwise. Returns the segments that are there, in order.
    pub(super) fn check_owner(&self, tier: &Tier) -> Result<Vec<SegmentId>, LogError> {
        let remote = Directory::new(Arc::clone(tier.storage.remote()), &tier.prefix);
        let failed = |source| LogError::Segment { operation: "look at the tier", source };
        let there = remote.list().map_err(failed)?.segments;
        let Some(greatest) = there.last().copied() else { return Ok(there) };
        if tier.known.lock().shipped.contains(greatest) {
            return Ok(there);
        }
        let header = inspect(&remote, greatest).map_err(failed)?.header;
        let is_mine = header.log_id == self.preparer()?.log_id();
        // This log has not come so far: another one that began like it has.
        let is_newer = self.view().segments.last().is_none_or(|newest| newest.id() < greatest);
        if is_mine && !is_newer {
            return Ok(there);
        }
        let location = tier.storage.remote().location();
        TierConflictSnafu { location, name: tier.name(greatest) }.fail()
    }

    /// Compares what is noted with what is there: the tier may be another place than the one that was shipped to, or
    /// have lost something. What is still here is shipped once more; a place without any of what left for it is the
    /// wrong one.
    fn find_shipped(&self, tier: &Tier, there: &[SegmentId]) -> Result<(), LogError> {
        let is_there = |id: &SegmentId| there.binary_search(id).is_ok();
        let live = ids(&self.view());
        let mut known = tier.known.lock();
        let Known { shipped, evicted, .. } = &mut *known;
        let left: Vec<_> = evicted.iter().filter(|id| live.contains(*id)).collect();
        if let Some(first) = left.first().filter(|_| !left.iter().any(is_there)) {
            let why = "it was shipped and is not there: is this the tier of the log?";
            return Err(tier.failed(&tier.name(*first), io::Error::new(io::ErrorKind::NotFound, why)));
        }
        shipped.retain(|id| is_there(id) || evicted.contains(*id));
        Ok(())
    }
}
