//! What can go wrong with a log: adds LSNs and the operation to what `wal-segment` knows.

use std::{io, sync::Arc};

use snafu::Snafu;
use wal_compress::{BoxError, CompressError};
use wal_format::{DecodeError, Lsn, SegmentId};
use wal_segment::SegmentError;

use crate::{TransactionId, TransactionState};

/// Why an operation on a log failed.
///
/// An append that fails with anything but [`Unconfirmed`](Self::Unconfirmed) changed nothing.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(crate)))]
#[non_exhaustive]
pub enum LogError {
    /// A file could not be read or written, or is not what it should be.
    #[snafu(display("could not {operation}"))]
    Segment {
        /// What was tried.
        operation: &'static str,
        /// Which file, and why.
        source: SegmentError,
    },
    /// Acknowledged entries are damaged.
    #[snafu(display("{}", lost(*first, *last)))]
    Lost {
        /// The first entry that cannot be read.
        first: Lsn,
        /// The last one, when it is known.
        last: Option<Lsn>,
        /// Which file, where, and why.
        source: SegmentError,
    },
    /// A segment that must be there is not.
    #[snafu(display(
        "segment {segment} is missing from {location} (near entry {near}){}",
        if *shipped { ": it left for the tier of the log, which must be opened with it" } else { "" }
    ))]
    MissingSegment {
        /// The segment.
        segment: SegmentId,
        /// Where it should be.
        location: String,
        /// An entry next to those it held.
        near: Lsn,
        /// Whether there is a note that a [tier](crate::Environment::with_tier) has it, without which the log was
        /// opened.
        shipped: bool,
    },
    /// The log ends in a torn write, and was opened in a mode that refuses to cut it. Nothing was changed.
    #[snafu(display(
        "{path} ends in a torn write at offset {offset}, which would be cut off before entry {next}"
    ))]
    TornTail {
        /// Which file.
        path: String,
        /// Where the valid data ends.
        offset: u64,
        /// The LSN that the first entry cut off would have had.
        next: Lsn,
        /// Whether whole frames would be cut off, too.
        frames_beyond: bool,
    },
    /// There is no log to read.
    #[snafu(display("there is no log in {location}"))]
    MissingLog {
        /// Where it was looked for.
        location: String,
    },
    /// The files contradict each other in a way that no crash explains.
    #[snafu(display("{path} does not belong to this log as it stands: {why}"))]
    Inconsistent {
        /// Which file.
        path: String,
        /// What contradicts what.
        why: &'static str,
    },
    /// Another writer has the log open.
    #[snafu(display(
        "{location} is open for writing elsewhere; open it read-only, or close the other writer"
    ))]
    Locked {
        /// Which log.
        location: String,
    },
    /// There is no space. Everything acknowledged stays readable; free space (or trim the log) and append again.
    #[snafu(display("no space left to {operation}"))]
    Full {
        /// What was tried.
        operation: &'static str,
        /// Which file.
        source: SegmentError,
    },
    /// Something else is in the tier where this log ships to: another log, or another life of this one. Nothing is
    /// shipped any more; the log itself goes on.
    #[snafu(display("{location} has another {name} than this log: somebody else ships to it"))]
    TierConflict {
        /// The tier.
        location: String,
        /// The name that is taken.
        name: String,
    },
    /// Too much waits to be shipped, and the log may not grow further
    /// ([`WhenUnshipped::Refuse`](crate::WhenUnshipped)). Nothing was appended; append again when the tier can be
    /// reached.
    #[snafu(display("{bytes} bytes wait to be shipped to {location}, and no more than {max} may"))]
    TierBehind {
        /// The tier.
        location: String,
        /// Bytes of the segments that wait, the active one included.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// An earlier write or sync failed for good: nothing is acknowledged until the log is reopened and recovered.
    #[snafu(display("the log failed earlier and must be reopened: {cause}"))]
    Poisoned {
        /// What failed.
        cause: Arc<str>,
    },
    /// A newer writer has taken the log over: nothing is acknowledged any more, and reopening would take it back.
    #[snafu(display("a newer writer has taken the log over: {cause}"))]
    Fenced {
        /// How that was found out.
        cause: Arc<str>,
    },
    /// The time that the caller gave was over first. What was going on goes on.
    #[snafu(display("there was no time left to {operation}"))]
    TimedOut {
        /// What took too long.
        operation: &'static str,
    },
    /// It could not be done without waiting, and waiting was ruled out. Nothing was changed; try again a little later.
    #[snafu(display("could not {operation} without waiting"))]
    Busy {
        /// What would have had to be waited for.
        operation: &'static str,
    },
    /// The log was closed.
    #[snafu(display("the log is closed"))]
    Closed,
    /// The log was opened for reading only.
    #[snafu(display("the log is open for reading only"))]
    ReadOnly,
    /// The entries were given their LSNs and may or may not survive: reopen or read them to find out.
    #[snafu(display("entries {first} to {last} were appended and not confirmed"))]
    Unconfirmed {
        /// LSN of the first.
        first: Lsn,
        /// LSN of the last.
        last: Lsn,
        /// Why they could not be confirmed.
        #[snafu(source(from(LogError, Box::new)))]
        source: Box<Self>,
    },
    /// A change of the metadata was appended and may or may not survive: reopen the log to find out.
    #[snafu(display("a change of the log's metadata was appended and not confirmed"))]
    MetadataUnconfirmed {
        /// Why it could not be confirmed.
        #[snafu(source(from(LogError, Box::new)))]
        source: Box<Self>,
    },
    /// All metadata together would be longer than the log accepts. Nothing was changed.
    #[snafu(display(
        "the metadata would be {len} bytes long, over the limit of {max}: delete checkpoints, cursors or values"
    ))]
    MetadataFull {
        /// What its length would be, in bytes.
        len: usize,
        /// The limit in bytes: [`Options::metadata_len_max`](crate::Options::metadata_len_max).
        max: usize,
    },
    /// There is no checkpoint or cursor of this name.
    #[snafu(display("there is no {what} named {name:?}"))]
    NoSuchName {
        /// Checkpoint or cursor.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The entry was removed by trimming, retention or truncation.
    #[snafu(display("entry {lsn} is no longer in the log, which begins at {first}"))]
    Truncated {
        /// The entry asked for.
        lsn: Lsn,
        /// The first entry that is there.
        first: Lsn,
    },
    /// The entry was cut off by a truncation while it was being read.
    #[snafu(display("entry {lsn} was cut off: the log now ends before {next}"))]
    CutOff {
        /// The entry that was to be read next.
        lsn: Lsn,
        /// Where the cut was made: entries from here on were removed (others may have been appended since).
        next: Lsn,
    },
    /// The LSN lies beyond the end of the log.
    #[snafu(display("entry {lsn} is not in the log: the next one will be {next}"))]
    OutOfRange {
        /// The entry asked for.
        lsn: Lsn,
        /// The LSN of the next append.
        next: Lsn,
    },
    /// An entry or batch is larger than the log accepts. Nothing was written.
    #[snafu(display("{len} bytes exceed the limit of {max}"))]
    TooLarge {
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// A conditional append found another LSN next.
    #[snafu(display("the next entry would be {next}, not {expected}"))]
    Conflict {
        /// What the caller expected.
        expected: Lsn,
        /// What is so.
        next: Lsn,
    },
    /// A frame of another log does not verify, or its content cannot be read. Nothing was appended.
    #[snafu(display("the frame received for entry {first} and those behind it is damaged"))]
    InvalidFrame {
        /// LSN of its first entry.
        first: Lsn,
        /// Why.
        source: DecodeError,
    },
    /// A place that something is to be copied to is not empty. Nothing was changed.
    #[snafu(display("{location} is not empty"))]
    NotEmpty {
        /// Where.
        location: String,
    },
    /// Something else is where a segment is to be copied to. Nothing was changed.
    #[snafu(display("{path} is not the segment that would be copied there"))]
    Differs {
        /// Which file.
        path: String,
    },
    /// A setting is out of range.
    #[snafu(display("option `{option}` is invalid: {why}"))]
    InvalidOption {
        /// Which.
        option: &'static str,
        /// The bound it breaks.
        why: &'static str,
    },
    /// An argument is out of range.
    #[snafu(display("invalid argument: {why}"))]
    InvalidArgument {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The frame of an entry verifies, and its content cannot be decoded.
    #[snafu(display("entry {lsn} in {path} cannot be decoded (its frame is at offset {offset})"))]
    Undecodable {
        /// The entry.
        lsn: Lsn,
        /// Its file.
        path: String,
        /// Where its frame starts.
        offset: u64,
        /// Why.
        #[snafu(source(from(LogError, Box::new)))]
        source: Box<Self>,
    },
    /// A body could not be encoded or decoded.
    #[snafu(display("could not {operation}"))]
    Encoding {
        /// What was tried.
        operation: &'static str,
        /// Why.
        source: DecodeError,
    },
    /// A body could not be compressed or decompressed.
    #[snafu(display("compression failed"))]
    Compression {
        /// Why.
        source: CompressError,
    },
    /// A number that only grows has reached its greatest value: the files were not written by this log alone.
    #[snafu(display("the log has run out of {what}"))]
    Exhausted {
        /// Which number.
        what: &'static str,
    },
    /// A record of the user's could not be encoded. Made by the facade, like the next two.
    #[snafu(display("a record of kind {kind} could not be encoded"))]
    UnencodableRecord {
        /// Its kind.
        kind: u8,
        /// Why.
        source: BoxError,
    },
    /// An entry is whole, and the type that it was to be read as refused it.
    #[snafu(display("entry {lsn} of kind {kind} is not what its reader expects"))]
    UndecodableRecord {
        /// The entry.
        lsn: Lsn,
        /// Its kind.
        kind: u8,
        /// Why.
        source: BoxError,
    },
    /// Two types of record want the same kind.
    #[snafu(display("kind {kind} of {refused} is taken by {registered}"))]
    KindTaken {
        /// The kind.
        kind: u8,
        /// The type that has it.
        registered: &'static str,
        /// The type that wanted it, too.
        refused: &'static str,
    },
    /// A transaction was open for longer than its timeout: nothing of it is in the log.
    #[snafu(display("transaction {id} has expired"))]
    TransactionExpired {
        /// Which.
        id: TransactionId,
    },
    /// A transaction takes no entries and cannot be committed or rolled back, because that was done already.
    #[snafu(display("transaction {id} is {state}"))]
    TransactionEnded {
        /// Which.
        id: TransactionId,
        /// What became of it.
        state: TransactionState,
    },
    /// A transaction is at a limit of its own. It is as it was before.
    #[snafu(display("transaction {id} would exceed its limit of {max} {what}"))]
    TransactionFull {
        /// Which.
        id: TransactionId,
        /// What there would be too many of.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// A thread could not be started, or did not come to its end.
    #[snafu(display("a thread of the log failed"))]
    Thread {
        /// Why.
        source: io::Error,
    },
}

impl LogError {
    /// An error of a file, sorted: want of space is survivable and has a variant of its own.
    pub(crate) fn segment(operation: &'static str, source: SegmentError) -> Self {
        if source.is_full() { Self::Full { operation, source } } else { Self::Segment { operation, source } }
    }

    /// Whether bytes of the log are damaged or gone.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::MissingSegment { .. } | Self::Inconsistent { .. } => true,
            Self::Segment { source, .. } => source.is_damage(),
            Self::Unconfirmed { source, .. } | Self::MetadataUnconfirmed { source } => source.is_damage(),
            Self::Undecodable { source, .. } => source.is_damage(),
            Self::Encoding { operation, source } => *operation == DECODE && !source.is_unsupported(),
            Self::Compression { source } => {
                matches!(source, CompressError::Damaged { .. } | CompressError::WrongLength { .. })
            }
            _ => false,
        }
    }
}

/// The operation of reading a frame's entries, by which [`LogError::is_damage`] knows them.
pub(crate) const DECODE: &str = "read the entries of a frame";

fn lost(first: Lsn, last: Option<Lsn>) -> String {
    match last {
        Some(last) if last == first => format!("entry {first} is lost"),
        Some(last) => format!("entries {first} to {last} are lost"),
        None => format!("entries from {first} on are lost"),
    }
}
