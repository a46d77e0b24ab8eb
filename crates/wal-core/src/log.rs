//! The log, as its users hold it.

use std::{
    ops::{Bound, RangeBounds},
    sync::Arc,
    time::Duration,
};

use wal_format::{EntriesBuilder, LogId, Lsn, NewEntry};

use crate::{
    Durability, Entry, EntryRef, Environment, LogError, Options, RecoveryReport, Ticket, Truncation,
    WhenFull,
    append::Stamped,
    beside,
    closing::Handle,
    driver::{Driver, start_hooks, start_tier},
    engine::Engine,
    error::TruncatedSnafu,
    events::{self, Span, Start},
    iter::Iter,
    open,
    read::is_gone,
};

/// A write-ahead log. A cheap handle: clones share one log, and all methods take `&self`.
///
/// When the last handle is dropped the log is closed, as by [`close`](Self::close), and errors of that go unheard.
#[derive(Clone, Debug)]
pub struct Log {
    handle: Arc<Handle>,
}

/// How one append is to be carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendOptions {
    /// How far the append goes before it returns. Default: what the log's policy says.
    pub durability: Option<Durability>,
    /// Append only if the first entry gets this LSN. Default: whatever comes.
    pub expected: Option<Lsn>,
    /// How long it may take. When that is over, it fails as [`LogError::TimedOut`], inside
    /// [`LogError::Unconfirmed`] when its entries have their LSNs already: then what is missing is done all the same,
    /// and only nobody waits for it. Default: as long as it takes.
    ///
    /// A thread of the log does the I/O, which costs a switch of threads or two; in a log
    /// [without threads](Options::background_threads) the caller does it, and nothing can cut that short.
    pub timeout: Option<Duration>,
    /// What it does when the buffer is full. Default: [`Options::when_full`].
    pub when_full: Option<WhenFull>,
    /// Whether it is a span for a subscriber of `tracing`, in the span that the caller is in, with the writing and
    /// syncing that it does itself inside. Default: no. Nothing without the feature `tracing`.
    pub span: bool,
}

impl Log {
    /// Opens a log for writing, or starts a new one where there is none.
    ///
    /// What is reported as there is durable when this returns: after a crash the doubtful end of the log is written
    /// anew. A log that was closed cleanly, or never written, is not touched before the first append.
    ///
    /// # Errors
    ///
    /// [`LogError::Locked`] when another writer has it; [`LogError::Lost`], [`LogError::MissingSegment`] and
    /// [`LogError::Inconsistent`] when acknowledged entries are damaged, and then nothing was changed; errors of the
    /// storage.
    pub fn open(environment: Environment, options: Options) -> Result<Self, LogError> {
        let engine = told(environment, options, open::for_writing, false)?;
        // From here on an error closes the log: a thread that was started would keep its lock.
        let log = Self { handle: Arc::new(Handle::new(engine)) };
        start_hooks(log.engine())?;
        start_tier(log.engine())?;
        Ok(log)
    }

    /// Opens a log for reading, beside a writer or without one. Takes no lock and changes nothing. Sees what is
    /// written now; [`refresh`](Self::refresh) looks again.
    ///
    /// # Errors
    ///
    /// [`LogError::MissingLog`] when there is none; otherwise as [`open`](Self::open).
    pub fn open_read_only(environment: Environment, options: Options) -> Result<Self, LogError> {
        let engine = told(environment, options, beside::for_reading, true)?;
        start_hooks(&engine)?;
        Ok(Self { handle: Arc::new(Handle::new(engine)) })
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        self.handle.engine()
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Appends one entry and returns its LSN, as durable as the policy says.
    ///
    /// # Errors
    ///
    /// [`LogError::TooLarge`], [`LogError::Full`], [`LogError::Closed`], [`LogError::ReadOnly`],
    /// [`LogError::Poisoned`]: nothing was appended. [`LogError::Unconfirmed`]: it may have been.
    pub fn append(&self, payload: &[u8]) -> Result<Lsn, LogError> {
        self.append_as(&NewEntry::plain(payload), &AppendOptions::default())
    }

    /// Appends one entry with all there is to say about it.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append); [`LogError::Conflict`] when another LSN was expected.
    pub fn append_entry(&self, entry: &NewEntry<'_>, options: &AppendOptions) -> Result<Lsn, LogError> {
        self.append_as(entry, options)
    }

    #[inline(always)]
    fn append_as(&self, entry: &NewEntry<'_>, options: &AppendOptions) -> Result<Lsn, LogError> {
        self.start_threads()?;
        let _span = options.span.then(|| Span::append(&self.engine().directory));
        let stamped = self.engine().append(entry, &self.terms(options));
        Ok(stamped.inspect_err(|_| self.tell())?.first)
    }

    /// Appends a batch: all its entries or, whatever happens, none. Returns the LSNs of the first and the last.
    ///
    /// # Errors
    ///
    /// Those of [`append_entry`](Self::append_entry); [`LogError::InvalidArgument`] for an empty batch.
    pub fn append_batch(
        &self,
        batch: &EntriesBuilder,
        options: &AppendOptions,
    ) -> Result<(Lsn, Lsn), LogError> {
        self.start_threads()?;
        let _span = options.span.then(|| Span::append(&self.engine().directory));
        let stamped = self.engine().append_batch(batch, &self.terms(options));
        let stamped = stamped.inspect_err(|_| self.tell())?;
        Ok((stamped.first, stamped.last))
    }

    /// Appends one entry and returns at once, with a ticket for its durability.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append).
    pub fn submit(&self, entry: &NewEntry<'_>, expected: Option<Lsn>) -> Result<Ticket, LogError> {
        self.start_threads()?;
        let stamped = self.engine().append(entry, &self.submitted(expected));
        Ok(self.ticket(stamped.inspect_err(|_| self.tell())?))
    }

    /// Appends a batch and returns at once, with a ticket for its durability.
    ///
    /// # Errors
    ///
    /// Those of [`append_batch`](Self::append_batch).
    pub fn submit_batch(&self, batch: &EntriesBuilder, expected: Option<Lsn>) -> Result<Ticket, LogError> {
        self.start_threads()?;
        let stamped = self.engine().append_batch(batch, &self.submitted(expected));
        Ok(self.ticket(stamped.inspect_err(|_| self.tell())?))
    }

    pub(crate) fn ticket(&self, stamped: Stamped) -> Ticket {
        let ticket = Ticket::new(Arc::clone(self.engine()), stamped);
        // Under `Always` nobody else sees to it that the entry becomes durable.
        if self.engine().options.sync.interval().is_none() && self.engine().driver.get().is_some() {
            self.engine().ask_for_sync();
        }
        ticket
    }

    /// Makes everything appended before the call durable.
    ///
    /// # Errors
    ///
    /// [`LogError::Full`] when it could not be written yet; [`LogError::Poisoned`] and errors of the storage.
    pub fn sync(&self) -> Result<(), LogError> {
        let engine = self.engine();
        let tick = {
            let appender = engine.appender.lock();
            engine.check_writable(&appender)?;
            appender.tick
        };
        engine.commit.wait(&**engine, tick)
    }

    /// The entry with this LSN.
    ///
    /// # Errors
    ///
    /// [`LogError::Truncated`] and [`LogError::OutOfRange`] when it is not in the log, [`LogError::Lost`] when it is
    /// damaged, [`LogError::Poisoned`] when it is not certain after a failure.
    pub fn get(&self, lsn: Lsn) -> Result<Entry, LogError> {
        let engine = self.engine();
        match engine.settled(lsn) {
            Some(entry) => Ok(entry),
            None => engine.get(lsn).inspect_err(|error| engine.note_damage(error)),
        }
    }

    /// Shows the entry with this LSN to `read` and returns what it makes of it. The bytes are lent, where they are at
    /// hand: nobody counts references to them.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn get_with<T>(&self, lsn: Lsn, read: impl FnOnce(EntryRef<'_>) -> T) -> Result<T, LogError> {
        self.engine().get_with(lsn, read).inspect_err(|error| self.engine().note_damage(error))
    }

    /// The entries with these LSNs, as they are now. A range that begins before the first entry or ends behind the last
    /// is cut to what is there.
    #[must_use]
    pub fn range(&self, range: impl RangeBounds<Lsn>) -> Iter {
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
        // In this order: see `first_lsn`.
        let end = self.end_before(to);
        Iter::new(Arc::clone(self.engine()), from.max(self.engine().first_retained()), end)
    }

    /// The entries from `from` on and before `to`, as they are now, for somebody who must not miss one: a range that
    /// ends behind the last is cut to what is there, and one that begins before the first is refused. Entries that are
    /// removed later are an error of the iterator.
    ///
    /// # Errors
    ///
    /// [`LogError::Truncated`] when `from` is before the first entry of the log.
    pub fn range_from(&self, from: Lsn, to: Lsn) -> Result<Iter, LogError> {
        let entries = Iter::new(Arc::clone(self.engine()), from, self.end_before(to));
        // In this order: what is removed from here on is missed by the iterator, which has its view already.
        let first = self.engine().first_retained();
        if from < first.min(to) { TruncatedSnafu { lsn: from, first }.fail() } else { Ok(entries) }
    }

    /// Where a range ends that is to end before `to`.
    fn end_before(&self, to: Lsn) -> Lsn {
        let engine = self.engine();
        let next = engine.readable_next();
        // Where the end of the log is lost the range goes one further, to the error that says so.
        to.min(if engine.view().lost_end() { next.next() } else { next })
    }

    /// The first entry of the log; `None` when it is empty.
    #[must_use]
    pub fn first_lsn(&self) -> Option<Lsn> {
        loop {
            // In this order: a log that is reset to a later LSN meanwhile has no entries before that.
            let next = self.next_lsn();
            let first = self.engine().first_retained();
            // One that is trimmed meanwhile, behind what was its end, is not empty.
            if first < next || next == self.next_lsn() {
                return (first < next).then_some(first);
            }
        }
    }

    /// The last entry appended; `None` when the log is empty.
    #[must_use]
    pub fn last_lsn(&self) -> Option<Lsn> {
        self.next_lsn().previous().filter(|last| *last >= self.engine().first_retained())
    }

    /// The last entry that is durable; `None` when none is.
    #[must_use]
    pub fn durable_lsn(&self) -> Option<Lsn> {
        self.engine().marks.durable_next().previous().filter(|last| *last >= self.engine().first_retained())
    }

    /// The LSN that the next append will get.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.engine().marks.next()
    }

    /// Removes the entries before `first`; durable on return. Space is freed by whole segments. Iterators keep what
    /// they hold.
    ///
    /// # Errors
    ///
    /// [`LogError::OutOfRange`] when `first` is beyond the next LSN; those of [`append`](Self::append).
    pub fn truncate_before(&self, first: Lsn) -> Result<Truncation, LogError> {
        self.start_threads()?;
        let result = self.engine().truncate_before(first);
        self.tell();
        result
    }

    /// Removes the entries after `last`; durable on return. The next append gets the LSN after it. `last` may be the
    /// one before the first entry, which removes all.
    ///
    /// # Errors
    ///
    /// [`LogError::OutOfRange`] when `last` is beyond the end, [`LogError::Truncated`] when it lies before the first
    /// entry; those of [`append`](Self::append). After [`LogError::Full`] and errors of the storage the entries are
    /// still there, but if the log is opened anew before an append succeeds, it may turn out that they were removed.
    pub fn truncate_after(&self, last: Lsn) -> Result<Truncation, LogError> {
        self.truncate_from(last.next())
    }

    /// Removes `next` and the entries after it: like [`truncate_after`](Self::truncate_after), and able to name the
    /// first entry of all.
    ///
    /// # Errors
    ///
    /// Those of [`truncate_after`](Self::truncate_after).
    pub fn truncate_from(&self, next: Lsn) -> Result<Truncation, LogError> {
        self.start_threads()?;
        let result = self.engine().truncate_from(next);
        self.tell();
        result
    }

    /// Removes all entries; durable on return. The next LSN stays what it is.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append). Whether entries were removed is then as with
    /// [`truncate_after`](Self::truncate_after).
    pub fn clear(&self) -> Result<Truncation, LogError> {
        self.cleared(None)
    }

    /// Removes all entries; durable on return. The next append gets the LSN `next`, which may lie beyond the end or be
    /// one that was in use.
    ///
    /// # Errors
    ///
    /// Those of [`clear`](Self::clear).
    pub fn reset(&self, next: Lsn) -> Result<Truncation, LogError> {
        self.cleared(Some(next))
    }

    fn cleared(&self, next: Option<Lsn>) -> Result<Truncation, LogError> {
        self.start_threads()?;
        let result = self.engine().clear(next);
        self.tell();
        result
    }

    /// What opening the log found and did.
    #[must_use]
    pub fn recovery_report(&self) -> &RecoveryReport {
        &self.engine().report
    }

    /// The identity of the log; `None` when a log opened for reading has no segment.
    #[must_use]
    pub fn id(&self) -> Option<LogId> {
        let of_view = || self.engine().view().segments.first().map(|segment| segment.header().log_id);
        self.engine().preparer.as_ref().map(crate::prepare::Preparer::log_id).or_else(of_view)
    }

    /// The segments of the log, oldest first.
    ///
    /// # Errors
    ///
    /// Errors of the storage.
    pub fn segments(&self) -> Result<Vec<SegmentSummary>, LogError> {
        match summaries(self.engine()) {
            Err(error) if is_gone(&error) => {
                self.engine().newer_view()?;
                summaries(self.engine())
            }
            listed => listed,
        }
    }

    /// Looks again, on a log that was opened for reading: what a writer has appended, trimmed or cut since is seen from
    /// now on, also by clones. Iterators keep what they began with. Does nothing on a log that is open for writing.
    ///
    /// # Errors
    ///
    /// Those of [`open_read_only`](Self::open_read_only).
    pub fn refresh(&self) -> Result<(), LogError> {
        self.engine().look_again()
    }

    /// Does what the log's threads would do, for logs opened without them.
    ///
    /// # Errors
    ///
    /// Those of [`sync`](Self::sync).
    pub fn maintain(&self) -> Result<(), LogError> {
        let maintained = self.engine().maintain();
        // There is nobody else to tell who waits.
        if self.engine().is_poisoned() {
            self.tell();
        }
        maintained
    }

    /// Tells those who wait what a change of history decided, now that no lock is held.
    pub(crate) fn tell(&self) {
        self.engine().tell();
    }

    #[inline]
    pub(crate) fn start_threads(&self) -> Result<(), LogError> {
        let engine = self.engine();
        if !engine.options.background_threads || engine.preparer.is_none() {
            return Ok(());
        }
        match engine.driver.get() {
            Some(driver) if driver.has_failed() => {
                let source =
                    std::io::Error::other("they could not be started when the log was first appended to");
                Err(LogError::Thread { source })
            }
            Some(_) => Ok(()),
            None => Driver::start(engine),
        }
    }
}

/// One segment, for listings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentSummary {
    /// Its number.
    pub id: wal_format::SegmentId,
    /// Its file.
    pub path: String,
    /// The LSN its entries count from.
    pub base: Lsn,
    /// The LSN after its last entry.
    pub next: Lsn,
    /// End of its data in bytes.
    pub end: u64,
    /// Length of its file in bytes, space ahead of use included.
    pub file_len: u64,
    /// When it was prepared, in nanoseconds since 1970.
    pub created: u64,
    /// The epoch of its writer.
    pub epoch: u64,
    /// What protects its frames.
    pub checksum: wal_format::ChecksumKind,
}

/// Opens a log, and tells those who listen.
fn told(
    environment: Environment,
    options: Options,
    open: fn(Environment, Options) -> Result<Arc<Engine>, LogError>,
    read_only: bool,
) -> Result<Arc<Engine>, LogError> {
    let (storage, clock) = (Arc::clone(&environment.storage), Arc::clone(&environment.clock));
    let _span = Span::open(&storage);
    let start = Start::now(&*clock);
    let engine =
        open(environment, options).inspect_err(|error| events::not_opened(&storage.location(), error))?;
    engine.opened(read_only, start.elapsed_ns(&*clock));
    Ok(engine)
}

fn summaries(engine: &Engine) -> Result<Vec<SegmentSummary>, LogError> {
    let view = engine.view();
    let summary = |(at, segment): (usize, &Arc<wal_segment::Segment>)| {
        let file_len = segment.file_len().map_err(|error| LogError::segment("list the segments", error))?;
        Ok(SegmentSummary {
            id: segment.id(),
            path: segment.path().to_owned(),
            base: segment.base(),
            next: view.bound(at).unwrap_or_else(|| engine.marks.next()),
            end: segment.written(),
            file_len,
            created: segment.header().created,
            epoch: segment.header().epoch,
            checksum: segment.header().checksum,
        })
    };
    view.segments.iter().enumerate().map(summary).collect()
}
