//! Building the body of an entries frame.

use alloc::vec::Vec;

use super::{NO_TERM, NO_TIMESTAMP, column};
use crate::{DecodeError, layout::BODY_LEN_MAX};

/// An entry to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewEntry<'a> {
    /// The user's bytes; may be empty.
    pub payload: &'a [u8],
    /// The user's type of entry.
    pub kind: u8,
    /// Optional term of a replicated log; `u64::MAX` is reserved.
    pub term: Option<u64>,
    /// Optional time of the user's, in a unit of their choice; `i64::MIN` is reserved.
    pub timestamp: Option<i64>,
}

impl<'a> NewEntry<'a> {
    /// An entry of kind zero without term and timestamp.
    #[must_use]
    pub const fn plain(payload: &'a [u8]) -> Self {
        Self { payload, kind: 0, term: None, timestamp: None }
    }

    /// Whether the entry can be written at all.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Invalid`] when a reserved term or timestamp is given.
    pub fn check(&self) -> Result<(), DecodeError> {
        if self.term == Some(NO_TERM) {
            return Err(DecodeError::Invalid { what: "the term", value: NO_TERM });
        }
        if self.timestamp == Some(NO_TIMESTAMP) {
            return Err(DecodeError::Invalid { what: "the timestamp", value: NO_TIMESTAMP.cast_unsigned() });
        }
        Ok(())
    }

    /// Appends the body of a frame that holds this entry alone, as an [`EntriesBuilder`] lays it out, and says what the
    /// header must say.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check). Nothing is appended then.
    ///
    /// ```
    /// use wal_format::{EntriesRef, NewEntry};
    ///
    /// let entry = NewEntry { term: Some(3), kind: 1, ..NewEntry::plain(b"one") };
    /// let mut body = Vec::new();
    /// let shape = entry.encode(&mut body)?;
    /// let read = EntriesRef::parse(shape.count, shape.columns, shape.entry_kind, &body)?.get(0)?;
    /// assert_eq!((read.payload, read.term, read.kind), (&b"one"[..], Some(3), 1));
    /// # Ok::<(), wal_format::DecodeError>(())
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<BodyShape, DecodeError> {
        self.check()?;
        let mut columns = 0;
        out.reserve(self.payload.len().saturating_add(16));
        if let Some(term) = self.term {
            columns |= column::TERMS;
            out.extend_from_slice(&term.to_le_bytes());
        }
        if let Some(timestamp) = self.timestamp {
            columns |= column::TIMESTAMPS;
            out.extend_from_slice(&timestamp.to_le_bytes());
        }
        out.extend_from_slice(self.payload);
        Ok(BodyShape { count: 1, columns, entry_kind: self.kind })
    }

    /// Whether the entry needs no column, so that alone in a frame its body is its payload.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.term.is_none() && self.timestamp.is_none()
    }
}

/// What the frame header says about a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyShape {
    /// Number of entries.
    pub count: u32,
    /// Columns that are there.
    pub columns: u8,
    /// Kind of every entry when there is no column of kinds.
    pub entry_kind: u8,
}

/// Collects entries and lays them out as the body of one frame. Reusable: [`clear`](Self::clear) keeps the memory.
#[derive(Clone, Debug, Default)]
pub struct EntriesBuilder {
    /// Columns as they are stored. Those of kinds, terms and timestamps are empty until an entry needs them.
    kinds: Vec<u8>,
    ends: Vec<[u8; 4]>,
    terms: Vec<[u8; 8]>,
    timestamps: Vec<[u8; 8]>,
    payloads: Vec<u8>,
    /// Kind of the first entry.
    kind: u8,
    transaction: Option<[u8; 16]>,
    metadata: Vec<u8>,
    columns: u8,
}

impl EntriesBuilder {
    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Invalid`] when a reserved term or timestamp is given, or when the body would grow beyond
    /// [`BODY_LEN_MAX`](crate::BODY_LEN_MAX). Nothing is added then.
    pub fn push(&mut self, entry: &NewEntry<'_>) -> Result<(), DecodeError> {
        entry.check()?;
        let longer = self.body_len().saturating_add(entry.payload.len()).saturating_add(21);
        if longer > BODY_LEN_MAX as usize {
            return Err(DecodeError::Invalid { what: "the body length", value: longer as u64 });
        }
        let before = self.ends.len();
        if before == 0 {
            self.kind = entry.kind;
        }
        if self.has(column::KINDS) || entry.kind != self.kind {
            self.columns |= column::KINDS;
            self.kinds.resize(before, self.kind);
            self.kinds.push(entry.kind);
        }
        if self.has(column::TERMS) || entry.term.is_some() {
            self.columns |= column::TERMS;
            self.terms.resize(before, NO_TERM.to_le_bytes());
            self.terms.push(entry.term.unwrap_or(NO_TERM).to_le_bytes());
        }
        if self.has(column::TIMESTAMPS) || entry.timestamp.is_some() {
            self.columns |= column::TIMESTAMPS;
            self.timestamps.resize(before, NO_TIMESTAMP.to_le_bytes());
            self.timestamps.push(entry.timestamp.unwrap_or(NO_TIMESTAMP).to_le_bytes());
        }
        self.payloads.extend_from_slice(entry.payload);
        let end = u32::try_from(self.payloads.len()).unwrap_or(u32::MAX);
        self.ends.push(end.to_le_bytes());
        Ok(())
    }

    const fn has(&self, column: u8) -> bool {
        self.columns & column != 0
    }

    /// Names the transaction that commits these entries.
    pub const fn set_transaction(&mut self, id: [u8; 16]) {
        self.transaction = Some(id);
        self.columns |= column::TRANSACTION;
    }

    /// Adds encoded metadata records that become effective together with the entries.
    pub fn add_metadata(&mut self, records: &[u8]) {
        self.metadata.extend_from_slice(records);
        self.columns |= column::METADATA;
    }

    /// The metadata records that were added.
    #[must_use]
    pub fn metadata(&self) -> &[u8] {
        &self.metadata
    }

    /// Number of entries so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether nothing was pushed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// An entry that was pushed, by its place among them.
    ///
    /// ```
    /// use wal_format::{EntriesBuilder, NewEntry};
    ///
    /// let mut batch = EntriesBuilder::default();
    /// batch.push(&NewEntry::plain(b"one"))?;
    /// batch.push(&NewEntry { term: Some(3), ..NewEntry::plain(b"two") })?;
    /// let second = batch.entry(1).unwrap();
    /// assert_eq!((second.payload, second.term), (&b"two"[..], Some(3)));
    /// assert!(batch.entry(2).is_none());
    /// # Ok::<(), wal_format::DecodeError>(())
    /// ```
    #[must_use]
    pub fn entry(&self, index: usize) -> Option<NewEntry<'_>> {
        let end_of = |index: usize| self.ends.get(index).map(|end| u32::from_le_bytes(*end) as usize);
        let start = index.checked_sub(1).and_then(end_of).unwrap_or(0);
        let wide = |column: &[[u8; 8]]| column.get(index).map(|value| u64::from_le_bytes(*value));
        Some(NewEntry {
            payload: self.payloads.get(start..end_of(index)?)?,
            kind: self.kinds.get(index).copied().unwrap_or(self.kind),
            term: wide(&self.terms).filter(|term| *term != NO_TERM),
            timestamp: wide(&self.timestamps).map(u64::cast_signed).filter(|at| *at != NO_TIMESTAMP),
        })
    }

    /// Bytes of payload so far.
    #[must_use]
    pub const fn payload_len(&self) -> usize {
        self.payloads.len()
    }

    /// Upper bound of the length of the body so far, in bytes.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.payloads
            .len()
            .saturating_add(self.ends.len().saturating_mul(21))
            .saturating_add(self.metadata.len())
            .saturating_add(20)
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        let Self { kinds, ends, terms, timestamps, payloads, kind, transaction, metadata, columns } = self;
        (*kind, *transaction, *columns) = (0, None, 0);
        kinds.clear();
        ends.clear();
        terms.clear();
        timestamps.clear();
        payloads.clear();
        metadata.clear();
    }

    /// Appends the body to `out` and says what the header must say. There must be at least one entry.
    pub fn finish(&self, out: &mut Vec<u8>) -> BodyShape {
        let count = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        out.reserve(self.body_len());
        if let Some(id) = self.transaction {
            out.extend_from_slice(&id);
        }
        if self.has(column::METADATA) {
            out.extend_from_slice(&u32::try_from(self.metadata.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(&self.metadata);
        }
        out.extend_from_slice(&self.kinds);
        if count > 1 {
            out.extend_from_slice(self.ends.as_flattened());
        }
        out.extend_from_slice(self.terms.as_flattened());
        out.extend_from_slice(self.timestamps.as_flattened());
        out.extend_from_slice(&self.payloads);
        let entry_kind = if self.has(column::KINDS) { 0 } else { self.kind };
        BodyShape { count, columns: self.columns, entry_kind }
    }
}
