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

    /// The last point at or before an entry.
    #[must_use]
    pub fn floor(&self, lsn_delta: u32) -> Option<IndexPoint> {
        let beyond = |at: usize| self.points.get(at).is_none_or(|point| point.lsn_delta > lsn_delta);
        // Entries of similar length make points that lie evenly: the guess is mostly next to the answer, and a search
        // that widens around it misses the cache twice instead of a dozen times.
        let guess = self.guess(lsn_delta);
        let (mut low, mut high) = (guess, guess);
        let mut step = 1;
        while low > 0 && beyond(low) {
            low = low.saturating_sub(step);
            step *= 2;
        }
        step = 1;
        while high < self.points.len() && !beyond(high) {
            high = (high + step).min(self.points.len());
            step *= 2;
        }
        let near = self.points.get(low..high)?;
        let after = low + near.partition_point(|point| point.lsn_delta <= lsn_delta);
        self.points.get(after.checked_sub(1)?).copied()
    }

    /// Where the point would be if all lay evenly.
    fn guess(&self, lsn_delta: u32) -> usize {
        let Some(last) = self.points.last() else { return 0 };
        let most = self.points.len() as u64 - 1;
        let guess = u64::from(lsn_delta) * most / u64::from(last.lsn_delta).max(1);
        usize::try_from(guess.min(most)).unwrap_or(0)
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
    fn the_guess_does_not_change_the_answer() {
        // Uneven on purpose: equal deltas (control frames), jumps, dense and sparse stretches.
        let deltas = [0, 0, 1, 2, 3, 3, 3, 900, 901, 1000, 5000, 5001, 5002, 70_000, 70_000];
        let points: Vec<_> = deltas.iter().zip(64..).map(|(delta, n)| point(*delta, n * 8)).collect();
        for len in 0..=points.len() {
            let index = SparseIndex { points: points[..len].to_vec() };
            for delta in (0..6000).chain(69_990..70_010).chain([u32::MAX]) {
                let plain = index.points.partition_point(|point| point.lsn_delta <= delta);
                assert_eq!(
                    index.floor(delta),
                    plain.checked_sub(1).map(|at| index.points[at]),
                    "{len} {delta}"
                );
            }
        }
    }

    #[test]
    fn the_floor_is_the_last_point_not_beyond() {
        let mut index = SparseIndex::default();
        assert_eq!(index.floor(0), None);
        for n in 0..100 {
            index.offer(n, 512 + u64::from(n) * 256);
        }
        assert_eq!(index.points().len(), 25, "one point every four frames of 256 bytes");
        assert_eq!(index.floor(0), Some(point(0, 512)));
        assert_eq!(index.floor(3), Some(point(0, 512)));
        assert_eq!(index.floor(4), Some(point(4, 1536)));
        assert_eq!(index.floor(u32::MAX), Some(point(96, 25_088)));
        assert_eq!(SparseIndex::from_points(index.points().to_vec(), 1536).floor(99), Some(point(0, 512)));
    }
}
