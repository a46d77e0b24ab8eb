//! The append whose bytes are with the operating system on return, when nobody else writes: one thread takes both
//! locks, stamps its frame and takes it along with whatever was queued before, and writes.

use snafu::ResultExt;

use crate::{
    LogError, append::Stamped, appender::Draft, engine::Engine, error::UnconfirmedSnafu, events::Start,
    patience::Terms,
};

impl Engine {
    /// Stamps a frame and writes it, unless somebody else writes or something stands in the way.
    #[inline(never)]
    pub(crate) fn append_through(
        &self,
        draft: &Draft<'_>,
        payload_len: usize,
        terms: &Terms,
    ) -> Option<Result<Stamped, LogError>> {
        let mut writer = self.writer.try_lock()?;
        // The lock was free: one look at the clock serves the append and its write.
        let start = Start::now(&*self.clock);
        let now = self.clock.now();
        let mut appender = self.free_appender(draft, terms)?;
        appender.count(1, draft.shape.count, payload_len);
        let stamped = self.stamp(&mut appender, draft, now);
        appender.take_queue(&mut writer.chunks);
        drop(appender);
        let written = self.write_taken(&mut writer, Some(start));
        let written = self.written(writer, written);
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
