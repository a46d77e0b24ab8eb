//! Removing files that are no longer part of the log.

use std::collections::BTreeSet;

use wal_format::{FileName, SegmentId};

use crate::{LogError, appender::Appender, engine::Engine, stats::add};

impl Engine {
    /// Removes every file of the log below the active segment that readers cannot reach any more: cut off, superseded,
    /// trimmed, left over. The active segment's name is durable, so the greatest id never disappears.
    pub(crate) fn sweep(&self, appender: &Appender) -> Result<(), LogError> {
        let Some(active) = appender.tail.as_ref().map(|tail| tail.segment.id()) else { return Ok(()) };
        let live: BTreeSet<SegmentId> = self.view().segments.iter().map(|segment| segment.id()).collect();
        // An open file keeps its space.
        self.sealed.lock().retain(|(segment, _)| live.contains(&segment.id()));
        let failed = |source| LogError::segment("remove old files", source);
        let listing = self.directory.list().map_err(failed)?;
        let dead = |id: &SegmentId| *id < active && !live.contains(id);
        let segments = listing.segments.iter().copied().filter(dead).map(FileName::Segment);
        let indexes = listing.indexes.iter().copied().filter(dead).map(FileName::Index);
        let preparing = listing.preparing.iter().copied().filter(|id| *id <= active).map(FileName::Preparing);
        let names: Vec<FileName> = indexes.chain(segments).chain(preparing).collect();
        if names.is_empty() {
            return Ok(());
        }
        for name in &names {
            self.directory.remove(*name).map_err(failed)?;
        }
        let removed = names.iter().filter(|name| matches!(name, FileName::Segment(_))).count();
        add(&self.stats.segments_removed, removed as u64);
        self.directory
            .sync_names()
            .map_err(|source| self.poison("sync the directory after removing files", source))
    }
}
