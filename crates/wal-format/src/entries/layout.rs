//! Where the columns and payloads stand in the body of an entries frame.

use super::{EntryRef, NO_TERM, NO_TIMESTAMP, column};
use crate::{DecodeError, le::Fields};

/// What there is to know of a body before its entries are read: found once, for whoever keeps the body and comes back
/// for one entry after the other. [`EntriesRef`](super::EntriesRef) is the same together with the body.
///
/// ```
/// use wal_format::{EntriesBuilder, EntriesLayout, NewEntry};
/// let mut builder = EntriesBuilder::default();
/// builder.push(&NewEntry::plain(b"one"))?;
/// builder.push(&NewEntry::plain(b"two"))?;
/// let mut body = Vec::new();
/// let shape = builder.finish(&mut body);
///
/// let layout = EntriesLayout::parse(shape.count, shape.columns, shape.entry_kind, &body)?;
/// assert_eq!(layout.get(&body, 1)?.payload, b"two");
/// assert!(layout.get(&body, 2).is_err());
/// # Ok::<(), wal_format::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntriesLayout {
    count: u32,
    columns: u8,
    entry_kind: u8,
    transaction: Option<[u8; 16]>,
    metadata: (usize, usize),
    /// Where the columns begin that have a value for each entry. Those that are not there are not looked at.
    kinds: usize,
    ends: usize,
    terms: usize,
    timestamps: usize,
    payloads: usize,
}

impl EntriesLayout {
    /// That of no body: it has no entry.
    pub const NONE: Self = Self {
        count: 0,
        columns: 0,
        entry_kind: 0,
        transaction: None,
        metadata: (0, 0),
        kinds: 0,
        ends: 0,
        terms: 0,
        timestamps: 0,
        payloads: 0,
    };

    /// Reads where the columns of `body` are, described by the fields of the frame header. Constant time.
    ///
    /// # Errors
    ///
    /// [`DecodeError::UnsupportedColumns`] for a newer writer's column; [`DecodeError::Short`] and
    /// [`DecodeError::Invalid`] for a body that contradicts its header.
    pub fn parse(count: u32, columns: u8, entry_kind: u8, body: &[u8]) -> Result<Self, DecodeError> {
        let unknown = columns & !column::KNOWN;
        if unknown != 0 {
            return Err(DecodeError::UnsupportedColumns { columns: unknown });
        }
        if count == 0 {
            return Err(DecodeError::Invalid { what: "the entry count", value: 0 });
        }
        let short = DecodeError::Short { needed: body.len().saturating_add(1), have: body.len() };
        let layout = Self::find(count, columns, entry_kind, body).ok_or(short)?;
        let payloads_len = body.len().saturating_sub(layout.payloads);
        let end = layout.end(body, count.saturating_sub(1)).unwrap_or(0);
        if end != payloads_len {
            return Err(DecodeError::Invalid { what: "the end of the last payload", value: end as u64 });
        }
        Ok(layout)
    }

    fn find(count: u32, columns: u8, entry_kind: u8, body: &[u8]) -> Option<Self> {
        let n = count as usize;
        let mut fields = Fields::new(body);
        let has = |bit: u8| columns & bit != 0;
        let at = |fields: Fields<'_>| body.len().saturating_sub(fields.rest().len());
        let transaction = if has(column::TRANSACTION) { Some(fields.array::<16>()?) } else { None };
        let metadata_len = if has(column::METADATA) { fields.u32()? as usize } else { 0 };
        let metadata = (at(fields), metadata_len);
        fields.bytes(metadata_len)?;
        let mut column = |present: bool, width: usize| {
            let start = at(fields);
            if present {
                fields.bytes(n.checked_mul(width)?)?;
            }
            Some(start)
        };
        let kinds = column(has(column::KINDS), 1)?;
        let ends = column(count > 1, 4)?;
        let terms = column(has(column::TERMS), 8)?;
        let timestamps = column(has(column::TIMESTAMPS), 8)?;
        let payloads = at(fields);
        Some(Self {
            count,
            columns,
            entry_kind,
            transaction,
            metadata,
            kinds,
            ends,
            terms,
            timestamps,
            payloads,
        })
    }

    /// How many entries there are: at least one, but none in [`NONE`](Self::NONE).
    #[inline]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a frame without entries is not an entries frame")]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// The transaction that committed these entries, when one did.
    #[inline]
    #[must_use]
    pub const fn transaction(&self) -> Option<[u8; 16]> {
        self.transaction
    }

    /// The metadata records that were committed together with the entries, in the body that this was read from.
    #[must_use]
    pub fn metadata<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        let (start, len) = self.metadata;
        body.get(start..start.saturating_add(len)).unwrap_or(&[])
    }

    /// The entry with this index, in the body that this was read from. In another one it is any of its bytes, or an
    /// error.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Invalid`] when there is none, or when the table of ends contradicts itself.
    #[inline]
    pub fn get<'a>(&self, body: &'a [u8], index: u32) -> Result<EntryRef<'a>, DecodeError> {
        if index >= self.count {
            return Err(DecodeError::Invalid { what: "the entry index", value: u64::from(index) });
        }
        let end = self.end(body, index).unwrap_or(0);
        let start = index.checked_sub(1).and_then(|before| self.end(body, before)).unwrap_or(0);
        let payload = body.get(self.payloads..).and_then(|payloads| payloads.get(start..end));
        let contradiction = DecodeError::Invalid { what: "the end of a payload", value: end as u64 };
        let payload = payload.ok_or(contradiction)?;
        let shift = |offset: usize| offset.saturating_add(self.payloads);
        let (kind, term, timestamp) = self.marks(body, index);
        Ok(EntryRef { payload, range: shift(start)..shift(end), kind, term, timestamp })
    }

    /// Kind, term and timestamp of an entry.
    #[inline]
    fn marks(&self, body: &[u8], index: u32) -> (u8, Option<u64>, Option<i64>) {
        let has = |bit: u8| self.columns & bit != 0;
        let wide = |column: usize| field(body, column, index).map(u64::from_le_bytes);
        let kind = if has(column::KINDS) { field(body, self.kinds, index).map(|[kind]| kind) } else { None };
        let term = if has(column::TERMS) { wide(self.terms) } else { None };
        let timestamp = if has(column::TIMESTAMPS) { wide(self.timestamps) } else { None };
        (
            kind.unwrap_or(self.entry_kind),
            term.filter(|term| *term != NO_TERM),
            timestamp.map(u64::cast_signed).filter(|timestamp| *timestamp != NO_TIMESTAMP),
        )
    }

    /// Where a payload ends, from the start of the payloads.
    #[inline]
    fn end(&self, body: &[u8], index: u32) -> Option<usize> {
        if self.count == 1 {
            return body.len().checked_sub(self.payloads);
        }
        field(body, self.ends, index).map(|end| u32::from_le_bytes(end) as usize)
    }
}

/// The value of an entry in a column that begins at `start`.
#[inline]
fn field<const N: usize>(body: &[u8], start: usize, index: u32) -> Option<[u8; N]> {
    let at = start.checked_add((index as usize).checked_mul(N)?)?;
    body.get(at..)?.first_chunk().copied()
}
