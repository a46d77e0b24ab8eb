//! Removing files that are no longer part of the log.

use wal_format::{FileName, SegmentId};
use wal_segment::{SegmentError, SegmentSet};

use crate::{DeletionReason, LogEvent, engine::Engine, events, prepare::sync_names};

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
    pub(crate) fn sweep(
        &self,
        active: Option<SegmentId>,
        reason: &dyn Fn(SegmentId) -> DeletionReason,
    ) -> Swept {
        let Some(active) = active else { return Swept::default() };
        let (removed, segments) = self.remove_dead(active).unwrap_or_default();
        if removed > 0 {
            events::removed(&self.directory, removed);
        }
        let mut swept = Swept::default();
        for why in DeletionReason::ALL {
            let lens = segments.iter().filter(|(id, _)| reason(*id) == why).map(|(_, len)| *len);
            let (segments, bytes) = lens.fold((0, 0), |(count, sum), len| (count + 1, sum + len));
            if segments > 0 {
                swept.segments += segments;
                swept.bytes += bytes;
                self.stats.retention_deleted(why, segments, bytes);
                self.tell_hooks(|| LogEvent::Removed { reason: why, segments, bytes });
            }
        }
        if removed > 0
            && let Err(error) = sync_names(&self.directory)
        {
            self.poison("sync the directory after removing files", error);
        }
        swept
    }

    /// Removes what is dead. Says how many files that were, and which of them segments, of what length.
    fn remove_dead(&self, active: SegmentId) -> Result<(usize, Vec<(SegmentId, u64)>), SegmentError> {
        let live: SegmentSet = self.view().segments.iter().map(|segment| segment.id()).collect();
        // An open file keeps its space.
        self.sealed.lock().retain(|(segment, _)| live.contains(segment.id()));
        let listing = self.directory.list()?;
        let fences = self.fences.lock().clone();
        let last = self.removable(active);
        let dead = |id: &SegmentId| *id <= last && !live.contains(*id) && !fences.contains(*id);
        let segments = listing.segments.iter().copied().filter(dead).map(FileName::Segment);
        let indexes = listing.indexes.iter().copied().filter(dead).map(FileName::Index);
        let preparing = listing.preparing.iter().copied().filter(|id| *id <= active).map(FileName::Preparing);
        let (mut removed, mut swept) = (0, Vec::new());
        for name in indexes.chain(segments).chain(preparing) {
            let segment = if let FileName::Segment(id) = name { Some(id) } else { None };
            let len = segment.and_then(|id| self.directory.space_of(id));
            if self.directory.remove(name).is_err() {
                continue;
            }
            removed += 1;
            swept.extend(segment.map(|id| (id, len.unwrap_or(0))));
        }
        Ok((removed, swept))
    }
}
