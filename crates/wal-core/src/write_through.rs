//! The append whose bytes are with the operating system on return, the short ways.
//!
//! Where the storage takes frames without a system call, the frame is stored under the short lock, at the place that it
//! will be written to; the queue keeps it as one that need not be written. Where it does not, threads take turns: one
//! takes both locks, stamps its frame and takes it along with whatever was queued before, and writes.

use snafu::ResultExt;

use crate::{
    Durability, LogError,
    append::Stamped,
    appender::Draft,
    engine::Engine,
    error::UnconfirmedSnafu,
    events::Start,
    patience::{Patience, Terms},
};

impl Engine {
    /// Stamps a frame and stores it, unless something stands in the way.
    #[inline(never)]
    pub(crate) fn append_stored(
        &self,
        draft: &Draft<'_>,
        payload_len: usize,
        terms: &Terms,
    ) -> Option<Result<Stamped, LogError>> {
        let now = self.clock.now();
        let mut appender = self.free_appender(draft, terms)?;
        if !appender.may_store(self.marks.written(), draft.body.len()) {
            return None;
        }
        appender.count(1, draft.shape.count, payload_len);
        let stamped = self.stamp(&mut appender, draft, now);
        if !appender.store() {
            drop(appender);
            return Some(self.conclude(stamped, terms));
        }
        self.marks.advance_written(stamped.tick, appender.next);
        drop(appender);
        // A store does not fail, so it does not end the log.
        self.watch.wake_moved(self.marks.durable_next());
        self.wake_driver(stamped.begins_interval());
        if stamped.is_simple() {
            return Some(Ok(stamped));
        }
        // All that is left to do for a full chunk is what a buffered append does with one.
        let terms = Terms { durability: Durability::Buffered, ..*terms };
        Some(self.carry_out(stamped, &terms))
    }

    /// Stamps a frame and writes it when it is this thread's turn, unless somebody writes for another reason or
    /// something stands in the way.
    #[inline(never)]
    pub(crate) fn append_through(
        &self,
        draft: &Draft<'_>,
        payload_len: usize,
        terms: &Terms,
    ) -> Option<Result<Stamped, LogError>> {
        if terms.patience != Patience::Endless {
            return None;
        }
        let turn = self.turns.take();
        let mut writer = self.writer.try_lock()?;
        // The lock was free: one look at the clock serves the append and its write.
        let start = Start::now(&*self.clock);
        let now = self.clock.now();
        let mut appender = self.free_appender(draft, terms)?;
        appender.count(1, draft.shape.count, payload_len);
        let stamped = self.stamp(&mut appender, draft, now);
        appender.take_queue(&mut writer.chunks);
        drop(appender);
        let written = self.write_taken(&mut writer, Some(start), false);
        drop(writer);
        turn.end();
        self.tell_moved();
        self.wake_driver(stamped.begins_interval());
        let ended = match written {
            Ok(Some(end)) if !stamped.is_overdue() => Ok(end),
            Ok(_) => self.carry_through(&stamped, terms).map(|()| Start::now(&*self.clock)),
            Err(error) => Err(error),
        };
        let (first, last) = (stamped.first, stamped.last);
        Some(ended.context(UnconfirmedSnafu { first, last }).map(|end| {
            self.stats.append_duration.record(start.ns_until(end));
            stamped
        }))
    }
}
