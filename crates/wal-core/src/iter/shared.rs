//! A frame that holds several entries, or more of one than its bytes.

use std::ops::Range;

use bytes::Bytes;
use snafu::ResultExt;
use wal_format::{EntriesLayout, Lsn};

use super::{
    Cursor,
    short::{Passed, fetch_from},
};
use crate::{
    Entry, EntryRef, LogError,
    error::{DECODE, EncodingSnafu},
};

/// What is known of such a frame once its columns were found: its entries are found one by one, from either end.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    layout: EntriesLayout,
    /// LSN of its first entry.
    first: u64,
    /// How many entries it holds that do not stand in a later segment.
    count: u64,
    /// How many of them the short way may lead to.
    shown: u64,
    time: u64,
    /// Where its body stands in the cursor's bytes.
    body: Range<usize>,
    /// Of the entry that the short way has just led to.
    term: Option<u64>,
    timestamp: Option<i64>,
    /// So far before an entry is what a walk that goes backwards will come to. Zero for one that goes forwards, where
    /// the processor knows by itself.
    pub(super) back: usize,
}

impl Shared {
    pub(super) const NONE: Self = Self {
        layout: EntriesLayout::NONE,
        first: 0,
        count: 0,
        shown: 0,
        time: 0,
        body: 0..0,
        term: None,
        timestamp: None,
        back: 0,
    };

    /// A frame whose entries from `bound` on are none, because they stand in a later segment, and of which those from
    /// `until` on are not shown without being asked for.
    pub(super) fn new(
        layout: EntriesLayout,
        first: Lsn,
        time: u64,
        body: Range<usize>,
        (bound, until): (u64, u64),
    ) -> Self {
        let first = first.get();
        let count = u64::from(layout.len()).min(bound.saturating_sub(first));
        let shown = count.min(until.saturating_sub(first));
        Self { layout, first, count, shown, time, body, term: None, timestamp: None, back: 0 }
    }

    #[inline]
    pub(super) const fn holds(&self, lsn: u64) -> bool {
        lsn.wrapping_sub(self.first) < self.count
    }

    #[inline]
    pub(super) const fn shows(&self, lsn: u64) -> bool {
        lsn.wrapping_sub(self.first) < self.shown
    }

    /// It is not where the cursor stands any more.
    #[inline]
    pub(super) const fn forget(&mut self) {
        (self.count, self.shown) = (0, 0);
    }

    /// Term and timestamp of the entry that the short way has just led to.
    #[inline]
    pub(super) const fn marks(&self) -> (Option<u64>, Option<i64>) {
        (self.term, self.timestamp)
    }

    #[inline]
    pub(super) const fn transaction(&self) -> Option<[u8; 16]> {
        self.layout.transaction()
    }

    fn find<'a>(&self, bytes: &'a [u8], lsn: Lsn) -> Result<wal_format::EntryRef<'a>, LogError> {
        let index = u32::try_from(lsn.get().wrapping_sub(self.first)).unwrap_or(u32::MAX);
        let body = bytes.get(self.body.clone()).unwrap_or(&[]);
        self.layout.get(body, index).context(EncodingSnafu { operation: DECODE })
    }

    pub(super) fn lend<'a>(&self, bytes: &'a [u8], lsn: Lsn) -> Result<EntryRef<'a>, LogError> {
        let wal_format::EntryRef { payload, kind, term, timestamp, .. } = self.find(bytes, lsn)?;
        Ok(EntryRef { lsn, kind, term, timestamp, time: self.time, payload })
    }

    pub(super) fn give(&self, bytes: &Bytes, lsn: Lsn) -> Result<Entry, LogError> {
        let wal_format::EntryRef { payload, kind, term, timestamp, .. } = self.find(bytes, lsn)?;
        let (time, transaction) = (self.time, self.transaction());
        Ok(Entry { lsn, kind, term, timestamp, time, transaction, payload: bytes.slice_ref(payload) })
    }
}

impl Cursor {
    /// The short way: moves to this entry of the frame that it stands at, which must [show](Shared::shows) it.
    #[inline]
    pub(super) fn pass_shared(&mut self, lsn: u64) -> bool {
        let bytes = match &self.open {
            Some(open) => open.bytes(),
            None => self.reader.window(),
        };
        let Shared { layout, first, time, body, .. } = &self.shared;
        let Some(found) = bytes.get(body.clone()) else { return false };
        let Ok(entry) = layout.get(found, lsn.wrapping_sub(*first) as u32) else { return false };
        let (start, end) = (body.start + entry.range.start, body.start + entry.range.end);
        if self.shared.back > 0 {
            fetch_from(bytes, start.wrapping_sub(self.shared.back), end - start);
        }
        self.passed = Passed { time: *time, start, end, kind: entry.kind, shared: true };
        (self.shared.term, self.shared.timestamp) = (entry.term, entry.timestamp);
        true
    }
}
