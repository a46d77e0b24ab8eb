//! Entries of the program's own types.
//!
//! Every entry has a kind, a number that says what its bytes are. A [`Payload`] is a type with one kind; a [`Record`]
//! is whatever one log holds: a payload, or an enum of several, for which [`record_enum!`](crate::record_enum) writes
//! the code.

mod enums;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "postcard")]
mod postcard;
mod registry;
mod view;

use bytes::Bytes;
pub use enums::kinds_differ;
#[cfg(feature = "json")]
pub use json::Json;
#[cfg(feature = "postcard")]
pub use postcard::Postcard;
pub use registry::Registry;
pub use view::{TypedIter, TypedWal};
use wal_compress::BoxError;
use wal_core::{Entry, LogError};
use wal_format::Lsn;

use crate::Error;

/// What a log holds, for [`Wal::typed`](crate::Wal::typed): values with a kind, that turn into bytes and back.
///
/// Implement it for an enum whose variants have a kind each; by hand, as here, or with
/// [`record_enum!`](crate::record_enum). For a type with a single kind implement [`Payload`], which is shorter.
///
/// ```
/// use wal::{BoxError, Record};
///
/// #[derive(Debug, PartialEq)]
/// enum Job {
///     Queued(String),
///     Done(u64),
/// }
///
/// impl Record for Job {
///     fn kind(&self) -> u8 {
///         match self {
///             Self::Queued(_) => 1,
///             Self::Done(_) => 2,
///         }
///     }
///
///     fn encode(&self, out: &mut Vec<u8>) -> Result<(), BoxError> {
///         match self {
///             Self::Queued(name) => out.extend_from_slice(name.as_bytes()),
///             Self::Done(id) => out.extend_from_slice(&id.to_le_bytes()),
///         }
///         Ok(())
///     }
///
///     fn decode(kind: u8, payload: &[u8]) -> Result<Option<Self>, BoxError> {
///         Ok(Some(match kind {
///             1 => Self::Queued(str::from_utf8(payload)?.to_owned()),
///             2 => Self::Done(u64::from_le_bytes(payload.try_into()?)),
///             _ => return Ok(None), // not ours, and no error
///         }))
///     }
/// }
/// # let dir = tempfile::tempdir()?;
/// let jobs = wal::Wal::open(dir.path())?.typed::<Job>();
/// let lsn = jobs.append(&Job::Queued("mail".into()))?;
/// assert_eq!(jobs.get(lsn)?.record.known(), Some(Job::Queued("mail".into())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Record: Sized {
    /// The kind of the entry that holds this value. A kind means the same for the whole life of a log.
    fn kind(&self) -> u8;

    /// Appends the value's bytes to `out`. They may be none.
    ///
    /// # Errors
    ///
    /// Whatever speaks against writing this value. Nothing is written then.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), BoxError>;

    /// Makes the value of the bytes of an entry of this kind; `None` when the kind is not one of this type.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the bytes. They are what was written: the log checks them. But they may have been written
    /// by another program.
    fn decode(kind: u8, payload: &[u8]) -> Result<Option<Self>, BoxError>;
}

/// A type with one kind. Every payload is a [`Record`], alone or as part of an enum.
///
/// ```
/// use wal::{BoxError, Payload, Wal};
///
/// #[derive(Debug, PartialEq)]
/// struct Vote(u32);
///
/// impl Payload for Vote {
///     const KIND: u8 = 7;
///
///     fn write(&self, out: &mut Vec<u8>) -> Result<(), BoxError> {
///         out.extend_from_slice(&self.0.to_le_bytes());
///         Ok(())
///     }
///
///     fn read(payload: &[u8]) -> Result<Self, BoxError> {
///         Ok(Self(u32::from_le_bytes(payload.try_into()?)))
///     }
/// }
/// # let dir = tempfile::tempdir()?;
/// let votes = Wal::open(dir.path())?.typed::<Vote>();
/// votes.append_batch(&[Vote(1), Vote(2)])?;
/// let total: u32 = votes.iter().map(|entry| entry.unwrap().record.known().unwrap().0).sum();
/// assert_eq!(total, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Payload: Sized {
    /// The kind of all entries that hold this type.
    const KIND: u8;

    /// Appends the value's bytes to `out`.
    ///
    /// # Errors
    ///
    /// Whatever speaks against writing this value.
    fn write(&self, out: &mut Vec<u8>) -> Result<(), BoxError>;

    /// Makes the value of its bytes.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with them.
    fn read(payload: &[u8]) -> Result<Self, BoxError>;
}

impl<P: Payload> Record for P {
    fn kind(&self) -> u8 {
        P::KIND
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), BoxError> {
        self.write(out)
    }

    fn decode(kind: u8, payload: &[u8]) -> Result<Option<Self>, BoxError> {
        if kind == P::KIND { P::read(payload).map(Some) } else { Ok(None) }
    }
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed<R> {
    /// A value.
    Known(R),
    /// Something of a kind that the type does not know: written by a newer program, or for another one.
    Unknown {
        /// Its kind.
        kind: u8,
        /// Its bytes.
        payload: Bytes,
    },
}

impl<R> Typed<R> {
    /// The value, if it is one.
    pub fn known(self) -> Option<R> {
        match self {
            Self::Known(record) => Some(record),
            Self::Unknown { .. } => None,
        }
    }
}

/// An entry and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedEntry<R> {
    /// The entry as the log has it: its LSN, times, bytes.
    pub entry: Entry,
    /// What it holds.
    pub record: Typed<R>,
}

impl<R> TypedEntry<R> {
    /// Its place in the log.
    pub const fn lsn(&self) -> Lsn {
        self.entry.lsn
    }

    fn new(
        entry: Entry,
        decode: impl FnOnce(u8, &[u8]) -> Result<Option<R>, BoxError>,
    ) -> Result<Self, Error> {
        let (lsn, kind) = (entry.lsn, entry.kind);
        let decoded = decode(kind, &entry.payload)
            .map_err(|source| Error::new(LogError::UndecodableRecord { lsn, kind, source }))?;
        let unknown = || Typed::Unknown { kind, payload: entry.payload.clone() };
        let record = decoded.map_or_else(unknown, Typed::Known);
        Ok(Self { entry, record })
    }
}

/// The bytes of a record, in `buffer`.
fn encode<'a, R: Record>(record: &R, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Error> {
    buffer.clear();
    let kind = record.kind();
    match record.encode(buffer) {
        Ok(()) => Ok(buffer),
        Err(source) => Err(Error::append(LogError::UnencodableRecord { kind, source })),
    }
}
