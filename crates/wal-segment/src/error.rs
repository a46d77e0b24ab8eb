//! What can go wrong with one file: adds its path and the offset to what `wal-format` knows.

use std::io;

use snafu::Snafu;
use wal_format::{DecodeError, FrameFault, LogId, SegmentId};

use crate::TakenOver;

/// Why a segment could not be read, written or prepared.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(crate)))]
#[non_exhaustive]
pub enum SegmentError {
    /// The storage reported an error. Says nothing about the bytes: an unreadable file is not a damaged one.
    #[snafu(display("could not {operation} {path}"))]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Which file or directory.
        path: String,
        /// What the storage said.
        source: io::Error,
    },
    /// A file whose name says that its header is durable has none.
    #[snafu(display("{path} has no valid segment header"))]
    Header {
        /// Which file.
        path: String,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// Written by a newer version, or with a feature that this build does not have. Not damage.
    #[snafu(display("{path} cannot be read by this build"))]
    Unsupported {
        /// Which file.
        path: String,
        /// What it asks for.
        source: DecodeError,
    },
    /// The file belongs to another log.
    #[snafu(display("{path} belongs to log {found}, most segments beside it to {expected}"))]
    Foreign {
        /// Which file.
        path: String,
        /// The log it belongs to.
        found: LogId,
        /// The log that most segments beside it belong to.
        expected: LogId,
    },
    /// A file that others say must be there is not.
    #[snafu(display("{path} is missing"))]
    Missing {
        /// Which file.
        path: String,
    },
    /// The file's name and header give different segment ids.
    #[snafu(display("{path} holds segment {found}; it was renamed or copied"))]
    Misnamed {
        /// Which file.
        path: String,
        /// The id in the header.
        found: SegmentId,
    },
    /// A place that must hold a valid frame does not.
    #[snafu(display("{path} is damaged at offset {offset}"))]
    Frame {
        /// Which file.
        path: String,
        /// Where, in bytes from the start of the file.
        offset: u64,
        /// What is wrong there.
        source: FrameFault,
    },
    /// A frame verifies and its content cannot be read: it is none, or that of another build.
    #[snafu(display("{path} holds an unreadable frame at offset {offset}"))]
    Body {
        /// Which file.
        path: String,
        /// Where, in bytes from the start of the file.
        offset: u64,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// An earlier sync of this file failed: what was written since the last success is unknown, for ever.
    #[snafu(display("{path} failed to sync earlier"))]
    SyncFailed {
        /// Which file.
        path: String,
    },
}

impl SegmentError {
    /// Whether the bytes are damaged, as opposed to unreadable, unsupported or not ours.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Header { .. } | Self::Frame { .. } | Self::Misnamed { .. } | Self::Missing { .. } => true,
            Self::Body { source, .. } => !source.is_unsupported(),
            _ => false,
        }
    }

    /// The error of the storage, when that is what it was.
    #[must_use]
    pub const fn io_error(&self) -> Option<&io::Error> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }

    /// The same once more; `None` for an error of the storage, which happened once.
    #[must_use]
    pub fn duplicate(&self) -> Option<Self> {
        Some(match self {
            Self::Io { .. } => return None,
            Self::Header { path, source } => Self::Header { path: path.clone(), source: *source },
            Self::Unsupported { path, source } => Self::Unsupported { path: path.clone(), source: *source },
            Self::Foreign { path, found, expected } => {
                Self::Foreign { path: path.clone(), found: *found, expected: *expected }
            }
            Self::Missing { path } => Self::Missing { path: path.clone() },
            Self::Misnamed { path, found } => Self::Misnamed { path: path.clone(), found: *found },
            Self::Frame { path, offset, source } => {
                Self::Frame { path: path.clone(), offset: *offset, source: *source }
            }
            Self::Body { path, offset, source } => {
                Self::Body { path: path.clone(), offset: *offset, source: *source }
            }
            Self::SyncFailed { path } => Self::SyncFailed { path: path.clone() },
        })
    }

    /// The file or directory that this is about.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Io { path, .. }
            | Self::Header { path, .. }
            | Self::Unsupported { path, .. }
            | Self::Foreign { path, .. }
            | Self::Missing { path }
            | Self::Misnamed { path, .. }
            | Self::Frame { path, .. }
            | Self::Body { path, .. }
            | Self::SyncFailed { path } => path,
        }
    }

    /// The place in the file, in bytes from its start, where there is one.
    #[must_use]
    pub const fn offset(&self) -> Option<u64> {
        match self {
            Self::Frame { offset, .. } | Self::Body { offset, .. } => Some(*offset),
            Self::Header { .. } | Self::Misnamed { .. } | Self::Foreign { .. } => Some(0),
            _ => None,
        }
    }

    /// Whether the storage has no space left: the one error of writing that is survivable.
    #[must_use]
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        self.io_error()
            .is_some_and(|error| matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }

    /// Whether another writer has taken the log over.
    #[must_use]
    pub fn is_taken_over(&self) -> bool {
        let inner = self.io_error().and_then(io::Error::get_ref);
        inner.is_some_and(|inner| inner.is::<TakenOver>())
    }

    /// A decode error of a header or body: damage, or a file for another build.
    #[must_use]
    pub fn header(path: &str, source: DecodeError) -> Self {
        let path = path.to_owned();
        if source.is_unsupported() {
            Self::Unsupported { path, source }
        } else {
            Self::Header { path, source }
        }
    }
}
