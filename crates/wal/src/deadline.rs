//! Not waiting as long as it takes.

use std::time::Duration;

use wal_format::{Lsn, NewEntry};

use crate::{Batch, Error, Ticket, Wal};

impl Wal {
    /// Appends one entry if that can be done in memory, at once; otherwise nothing happens. Never waits for the disk,
    /// nor for longer than a millisecond for other threads. The [`Ticket`] says when the entry is durable.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy), with the outcome
    /// [`NotAppended`](crate::Outcome::NotAppended), when it would have to wait: for space in the buffer, for a
    /// segment, for a sync that is overdue. The log sees to what was missing, so trying again a little later helps. The
    /// first append after an open always finds a segment missing. Otherwise those of [`submit`](Self::submit).
    ///
    /// ```
    /// use std::time::Duration;
    /// use wal::{AppendOptions, ErrorKind, NewEntry, Outcome, Wal};
    /// # let dir = tempfile::tempdir()?;
    /// let wal = Wal::open(dir.path())?;
    ///
    /// let error = wal.try_append("at once").unwrap_err(); // the first segment is yet to be made
    /// assert_eq!((error.kind(), error.outcome()), (ErrorKind::Busy, Some(Outcome::NotAppended)));
    ///
    /// let patient = AppendOptions { timeout: Some(Duration::from_secs(60)), ..AppendOptions::default() };
    /// wal.append_with(NewEntry::plain(b"within a minute"), &patient)?;
    /// let ticket = loop {
    ///     match wal.try_append("at once") {
    ///         // A thread of the log's may be at it. Somebody who may not wait has other things to do meanwhile.
    ///         Err(error) if error.kind() == ErrorKind::Busy => std::thread::yield_now(),
    ///         done => break done?,
    ///     }
    /// };
    /// ticket.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_append(&self, payload: impl AsRef<[u8]>) -> Result<Ticket, Error> {
        self.try_append_with(NewEntry::plain(payload.as_ref()), None)
    }

    /// As [`try_append`](Self::try_append), for an entry with a kind, a term or a timestamp, and only if it gets the
    /// `expected` LSN when there is one.
    ///
    /// # Errors
    ///
    /// Those of [`try_append`](Self::try_append); [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when another LSN
    /// was expected.
    pub fn try_append_with(&self, entry: NewEntry<'_>, expected: Option<Lsn>) -> Result<Ticket, Error> {
        self.log().try_append(&entry, expected).map(Ticket::new).map_err(Error::append)
    }

    /// Appends a batch if that can be done in memory, at once, and only if its first entry gets the `expected` LSN when
    /// there is one; otherwise nothing happens.
    ///
    /// # Errors
    ///
    /// Those of [`try_append_with`](Self::try_append_with) and [`submit_batch`](Self::submit_batch).
    pub fn try_append_batch(&self, batch: &Batch, expected: Option<Lsn>) -> Result<Ticket, Error> {
        self.log().try_append_batch(batch.entries(), expected).map(Ticket::new).map_err(Error::append)
    }

    /// Closes the log as [`close`](Self::close) does, and waits no longer than this. When the time is over closing goes
    /// on in a thread of its own: another call waits for it again, and dropping the log does not wait for it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut) when the log is not closed yet: it still has its lock, and
    /// what was appended may not be durable. Otherwise those of [`close`](Self::close), told to the first call that
    /// hears of the end.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let wal = wal::Wal::open(dir.path())?;
    /// wal.append("hello")?;
    /// wal.close_timeout(std::time::Duration::from_secs(60))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close_timeout(&self, timeout: Duration) -> Result<(), Error> {
        self.log().close_timeout(timeout).map_err(Error::new)
    }
}
