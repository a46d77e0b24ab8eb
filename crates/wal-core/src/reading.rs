//! Several entries at once.

use std::ops::RangeBounds;

use wal_format::Lsn;

use crate::{
    Entry, EntryRef, Iter, LogError,
    error::{CutOffSnafu, InvalidArgumentSnafu},
    log::Log,
    settled::{lent, owned},
};

/// How much to take at once. Whichever limit is reached first counts; one entry is always taken, however long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimit {
    /// Entries, at least one. Default: 1000.
    pub entries: usize,
    /// Bytes of payload. Default: 1 MiB.
    pub bytes: usize,
}

impl Default for BatchLimit {
    fn default() -> Self {
        Self { entries: 1000, bytes: 1 << 20 }
    }
}

impl BatchLimit {
    pub(crate) fn check(self) -> Result<(), LogError> {
        if self.entries == 0 {
            return InvalidArgumentSnafu { why: "a batch limit of no entries" }.fail();
        }
        Ok(())
    }

    /// Whether an entry can be added to those taken so far.
    const fn admits(self, taken: usize, bytes: usize, more: usize) -> bool {
        taken == 0 || (taken < self.entries && bytes.saturating_add(more) <= self.bytes)
    }
}

/// Entries of an iterator, as many at a time as a limit allows. An entry that did not fit waits for the next time.
#[derive(Debug)]
pub(crate) struct Batches {
    entries: Iter,
    backwards: bool,
    limit: BatchLimit,
    waiting: Option<Entry>,
}

impl Batches {
    pub(crate) const fn new(entries: Iter, backwards: bool, limit: BatchLimit) -> Self {
        Self { entries, backwards, limit, waiting: None }
    }

    fn next(&mut self) -> Option<Result<Entry, LogError>> {
        match self.waiting.take() {
            Some(entry) => Some(Ok(entry)),
            None if self.backwards => self.entries.next_back(),
            None => self.entries.next(),
        }
    }

    /// Replaces the content of `batch`. What could be read before an error is there all the same.
    pub(crate) fn fill(&mut self, batch: &mut Vec<Entry>) -> Result<(), LogError> {
        batch.clear();
        let mut bytes = 0;
        while batch.is_empty() || batch.len() < self.limit.entries {
            let Some(entry) = self.next().transpose()? else { break };
            if !self.limit.admits(batch.len(), bytes, entry.payload.len()) {
                self.waiting = Some(entry);
                break;
            }
            bytes += entry.payload.len();
            batch.push(entry);
        }
        Ok(())
    }
}

impl Log {
    /// The first entries of a range, as many as the limit allows. A range that begins before the first entry or ends
    /// behind the last is cut to what is there.
    ///
    /// # Errors
    ///
    /// [`LogError::InvalidArgument`] for a limit of no entries; otherwise as the items of [`range`](Self::range).
    pub fn get_range(&self, range: impl RangeBounds<Lsn>, limit: BatchLimit) -> Result<Vec<Entry>, LogError> {
        limit.check()?;
        let mut entries = Vec::new();
        Batches::new(self.range(range), false, limit).fill(&mut entries)?;
        Ok(entries)
    }

    /// The entries with these LSNs, in the order in which they are named; one may be named twice. They are read in the
    /// order in which they are stored, so that a batch or a compressed frame is opened once.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), of the lowest LSN that has one. [`LogError::CutOff`] when the log was cut among
    /// them meanwhile: they would be of two histories. On a log that is open for reading that is said, too, when a
    /// writer came meanwhile and put copies in the place of what the one before it had left: call it again.
    pub fn get_many(&self, lsns: &[Lsn]) -> Result<Vec<Entry>, LogError> {
        let (mut entries, mut others) = (Vec::with_capacity(lsns.len()), Vec::new());
        let generation = self.engine().history().generation();
        self.engine().settled_each(lsns, |nth, entry| match (lsns.get(nth), entry) {
            (Some(lsn), Some(entry)) => entries.push(owned(*lsn, &entry)),
            _ => {
                others.push(nth);
                entries.push(Entry::nothing());
            }
        });
        if !others.is_empty() {
            self.get_others(lsns, others, |nth, entry| {
                if let Some(place) = entries.get_mut(nth) {
                    *place = entry.clone();
                }
            })?;
            self.check_one_history(lsns, generation)?;
        }
        Ok(entries)
    }

    /// Shows the entries with these LSNs to `read`, each with its place among them, in whatever order they are at hand.
    /// The bytes are lent: nobody counts references to them, and nothing is collected.
    ///
    /// # Errors
    ///
    /// Those of [`get_many`](Self::get_many). Some of the entries may have been shown by then: unless this returns
    /// `Ok`, they may be of two histories.
    pub fn get_many_with(
        &self,
        lsns: &[Lsn],
        mut read: impl FnMut(usize, EntryRef<'_>),
    ) -> Result<(), LogError> {
        let mut others = Vec::new();
        let generation = self.engine().history().generation();
        self.engine().settled_each(lsns, |nth, entry| match (lsns.get(nth), entry) {
            (Some(lsn), Some(entry)) => read(nth, lent(*lsn, &entry)),
            _ => others.push(nth),
        });
        if others.is_empty() {
            return Ok(());
        }
        self.get_others(lsns, others, |nth, entry| read(nth, entry.lend()))?;
        self.check_one_history(lsns, generation)
    }

    fn check_one_history(&self, lsns: &[Lsn], generation: u64) -> Result<(), LogError> {
        let cut = self.engine().cut_since(generation);
        match cut.and_then(|next| Some((next, lsns.iter().filter(|lsn| **lsn >= next).min()?))) {
            Some((next, lsn)) => CutOffSnafu { lsn: *lsn, next }.fail(),
            None => Ok(()),
        }
    }

    /// Shows the entries at some places of many, in the order in which they are stored.
    #[cold]
    fn get_others(
        &self,
        lsns: &[Lsn],
        mut places: Vec<usize>,
        mut read: impl FnMut(usize, &Entry),
    ) -> Result<(), LogError> {
        places.sort_unstable_by_key(|nth| lsns.get(*nth));
        let mut entries = self.range(..);
        let mut last: Option<Entry> = None;
        for nth in places {
            let Some(lsn) = lsns.get(nth).copied() else { continue };
            let entry = match last.take().filter(|entry| entry.lsn == lsn) {
                Some(entry) => entry,
                None => self.get_next(&mut entries, lsn)?,
            };
            read(nth, &entry);
            last = Some(entry);
        }
        Ok(())
    }

    /// Through the iterator, which keeps open what it read last; what is not in its range any more, or not yet, is
    /// looked up.
    fn get_next(&self, entries: &mut Iter, lsn: Lsn) -> Result<Entry, LogError> {
        self.engine().check_readable(lsn)?;
        entries.seek(lsn);
        match entries.next() {
            Some(Ok(entry)) if entry.lsn == lsn => Ok(entry),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => self.get(lsn),
        }
    }
}
