//! What may be removed from the front of a log, as plain data.

use std::time::Duration;

use wal_format::Lsn;

use crate::{LogError, error::InvalidOptionSnafu};

/// Which segments may go. By default none: a log keeps everything.
///
/// A segment goes, whole and oldest first, as soon as *any* of the limits is exceeded, unless a cursor or a protected
/// checkpoint needs it. The active segment never goes; by [`max_age`](Self::max_age) it is closed, so that it can.
///
/// ```
/// use std::time::Duration;
/// use wal_core::Retention;
///
/// // A week, but never more than a gigabyte; consumers may hold it up to twice that.
/// let retention = Retention {
///     max_age: Some(Duration::from_secs(7 * 86_400)),
///     max_bytes: Some(1 << 30),
///     cursor_max_bytes: Some(2 << 30),
///     ..Retention::default()
/// };
/// assert!(retention.has_limits() && !Retention::default().has_limits());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// A segment goes when its last entry was appended longer ago than this; not zero. The active segment takes no more
    /// entries once its first one is as old: an entry is gone after twice this time and two intervals at the latest.
    /// What has left for a tier is as old as the beginning of the segment behind it. Default: none.
    pub max_age: Option<Duration>,
    /// Segments go while all their files together take more space than this, in bytes: the active one counts, with the
    /// space ahead of its use. Index files and the segment that is made ready do not. Default: none.
    pub max_bytes: Option<u64>,
    /// Segments go while there are more than so many; the active one counts. At least 1. Default: none.
    pub max_segments: Option<u64>,
    /// Segments go that hold only entries before this one, for instance because a snapshot holds them. Default: none.
    pub keep_from: Option<Lsn>,
    /// A cursor holds segments back only while the files from there to the end of the log take no more space than this,
    /// in bytes. Then it is passed, which the result says by name, and its consumer is told that entries are gone.
    /// Default: cursors are never passed for the bytes that they hold.
    pub cursor_max_bytes: Option<u64>,
    /// A cursor holds a segment back only while its last entry is not older than this. Default: cursors are never
    /// passed for age.
    pub cursor_max_age: Option<Duration>,
    /// Time between two looks of the log's threads, which look at every rotation, too; not zero. Default: 1 min.
    pub interval: Duration,
    /// How long a wall clock is on trial that has jumped, or that was not watched yet because the log was just opened.
    /// It is believed when it has kept step with the monotonic clock for so long, at three looks at least. Until then
    /// nothing is removed for what it says. Zero takes it at its word. Default: 1 min.
    pub clock_trial: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            max_age: None,
            max_bytes: None,
            max_segments: None,
            keep_from: None,
            cursor_max_bytes: None,
            cursor_max_age: None,
            interval: Duration::from_secs(60),
            clock_trial: Duration::from_secs(60),
        }
    }
}

impl Retention {
    /// Whether there is anything to enforce.
    #[must_use]
    pub const fn has_limits(&self) -> bool {
        self.max_age.is_some()
            || self.max_bytes.is_some()
            || self.max_segments.is_some()
            || self.keep_from.is_some()
    }

    /// Checks every field against its range.
    ///
    /// # Errors
    ///
    /// [`LogError::InvalidOption`] names the first field that is out of range, and the bound.
    pub fn validate(&self) -> Result<(), LogError> {
        let check = |ok: bool, option: &'static str, why: &'static str| {
            if ok { Ok(()) } else { InvalidOptionSnafu { option, why }.fail() }
        };
        let some = |age: Option<Duration>| age.is_none_or(|age| !age.is_zero());
        check(some(self.max_age), "retention.max_age", "it must not be zero")?;
        check(self.max_segments != Some(0), "retention.max_segments", "it must be at least 1")?;
        check(!self.interval.is_zero(), "retention.interval", "it must not be zero")
    }

    /// The least age that decides anything.
    pub(super) fn least_age(&self) -> Option<Duration> {
        self.max_age.into_iter().chain(self.cursor_max_age).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked_by_name() {
        let good = Retention::default;
        let name = |retention: Retention| match retention.validate() {
            Err(LogError::InvalidOption { option, .. }) => option,
            other => panic!("{other:?}"),
        };
        assert!(good().validate().is_ok());
        assert_eq!(name(Retention { max_age: Some(Duration::ZERO), ..good() }), "retention.max_age");
        assert_eq!(name(Retention { max_segments: Some(0), ..good() }), "retention.max_segments");
        assert_eq!(name(Retention { interval: Duration::ZERO, ..good() }), "retention.interval");
    }
}
