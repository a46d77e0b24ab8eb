//! What is different where a file is published whole by its first sync, as on object storage (`docs/adr/0009`).
//!
//! - A segment is finished by the sync that publishes it, and never sealed. The next one begins with the next frame.
//! - Objects may arrive in any order and are acknowledged in the order of their ids. The opening of each says how far
//!   the log was published when it was stamped: a hole beyond that is where the log ends.
//! - Ids are dense within an epoch. Whoever opens the log for writing publishes a *fence*, a segment without a frame
//!   but its opening, under the id that the writer before it must publish next; and goes on
//!   [`FENCE_GAP`](wal_format::FENCE_GAP) ids later, where nothing of that writer can ever be.

use std::collections::VecDeque;

use parking_lot::MutexGuard;
use wal_format::{FIRST_FRAME, Position, SegmentId};
use wal_segment::SegmentError;

use crate::{
    DeletionReason, LogError,
    append::segment_len_for,
    appender::{Appender, Reserve, Room},
    engine::Engine,
    error::FencedSnafu,
    prepare::Prepared,
    recover,
};

impl Engine {
    /// Finishes the active segment, if it is to be published whole.
    pub(crate) fn end_object(&self, appender: &mut Appender) {
        if self.objects {
            appender.end();
        }
    }

    /// Gives the lock back with room for a frame in the active segment. Beginning another one takes no I/O.
    pub(crate) fn room_in_object<'a>(
        &self,
        mut appender: MutexGuard<'a, Appender>,
        (body_len, count): (usize, u32),
        reserve: Reserve,
        now: u64,
    ) -> Result<MutexGuard<'a, Appender>, LogError> {
        if appender.room(body_len, count, reserve) == Room::Here {
            return Ok(appender);
        }
        appender.end();
        let impossible = LogError::InvalidArgument { why: "a segment follows none" };
        let predecessor = appender.ended.ok_or(impossible)?;
        let prepared = self.take_prepared(segment_len_for(&appender, body_len))?;
        let nothing = Position { segment: SegmentId(0), offset: FIRST_FRAME };
        let durable = self.published.lock().claim(prepared.header.segment).unwrap_or(nothing);
        let Some(segment) = appender.follow(predecessor, durable, prepared, now) else {
            let why = LogError::InvalidArgument { why: "the metadata does not fit an opening frame" };
            return Err(self.unpublished(why));
        };
        self.rotated(&segment, appender.tail.as_ref().map_or(0, |tail| tail.capacity));
        self.show(Some(predecessor.segment), segment);
        Ok(appender)
    }

    /// An id was taken, and nothing will be published under it: no later one may be acknowledged.
    pub(crate) fn unpublished(&self, error: LogError) -> LogError {
        if self.poisoned().is_none() {
            let source = std::io::Error::other(error.to_string());
            let path = self.directory.storage().location();
            self.poison(
                "begin a segment",
                SegmentError::Io { operation: "begin a segment in", path, source },
            );
        }
        error
    }

    /// The segment that this writer takes the log over with.
    pub(crate) fn fence(&self, len: u64) -> Result<Prepared, LogError> {
        let prepared = self.preparer()?.fence(len).map_err(|error| self.unprepared(error))?;
        self.fences.lock().insert(prepared.header.segment);
        Ok(prepared)
    }

    /// Makes sure that the fence counts. Its id may have been used and removed while this writer was slow, and then the
    /// log has gone on elsewhere.
    pub(crate) fn check_fence(&self) -> Result<(), LogError> {
        let Some(fence) = self.appender.lock().ended else { return Ok(()) };
        let listing = self.directory.list().map_err(|error| LogError::segment("open the log", error))?;
        if listing.segments.last() > Some(&fence.segment) {
            let found = recover::find(&self.directory)?;
            let head = found.log.map(|log| (log.head.header.segment, log.head.header.salt));
            if head != Some((fence.segment, fence.salt)) {
                return FencedSnafu { cause: "its fence came too late" }.fail();
            }
        }
        if listing.segments.first() < Some(&fence.segment) && !self.report.dead.is_empty() {
            self.sweep(Some(fence.segment), &|_| DeletionReason::Superseded);
        }
        Ok(())
    }

    /// Everything up to the end of this segment is published.
    pub(crate) fn note_published(&self, segment: SegmentId, offset: u64) {
        self.published.lock().note(Position { segment, offset });
    }

    /// The segments with ids up to this one may be removed, when they are dead.
    pub(crate) fn removable(&self, active: SegmentId) -> SegmentId {
        let last = SegmentId(active.0.saturating_sub(1));
        if self.objects { last.min(self.published.lock().removable) } else { last }
    }
}

/// How far a log is published, and what its openings claim of that.
#[derive(Debug)]
pub(crate) struct Published {
    /// Up to here everything is.
    to: Option<Position>,
    /// Segments that are not, each with the id up to which its opening claims that everything is.
    claims: VecDeque<(SegmentId, SegmentId)>,
    /// What the newest published segment claims. A reader that finds this one looks for everything that follows it.
    removable: SegmentId,
}

impl Default for Published {
    fn default() -> Self {
        Self { to: None, claims: VecDeque::new(), removable: SegmentId(0) }
    }
}

impl Published {
    /// What the opening of a new segment may claim.
    fn claim(&mut self, segment: SegmentId) -> Option<Position> {
        self.claims.push_back((segment, self.to.map_or(SegmentId(0), |to| to.segment)));
        self.to
    }

    fn note(&mut self, to: Position) {
        if self.to.is_some_and(|before| before.segment >= to.segment) {
            return;
        }
        // A segment that is published as it begins names its predecessor, and everything was published before.
        let mut removable = SegmentId(to.segment.0.saturating_sub(1));
        while let Some((segment, claim)) = self.claims.pop_front_if(|(segment, _)| *segment <= to.segment) {
            if segment == to.segment {
                removable = claim;
            }
        }
        (self.to, self.removable) = (Some(to), removable);
    }
}
