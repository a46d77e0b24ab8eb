//! The proof: entry by entry against the lines.

use wal::{Entry, Lsn, Wal};

use super::{corpus::Corpus, crew, kill::Witness};
use crate::error::{DemoSnafu, Failure};

/// How many of its lines each thread has in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    counts: Vec<u64>,
}

impl Progress {
    fn none(threads: u64) -> Self {
        Self { counts: (0..threads).map(|_| 0).collect() }
    }

    /// All lines below `total`.
    pub(crate) fn complete(threads: u64, total: u64) -> Self {
        let count = |thread: u64| total.saturating_sub(thread).div_ceil(threads);
        Self { counts: (0..threads).map(count).collect() }
    }

    pub(crate) fn threads(&self) -> u64 {
        self.counts.len() as u64
    }

    pub(crate) fn entries(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The line that this thread appends next.
    pub(crate) fn next_line(&self, thread: u64) -> u64 {
        self.count(thread) * self.threads() + thread
    }

    /// The least number of lines that has no thread ahead of it.
    pub(crate) fn lines_needed(&self) -> u64 {
        let last =
            |thread: u64| self.count(thread).checked_sub(1).map(|rows| rows * self.threads() + thread + 1);
        (0..self.threads()).filter_map(last).max().unwrap_or(0)
    }

    fn count(&self, thread: u64) -> u64 {
        usize::try_from(thread).ok().and_then(|thread| self.counts.get(thread)).copied().unwrap_or(0)
    }

    fn count_mut(&mut self, thread: u8) -> Option<&mut u64> {
        self.counts.get_mut(usize::from(thread))
    }
}

/// The log holds, of every thread, its first lines in order: all that were acknowledged and at most the one that was
/// under way. Every acknowledged one is where it was said to be.
pub(crate) fn after_recovery(
    wal: &Wal,
    corpus: &Corpus,
    witness: &Witness,
    threads: u64,
) -> Result<Progress, Failure> {
    let mut acknowledged = Progress::none(threads);
    for ack in &witness.acks {
        let found = wal.get(ack.lsn)?;
        ensure(found.term == Some(ack.line) && found.payload == corpus.line(ack.line), || {
            format!("entry {} is not line {}, which was acknowledged with this lsn", ack.lsn, ack.line)
        })?;
        let thread = crew::thread_of(ack.line, threads);
        // Acknowledgements of one thread arrive in its order.
        ensure(ack.line == acknowledged.next_line(u64::from(thread)), || {
            format!("thread {thread} acknowledged line {} out of order", ack.line)
        })?;
        acknowledged.count_mut(thread).into_iter().for_each(|count| *count += 1);
    }
    let found = walk(wal, corpus, threads)?;
    for (thread, (found, told)) in found.counts.iter().zip(&acknowledged.counts).enumerate() {
        ensure(*found == *told || *found == told + 1, || {
            format!("thread {thread} acknowledged {told} lines, and the log holds {found}")
        })?;
    }
    Ok(found)
}

/// The log holds exactly these lines, read from the front.
pub(crate) fn forward(wal: &Wal, corpus: &Corpus, expected: &Progress) -> Result<(), Failure> {
    let found = walk(wal, corpus, expected.threads())?;
    ensure(found == *expected, || "entries are missing or too many, read forward".to_owned())
}

fn walk(wal: &Wal, corpus: &Corpus, threads: u64) -> Result<Progress, Failure> {
    let mut progress = Progress::none(threads);
    let mut lsn = Lsn::FIRST;
    for entry in wal.iter() {
        let entry = entry?;
        compare(&entry, lsn, progress.next_line(u64::from(entry.kind)), corpus)?;
        let count = progress.count_mut(entry.kind);
        ensure(count.is_some(), || format!("entry {lsn} is of a thread that does not exist"))?;
        count.into_iter().for_each(|count| *count += 1);
        lsn = lsn.next();
    }
    Ok(progress)
}

/// The log holds exactly these lines, read from the back.
pub(crate) fn backward(wal: &Wal, corpus: &Corpus, expected: &Progress) -> Result<(), Failure> {
    let mut left = expected.clone();
    let mut next = Lsn::FIRST.plus(expected.entries());
    for entry in wal.iter().rev() {
        let entry = entry?;
        let lsn = next.previous().unwrap_or(Lsn::FIRST);
        let count = left.count_mut(entry.kind).filter(|count| **count > 0);
        ensure(count.is_some(), || format!("entry {} is too many, read backward", entry.lsn))?;
        count.into_iter().for_each(|count| *count -= 1);
        compare(&entry, lsn, left.next_line(u64::from(entry.kind)), corpus)?;
        next = lsn;
    }
    ensure(left.entries() == 0, || "entries are missing, read backward".to_owned())
}

fn compare(entry: &Entry, lsn: Lsn, line: u64, corpus: &Corpus) -> Result<(), Failure> {
    ensure(entry.lsn == lsn, || format!("entry {} follows, where {lsn} is next", entry.lsn))?;
    ensure(entry.term == Some(line), || {
        format!("entry {lsn} is line {:?} of thread {}, whose next is {line}", entry.term, entry.kind)
    })?;
    ensure(entry.payload == corpus.line(line), || format!("entry {lsn} has not the bytes of line {line}"))
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { DemoSnafu { what: what() }.fail() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_dealt_out_to_threads() {
        let all = Progress::complete(3, 8);
        assert_eq!(all.counts, [3, 3, 2]);
        assert_eq!(all.entries(), 8);
        assert_eq!((0..3).map(|thread| all.next_line(thread)).collect::<Vec<_>>(), [9, 10, 8]);
        assert_eq!(all.lines_needed(), 8);
        assert_eq!(Progress::none(3).lines_needed(), 0);
        assert_eq!(Progress { counts: vec![0, 2, 1] }.lines_needed(), 5);
    }
}
