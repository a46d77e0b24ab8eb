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

use core::ops::Range;

pub use builder::{BodyShape, EntriesBuilder, NewEntry};
pub use fold::{fold_ends, unfold_ends};

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
    count: u32,
    entry_kind: u8,
    transaction: Option<[u8; 16]>,
    metadata: &'a [u8],
    kinds: &'a [u8],
    ends: &'a [[u8; 4]],
    terms: &'a [[u8; 8]],
    timestamps: &'a [[u8; 8]],
    payloads: &'a [u8],
    payloads_at: usize,
}

impl<'a> EntriesRef<'a> {
    /// Reads the columns of `body`, described by the fields of the frame header. Constant time.
    ///
    /// # Errors
    ///
    /// [`DecodeError::UnsupportedColumns`] for a newer writer's column; [`DecodeError::Short`] and
    /// [`DecodeError::Invalid`] for a body that contradicts its header.
    pub fn parse(count: u32, columns: u8, entry_kind: u8, body: &'a [u8]) -> Result<Self, DecodeError> {
        let unknown = columns & !column::KNOWN;
        if unknown != 0 {
            return Err(DecodeError::UnsupportedColumns { columns: unknown });
        }
        if count == 0 {
            return Err(DecodeError::Invalid { what: "the entry count", value: 0 });
        }
        let entries = Self::columns(count, columns, entry_kind, body)
            .ok_or(DecodeError::Short { needed: body.len().saturating_add(1), have: body.len() })?;
        let end = entries.ends.last().map_or(entries.payloads.len(), |end| u32::from_le_bytes(*end) as usize);
        if end != entries.payloads.len() {
            return Err(DecodeError::Invalid { what: "the end of the last payload", value: end as u64 });
        }
        Ok(entries)
    }

    /// Reads the body that belongs to `header`, which must not be compressed.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Compressed`] when it is; otherwise those of [`parse`](Self::parse).
    pub fn of(header: &FrameHeader, body: &'a [u8]) -> Result<Self, DecodeError> {
        if header.codec != 0 {
            return Err(DecodeError::Compressed { codec: header.codec });
        }
        Self::parse(header.count, header.columns, header.entry_kind, body)
    }

    fn columns(count: u32, columns: u8, entry_kind: u8, body: &'a [u8]) -> Option<Self> {
        let n = count as usize;
        let mut fields = Fields::new(body);
        let transaction = if columns & column::TRANSACTION == 0 { None } else { Some(fields.array::<16>()?) };
        let metadata = if columns & column::METADATA == 0 {
            &[]
        } else {
            let len = fields.u32()?;
            fields.bytes(len as usize)?
        };
        let mut column = |present: bool, width: usize| {
            if present { fields.bytes(n.checked_mul(width)?) } else { Some(&[] as &[u8]) }
        };
        let kinds = column(columns & column::KINDS != 0, 1)?;
        let ends = column(count > 1, 4)?.as_chunks().0;
        let terms = column(columns & column::TERMS != 0, 8)?.as_chunks().0;
        let timestamps = column(columns & column::TIMESTAMPS != 0, 8)?.as_chunks().0;
        let payloads = fields.rest();
        let payloads_at = body.len().checked_sub(payloads.len())?;
        Some(Self {
            count,
            entry_kind,
            transaction,
            metadata,
            kinds,
            ends,
            terms,
            timestamps,
            payloads,
            payloads_at,
        })
    }

    /// How many entries there are: at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a frame without entries is not an entries frame")]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// The transaction that committed these entries, when one did.
    #[must_use]
    pub const fn transaction(&self) -> Option<[u8; 16]> {
        self.transaction
    }

    /// The metadata records that were committed together with the entries; read them with
    /// [`MetadataRecords`](crate::MetadataRecords).
    #[must_use]
    pub const fn metadata(&self) -> &'a [u8] {
        self.metadata
    }

    /// The entry with this index.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Invalid`] when there is none, or when the table of ends contradicts itself.
    pub fn get(&self, index: u32) -> Result<EntryRef<'a>, DecodeError> {
        let invalid = DecodeError::Invalid { what: "the entry index", value: u64::from(index) };
        if index >= self.count {
            return Err(invalid);
        }
        let at = index as usize;
        let end_of = |at: usize| self.ends.get(at).map(|end| u32::from_le_bytes(*end) as usize);
        let end = end_of(at).unwrap_or(self.payloads.len());
        let start = at.checked_sub(1).and_then(end_of).unwrap_or(0);
        let contradiction = DecodeError::Invalid { what: "the end of a payload", value: end as u64 };
        let payload = self.payloads.get(start..end).ok_or(contradiction)?;
        let shift = |offset: usize| offset.saturating_add(self.payloads_at);
        Ok(EntryRef {
            payload,
            range: shift(start)..shift(end),
            kind: self.kinds.get(at).copied().unwrap_or(self.entry_kind),
            term: self.terms.get(at).map(|term| u64::from_le_bytes(*term)).filter(|term| *term != NO_TERM),
            timestamp: self
                .timestamps
                .get(at)
                .map(|timestamp| i64::from_le_bytes(*timestamp))
                .filter(|timestamp| *timestamp != NO_TIMESTAMP),
        })
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<EntryRef<'a>, DecodeError>> + use<'a> {
        let entries = *self;
        (0..entries.count).map(move |index| entries.get(index))
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
