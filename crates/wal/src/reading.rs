//! Other ways to read: by time, several at once, headers alone.

use std::{
    iter::FusedIterator,
    ops::{Bound, RangeBounds},
};

use wal_core::{AppendTime, BatchLimit, EntryRef, FrameInfo, Log};
use wal_format::Lsn;

use crate::{Entry, Error, Iter, Wal};

impl Wal {
    /// The first entry that was appended at or after a time, durable or not; `None` when there is none. The time is the
    /// log's own, [`Entry::time`], which never runs backwards; it is as fine as the
    /// [`Clock`](crate::Clock), some milliseconds by default.
    ///
    /// A binary search that reads about as many headers as the number of entries has binary digits.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when a header on the way is damaged;
    /// [`ErrorKind::Io`](crate::ErrorKind::Io).
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// # let dir = tempfile::tempdir()?;
    /// let wal = wal::Wal::open(dir.path())?;
    /// let first = wal.append("one")?;
    /// let now = SystemTime::now();
    /// assert_eq!(wal.lsn_at_time(now - Duration::from_secs(60))?, Some(first));
    /// assert_eq!(wal.lsn_at_time(now + Duration::from_secs(60))?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lsn_at_time(&self, time: impl Into<AppendTime>) -> Result<Option<Lsn>, Error> {
        self.log.lsn_at_time(time.into()).map_err(Error::new)
    }

    /// The entries that were appended in a span of time, in order, as they are now.
    ///
    /// # Errors
    ///
    /// Those of [`lsn_at_time`](Self::lsn_at_time).
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// # let dir = tempfile::tempdir()?;
    /// let wal = wal::Wal::open(dir.path())?;
    /// wal.append("one")?;
    /// let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    /// assert_eq!(wal.range_by_time(an_hour_ago..)?.count(), 1);
    /// assert_eq!(wal.range_by_time(..an_hour_ago)?.count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range_by_time<T>(&self, range: impl RangeBounds<T>) -> Result<Iter, Error>
    where
        T: Clone + Into<AppendTime>,
    {
        let time = |bound: Bound<&T>| bound.cloned().map(Into::into);
        let span = (time(range.start_bound()), time(range.end_bound()));
        Iter::by_time(&self.log, span)
    }

    /// The first entries of a range, as many as a limit allows; at least one, if there is one. A range that begins
    /// before the first entry or ends behind the last is cut to what is there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a limit of no entries; otherwise those of
    /// [`get`](Self::get).
    ///
    /// ```
    /// use wal::{BatchLimit, Lsn};
    /// # let dir = tempfile::tempdir()?;
    /// let wal = wal::Wal::open(dir.path())?;
    /// for n in 0..10 {
    ///     wal.append([n; 100])?;
    /// }
    /// let limit = BatchLimit { bytes: 350, ..BatchLimit::default() };
    /// let three = wal.get_range(Lsn::new(5).unwrap().., limit)?;
    /// assert_eq!(three.iter().map(|entry| entry.lsn.get()).collect::<Vec<_>>(), [5, 6, 7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_range(&self, range: impl RangeBounds<Lsn>, limit: BatchLimit) -> Result<Vec<Entry>, Error> {
        self.log.get_range(range, limit).map_err(Error::new)
    }

    /// Shows the entry with this LSN to `read` and returns what it makes of it. Saves counting references to the bytes
    /// where they are at hand: for those who look at an entry and do not keep it.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let wal = wal::Wal::open(dir.path())?;
    /// let lsn = wal.append("three")?;
    /// assert_eq!(wal.get_with(lsn, |entry| entry.payload.len())?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_with<T>(&self, lsn: Lsn, read: impl FnOnce(EntryRef<'_>) -> T) -> Result<T, Error> {
        self.log.get_with(lsn, read).map_err(Error::new)
    }

    /// The entries with these LSNs, in the order in which they are named; one may be named more than once. They are
    /// read in the order in which they are stored, and a batch or a compressed frame is opened once for all its
    /// entries.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), of the lowest LSN that has one; [`Error::lsns`] names it. `Truncated`, too, when
    /// the log was cut among them meanwhile, by this process or by the one that writes it: they would be of two
    /// histories. On a log that is open for reading that is said as well when a writer came meanwhile and put copies in
    /// the place of what the one before it had left: call it again.
    ///
    /// ```
    /// use wal::Lsn;
    /// # let dir = tempfile::tempdir()?;
    /// let wal = wal::Wal::open(dir.path())?;
    /// for payload in ["one", "two", "three"] {
    ///     wal.append(payload)?;
    /// }
    /// let lsns = [3, 1, 3].map(|n| Lsn::new(n).unwrap());
    /// let payloads: Vec<_> = wal.get_many(&lsns)?.into_iter().map(|entry| entry.payload).collect();
    /// assert_eq!(payloads, ["three", "one", "three"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_many(&self, lsns: &[Lsn]) -> Result<Vec<Entry>, Error> {
        self.log.get_many(lsns).map_err(Error::new)
    }

    /// Shows the entries with these LSNs to `read`, each with its place in `lsns`, in whatever order they are at hand:
    /// [`get_many`](Self::get_many) for those who look at entries and do not keep them, about a quarter faster where
    /// they are small and in cache.
    ///
    /// # Errors
    ///
    /// Those of [`get_many`](Self::get_many). Some of the entries may have been shown by then; do not use them, because
    /// if the log was cut meanwhile, they may be of two histories.
    ///
    /// ```
    /// use wal::Lsn;
    /// # let dir = tempfile::tempdir()?;
    /// let wal = wal::Wal::open(dir.path())?;
    /// for payload in ["one", "two", "three"] {
    ///     wal.append(payload)?;
    /// }
    /// let mut lens = [0; 3];
    /// wal.get_many_with(&[3, 1, 3].map(|n| Lsn::new(n).unwrap()), |nth, entry| lens[nth] = entry.payload.len())?;
    /// assert_eq!(lens, [5, 3, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_many_with(&self, lsns: &[Lsn], read: impl FnMut(usize, EntryRef<'_>)) -> Result<(), Error> {
        self.log.get_many_with(lsns, read).map_err(Error::new)
    }

    /// What the headers of frames say about the entries in a range: times, counts, lengths, places, without reading the
    /// entries themselves. A frame is what was appended by one call; one that reaches into the range is part of it.
    ///
    /// Only the checksums of the headers are verified: a frame whose entries are damaged is listed like any other.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let wal = wal::Wal::open(dir.path())?;
    /// wal.append("one")?;
    /// let mut batch = wal::Batch::new();
    /// batch.push("two")?;
    /// batch.push("three")?;
    /// wal.append_batch(&batch)?;
    /// let counts: Vec<u32> = wal.headers(..).map(|header| Ok(header?.count)).collect::<Result<_, wal::Error>>()?;
    /// assert_eq!(counts, [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn headers(&self, range: impl RangeBounds<Lsn>) -> Headers {
        let from = match range.start_bound() {
            Bound::Included(lsn) => *lsn,
            Bound::Excluded(lsn) => lsn.next(),
            Bound::Unbounded => Lsn::FIRST,
        };
        let to = match range.end_bound() {
            Bound::Included(lsn) => lsn.next(),
            Bound::Excluded(lsn) => *lsn,
            Bound::Unbounded => Lsn::MAX,
        };
        Headers { inner: self.log.headers(from, to), _log: self.log.clone() }
    }
}

/// What the headers of frames say, in order. Made by [`Wal::headers`]; an error ends it. All are of one history of the
/// log, as the entries of an [`Iter`](crate::Iter). Like a clone of the [`Wal`] it keeps the log open.
#[derive(Debug)]
pub struct Headers {
    inner: wal_core::Headers,
    /// Keeps the log open.
    _log: Log,
}

impl Iterator for Headers {
    type Item = Result<FrameInfo, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.inner.next()?.map_err(Error::new))
    }
}

impl FusedIterator for Headers {}
