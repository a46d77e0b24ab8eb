//! Writing in parts, with the medium at work on one while the next is copied to the operating system.

use std::{ops::Range, sync::Arc};

use wal_format::SegmentId;

use crate::{LogError, chunk::Chunk, engine::Engine, stats::add};

/// Of what a sync will cover the medium is asked to begin with so much at a time. Without that it would idle until all
/// of it is copied, which takes a fifth of the time that it takes to write (`docs/adr/0028`).
const PART: u64 = 512 << 10;
/// Nothing is asked for when less than this is left: the sync comes soon.
const REST: u64 = PART / 2;

/// How far the medium was asked to begin.
#[derive(Debug)]
pub(super) struct Parts {
    segment: Option<SegmentId>,
    /// Up to where it was.
    begun: u64,
    /// Bytes that are still to be copied.
    left: u64,
    /// Whether whoever writes syncs next. Nobody else may ask: a sync that is under way beside one that fails could
    /// succeed without what that has lost.
    pub(super) is_synced: bool,
}

impl Parts {
    /// For chunks that are about to be written.
    pub(super) fn new(chunks: &[Arc<Chunk>], is_synced: bool) -> Self {
        let left = chunks.iter().map(|chunk| chunk.unwritten().1.len() as u64).sum();
        Self { segment: None, begun: 0, left, is_synced }
    }

    /// What to ask for after `len` bytes were copied that end at `end`, if anything.
    fn copied(&mut self, end: u64, len: u64) -> Option<Range<u64>> {
        self.left = self.left.saturating_sub(len);
        let range = self.begun..end;
        let asks = self.is_synced && self.left >= REST && end.saturating_sub(self.begun) >= PART;
        asks.then(|| {
            self.begun = end;
            range
        })
    }
}

impl Engine {
    /// Writes a chunk. Says whether there was anything that had not been stored.
    pub(super) fn write_parts(&self, chunk: &Chunk, parts: &mut Parts) -> Result<bool, LogError> {
        let (mut offset, bytes) = chunk.unwritten();
        if parts.segment.replace(chunk.segment.id()) != Some(chunk.segment.id()) {
            parts.begun = offset;
        }
        let part = if parts.is_synced { PART as usize } else { bytes.len().max(1) };
        for bytes in bytes.chunks(part) {
            chunk.segment.write(offset, bytes).map_err(|error| self.write_failed(error))?;
            offset += bytes.len() as u64;
            if let Some(range) = parts.copied(offset, bytes.len() as u64) {
                chunk.segment.write_back(range).map_err(|error| {
                    add(&self.stats.sync_errors, 1);
                    self.poison("begin to sync entries", error)
                })?;
            }
        }
        Ok(!bytes.is_empty())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// What is asked for while `lens` are copied, one after the other.
    fn asked(lens: &[u64], is_synced: bool) -> Vec<(u64, u64)> {
        let left = lens.iter().sum();
        let mut parts = Parts { segment: None, begun: 4096, left, is_synced };
        let mut end = 4096;
        let copied = lens.iter().filter_map(|len| {
            end += len;
            parts.copied(end, *len).map(|range| (range.start, range.end))
        });
        copied.collect()
    }

    #[test]
    fn parts_follow_each_other_up_to_the_last() {
        let far = 4096 + 2 * PART;
        assert_eq!(asked(&[PART; 3], true), [(4096, 4096 + PART), (4096 + PART, far)]);
        assert_eq!(asked(&[PART, REST], true), [(4096, 4096 + PART)]);
        assert_eq!(asked(&[PART / 4; 8], true), [(4096, 4096 + PART)], "the second one is the last");
        assert_eq!(asked(&[3 * PART, PART], true), [(4096, 4096 + 3 * PART)]);
    }

    #[test]
    fn little_is_left_to_the_sync_and_all_where_none_follows() {
        assert_eq!(asked(&[PART, REST - 1], true), []);
        assert_eq!(asked(&[PART - 1, REST], true), []);
        assert_eq!(asked(&[2 * PART], true), []);
        assert_eq!(asked(&[PART; 8], false), []);
    }
}
