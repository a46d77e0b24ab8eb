//! The body of an entries frame: optional columns, then the payloads back to back.
//!
//! ```text
//! [transaction: 16 bytes]            columns bit 3
//! [metadata: length u32, records]    columns bit 4
//! [kinds: count x u8]                columns bit 0
//! [ends: count x u32]                when count > 1; end of payload i, from the start of the payloads
//! [terms: count x u64]               columns bit 1; u64::MAX for none
//! [timestamps: count x i64]          columns bit 2; i64::MIN for none
//! payloads
//! ```
//!
//! A single plain entry has no column at all: its body is its payload. The table of ends gives every entry of a large
//! batch in constant time.

mod builder;
mod fold;
mod layout;

use core::ops::Range;

pub use builder::{BodyShape, EntriesBuilder, NewEntry};
pub use fold::{fold_ends, unfold_ends};
pub use layout::EntriesLayout;

use crate::{DecodeError, FrameHeader, le::Fields};

/// Bits of [`FrameHeader::columns`].
pub(crate) mod column {
    pub(crate) const KINDS: u8 = 1;
    pub(crate) const TERMS: u8 = 1 << 1;
    pub(crate) const TIMESTAMPS: u8 = 1 << 2;
    pub(crate) const TRANSACTION: u8 = 1 << 3;
    pub(crate) const METADATA: u8 = 1 << 4;
    pub(crate) const KNOWN: u8 = KINDS | TERMS | TIMESTAMPS | TRANSACTION | METADATA;
}

pub(crate) const NO_TERM: u64 = u64::MAX;
pub(crate) const NO_TIMESTAMP: i64 = i64::MIN;

/// One entry of a frame, borrowed from its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// The user's bytes.
    pub payload: &'a [u8],
    /// Where they stand in the (decompressed) body.
    pub range: Range<usize>,
    /// The user's type of entry.
    pub kind: u8,
    /// The term, when one was given (replicated logs).
    pub term: Option<u64>,
    /// The user's own time of the entry, in a unit of their choice, when one was given.
    pub timestamp: Option<i64>,
}

/// The entries of one frame, addressed by their index. Made from a valid header and the *decompressed* body.
///
/// ```
/// use wal_format::{EntriesBuilder, EntriesRef, NewEntry};
/// let mut builder = EntriesBuilder::default();
/// builder.push(&NewEntry { kind: 3, ..NewEntry::plain(b"one") })?;
/// builder.push(&NewEntry::plain(b"two"))?;
/// let mut body = Vec::new();
/// let shape = builder.finish(&mut body);
///
/// let entries = EntriesRef::parse(shape.count, shape.columns, shape.entry_kind, &body)?;
/// assert_eq!(entries.get(0)?.payload, b"one");
/// assert_eq!(entries.get(0)?.kind, 3);
/// assert_eq!(entries.get(1)?.payload, b"two");
/// # Ok::<(), wal_format::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct EntriesRef<'a> {
    layout: EntriesLayout,
    body: &'a [u8],
}

impl<'a> EntriesRef<'a> {
    /// None.
    pub(crate) const NONE: Self = Self { layout: EntriesLayout::NONE, body: &[] };

    /// Reads the columns of `body`, described by the fields of the frame header. Constant time.
    ///
    /// # Errors
    ///
    /// [`DecodeError::UnsupportedColumns`] for a newer writer's column; [`DecodeError::Short`] and
    /// [`DecodeError::Invalid`] for a body that contradicts its header.
    #[inline]
    pub fn parse(count: u32, columns: u8, entry_kind: u8, body: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { layout: EntriesLayout::parse(count, columns, entry_kind, body)?, body })
    }

    /// Reads the body that belongs to `header`, which must not be compressed.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Compressed`] when it is; otherwise those of [`parse`](Self::parse).
    #[inline]
    pub fn of(header: &FrameHeader, body: &'a [u8]) -> Result<Self, DecodeError> {
        if header.codec != 0 {
            return Err(DecodeError::Compressed { codec: header.codec });
        }
        Self::parse(header.count, header.columns, header.entry_kind, body)
    }

    /// How many entries there are: at least one, where a body was read.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a frame without entries is not an entries frame")]
    pub const fn len(&self) -> u32 {
        self.layout.len()
    }

    /// The transaction that committed these entries, when one did.
    #[must_use]
    pub const fn transaction(&self) -> Option<[u8; 16]> {
        self.layout.transaction()
    }

    /// The metadata records that were committed together with the entries; read them with
    /// [`MetadataRecords`](crate::MetadataRecords).
    #[must_use]
    pub fn metadata(&self) -> &'a [u8] {
        self.layout.metadata(self.body)
    }

    /// The entry with this index.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Invalid`] when there is none, or when the table of ends contradicts itself.
    #[inline]
    pub fn get(&self, index: u32) -> Result<EntryRef<'a>, DecodeError> {
        self.layout.get(self.body, index)
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<EntryRef<'a>, DecodeError>> + use<'a> {
        let entries = *self;
        (0..entries.len()).map(move |index| entries.get(index))
    }
}

impl FrameHeader {
    /// The kind of all its entries, when they are of one; the body tells otherwise.
    #[must_use]
    pub const fn common_kind(&self) -> Option<u8> {
        if self.columns & column::KINDS == 0 { Some(self.entry_kind) } else { None }
    }
}

/// Takes the length of the decompressed body off the front of a compressed one.
///
/// # Errors
///
/// [`DecodeError::Short`] when it is not there, [`DecodeError::Invalid`] when it exceeds `raw_len_max`.
pub fn split_compressed(stored: &[u8], raw_len_max: u32) -> Result<(u32, &[u8]), DecodeError> {
    let mut fields = Fields::new(stored);
    let raw_len = fields.u32().ok_or(DecodeError::Short { needed: 4, have: stored.len() })?;
    if raw_len > raw_len_max {
        return Err(DecodeError::Invalid { what: "the decompressed length", value: u64::from(raw_len) });
    }
    Ok((raw_len, fields.rest()))
}

#[cfg(test)]
mod tests;
