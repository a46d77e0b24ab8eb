//! Several entries at once.

use std::ops::RangeBounds;

use wal_format::Lsn;

use crate::{
    Entry, Iter, LogError,
    error::{CutOffSnafu, InvalidArgumentSnafu},
    log::Log,
    settled::GROUP,
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
    /// them meanwhile: they would be of two histories.
    pub fn get_many(&self, lsns: &[Lsn]) -> Result<Vec<Entry>, LogError> {
        let generation = self.engine().cuts.generation();
        let (mut settled, mut missing) = (Vec::with_capacity(lsns.len()), Vec::new());
        for lsns in lsns.chunks(GROUP) {
            self.engine().settled_group(lsns, &mut settled, &mut missing);
        }
        if missing.is_empty() && lsns.len() <= GROUP {
            return Ok(settled);
        }
        let found = if missing.is_empty() { settled } else { self.get_others(lsns, settled, missing)? };
        // What was appended behind a cut was not there before the cut could be seen here.
        let cut = self.engine().cuts.since(generation);
        match cut.and_then(|next| Some((next, lsns.iter().filter(|lsn| **lsn >= next).min()?))) {
            Some((next, lsn)) => CutOffSnafu { lsn: *lsn, next }.fail(),
            None => Ok(found),
        }
    }

    /// What was found, with what is `missing` in its places.
    #[cold]
    fn get_others(
        &self,
        lsns: &[Lsn],
        settled: Vec<Entry>,
        mut missing: Vec<usize>,
    ) -> Result<Vec<Entry>, LogError> {
        let mut found: Vec<Option<Entry>> = vec![None; lsns.len()];
        missing.sort_unstable_by_key(|at| lsns.get(*at));
        let mut entries = self.range(..);
        let mut last: Option<Entry> = None;
        for at in missing {
            let Some(lsn) = lsns.get(at).copied() else { continue };
            let entry = match last.take().filter(|entry| entry.lsn == lsn) {
                Some(entry) => entry,
                None => self.get_next(&mut entries, lsn)?,
            };
            if let Some(place) = found.get_mut(at) {
                *place = Some(entry.clone());
            }
            last = Some(entry);
        }
        let mut settled = settled.into_iter();
        Ok(found.into_iter().filter_map(|entry| entry.or_else(|| settled.next())).collect())
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
