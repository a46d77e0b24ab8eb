//! Sets of segments, and what is known of each of them.
//!
//! Sorted vectors: segments come in order, nearly always, and a tree of every kind of value is a lot of code.

use wal_format::SegmentId;

/// Segments, each once, ascending.
///
/// ```
/// use wal_format::SegmentId;
/// use wal_segment::SegmentSet;
///
/// let mut set: SegmentSet = [3, 1, 3].map(SegmentId).into_iter().collect();
/// set.insert(SegmentId(2));
/// assert!(set.contains(SegmentId(3)) && !set.contains(SegmentId(4)));
/// assert_eq!(set.iter().map(|id| id.0).collect::<Vec<_>>(), [1, 2, 3]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentSet {
    ids: Vec<SegmentId>,
}

impl SegmentSet {
    /// Whether the segment is in the set.
    #[must_use]
    pub fn contains(&self, id: SegmentId) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// Adds a segment; that it is there already is no error. Cheap where it is the greatest.
    pub fn insert(&mut self, id: SegmentId) {
        if let Err(at) = self.ids.binary_search(&id) {
            self.ids.insert(at, id);
        }
    }

    /// Leaves out the segments that are not to be kept.
    pub fn retain(&mut self, keep: impl FnMut(&SegmentId) -> bool) {
        self.ids.retain(keep);
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = SegmentId> {
        self.ids.iter().copied()
    }
}

impl FromIterator<SegmentId> for SegmentSet {
    fn from_iter<I: IntoIterator<Item = SegmentId>>(ids: I) -> Self {
        let mut ids: Vec<_> = ids.into_iter().collect();
        sort(&mut ids);
        Self { ids }
    }
}

/// One copy of this for everybody who makes a set.
#[inline(never)]
fn sort(ids: &mut Vec<SegmentId>) {
    ids.sort_unstable();
    ids.dedup();
}

/// A value for each of some segments, ascending.
///
/// ```
/// use wal_format::SegmentId;
/// use wal_segment::BySegment;
///
/// let mut lengths = BySegment::default();
/// lengths.insert(SegmentId(2), 20);
/// lengths.insert(SegmentId(1), 10);
/// lengths.insert(SegmentId(2), 25);
/// assert_eq!(lengths.get(SegmentId(2)), Some(&25));
/// assert_eq!(lengths.iter().collect::<Vec<_>>(), [(SegmentId(1), &10), (SegmentId(2), &25)]);
/// ```
#[derive(Clone, Debug)]
pub struct BySegment<V> {
    values: Vec<(SegmentId, V)>,
}

impl<V> Default for BySegment<V> {
    fn default() -> Self {
        Self { values: Vec::new() }
    }
}

impl<V> BySegment<V> {
    fn find(&self, id: SegmentId) -> Result<usize, usize> {
        self.values.binary_search_by_key(&id, |(id, _)| *id)
    }

    /// The value of a segment.
    #[must_use]
    pub fn get(&self, id: SegmentId) -> Option<&V> {
        self.find(id).ok().and_then(|at| self.values.get(at)).map(|(_, value)| value)
    }

    /// The value of a segment, to be changed.
    pub fn get_mut(&mut self, id: SegmentId) -> Option<&mut V> {
        self.find(id).ok().and_then(|at| self.values.get_mut(at)).map(|(_, value)| value)
    }

    /// Gives a segment its value, in the place of the one that it had. Cheap where it is the greatest.
    pub fn insert(&mut self, id: SegmentId, value: V) {
        match self.find(id) {
            Ok(at) => drop(self.values.get_mut(at).map(|(_, old)| *old = value)),
            Err(at) => self.values.insert(at, (id, value)),
        }
    }

    /// Forgets the segments that are not to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(SegmentId) -> bool) {
        self.values.retain(|(id, _)| keep(*id));
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (SegmentId, &V)> {
        self.values.iter().map(|(id, value)| (*id, value))
    }
}
