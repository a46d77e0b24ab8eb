//! What readers see: the segments of the log, as an immutable list that the writer replaces.

use std::sync::Arc;

use wal_format::{FIRST_FRAME, Lsn, Predecessor, SegmentId};
use wal_segment::Segment;

use crate::{LogError, recover::Lost};

/// The segments of a log, oldest first. Readers keep the one they began with; its files stay readable after they were
/// removed.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Their bases, side by side to be searched.
    bases: Vec<Lsn>,
    /// Entries that are known to be gone. Empty but for a damaged log that was opened for reading what is left.
    pub(crate) lost: Arc<Vec<Lost>>,
}

impl View {
    pub(crate) fn new(segments: Vec<Arc<Segment>>, lost: Arc<Vec<Lost>>) -> Self {
        let bases = segments.iter().map(|segment| segment.base()).collect();
        Self { segments, bases, lost }
    }

    /// Index of the segment that an entry stands in, or will stand in: the last whose base is not beyond it.
    pub(crate) fn position(&self, lsn: Lsn) -> Option<usize> {
        self.bases.partition_point(|base| *base <= lsn).checked_sub(1)
    }

    /// Entries from this LSN on stand in a later segment than the one at `index`.
    pub(crate) fn bound(&self, index: usize) -> Option<Lsn> {
        self.bases.get(index + 1).copied()
    }

    /// The view after `segment` was appended behind the segment with the id `after`; everything behind that one is no
    /// longer part of the log.
    pub(crate) fn followed_by(&self, after: Option<SegmentId>, segment: Arc<Segment>) -> Self {
        let keep = after.map_or(0, |after| self.segments.partition_point(|segment| segment.id() <= after));
        let mut segments = self.segments.get(..keep).unwrap_or(&[]).to_vec();
        segments.push(segment);
        Self::new(segments, Arc::clone(&self.lost))
    }

    /// The same with a segment that goes on from a durable place in the one before it. What an earlier process left
    /// behind that place was written anew, or says nothing any more; what this one cut off says nothing either, and
    /// nobody is to look at it on the way from the one segment to the other.
    pub(crate) fn going_on(&self, from: Option<Predecessor>, segment: Arc<Segment>) -> Self {
        let mut segments = self.followed_by(from.map(|from| from.segment), segment).segments;
        let before = segments.iter_mut().nth_back(1);
        if let Some((before, from)) = before.zip(from)
            && before.id() == from.segment
            && (before.durable(), before.written()) != (from.end, from.end)
        {
            *before = Arc::new(before.ended(from.end));
        }
        Self::new(segments, Arc::clone(&self.lost))
    }

    /// The view with the file of a segment to be opened anew.
    pub(crate) fn reopened(&self, segment: SegmentId) -> Self {
        let renew = |each: &Arc<Segment>| {
            if each.id() == segment { Arc::new(each.reopened()) } else { Arc::clone(each) }
        };
        Self::new(self.segments.iter().map(renew).collect(), Arc::clone(&self.lost))
    }

    /// The view without the segments that hold only entries before `first`. Those from the newest whose opening is
    /// durable are kept: a younger one may exist in memory only, and without an opening on disk there is no log.
    pub(crate) fn trimmed(&self, first: Lsn) -> Self {
        let opened = self.segments.iter().rposition(|segment| segment.durable() > FIRST_FRAME);
        let keep_from = self.position(first).unwrap_or(0).min(opened.unwrap_or(0));
        Self::new(self.segments.get(keep_from..).unwrap_or(&[]).to_vec(), Arc::clone(&self.lost))
    }

    /// Where the log was cut between this view, in which the next entry was to be `next`, and a later one: the first
    /// entry that stood in one segment and stands in another. Entries that were trimmed stand in none.
    pub(crate) fn cut_until(&self, next: Lsn, later: &Self) -> Option<Lsn> {
        let segment = |view: &Self, lsn| {
            let segment = view.segments.get(view.position(lsn)?)?;
            Some((segment.id(), segment.header().salt))
        };
        let moved =
            |lsn: &Lsn| segment(self, *lsn).zip(segment(later, *lsn)).is_some_and(|(from, to)| from != to);
        // Nothing says of entries that were trimmed meanwhile which history they were of.
        if let Some(&first) = later.bases.first().filter(|first| **first >= next && !self.bases.is_empty()) {
            return Some(first);
        }
        // Between two of these nothing changes.
        self.bases.iter().chain(&later.bases).copied().filter(|lsn| *lsn < next).filter(moved).min()
    }

    /// Whether the entries before `next`, of which the last was seen in this view, are those of a later one as far as
    /// they are there; `None` where the segments alone do not tell.
    pub(crate) fn agrees(&self, next: Lsn, later: &Self) -> Option<bool> {
        let header = |view: &Self, at: usize| view.segments.get(at).map(|segment| *segment.header());
        let last = next.previous()?;
        let here = self.position(last);
        if let Some(there) = later.position(last) {
            let (here, there) = (header(self, here?)?, header(later, there)?);
            let same = (here.segment, here.salt) == (there.segment, there.salt);
            // A writer makes copies of what others have left. It never writes an entry of its own again, unless it has
            // cut it off.
            return if same || here.epoch == there.epoch { Some(same) } else { None };
        }
        // The later one begins behind it: where this one goes on, or in the first segment that was begun since. A cut
        // before that would have begun one in between.
        let first = header(later, 0).filter(|_| later.bases.first() == Some(&next))?.segment;
        let goes_on = match header(self, here.map_or(0, |here| here + 1)) {
            Some(behind) => behind.segment == first,
            None => header(self, here?)?.segment.0 + 1 == first.0,
        };
        goes_on.then_some(true)
    }

    /// Why an entry is gone, if it is known to be.
    pub(crate) fn lost(&self, lsn: Lsn) -> Option<LogError> {
        self.lost.iter().find(|lost| lost.lsns.contains(&lsn)).map(Lost::error)
    }

    /// Whether entries followed the end of the log, nobody knows how many.
    pub(crate) fn lost_end(&self) -> bool {
        self.lost.last().is_some_and(|lost| *lost.lsns.end() == Lsn::MAX)
    }
}
