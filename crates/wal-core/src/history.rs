//! What keeps a reader in one history of the log.
//!
//! Two histories are the same up to where one was cut. The writer's own process knows where that was (`cuts.rs`).
//! Another one can only compare: when the highest entry that was given is the same in the files that are there now, so
//! are all before it; and when it is not, nobody can tell which are. It is the same in the same segment, and it may be
//! in another writer's copy of its frame; no writer stores an entry of its own twice. Therefore a reader beside a
//! writer takes in what it finds there only after it has looked for that entry, and keeps what it had otherwise.

use std::sync::Arc;

use parking_lot::MutexGuard;
use wal_format::{FrameHeader, Lsn};
use wal_segment::FrameReader;

use crate::{
    LogError,
    appender::Appender,
    beside::READ_ATTEMPTS,
    cuts::Cuts,
    engine::Engine,
    error::{CutOffSnafu, TruncatedSnafu},
    peek::PEEK_LEN,
    read::is_gone,
    view::View,
};

/// What is overtaken by a cut begins anew, so often at most.
const ATTEMPTS: usize = 100;

/// What a frame is recognised by in another segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Witness {
    time: u64,
    body_crc: u32,
}

impl From<&FrameHeader> for Witness {
    fn from(header: &FrameHeader) -> Self {
        Self { time: header.time, body_crc: header.body_crc }
    }
}

/// The highest entry that a reader has given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// LSN after it.
    pub(crate) end: Lsn,
    /// Its frame, by its first entry; `None` when nobody has looked at it in time.
    pub(crate) frame: Option<(Lsn, Witness)>,
}

impl Seen {
    /// The last entry of a frame, which begins with `first`.
    pub(crate) fn of(end: Lsn, first: Lsn, header: &FrameHeader) -> Self {
        Self { end, frame: Some((first, Witness::from(header))) }
    }
}

impl Engine {
    /// Beside a writer: makes sure that what was seen of a view is part of a newer one, too. In another history the
    /// place of the next entry, `lsn`, means nothing.
    ///
    /// # Errors
    ///
    /// [`LogError::CutOff`] when it is not, or nobody can tell; those of reading a header.
    pub(crate) fn check_history(
        &self,
        view: &View,
        newer: &View,
        seen: Option<Seen>,
        lsn: Lsn,
    ) -> Result<(), LogError> {
        let Some(Seen { end, frame }) = seen.filter(|_| self.look_again.is_some()) else {
            // Free to choose; or known from the cuts.
            return Ok(());
        };
        // What cannot be read any more was not cut off.
        if let Some(lost) = end.previous().and_then(|last| newer.lost(last)) {
            return Err(lost);
        }
        let agreed = view.agrees(end, newer);
        if agreed == Some(true) {
            return Ok(());
        }
        let Some((at, witness)) = frame.filter(|_| agreed.is_none()) else {
            return CutOffSnafu { lsn, next: lsn.min(end) }.fail();
        };
        let same = match self.peek_once(newer, at, &mut FrameReader::new(PEEK_LEN)) {
            Ok(found) => Witness::from(&found.header) == witness,
            // When it was trimmed away, nobody can tell any more.
            Err(LogError::CutOff { .. } | LogError::OutOfRange { .. } | LogError::Truncated { .. }) => false,
            Err(error) => return Err(error),
        };
        if same { Ok(()) } else { CutOffSnafu { lsn, next: at.min(lsn) }.fail() }
    }

    /// The view to go on in at `lsn`, after a file of an older one turned out to be gone.
    ///
    /// # Errors
    ///
    /// Those of looking again, and of [`check_history`](Self::check_history); [`LogError::Truncated`].
    pub(crate) fn renewed(&self, view: &View, seen: Option<Seen>, lsn: Lsn) -> Result<Arc<View>, LogError> {
        let newer = self.newer_view()?;
        let first = self.first_retained();
        if lsn < first {
            return TruncatedSnafu { lsn, first }.fail();
        }
        self.check_history(view, &newer, seen, lsn)?;
        Ok(newer)
    }

    /// What `find` finds at `lsn` in a view; if a file of that is gone, in a newer one where `seen` is, too.
    ///
    /// # Errors
    ///
    /// Those of `find`, and of [`renewed`](Self::renewed).
    pub(crate) fn find_in<T>(
        &self,
        view: &mut Arc<View>,
        lsn: Lsn,
        seen: Option<Seen>,
        mut find: impl FnMut(&View) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        self.check_readable(lsn)?;
        let mut attempts = 0;
        loop {
            match find(view) {
                Err(error) if attempts < READ_ATTEMPTS && is_gone(&error) => {
                    attempts += 1;
                    *view = self.renewed(view, seen, lsn)?;
                    self.check_readable(lsn)?;
                }
                found => return found,
            }
        }
    }

    /// Beside a writer: nobody takes in what it has done as long as this is held.
    pub(crate) fn steady(&self) -> Option<MutexGuard<'_, Appender>> {
        self.look_again.map(|_| self.appender.lock())
    }

    /// Where it is said that the log was cut: by this process, or by the one that writes it.
    pub(crate) fn history(&self) -> &Cuts {
        if self.look_again.is_some() { &self.looks } else { &self.cuts }
    }

    /// The first LSN that was cut off since a generation of the [`history`](Self::history), as far as anything can have
    /// been read that came behind it: that was not there before the cut could be seen here. Beside a writer both come
    /// with one look, which is over when the lock is free.
    pub(crate) fn cut_since(&self, generation: u64) -> Option<Lsn> {
        let _look = self.steady();
        self.history().since(generation)
    }

    /// What `find` makes of the log while nobody cuts it: it is called again when somebody did, because what was seen
    /// of one history says nothing about another.
    ///
    /// # Errors
    ///
    /// Those of `find`; [`LogError::CutOff`] when the log was cut every time.
    pub(crate) fn in_one_history<T>(
        &self,
        mut find: impl FnMut() -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let generation = self.history().generation();
            let found = find();
            match self.cut_since(generation) {
                None => return found,
                Some(next) if attempts == ATTEMPTS => return CutOffSnafu { lsn: next, next }.fail(),
                Some(_) => {}
            }
        }
    }
}
