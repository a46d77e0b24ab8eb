//! What keeps an iterator in one history of the log, from whichever end it is read and wherever it is sent.
//!
//! Two histories are the same up to where one was cut. The writer's own process knows where that was. Another one can
//! only compare: when the highest entry that was given is the same in the files that are there now, so are all before
//! it; and when it is not, nobody can tell which are.

use wal_format::{FrameHeader, Lsn};

use super::{Cursor, Direction, Iter};
use crate::{LogError, error::CutOffSnafu, packs::Part, view::View};

/// What a frame is recognised by in another segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Witness {
    time: u64,
    body_crc: u32,
}

impl Witness {
    pub(crate) fn is(self, header: &FrameHeader) -> bool {
        self == Self::from(header)
    }
}

impl From<&FrameHeader> for Witness {
    fn from(header: &FrameHeader) -> Self {
        Self { time: header.time, body_crc: header.body_crc }
    }
}

/// What an iterator has given since it began, or began anew.
#[derive(Debug)]
pub(super) struct Given {
    /// LSN after the highest entry of those that were noted. From the front they are noted late, because the short way
    /// has no time for it.
    end: u64,
    /// The frame of that one, by its first entry. Only kept beside a writer; `None` when it is not in memory any more,
    /// because reading on failed behind it.
    frame: Option<(Lsn, Witness)>,
    /// Where the front began: when it is not there any more, the entry before it was given.
    from: u64,
    /// Where the front was when an error moved it.
    stopped: u64,
    /// Entries from this LSN on are of another history than one that was given.
    pub(super) limit: u64,
    /// It has ended because of that.
    cut_off: bool,
}

impl Given {
    pub(super) const fn nothing(front: u64) -> Self {
        Self { end: 0, frame: None, from: front, stopped: 0, limit: u64::MAX, cut_off: false }
    }

    /// Leaves nothing between the ends.
    pub(super) const fn stop(&mut self, front: &mut u64, back: u64) {
        if *front > self.from {
            self.stopped = *front;
        }
        (*front, self.from) = (back, back);
    }
}

impl Iter {
    /// Whether another process writes the log.
    fn is_beside(&self) -> bool {
        self.engine.look_again.is_some()
    }

    /// An entry was given from the back.
    #[inline]
    pub(super) fn note_back(&mut self, lsn: Lsn) {
        if lsn.get() >= self.given.end {
            self.note(Direction::Backward, lsn.get() + 1);
        }
    }

    /// Entries were given from the front, up to where it is.
    pub(super) fn note_front(&mut self) {
        let end = if self.front > self.given.from { self.front } else { self.given.stopped };
        if end > self.given.end {
            self.note(Direction::Forward, end);
        }
    }

    fn note(&mut self, direction: Direction, end: u64) {
        self.given.end = end;
        self.given.frame = if self.is_beside() { self.cursor(direction).frame(&self.view) } else { None };
    }

    /// The front moves without reading.
    pub(super) fn leave_front(&mut self, front: u64) {
        self.note_front();
        (self.front, self.given.from, self.given.stopped) = (front, front, 0);
        // Within the frame that is open, its place stays: that is where the iterator will have been.
        let stays =
            self.forward.open.as_ref().zip(Lsn::new(front)).is_some_and(|(open, lsn)| open.holds(lsn));
        if !stays {
            self.forward.leave();
        }
    }

    /// Whoever moves an iterator after it was cut off has been told, and begins anew.
    pub(super) fn begin_anew(&mut self) {
        if self.given.cut_off {
            self.generation = self.engine.cuts.generation();
            self.given = Given::nothing(self.front);
            self.look();
        }
    }

    pub(super) fn end(&mut self, error: LogError) -> LogError {
        self.given.stop(&mut self.front, self.back);
        self.given.cut_off = matches!(error, LogError::CutOff { .. });
        self.engine.note_damage(&error);
        error
    }

    /// Reads on in the log as it is now.
    fn look(&mut self) {
        // In this order: a failure that is not seen here is noticed by the generation.
        self.certain = self.engine.certain_next().get();
        self.view = self.engine.view();
        (self.forward, self.backward) = (Cursor::new(), Cursor::new());
    }

    /// A cut behind the next entry only means that there are other segments now, unless one was given from there.
    #[cold]
    pub(super) fn notice_cuts(&mut self, lsn: Lsn) -> Result<(), LogError> {
        let cut = match self.engine.cuts.notice(&mut self.generation, lsn) {
            Ok(cut) => cut.map_or(u64::MAX, Lsn::get),
            Err(next) => return CutOffSnafu { lsn, next }.fail(),
        };
        self.note_front();
        if cut < self.given.end {
            self.given.limit = self.given.limit.min(cut);
        }
        self.look();
        Ok(())
    }

    /// An entry at or behind the limit.
    #[cold]
    pub(super) fn beyond(&self, lsn: Lsn) -> LogError {
        CutOffSnafu { lsn, next: Lsn::new(self.given.limit).unwrap_or(lsn) }.build()
    }

    /// A segment was superseded before it was first read: its entries are in another one. Both ends go on there.
    #[cold]
    pub(super) fn renew(&mut self) -> Result<(), LogError> {
        self.note_front();
        self.engine.look_again()?;
        self.look();
        Ok(())
    }

    /// The files of another process's log were replaced: whether by copies, or by another history, is seen from the
    /// highest entry that was given. In another history the place of the next entry means nothing.
    #[cold]
    pub(super) fn check_history(&mut self, lsn: Lsn) -> Result<(), LogError> {
        let first = self.engine.first_retained();
        if !self.is_beside() || self.given.end == 0 || lsn < first {
            // Known from the cuts; or free to choose; or about to be refused.
            return Ok(());
        }
        let Some((at, witness)) = self.given.frame else {
            return CutOffSnafu { lsn, next: lsn }.fail();
        };
        let same = match self.engine.load(&self.view, at, &mut self.forward.reader, Part::Whole) {
            Ok((_, frame)) => witness.is(&frame.header),
            // When it was trimmed away, nobody can tell any more.
            Err(LogError::CutOff { .. } | LogError::OutOfRange { .. } | LogError::Truncated { .. }) => false,
            Err(error) => return Err(error),
        };
        if same { Ok(()) } else { CutOffSnafu { lsn, next: at.min(lsn) }.fail() }
    }
}

impl Cursor {
    /// The frame that was read last, by its first entry, as far as it is in memory.
    pub(super) fn frame(&self, view: &View) -> Option<(Lsn, Witness)> {
        if let Some(open) = &self.open {
            return Some((open.first(), Witness::from(open.header())));
        }
        let place = self.place?;
        let segment = view.segments.get(place.position)?;
        let at = place.offset.checked_sub(self.reader.window_start())?;
        let header = self.reader.window().get(usize::try_from(at).ok()?..)?.first_chunk()?;
        let header = FrameHeader::decode(header, segment.key(), place.offset).ok()?;
        Some((segment.base().plus(u64::from(header.lsn_delta)), Witness::from(&header)))
    }
}
