//! One error for everything: opaque, with a kind that says what to do.

use std::{error, fmt, io, ops::RangeInclusive};

use wal_compress::CompressError;
use wal_core::{LogError, TransactionState};
use wal_format::{DecodeError, FileName, FrameFault, Lsn, SegmentId};
use wal_segment::SegmentError;

/// What to do about an [`Error`]. Two errors have different kinds when a program would act differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Bytes that were acknowledged are damaged, missing, or not where they belong. Nothing was changed. Trying again
    /// does not help: restore the files from a copy, or inspect and repair them. [`Error::path`], [`Error::offset`] and
    /// [`Error::lsns`] say where and what. From [`Wal::append_frame`](crate::Wal::append_frame): the frame that was
    /// received does not verify; have it sent again.
    Corrupt,
    /// The log ends in a torn write, and was opened with [`RecoveryMode::Refuse`](crate::RecoveryMode::Refuse). Nothing
    /// was changed. Open it with [`CutTornTail`](crate::RecoveryMode::CutTornTail) to have it cut.
    Torn,
    /// The operating system or the storage reported an error, which says nothing about the bytes.
    /// [`source`](error::Error::source) is what it said. A read may be tried again; after a failed append or sync
    /// reopen the log.
    Io,
    /// There is no space. Everything acknowledged stays readable; free space or trim the log, then go on without
    /// reopening. An append with the outcome [`Outcome::Unknown`] is still in the log: do not repeat it, call
    /// [`Wal::sync`](crate::Wal::sync).
    Full,
    /// Another writer has the log open: in this process or in another one. Close it, or open the log read-only.
    Locked,
    /// A newer writer has taken the log over. Stop writing, and drop this handle.
    Fenced,
    /// An earlier write or sync failed for good, and nothing more is acknowledged. Reopen the log; recovery finds out
    /// what is there.
    Poisoned,
    /// The time that the caller gave was over first. After an append with the outcome [`Outcome::NotAppended`] nothing
    /// happened; with [`Outcome::Unknown`] the entries are in the log and become durable when the disk gets there: do
    /// not repeat it, call [`Wal::sync`](crate::Wal::sync) or look at [`Wal::durable_lsn`](crate::Wal::durable_lsn).
    TimedOut,
    /// It could not be done without waiting, which the caller had ruled out. Nothing was changed; try again a little
    /// later, or with a timeout.
    Busy,
    /// The log was closed through this handle or a clone of it. Open it again.
    Closed,
    /// A transaction was open for longer than it said. Begin it again.
    Expired,
    /// The entry was there and was removed: trimmed, or cut off. Go on at [`Wal::first_lsn`](crate::Wal::first_lsn), or
    /// from a snapshot.
    Truncated,
    /// Another LSN comes next than the caller expected. Look at the log again.
    Conflict,
    /// An argument or a setting is out of its range. Trying again does not help; change the call.
    Invalid,
    /// The files are whole and need another build: a newer version of this crate, or a feature that was left out.
    Unsupported,
    /// An entry is whole, and the type that it was to be read as refused it: it was written as another type, or by
    /// another version of the program. Reading can go on behind it. [`source`](error::Error::source) is what the type
    /// said.
    Undecodable,
    /// There is no log in this place, no entry with this LSN yet, or no checkpoint or cursor of this name.
    NotFound,
    /// The log is open for reading only.
    ReadOnly,
    /// An entry or a batch exceeds the limit. Split it, or raise
    /// [`Options::entry_len_max`](crate::Options::entry_len_max). Or a transaction is at a limit of its own, or the
    /// metadata would exceed [`Options::metadata_len_max`](crate::Options::metadata_len_max): delete some.
    TooLarge,
}

/// What became of the entries of an append that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// They are not in the log and never will be. Appending them again cannot make duplicates.
    NotAppended,
    /// They got their LSNs ([`Error::lsns`]) and could not be confirmed: a later sync may do that, or they may be there
    /// after the next open, batches whole or not at all. Look before appending them again. Of a commit it also means
    /// that another call has committed the transaction, or is about to.
    Unknown,
}

/// Why an operation failed.
///
/// [`kind`](Self::kind) says what to do about it. The text names the file, the offset and the LSNs where they are
/// known; the methods hand them out. What the operating system or a codec said is not part of the text: it is the
/// [`source`](error::Error::source), as usual.
///
/// ```
/// use wal::{ErrorKind, Lsn, Outcome, Wal};
/// # let dir = tempfile::tempdir()?;
/// let wal = Wal::open(dir.path())?;
///
/// let error = wal.get(Lsn::FIRST).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert_eq!(error.to_string(), "entry 1 is not in the log: the next one will be 1");
///
/// wal.close()?;
/// let error = wal.append("too late").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Closed);
/// assert_eq!(error.outcome(), Some(Outcome::NotAppended));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    cause: LogError,
    /// What became of the entries, unless the cause says so; `None` when this is not the error of an append.
    outcome: Option<Outcome>,
}

impl Error {
    pub(crate) fn new(cause: LogError) -> Self {
        Self { inner: Box::new(Inner { cause, outcome: None }) }
    }

    /// The error of an append.
    pub(crate) fn append(cause: LogError) -> Self {
        Self { inner: Box::new(Inner { cause, outcome: Some(Outcome::NotAppended) }) }
    }

    /// The error of a commit. One that comes after another, or beside it, knows nothing against the entries of that.
    pub(crate) fn commit(cause: LogError) -> Self {
        match cause {
            LogError::TransactionEnded { state, .. } if state != TransactionState::RolledBack => {
                Self { inner: Box::new(Inner { cause, outcome: Some(Outcome::Unknown) }) }
            }
            cause => Self::append(cause),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        kind_of_log(&self.inner.cause)
    }

    /// What became of the entries; `None` when this is not the error of an append.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.inner.cause {
            LogError::Unconfirmed { .. } | LogError::MetadataUnconfirmed { .. } => Some(Outcome::Unknown),
            _ => self.inner.outcome,
        }
    }

    /// The entries that this is about: lost, not confirmed, or asked for in vain. The range ends with [`Lsn::MAX`] when
    /// its end is not known.
    #[must_use]
    pub fn lsns(&self) -> Option<RangeInclusive<Lsn>> {
        match self.inner.cause {
            LogError::Lost { first, last, .. } => Some(first..=last.unwrap_or(Lsn::MAX)),
            LogError::Unconfirmed { first, last, .. } => Some(first..=last),
            LogError::Truncated { lsn, .. }
            | LogError::CutOff { lsn, .. }
            | LogError::Undecodable { lsn, .. }
            | LogError::UndecodableRecord { lsn, .. }
            | LogError::OutOfRange { lsn, .. }
            | LogError::InvalidFrame { first: lsn, .. }
            | LogError::Conflict { expected: lsn, .. } => Some(lsn..=lsn),
            LogError::TransactionEnded {
                state:
                    TransactionState::Committed { first, last } | TransactionState::Uncertain { first, last },
                ..
            } if self.inner.outcome == Some(Outcome::Unknown) => Some(first..=last),
            _ => None,
        }
    }

    /// The file or directory (or what stands for it in another storage) that this is about.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self.root() {
            LogError::MissingSegment { location, .. }
            | LogError::MissingLog { location }
            | LogError::Locked { location }
            | LogError::TierConflict { location, .. }
            | LogError::TierBehind { location, .. }
            | LogError::NotEmpty { location } => Some(location),
            LogError::Inconsistent { path, .. }
            | LogError::Undecodable { path, .. }
            | LogError::TornTail { path, .. } => Some(path),
            cause => segment_error(cause).map(SegmentError::path),
        }
    }

    /// The segment that this is about.
    #[must_use]
    pub fn segment(&self) -> Option<SegmentId> {
        match self.root() {
            LogError::MissingSegment { segment, .. } => Some(*segment),
            _ => self.path().and_then(segment_of_path),
        }
    }

    /// The place in the file, in bytes from its start.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        if let LogError::Undecodable { offset, .. } | LogError::TornTail { offset, .. } = self.root() {
            return Some(*offset);
        }
        segment_error(self.root())?.offset()
    }

    /// What lies below "not confirmed".
    fn root(&self) -> &LogError {
        let mut cause = &self.inner.cause;
        while let LogError::Unconfirmed { source, .. } | LogError::MetadataUnconfirmed { source } = cause {
            cause = source;
        }
        cause
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner.cause, f)?;
        let mut cause = error::Error::source(&self.inner.cause);
        while let Some(ours) = cause.filter(|cause| is_ours(*cause)) {
            write!(f, ": {ours}")?;
            cause = ours.source();
        }
        Ok(())
    }
}

/// Readable, because this is what `unwrap` and `main` print.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind())
            .field("outcome", &self.outcome())
            .field("message", &self.to_string())
            .field("source", &error::Error::source(self))
            .finish()
    }
}

impl error::Error for Error {
    /// What somebody else said: the operating system, the storage, a codec.
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        let mut cause = error::Error::source(&self.inner.cause)?;
        while is_ours(cause) {
            cause = cause.source()?;
        }
        Some(cause)
    }
}

/// Whether an error's text is part of ours.
fn is_ours(cause: &(dyn error::Error + 'static)) -> bool {
    cause.is::<LogError>()
        || cause.is::<Box<LogError>>()
        || cause.is::<SegmentError>()
        || cause.is::<DecodeError>()
        || cause.is::<FrameFault>()
        || cause.is::<CompressError>()
}

fn kind_of_log(cause: &LogError) -> ErrorKind {
    match cause {
        LogError::Segment { source, .. } => kind_of_segment(source),
        LogError::Lost { .. } | LogError::MissingSegment { .. } | LogError::Inconsistent { .. } => {
            ErrorKind::Corrupt
        }
        LogError::MissingLog { .. } | LogError::OutOfRange { .. } | LogError::NoSuchName { .. } => {
            ErrorKind::NotFound
        }
        LogError::TornTail { .. } => ErrorKind::Torn,
        LogError::Locked { .. } => ErrorKind::Locked,
        LogError::Full { .. } => ErrorKind::Full,
        LogError::Poisoned { .. } => ErrorKind::Poisoned,
        LogError::Fenced { .. } | LogError::TierConflict { .. } => ErrorKind::Fenced,
        LogError::TierBehind { .. } => ErrorKind::Full,
        LogError::TimedOut { .. } => ErrorKind::TimedOut,
        LogError::Busy { .. } => ErrorKind::Busy,
        LogError::Closed => ErrorKind::Closed,
        LogError::ReadOnly => ErrorKind::ReadOnly,
        LogError::Unconfirmed { source, .. }
        | LogError::MetadataUnconfirmed { source }
        | LogError::Undecodable { source, .. } => kind_of_log(source),
        LogError::Truncated { .. } | LogError::CutOff { .. } => ErrorKind::Truncated,
        LogError::TooLarge { .. } | LogError::MetadataFull { .. } => ErrorKind::TooLarge,
        LogError::UndecodableRecord { .. } => ErrorKind::Undecodable,
        LogError::UnencodableRecord { .. } | LogError::KindTaken { .. } => ErrorKind::Invalid,
        LogError::TransactionFull { .. } => ErrorKind::TooLarge,
        LogError::TransactionExpired { .. } => ErrorKind::Expired,
        LogError::TransactionEnded { .. } => ErrorKind::Invalid,
        LogError::Conflict { .. } => ErrorKind::Conflict,
        LogError::InvalidOption { .. } | LogError::InvalidArgument { .. } => ErrorKind::Invalid,
        LogError::InvalidFrame { source, .. } if !source.is_unsupported() => ErrorKind::Corrupt,
        LogError::NotEmpty { .. } | LogError::Differs { .. } => ErrorKind::Invalid,
        LogError::Encoding { source, .. } | LogError::InvalidFrame { source, .. }
            if source.is_unsupported() =>
        {
            ErrorKind::Unsupported
        }
        LogError::Encoding { .. } if cause.is_damage() => ErrorKind::Corrupt,
        LogError::Encoding { .. } => ErrorKind::Invalid,
        LogError::Compression { source } => kind_of_compression(source),
        LogError::Thread { .. } => ErrorKind::Io,
        other if other.is_damage() => ErrorKind::Corrupt,
        _ => ErrorKind::Io,
    }
}

fn kind_of_segment(cause: &SegmentError) -> ErrorKind {
    match cause {
        SegmentError::Unsupported { .. } => ErrorKind::Unsupported,
        SegmentError::Body { source, .. } if source.is_unsupported() => ErrorKind::Unsupported,
        SegmentError::Foreign { .. } => ErrorKind::Corrupt,
        SegmentError::SyncFailed { .. } => ErrorKind::Poisoned,
        damage if damage.is_damage() => ErrorKind::Corrupt,
        full if full.is_full() => ErrorKind::Full,
        other if other.is_taken_over() => ErrorKind::Fenced,
        other if is_unfit(other) => ErrorKind::Unsupported,
        _ => ErrorKind::Io,
    }
}

/// A storage that cannot keep a log.
fn is_unfit(cause: &SegmentError) -> bool {
    cause.io_error().is_some_and(|error| error.kind() == io::ErrorKind::Unsupported)
}

const fn kind_of_compression(cause: &CompressError) -> ErrorKind {
    match cause {
        CompressError::FeatureDisabled { .. }
        | CompressError::UnknownCodec { .. }
        | CompressError::MissingDictionary { .. }
        | CompressError::NoDictionaries { .. } => ErrorKind::Unsupported,
        CompressError::Damaged { .. } | CompressError::WrongLength { .. } => ErrorKind::Corrupt,
        CompressError::OutOfMemory { .. } => ErrorKind::Io,
        CompressError::TooLong { .. } => ErrorKind::TooLarge,
        _ => ErrorKind::Invalid,
    }
}

const fn segment_error(cause: &LogError) -> Option<&SegmentError> {
    match cause {
        LogError::Segment { source, .. } | LogError::Lost { source, .. } | LogError::Full { source, .. } => {
            Some(source)
        }
        _ => None,
    }
}

/// File names end with the number of the segment, whatever their prefix is.
fn segment_of_path(path: &str) -> Option<SegmentId> {
    let len = FileName::Segment(SegmentId(0)).with_prefix("").len();
    match FileName::parse(path.get(path.len().checked_sub(len)?..)?, "")? {
        FileName::Segment(id) | FileName::Index(id) | FileName::Preparing(id) => Some(id),
    }
}

impl From<Error> for io::Error {
    /// For programs whose errors are I/O errors throughout; the original is inside.
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Corrupt | ErrorKind::Undecodable => io::ErrorKind::InvalidData,
            ErrorKind::Full => io::ErrorKind::StorageFull,
            ErrorKind::Locked | ErrorKind::Busy => io::ErrorKind::WouldBlock,
            ErrorKind::TimedOut => io::ErrorKind::TimedOut,
            ErrorKind::NotFound => io::ErrorKind::NotFound,
            ErrorKind::Invalid | ErrorKind::TooLarge => io::ErrorKind::InvalidInput,
            ErrorKind::Unsupported => io::ErrorKind::Unsupported,
            ErrorKind::ReadOnly => io::ErrorKind::ReadOnlyFilesystem,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests;
