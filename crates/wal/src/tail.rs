//! Following the log.

use std::time::Duration;

use wal_core::TailOptions;
use wal_format::Lsn;

use crate::{Entry, Error, Wal};

impl Wal {
    /// Follows the log: its entries in order, and then those that come. From an LSN, a
    /// [`TailFrom`](crate::TailFrom), or with all there is to say in [`TailOptions`]; by default entries are given once
    /// they are durable.
    ///
    /// ```
    /// use std::{thread, time::Duration};
    /// use wal::{TailFrom, Wal};
    /// # let dir = tempfile::tempdir()?;
    /// let wal = Wal::open(dir.path())?;
    /// let mut tail = wal.tail(TailFrom::End);
    /// thread::scope(|scope| {
    ///     scope.spawn(|| wal.append("news"));
    ///     let entry = tail.next_timeout(Duration::from_secs(60))?.expect("it comes");
    ///     assert_eq!(entry.payload, "news");
    ///     Ok::<(), wal::Error>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn tail(&self, options: impl Into<TailOptions>) -> Tail {
        Tail { inner: self.log.tail(options.into()) }
    }
}

/// Follows a log. Made by [`Wal::tail`].
///
/// In the process that writes the log it sleeps until there is an entry, without asking at intervals. On a log that was
/// opened for reading only it looks at the files again while nothing comes: after a millisecond, then twice as long, up
/// to a tenth of a second.
///
/// What ends it is an error, the same one until [`seek`](Self::seek):
///
/// - [`ErrorKind::Closed`](crate::ErrorKind::Closed) or [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned), after all
///   that was visible was given.
/// - [`ErrorKind::Truncated`](crate::ErrorKind::Truncated): the next entry was removed before it was given, or one that
///   was given was cut off and others may stand in its place; in a log of another process that is followed from its
///   end also the one before that place. [`Error::lsns`] names the next entry.
/// - [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) and [`ErrorKind::Io`](crate::ErrorKind::Io): the next entry
///   could not be read.
///
/// All that it gives is of one history of the log: what was appended behind a cut never follows an entry that the cut
/// removed. After that error `seek`, or a new tail, begins in the log as it is then. On a log that was opened for
/// reading only it is also the answer when nobody can tell: when the files were replaced, and the last entry that was
/// given was trimmed away. (Trimming alone does not do that.)
///
/// As an iterator it waits for every entry and ends quietly when the log is closed; any other error is an item, and
/// after it there are no more. With the feature `stream` it is a `futures_core::Stream` that does the same. Like a
/// clone of the [`Wal`] it keeps the log open.
#[derive(Debug)]
pub struct Tail {
    inner: wal_core::Tail,
}

impl Tail {
    /// LSN of the next entry.
    #[must_use]
    pub const fn next_lsn(&self) -> Lsn {
        self.inner.next_lsn()
    }

    /// Goes on at `lsn`, forward or back, whatever ended it before: in the log as it is known to be now, as a new tail
    /// would, also where that is not the history of the entries before.
    pub fn seek(&mut self, lsn: Lsn) {
        self.inner.seek(lsn);
    }

    /// The next entry if it is there; does not wait. On a log that was opened for reading this looks at the files when
    /// no more is known to be there.
    ///
    /// # Errors
    ///
    /// What ends the tail, see [`Tail`].
    pub fn try_next(&mut self) -> Result<Option<Entry>, Error> {
        self.inner.try_next().map_err(Error::new)
    }

    /// The next entry, waiting for it so long; `None` when it did not come.
    ///
    /// # Errors
    ///
    /// What ends the tail, see [`Tail`].
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Entry>, Error> {
        self.inner.next_timeout(timeout).map_err(Error::new)
    }

    /// The next entry, however long it takes to come.
    ///
    /// # Errors
    ///
    /// What ends the tail, see [`Tail`].
    pub fn wait(&mut self) -> Result<Entry, Error> {
        self.inner.wait().map_err(Error::new)
    }
}

impl Iterator for Tail {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.inner.next().map(|item| item.map_err(Error::new))
    }
}

#[cfg(feature = "stream")]
impl futures_core::Stream for Tail {
    type Item = Result<Entry, Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.inner.poll_item(context).map(|item| item.map(|item| item.map_err(Error::new)))
    }
}
