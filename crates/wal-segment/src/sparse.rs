//! The index of a segment in memory: one point every so many bytes.

use wal_format::IndexPoint;

/// Distance between two points in bytes: eight bytes of index for each.
pub const INDEX_STRIDE: u64 = 1024;

/// Points in ascending order of LSN and offset.
#[derive(Clone, Debug, Default)]
pub struct SparseIndex {
    points: Vec<IndexPoint>,
}

impl SparseIndex {
    /// An index with these points, which must ascend; those at or beyond `end` are left out, because the segment may
    /// have been cut since they were written.
    #[must_use]
    pub fn from_points(points: Vec<IndexPoint>, end: u64) -> Self {
        let mut index = Self { points };
        index.points.truncate(index.points.partition_point(|point| point.offset() < end));
        index
    }

    /// Whether a frame at `offset` deserves a point after the last one, which is at `last`.
    #[must_use]
    pub const fn wants(last: Option<u64>, offset: u64) -> bool {
        match last {
            Some(last) => offset >= last.saturating_add(INDEX_STRIDE),
            None => true,
        }
    }

    /// Adds a frame if it is far enough from the last point.
    pub fn offer(&mut self, lsn_delta: u32, offset: u64) {
        if Self::wants(self.points.last().map(|point| point.offset()), offset) {
            self.points.push(point(lsn_delta, offset));
        }
    }

    /// Adds points that were collected elsewhere, behind those that are there.
    pub fn extend(&mut self, points: &[IndexPoint]) {
        self.points.extend_from_slice(points);
    }

    /// All points.
    #[must_use]
    pub fn points(&self) -> &[IndexPoint] {
        &self.points
    }
}

/// The point of a frame. Segments end long before the units leave 32 bits.
#[must_use]
pub fn point(lsn_delta: u32, offset: u64) -> IndexPoint {
    IndexPoint { lsn_delta, units: u32::try_from(offset / 8).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_point_every_so_many_bytes() {
        let mut index = SparseIndex::default();
        for n in 0..100 {
            index.offer(n, 512 + u64::from(n) * 256);
        }
        assert_eq!(index.points().len(), 25, "one point every four frames of 256 bytes");
        assert_eq!(index.points().get(1), Some(&point(4, 1536)));
        assert_eq!(SparseIndex::from_points(index.points().to_vec(), 1536).points(), [point(0, 512)]);
    }
}
