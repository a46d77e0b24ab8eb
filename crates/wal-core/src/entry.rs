//! An entry, as it is read.

use bytes::Bytes;
use snafu::ResultExt;
use wal_format::{EntriesRef, FrameHeader, Lsn};
use wal_segment::LoadedFrame;

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

/// A frame whose entries are being read: decompressed once.
#[derive(Clone, Debug)]
pub(crate) struct OpenFrame {
    header: FrameHeader,
    lsn: Lsn,
    body: Bytes,
}

impl OpenFrame {
    pub(crate) fn new(frame: LoadedFrame, payloads: &Payloads) -> Result<Self, LogError> {
        let (header, lsn) = (frame.header, frame.lsn);
        Ok(Self { header, lsn, body: payloads.decode(frame)? })
    }

    pub(crate) fn holds(&self, lsn: Lsn) -> bool {
        lsn.since(self.lsn).is_some_and(|index| index < u64::from(self.header.count))
    }

    /// Whether the body is the payload of one plain entry.
    pub(crate) const fn is_plain(&self) -> bool {
        self.header.count == 1 && self.header.columns == 0
    }

    /// The only entry of a plain frame, or the one with this LSN. Saves counting another reference to the body.
    pub(crate) fn into_entry(self, lsn: Lsn) -> Result<Entry, LogError> {
        if self.is_plain() { Ok(plain(lsn, &self.header, self.body)) } else { self.entry(lsn) }
    }

    /// The entry with this LSN, which the frame must hold.
    pub(crate) fn entry(&self, lsn: Lsn) -> Result<Entry, LogError> {
        let header = &self.header;
        if self.is_plain() {
            return Ok(plain(lsn, header, self.body.clone()));
        }
        let context = EncodingSnafu { operation: DECODE };
        let entries = EntriesRef::parse(header.count, header.columns, header.entry_kind, &self.body)
            .context(context)?;
        let index = lsn.since(self.lsn).and_then(|index| u32::try_from(index).ok()).unwrap_or(u32::MAX);
        let entry = entries.get(index).context(context)?;
        Ok(Entry {
            lsn,
            kind: entry.kind,
            term: entry.term,
            timestamp: entry.timestamp,
            time: header.time,
            transaction: entries.transaction(),
            payload: self.body.slice(entry.range),
        })
    }
}

const fn plain(lsn: Lsn, header: &FrameHeader, payload: Bytes) -> Entry {
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
