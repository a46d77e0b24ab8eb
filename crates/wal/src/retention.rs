//! Removing what is old enough, or too much, and not needed any more.

use wal_core::{Retained, Retention, RetentionPlan};

use crate::{Error, Wal};

/// Retention: whole segments go from the front, by age, size, number or LSN, as far as no cursor and no protected
/// checkpoint needs them. With [`Options::retention`](crate::Options::retention) the log's threads see to it, at every
/// rotation and in intervals, from the first append on; without threads [`maintain`](Self::maintain) does.
impl Wal {
    /// What [`retain`](Self::retain) would do now. Changes nothing; can be printed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned) when cursors and checkpoints are not certain after a
    /// failure.
    pub fn retention_plan(&self) -> Result<RetentionPlan, Error> {
        self.retention_plan_with(&self.log.options().retention)
    }

    /// What [`retain_with`](Self::retain_with) would do now. Also on a log that is open for reading only.
    ///
    /// # Errors
    ///
    /// Those of [`retention_plan`](Self::retention_plan); [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a
    /// policy that is out of range.
    pub fn retention_plan_with(&self, policy: &Retention) -> Result<RetentionPlan, Error> {
        self.log.retention_plan(policy).map_err(Error::new)
    }

    /// Removes what [`Options::retention`](crate::Options::retention) lets go; durable on return. After a crash
    /// meanwhile the log is as it was, or as it is to be. Iterators keep what they hold. Works on a full disk.
    ///
    /// # Errors
    ///
    /// Those of [`sync`](Self::sync).
    pub fn retain(&self) -> Result<Retained, Error> {
        self.log.retain().map_err(Error::new)
    }

    /// The same by another policy.
    ///
    /// # Errors
    ///
    /// Those of [`retain`](Self::retain); [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a policy that is out
    /// of range.
    ///
    /// ```
    /// use wal::{Options, Retention, Wal};
    /// # let dir = tempfile::tempdir()?;
    /// let options = Options { segment_len: 64 << 10, first_segment_len: 64 << 10, ..Options::default() };
    /// let wal = Wal::builder(dir.path()).options(options).open()?;
    /// for _ in 0..100 {
    ///     wal.append([7; 10_000])?;
    /// }
    /// let reports = wal.cursor("reports")?; // nothing is acknowledged yet
    ///
    /// let policy = Retention { max_segments: Some(3), ..Retention::default() };
    /// let plan = wal.retention_plan_with(&policy)?;
    /// assert!(plan.remove.is_empty());
    /// assert_eq!(plan.held_back_by[0].name, "reports");
    ///
    /// reports.ack(wal.last_lsn().unwrap())?;
    /// let done = wal.retain_with(&policy)?;
    /// assert_eq!(wal.segments()?.len(), 3);
    /// assert!(done.freed_bytes > 500_000 && wal.first_lsn() == Some(done.first_retained));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retain_with(&self, policy: &Retention) -> Result<Retained, Error> {
        self.log.retain_with(policy).map_err(Error::new)
    }

    /// What the last pass did that removed something since the log was opened, be it by the log's own threads: among
    /// other things which cursors were passed.
    #[must_use]
    pub fn last_retained(&self) -> Option<Retained> {
        self.log.last_retained()
    }
}
