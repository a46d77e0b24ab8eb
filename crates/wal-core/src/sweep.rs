//! Removing files that are no longer part of the log.

use std::collections::BTreeSet;

use wal_format::{FileName, SegmentId};
use wal_segment::SegmentError;

use crate::{engine::Engine, events, stats::add};

/// Files that were removed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Swept {
    /// Segments.
    pub(crate) segments: u64,
    /// Their length in bytes.
    pub(crate) bytes: u64,
}

impl Engine {
    /// Removes every file of the log below the active segment that readers cannot reach any more: cut off, superseded,
    /// trimmed, left over. The active segment's name is durable, so the greatest id never disappears.
    ///
    /// What cannot be removed now is not part of the log either: the next sweep, or the next writer, tries again. Only
    /// when the directory cannot be synced is the log in doubt, and then it is poisoned.
    pub(crate) fn sweep(&self, active: Option<SegmentId>) -> Swept {
        let Some(active) = active else { return Swept::default() };
        let (removed, swept) = self.remove_dead(active).unwrap_or_default();
        if removed > 0 {
            events::removed(&self.directory, removed);
        }
        if removed > 0
            && let Err(error) = self.directory.sync_names()
        {
            self.poison("sync the directory after removing files", error);
        }
        swept
    }

    /// Removes what is dead and says how many files that were.
    fn remove_dead(&self, active: SegmentId) -> Result<(usize, Swept), SegmentError> {
        let live: BTreeSet<SegmentId> = self.view().segments.iter().map(|segment| segment.id()).collect();
        // An open file keeps its space.
        self.sealed.lock().retain(|(segment, _)| live.contains(&segment.id()));
        let listing = self.directory.list()?;
        let fences = self.fences.lock().clone();
        let last = self.removable(active);
        let dead = |id: &SegmentId| *id <= last && !live.contains(id) && !fences.contains(id);
        let segments = listing.segments.iter().copied().filter(dead).map(FileName::Segment);
        let indexes = listing.indexes.iter().copied().filter(dead).map(FileName::Index);
        let preparing = listing.preparing.iter().copied().filter(|id| *id <= active).map(FileName::Preparing);
        let (mut removed, mut swept) = (0, Swept::default());
        for name in indexes.chain(segments).chain(preparing) {
            let segment = if let FileName::Segment(id) = name { Some(id) } else { None };
            let len = segment.and_then(|id| self.directory.len_of(id));
            if self.directory.remove(name).is_err() {
                continue;
            }
            removed += 1;
            swept.segments += u64::from(segment.is_some());
            swept.bytes += len.unwrap_or(0);
        }
        add(&self.stats.segments_removed, swept.segments);
        Ok((removed, swept))
    }
}
