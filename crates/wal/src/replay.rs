//! Every entry through a callback.

use wal_core::{ReplayOptions, ReplayReport};

use crate::{Entry, Error, Wal};

/// Why a replay ended early: the callback's own error, or one of the log. Everything accepted before counts:
/// [`report`](wal_core::ReplayError::report) says how far it came.
pub type ReplayError<E> = wal_core::ReplayError<E, Error>;

impl Wal {
    /// Calls `each` with the entries of a range, a batch at a time: all that are there when the replay begins, unless
    /// the options say otherwise. A batch is at most [`ReplayOptions::batch`] and never empty.
    ///
    /// No lock is held meanwhile: `each` may use the log as it likes, append to it included. An error of `each` ends
    /// the replay, and is returned with the LSNs of the batch; the report in it, or the one that is returned at the
    /// end, says where to go on ([`ReplayOptions::resume`]).
    ///
    /// With [`ReplayOptions::drain`] what was accepted is removed: durably, whenever that frees a segment, and at the
    /// end, also when the end is an error. Nothing is removed that was not accepted. After a crash some of what was
    /// accepted may come again, about one segment and one batch at most, so accept what comes twice. Draining is a
    /// truncation that you ask for, as by [`truncate_before`](Self::truncate_before): unlike retention it waits neither
    /// for cursors nor for protected checkpoints.
    ///
    /// # Errors
    ///
    /// [`ReplayError::Rejected`](wal_core::ReplayError::Rejected) with what `each` returned;
    /// [`ReplayError::Log`](wal_core::ReplayError::Log) otherwise, of these kinds among others:
    ///
    /// - [`ErrorKind::Invalid`](crate::ErrorKind::Invalid): a limit of no entries, or draining backward or from the
    ///   middle. [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly) and
    ///   [`ErrorKind::Closed`](crate::ErrorKind::Closed): this log cannot be drained. Nothing was replayed.
    /// - [`ErrorKind::Truncated`](crate::ErrorKind::Truncated): the range begins at an LSN, a checkpoint or the end of
    ///   a report whose entries were removed, and nothing was replayed; or entries were removed meanwhile. Without a
    ///   lower bound a replay begins at the first entry that is there.
    /// - [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt): what stands before the damage was replayed.
    ///
    /// ```
    /// use wal::{BatchLimit, ReplayError, ReplayOptions, Wal};
    /// # let dir = tempfile::tempdir()?;
    /// let wal = Wal::open(dir.path())?;
    /// for n in 1..=10 {
    ///     wal.append(format!("job {n}"))?;
    /// }
    ///
    /// let limit = BatchLimit { entries: 4, ..BatchLimit::default() };
    /// let options = ReplayOptions { batch: limit, drain: true, ..ReplayOptions::default() };
    /// let mut done = 0;
    /// let stopped = wal.replay(&options, |jobs| {
    ///     if done > 4 { return Err("out of paper") }
    ///     done += jobs.len();
    ///     Ok(())
    /// });
    /// // Two batches were accepted, and are gone; the third is still there.
    /// let Err(ReplayError::Rejected { error, first, report, .. }) = stopped else { panic!() };
    /// assert_eq!((error, first.get(), report.drained), ("out of paper", 9, 8));
    /// assert_eq!(wal.first_lsn(), Some(first));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replay<E>(
        &self,
        options: &ReplayOptions<'_>,
        each: impl FnMut(&[Entry]) -> Result<(), E>,
    ) -> Result<ReplayReport, ReplayError<E>> {
        self.log.replay(options, each).map_err(|error| error.map_log(Error::new))
    }
}
