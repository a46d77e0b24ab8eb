//! A segment that another process writes, as far as this one has seen.

use std::sync::atomic::Ordering;

use wal_format::FIRST_FRAME;

use super::Segment;
use crate::{SegmentError, sparse::SparseIndex};

impl Segment {
    /// Takes in that it goes on up to `written`, and is proven up to `durable`: what was found there verifies, and
    /// continues what was known. Only for a segment that was [inherited](Self::inherited).
    pub fn grow(&self, written: u64, durable: u64) {
        self.written.fetch_max(written, Ordering::AcqRel);
        self.mark_durable(durable.min(written));
    }

    /// Adds what [came](Self::grow) to the index, if there is one and nobody else does: until then it is found from
    /// the last point on. Reads the headers behind that.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`]: what was not added is added the next time.
    pub fn index_more(&self) -> Result<(), SegmentError> {
        // Of two at once, the one would put its points behind those of the other. Nobody waits: that one may hang.
        let Some(_loading) = self.loading.try_lock() else { return Ok(()) };
        let Some(points) = self.index.get() else { return Ok(()) };
        let last: Vec<_> = points.last().into_iter().collect();
        let from = last.first().map_or(FIRST_FRAME, |last| last.offset());
        let known = last.len();
        let mut index = SparseIndex::from_points(last, u64::MAX);
        self.index_from(from, &mut index)?;
        points.extend(index.points().get(known..).unwrap_or(&[]), &[], 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wal_format::{FileName, Lsn, SegmentId, example_segment};

    use super::*;
    use crate::{Directory, LazyFile, MemoryStorage, Storage, inspect};

    /// A segment of three entries that is known in parts, with an index from the start or not.
    #[test]
    fn what_came_is_found_with_and_without_an_index() {
        let bytes = example_segment();
        let storage = Arc::new(MemoryStorage::new());
        let name = FileName::Segment(SegmentId(1));
        storage.create(&name.with_prefix("")).unwrap().write_at(0, &bytes).unwrap();
        let directory = Arc::new(Directory::new(storage, ""));
        let header = inspect(&directory, SegmentId(1)).unwrap().header;
        let end = bytes.len() as u64 - 64;
        let ends = [end - 96, end - 48, end];
        for indexed in [false, true] {
            let file = Arc::new(LazyFile::new(Arc::clone(&directory), name));
            let (path, from) = (String::new(), ends[0]);
            let segment =
                Segment::inherited(Arc::clone(&directory), header, Lsn::FIRST, path, file, from, from);
            if indexed {
                assert_eq!(segment.locate(Lsn::FIRST).unwrap(), Some(ends[0] - 48));
            }
            for (n, end) in ends.into_iter().enumerate() {
                let next = Lsn::FIRST.plus(n as u64);
                segment.grow(end, ends[0]);
                segment.index_more().unwrap();
                assert_eq!((segment.written(), segment.durable()), (end, ends[0]));
                assert_eq!(segment.locate(next).unwrap(), Some(end - 48));
                assert_eq!(segment.locate(next.next()).unwrap(), None);
            }
            segment.grow(ends[0], 0);
            assert_eq!((segment.written(), segment.durable()), (end, ends[0]), "never back");
            segment.grow(end, u64::MAX);
            assert_eq!(segment.durable(), end);
        }
    }
}
