//! From a time to a place in the log.

use std::{
    ops::Bound,
    time::{SystemTime, UNIX_EPOCH},
};

use wal_format::Lsn;

use crate::{Iter, LogError, engine::Engine, log::Log};

/// A search that is overtaken by a trim begins anew, so often at most.
const ATTEMPTS: usize = 100;

/// When an entry was appended, in nanoseconds since 1970, as in [`Entry::time`](crate::Entry::time). Never runs
/// backwards from one entry to the next, whatever the clock did.
///
/// Made from such a number, or from a [`SystemTime`]: one before 1970 counts as 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendTime(pub u64);

impl From<u64> for AppendTime {
    fn from(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }
}

impl From<SystemTime> for AppendTime {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Log {
    /// The first entry that was appended at or after a time, durable or not; `None` when there is none. Reads the
    /// headers of about as many frames as the number of entries has binary digits.
    ///
    /// # Errors
    ///
    /// [`LogError::Lost`] when a header on the way is damaged; errors of the storage. [`LogError::CutOff`] when the log
    /// was cut during every one of many attempts.
    pub fn lsn_at_time(&self, time: AppendTime) -> Result<Option<Lsn>, LogError> {
        let (lsn, end) = self.engine().search_time(time)?;
        Ok((lsn < end).then_some(lsn))
    }

    /// The entries that were appended in a span of time, as they are now.
    ///
    /// # Errors
    ///
    /// Those of [`lsn_at_time`](Self::lsn_at_time).
    pub fn range_by_time(&self, span: (Bound<AppendTime>, Bound<AppendTime>)) -> Result<Iter, LogError> {
        let engine = self.engine();
        let at = |time: AppendTime| engine.search_time(time).map(|(lsn, _)| lsn);
        // No entry is as young as the end of time.
        let after =
            |time: AppendTime| time.0.checked_add(1).map_or(Ok(Lsn::MAX), |time| at(AppendTime(time)));
        engine.in_one_history(|| {
            let from = match span.0 {
                Bound::Included(time) => at(time)?,
                Bound::Excluded(time) => after(time)?,
                Bound::Unbounded => Lsn::FIRST,
            };
            let to = match span.1 {
                Bound::Included(time) => after(time)?,
                Bound::Excluded(time) => at(time)?,
                Bound::Unbounded => Lsn::MAX,
            };
            Ok(self.range(from..to))
        })
    }
}

impl Engine {
    /// The first entry at or after a time, and the end of the log: the same when there is no such entry.
    pub(crate) fn search_time(&self, time: AppendTime) -> Result<(Lsn, Lsn), LogError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.in_one_history(|| self.search_once(time)) {
                // Trimmed meanwhile, or cut: the bounds are not what they were.
                Err(LogError::Truncated { .. } | LogError::CutOff { .. } | LogError::OutOfRange { .. })
                    if attempts < ATTEMPTS => {}
                result => return result,
            }
        }
    }

    fn search_once(&self, time: AppendTime) -> Result<(Lsn, Lsn), LogError> {
        let end = self.readable_next();
        let (mut low, mut high) = (self.first_retained(), end);
        while low < high {
            let middle = low.plus(high.since(low).unwrap_or(0) / 2);
            // The entries of a frame share its time, so the search goes on before or behind it.
            let frame = self.peek(middle)?;
            if frame.header.time < time.0 {
                low = frame.next().min(high);
            } else {
                high = frame.first.max(low);
            }
        }
        Ok((low, end.max(low)))
    }
}
