//! An entry, as it is read.

use bytes::Bytes;
use snafu::ResultExt;
use wal_format::{EntriesLayout, FrameHeader, Lsn};

use crate::{
    LogError,
    error::{DECODE, EncodingSnafu},
    payload::Payloads,
};

/// One entry of the log. The payload is not copied where the storage can do without: it stays valid for as long as
/// anybody holds it, whatever becomes of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the log.
    pub lsn: Lsn,
    /// The user's type of entry.
    pub kind: u8,
    /// The term, when one was given.
    pub term: Option<u64>,
    /// The user's own time, when one was given.
    pub timestamp: Option<i64>,
    /// When it was appended, in nanoseconds since 1970; never less than that of an earlier entry.
    pub time: u64,
    /// The transaction that committed it, when one did.
    pub transaction: Option<[u8; 16]>,
    /// The user's bytes.
    pub payload: Bytes,
}

impl Entry {
    /// What stands where an entry will.
    pub(crate) const fn nothing() -> Self {
        Self {
            lsn: Lsn::FIRST,
            kind: 0,
            term: None,
            timestamp: None,
            time: 0,
            transaction: None,
            payload: Bytes::new(),
        }
    }

    pub(crate) fn lend(&self) -> EntryRef<'_> {
        let Self { lsn, kind, term, timestamp, time, ref payload, .. } = *self;
        EntryRef { lsn, kind, term, timestamp, time, payload }
    }
}

/// One entry of the log, lent by an iterator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// Its place in the log.
    pub lsn: Lsn,
    /// The user's type of entry.
    pub kind: u8,
    /// The term, when one was given.
    pub term: Option<u64>,
    /// The user's own time, when one was given.
    pub timestamp: Option<i64>,
    /// When it was appended, in nanoseconds since 1970.
    pub time: u64,
    /// The user's bytes.
    pub payload: &'a [u8],
}

/// A frame whose entries are being read: decompressed once.
#[derive(Clone, Debug)]
pub(crate) struct OpenFrame {
    header: FrameHeader,
    lsn: Lsn,
    body: Bytes,
}

impl OpenFrame {
    pub(crate) fn new(
        header: FrameHeader,
        lsn: Lsn,
        body: Bytes,
        payloads: &Payloads,
    ) -> Result<Self, LogError> {
        Self::in_memory(Vec::new(), header, lsn, body, payloads)
    }

    /// The same, decompressed into memory that is there.
    pub(crate) fn in_memory(
        memory: Vec<u8>,
        header: FrameHeader,
        lsn: Lsn,
        body: Bytes,
        payloads: &Payloads,
    ) -> Result<Self, LogError> {
        Ok(Self { header, lsn, body: payloads.decode_into(&header, body, memory)? })
    }

    /// A frame whose body is decompressed already.
    pub(crate) const fn decoded(header: FrameHeader, lsn: Lsn, body: Bytes) -> Self {
        Self { header, lsn, body }
    }

    /// The memory into which it was decompressed, if nobody else holds it.
    pub(crate) fn into_memory(self) -> Vec<u8> {
        if self.header.codec != 0 && self.body.is_unique() { self.body.into() } else { Vec::new() }
    }

    /// Where its entries are in the decompressed body.
    pub(crate) fn layout(&self) -> Result<EntriesLayout, LogError> {
        let FrameHeader { count, columns, entry_kind, .. } = self.header;
        EntriesLayout::parse(count, columns, entry_kind, &self.body)
            .context(EncodingSnafu { operation: DECODE })
    }

    /// The decompressed body, lent.
    pub(crate) const fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The decompressed body.
    pub(crate) fn body(&self) -> Bytes {
        self.body.clone()
    }

    pub(crate) const fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// LSN of its first entry.
    pub(crate) const fn first(&self) -> Lsn {
        self.lsn
    }

    /// The only entry of a frame that holds one, or the one with this LSN. Saves counting another reference to the
    /// body.
    pub(crate) fn into_entry(self, lsn: Lsn) -> Result<Entry, LogError> {
        if self.is_single() { Ok(plain(lsn, &self.header, self.body)) } else { self.entry(lsn) }
    }

    /// The entry with this LSN, which the frame must hold.
    pub(crate) fn entry(&self, lsn: Lsn) -> Result<Entry, LogError> {
        if self.is_single() {
            return Ok(plain(lsn, &self.header, self.body.clone()));
        }
        let (layout, entry) = self.find(lsn)?;
        Ok(Entry {
            lsn,
            kind: entry.kind,
            term: entry.term,
            timestamp: entry.timestamp,
            time: self.header.time,
            transaction: layout.transaction(),
            payload: self.body.slice(entry.range),
        })
    }

    /// The same, lent.
    pub(crate) fn entry_ref(&self, lsn: Lsn) -> Result<EntryRef<'_>, LogError> {
        if self.is_single() {
            return Ok(plain_ref(lsn, &self.header, &self.body));
        }
        let (_, entry) = self.find(lsn)?;
        let (kind, term, timestamp) = (entry.kind, entry.term, entry.timestamp);
        Ok(EntryRef { lsn, kind, term, timestamp, time: self.header.time, payload: entry.payload })
    }

    fn find(&self, lsn: Lsn) -> Result<(EntriesLayout, wal_format::EntryRef<'_>), LogError> {
        let layout = self.layout()?;
        let index = lsn.since(self.lsn).and_then(|index| u32::try_from(index).ok()).unwrap_or(u32::MAX);
        let entry = layout.get(&self.body, index).context(EncodingSnafu { operation: DECODE })?;
        Ok((layout, entry))
    }

    /// Whether the body is the payload of one plain entry.
    const fn is_single(&self) -> bool {
        self.header.count == 1 && self.header.columns == 0
    }
}

/// Whether the stored body of a frame is the payload of one plain entry.
pub(crate) const fn is_plain(header: &FrameHeader) -> bool {
    header.count == 1 && header.columns == 0 && header.codec == 0
}

/// The entry of a plain frame.
pub(crate) const fn plain(lsn: Lsn, header: &FrameHeader, payload: Bytes) -> Entry {
    Entry {
        lsn,
        kind: header.entry_kind,
        term: None,
        timestamp: None,
        time: header.time,
        transaction: None,
        payload,
    }
}

/// The same, lent.
pub(crate) const fn plain_ref<'a>(lsn: Lsn, header: &FrameHeader, payload: &'a [u8]) -> EntryRef<'a> {
    EntryRef { lsn, kind: header.entry_kind, term: None, timestamp: None, time: header.time, payload }
}
