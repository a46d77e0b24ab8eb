//! A segment that another process writes, as far as this one has seen.

use super::Segment;
use crate::sparse::SparseIndex;

impl Segment {
    /// Takes in that it goes on up to `written`, and is proven up to `durable`: what was found there verifies, and
    /// continues what was known. Only for a segment that was [inherited](Self::inherited).
    pub fn grow(&self, written: u64, durable: u64) {
        // Whoever loads the index meanwhile would not know where its end is.
        let _loading = self.loading.lock();
        let known = self.written.fetch_max(written, std::sync::atomic::Ordering::AcqRel);
        self.mark_durable(durable.min(written));
        if let Some(points) = self.index.get().filter(|_| known < written) {
            let last: Vec<_> = points.last().into_iter().collect();
            let mut index = SparseIndex::from_points(last, known);
            let before = index.points().len();
            // What is not indexed is found from the last point on.
            if self.index_from(known, &mut index).is_ok() {
                points.extend(index.points().get(before..).unwrap_or(&[]), &[], 0);
            }
        }
    }
}
