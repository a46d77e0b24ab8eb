//! What keeps a tail in one history of the log.

use std::sync::Arc;

use wal_format::Lsn;

use super::Tail;
use crate::{
    LogError,
    beside::READ_ATTEMPTS,
    error::{CutOffSnafu, TruncatedSnafu},
    read::is_gone,
    view::View,
};

/// The log as it is known to be.
struct Known {
    visible: Lsn,
    first: Lsn,
    view: Arc<View>,
}

impl Tail {
    /// An error of the iterator. What is not there any more, and was not given, is no error: the log was cut behind
    /// what was given, and others will have these LSNs.
    pub(super) fn stopped(&mut self, error: LogError) -> Result<(), LogError> {
        self.entries.resume(self.next);
        match error {
            // It becomes visible again when it is there.
            LogError::OutOfRange { .. } => Ok(()),
            LogError::CutOff { next, .. } if self.engine().is_live() && next >= self.next => Ok(()),
            LogError::CutOff { next, .. } if !self.engine().is_live() => {
                self.cut = Some(next);
                self.check_cuts()
            }
            error => Err(error),
        }
    }

    /// Goes on in the log as it is known now. Returns how much of it is visible.
    pub(super) fn take_in(&mut self) -> Result<Lsn, LogError> {
        let mut attempts = 0;
        loop {
            let Known { visible, first, view } = self.known();
            if self.next < first {
                return TruncatedSnafu { lsn: self.next, first }.fail();
            }
            match self.entries.go_on_in(view) {
                Err(LogError::CutOff { next, .. }) => self.cut = Some(next),
                Err(error) if attempts < READ_ATTEMPTS && is_gone(&error) => {
                    attempts += 1;
                    self.engine().look_again()?;
                    continue;
                }
                gone_on => gone_on?,
            }
            return self.check_cuts().map(|()| visible);
        }
    }

    fn known(&self) -> Known {
        let engine = self.engine();
        // Beside a writer, all of one look.
        let _look = engine.steady();
        // In this order: what is visible is in every view from now on.
        let visible = engine.visible_next(self.visibility);
        Known { visible, first: engine.first_retained(), view: engine.view() }
    }

    /// Whether what was given is still part of the log, as far as this process knows.
    pub(super) fn check_cuts(&mut self) -> Result<(), LogError> {
        let generation = self.engine().cuts.generation();
        if generation != self.generation {
            if let Some(cut) = self.engine().cuts.since(self.generation) {
                if self.floats {
                    self.next = self.next.min(cut);
                } else if self.gave && self.next > cut {
                    self.cut.get_or_insert(cut);
                }
            }
            self.generation = generation;
            self.entries.resume(self.next);
        }
        self.cut.map_or(Ok(()), |next| CutOffSnafu { lsn: self.next, next }.fail())
    }
}
