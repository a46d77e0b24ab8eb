//! Writing in parts, with the medium at work on one while the next is copied to the operating system.

use std::{ops::Range, sync::Arc};

use wal_format::SegmentId;

use crate::{LogError, chunk::Chunk, engine::Engine, stats::add};

/// Of what a sync will cover the medium is asked to begin with so much at a time. Without that it would idle until all
/// of it is copied (`docs/adr/0028`).
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

/// What to do next with a chunk.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    /// So many bytes are written.
    len: usize,
    /// And the medium is asked to begin with this, then.
    begins: Option<Range<u64>>,
}

impl Parts {
    /// For chunks that are about to be written.
    pub(super) fn new(chunks: &[Arc<Chunk>], is_synced: bool) -> Self {
        let left = chunks.iter().map(|chunk| chunk.unwritten().1.len() as u64).sum();
        Self { segment: None, begun: 0, left, is_synced }
    }

    /// The next part of a chunk, of which `rest` bytes are left, from `offset` of this segment on.
    fn next(&mut self, segment: SegmentId, offset: u64, rest: usize) -> Part {
        if self.segment.replace(segment) != Some(segment) {
            self.begun = offset;
        }
        let splits = self.is_synced && self.left >= PART + REST;
        let len = if splits { rest.min(PART as usize) } else { rest };
        self.left = self.left.saturating_sub(len as u64);
        let end = offset.saturating_add(len as u64);
        let range = self.begun..end;
        let asks = self.is_synced && self.left >= REST && end.saturating_sub(self.begun) >= PART;
        if asks {
            self.begun = end;
        }
        Part { len, begins: asks.then_some(range) }
    }
}

impl Engine {
    /// Writes a chunk. Says whether there was anything that had not been stored.
    pub(super) fn write_parts(&self, chunk: &Chunk, parts: &mut Parts) -> Result<bool, LogError> {
        let (mut offset, mut rest) = chunk.unwritten();
        let is_stored = rest.is_empty();
        while !rest.is_empty() {
            let Part { len, begins } = parts.next(chunk.segment.id(), offset, rest.len());
            let (bytes, behind) = rest.split_at(len);
            chunk.segment.write(offset, bytes).map_err(|error| self.write_failed(error))?;
            (offset, rest) = (offset + len as u64, behind);
            if let Some(range) = begins {
                chunk.segment.write_back(range).map_err(|error| {
                    add(&self.stats.sync_errors, 1);
                    self.poison("begin to sync entries", error)
                })?;
            }
        }
        Ok(!is_stored)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// What is written of chunks of these segments, offsets and lengths, each with what is begun then.
    fn parts(chunks: &[(u64, u64, u64)], is_synced: bool) -> Vec<(u64, Option<(u64, u64)>)> {
        let left = chunks.iter().map(|(_, _, len)| len).sum();
        let mut parts = Parts { segment: None, begun: 0, left, is_synced };
        let mut all = vec![];
        for (segment, offset, len) in chunks {
            let mut written = 0;
            while written < *len {
                let rest = (len - written) as usize;
                let part = parts.next(SegmentId(*segment), offset + written, rest);
                written += part.len as u64;
                all.push((part.len as u64, part.begins.map(|range| (range.start, range.end))));
            }
        }
        all
    }

    /// The same of one chunk after the other in one segment.
    fn in_a_row(lens: &[u64], is_synced: bool) -> Vec<(u64, Option<(u64, u64)>)> {
        let mut offset = 4096;
        let chunks: Vec<_> = lens
            .iter()
            .map(|len| {
                offset += len;
                (1, offset - len, *len)
            })
            .collect();
        parts(&chunks, is_synced)
    }

    const AT: u64 = 4096;

    #[test]
    fn parts_follow_each_other_up_to_the_last() {
        let (one, two) = (Some((AT, AT + PART)), Some((AT + PART, AT + 2 * PART)));
        assert_eq!(in_a_row(&[PART; 3], true), [(PART, one), (PART, two), (PART, None)]);
        assert_eq!(in_a_row(&[3 * PART], true), [(PART, one), (PART, two), (PART, None)]);
        assert_eq!(in_a_row(&[PART, REST], true), [(PART, one), (REST, None)]);
        let quarters = in_a_row(&[PART / 4; 8], true);
        assert_eq!(quarters.iter().filter_map(|(_, begun)| *begun).collect::<Vec<_>>(), [(AT, AT + PART)]);
        assert_eq!(quarters.iter().position(|(_, begun)| begun.is_some()), Some(3));
    }

    #[test]
    fn what_is_not_begun_is_written_whole() {
        assert_eq!(in_a_row(&[PART + REST - 1], true), [(PART + REST - 1, None)]);
        assert_eq!(in_a_row(&[PART - 1, REST], true), [(PART - 1, None), (REST, None)]);
        assert_eq!(in_a_row(&[8 * PART], false), [(8 * PART, None)]);
        assert_eq!(in_a_row(&[PART; 2], false), [(PART, None); 2]);
    }

    /// What was written of the one before it is synced before anything of the next one is written.
    #[test]
    fn what_is_begun_is_of_one_segment() {
        let (at, first) = (100_000, PART - 8);
        let begun = Some((AT, AT + PART));
        let chunks = [(1, at, first), (2, AT, PART + 8), (2, AT + PART + 8, 2 * REST)];
        assert_eq!(parts(&chunks, true), [(first, None), (PART, begun), (8, None), (2 * REST, None)]);
    }
}
