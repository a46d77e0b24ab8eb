//! An entry, as it is read.

use bytes::Bytes;
use snafu::ResultExt;
use wal_format::{EntriesRef, Lsn};
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
    pub(crate) frame: LoadedFrame,
    body: Bytes,
}

impl OpenFrame {
    pub(crate) fn new(frame: LoadedFrame, payloads: &Payloads) -> Result<Self, LogError> {
        let body = payloads.decode(&frame)?;
        Ok(Self { frame, body })
    }

    pub(crate) fn holds(&self, lsn: Lsn) -> bool {
        lsn.since(self.frame.lsn).is_some_and(|index| index < u64::from(self.frame.header.count))
    }

    /// The entry with this LSN, which the frame must hold.
    pub(crate) fn entry(&self, lsn: Lsn) -> Result<Entry, LogError> {
        let header = &self.frame.header;
        if header.count == 1 && header.columns == 0 {
            return Ok(Entry {
                lsn,
                kind: header.entry_kind,
                term: None,
                timestamp: None,
                time: header.time,
                transaction: None,
                payload: self.body.clone(),
            });
        }
        let context = EncodingSnafu { operation: DECODE };
        let entries = EntriesRef::parse(header.count, header.columns, header.entry_kind, &self.body)
            .context(context)?;
        let index = lsn.since(self.frame.lsn).and_then(|index| u32::try_from(index).ok()).unwrap_or(u32::MAX);
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
