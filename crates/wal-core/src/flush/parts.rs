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

    /// How much of the rest of a chunk, of `rest` bytes, is written next.
    fn next_len(&self, rest: usize) -> usize {
        if self.is_synced && self.left >= PART + REST { rest.min(PART as usize) } else { rest }
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
        let (mut offset, mut rest) = chunk.unwritten();
        let is_stored = rest.is_empty();
        if parts.segment.replace(chunk.segment.id()) != Some(chunk.segment.id()) {
            parts.begun = offset;
        }
        while !rest.is_empty() {
            let (bytes, behind) = rest.split_at(parts.next_len(rest.len()));
            rest = behind;
            chunk.segment.write(offset, bytes).map_err(|error| self.write_failed(error))?;
            offset += bytes.len() as u64;
            if let Some(range) = parts.copied(offset, bytes.len() as u64) {
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
    use std::{io, iter::repeat_n, mem};

    use bytes::Bytes;
    use parking_lot::Mutex;
    use wal_format::{ChecksumKind, LogId, Lsn, SegmentHeader};
    use wal_segment::{Directory, MemoryStorage, Segment, StorageFile};

    use super::*;
    use crate::{Environment, Log, Options};

    /// A file that remembers what is asked of it.
    #[derive(Debug, Default)]
    struct Asked(Mutex<Vec<(&'static str, Range<u64>)>>);

    impl StorageFile for Asked {
        fn len(&self) -> io::Result<u64> {
            Ok(0)
        }
        fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
        fn view(&self, _: Range<u64>) -> io::Result<Bytes> {
            Ok(Bytes::new())
        }
        fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.0.lock().push(("write", offset..offset + data.len() as u64));
            Ok(())
        }
        fn reserve(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn freeze(&self, _: u64) {}
        fn punch(&self, _: Range<u64>) -> io::Result<()> {
            Ok(())
        }
        fn write_back(&self, range: Range<u64>) -> io::Result<bool> {
            self.0.lock().push(("begin", range));
            Ok(true)
        }
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A chunk of so many bytes, of which some are stored.
    fn chunk(segment: u64, file: &Arc<Asked>, offset: u64, len: u64, stored: usize) -> Arc<Chunk> {
        let directory = Arc::new(Directory::new(Arc::new(MemoryStorage::new()), ""));
        let header = SegmentHeader {
            checksum: ChecksumKind::Crc32,
            ignorable_flags: 0,
            log_id: LogId([1; 16]),
            segment: SegmentId(segment),
            epoch: 1,
            salt: 1,
            created: 0,
        };
        let segment =
            Segment::created(directory, header, Lsn::FIRST, String::new(), Arc::<Asked>::clone(file));
        let mut chunk = Chunk::new(Arc::new(segment), offset, Lsn::FIRST, 1, None);
        chunk.bytes.extend(repeat_n(7, len as usize));
        chunk.stored = stored;
        Arc::new(chunk)
    }

    #[test]
    fn the_medium_begins_with_what_was_copied_and_with_nothing_else() {
        let log = Log::open(Environment::new(Arc::new(MemoryStorage::new())), Options::default()).unwrap();
        let file = Arc::new(Asked::default());
        let (at, end) = (100_000, 100_000 + PART);
        // The end of one segment, of which some is stored, and the beginning of the next.
        let chunks = [
            chunk(1, &file, at, PART + 8, 8),
            chunk(1, &file, end + 8, 16, 0),
            chunk(2, &file, 4096, PART + 8, 0),
            chunk(2, &file, 4104 + PART, 2 * REST, 0),
        ];
        let asked = |is_synced| {
            let mut parts = Parts::new(&chunks, is_synced);
            chunks.iter().for_each(|chunk| assert!(log.engine().write_parts(chunk, &mut parts).unwrap()));
            mem::take(&mut *file.0.lock())
        };
        assert_eq!(
            asked(true),
            [
                ("write", at + 8..end + 8),
                ("begin", at + 8..end + 8),
                ("write", end + 8..end + 24),
                ("write", 4096..4096 + PART),
                ("begin", 4096..4096 + PART),
                ("write", 4096 + PART..4104 + PART),
                ("write", 4104 + PART..4104 + 2 * PART),
            ]
        );
        assert_eq!(
            asked(false),
            [
                ("write", at + 8..end + 8),
                ("write", end + 8..end + 24),
                ("write", 4096..4104 + PART),
                ("write", 4104 + PART..4104 + 2 * PART),
            ]
        );
    }

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
    fn what_is_not_begun_is_written_whole() {
        let parts = |left, is_synced| Parts { segment: None, begun: 4096, left, is_synced };
        let (part, enough) = (PART as usize, PART + REST);
        assert_eq!(parts(enough, true).next_len(enough as usize), part);
        assert_eq!(parts(enough, true).next_len(part - 1), part - 1);
        assert_eq!(parts(enough - 1, true).next_len(enough as usize - 1), enough as usize - 1);
        assert_eq!(parts(8 * PART, false).next_len(8 * part), 8 * part);
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
