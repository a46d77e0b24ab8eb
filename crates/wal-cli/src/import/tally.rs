//! What is in the other log: counted, and told.

use std::{collections::BTreeMap, path::Path};

use wal::Lsn;
use wal_import::{Entry, Event, SourceFile};

use super::{
    source::Source,
    target::{checkpoint_name, is_reserved},
};
use crate::{
    error::{Failure, tell},
    output::Output,
    size,
};

/// LSNs that stay free above the imported ones; a log that begins beyond has ids that nobody counted up to.
const LSNS_FREE_MIN: u64 = 1 << 32;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Counts,
    files: BTreeMap<String, u64>,
    /// Ids that follow each other, in the order of the log.
    runs: Vec<Run>,
    checkpoints: Vec<Checkpoint>,
    damaged: u64,
    transactions: u64,
    /// That of the last entry, and the file it is in.
    transaction: Option<(String, Vec<u8>)>,
    reserved: u64,
}

/// What both readings must agree on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) entries: u64,
    pub(super) payload_bytes: u64,
}

impl Counts {
    pub(super) fn add(&mut self, entry: &Entry<'_>) {
        self.entries += 1;
        self.payload_bytes += u64::try_from(entry.payload.len()).unwrap_or(u64::MAX);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: u64,
    last: u64,
    /// Entries before it.
    before: u64,
}

/// A cut that has a number, and how many entries lie before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Checkpoint {
    number: u64,
    before: u64,
}

impl Tally {
    /// Counts one thing, and tells what is wrong with it.
    pub(super) fn take(&mut self, src: &Path, file: &SourceFile, event: Event<'_>) {
        let path = src.join(file.name());
        let path = path.display();
        match event {
            Event::Entry(entry) => self.count(file, &entry),
            Event::Gap { offset, previous, next } => {
                tell(&format!("note: {path} at offset {offset}: id {next} follows {previous}"));
            }
            Event::Damage { offset, len, flaw } => {
                self.damaged += 1;
                tell(&format!("damage: {path} at offset {offset}: {len} bytes cannot be read: {flaw}"));
            }
            Event::TornTail { offset, len } => tell(&format!(
                "note: {path} at offset {offset}: a torn write at the end, {len} bytes, is left out"
            )),
            Event::DoubtfulTransaction { transaction, offset } => {
                let name = String::from_utf8_lossy(&transaction);
                tell(&format!(
                    "note: {path} at offset {offset}: transaction {name} may lack entries; those that are there count"
                ));
            }
            Event::Checkpoint { number } => {
                self.checkpoints.push(Checkpoint { number, before: self.counts.entries });
            }
            _ => {}
        }
    }

    fn count(&mut self, file: &SourceFile, entry: &Entry<'_>) {
        let before = self.counts.entries;
        self.counts.add(entry);
        *self.files.entry(file.name().to_owned()).or_default() += 1;
        self.reserved += u64::from(is_reserved(entry));
        if let Some(id) = entry.id {
            match self.runs.last_mut() {
                Some(run) if run.last.checked_add(1) == Some(id) => run.last = id,
                _ => self.runs.push(Run { first: id, last: id, before }),
            }
        }
        let name = entry.transaction.as_deref();
        let last = self.transaction.as_ref().map(|(file, name)| (file.as_str(), name.as_slice()));
        if name.is_some() && last != name.map(|name| (file.name(), name)) {
            self.transactions += 1;
        }
        self.transaction = name.map(|name| (file.name().to_owned(), name.to_vec()));
    }

    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Places that cannot be read, a torn end aside.
    pub(super) const fn damaged(&self) -> u64 {
        self.damaged
    }

    /// The first id, if ids only grow: then those before the first gap are LSNs unchanged.
    pub(super) fn first_lsn(&self) -> Lsn {
        let grows = self.runs.array_windows().all(|[one, next]| one.last < next.first);
        let first = self.runs.first().map(|run| run.first).filter(|_| grows);
        let fits = |first: &u64| {
            let end = first.checked_add(self.counts.entries).and_then(|end| end.checked_add(LSNS_FREE_MIN));
            end.is_some()
        };
        first.filter(fits).and_then(Lsn::new).unwrap_or(Lsn::FIRST)
    }

    /// What became of it, or would.
    pub(super) fn print(&self, source: &Source, done: &str, out: &mut Output) -> Result<(), Failure> {
        let first = self.first_lsn();
        let files = source.plan().files();
        for file in files {
            let entries = self.files.get(file.name()).copied().unwrap_or(0);
            out.line(format_args!("{}: {entries} entries", file.name()))?;
        }
        for run in &self.runs {
            let lsn = first.plus(run.before);
            let last = lsn.plus(run.last - run.first);
            out.line(format_args!("ids {} to {}: LSN {lsn} to {last}", run.first, run.last))?;
        }
        for checkpoint in &self.checkpoints {
            let Checkpoint { number, before } = checkpoint;
            let (lsn, name) = (first.plus(*before), checkpoint_name(*number));
            out.line(format_args!("checkpoint {number}, before LSN {lsn}: {name}"))?;
        }
        if self.transactions > 0 {
            let transactions = self.transactions;
            out.line(format_args!("{transactions} transactions: each one batch, their names are not kept"))?;
        }
        if self.reserved > 0 {
            tell(&format!(
                "note: {} entries have a term or a time that is reserved; it is left out",
                self.reserved
            ));
        }
        if self.damaged > 0 {
            tell(&format!("note: {} damaged places were passed over", self.damaged));
        }
        let Counts { entries, payload_bytes } = self.counts;
        let (bytes, files) = (size::human(payload_bytes), files.len());
        let ignored = source.plan().ignored().len();
        out.line(format_args!(
            "{entries} entries, {bytes} of payload, from {files} files {done}; {ignored} other files left alone"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ids: &[u64], want: u64) {
        let mut tally = Tally::default();
        for id in ids {
            tally.counts.entries += 1;
            tally.runs.push(Run { first: *id, last: *id, before: 0 });
        }
        assert_eq!(tally.first_lsn().get(), want, "{ids:?}");
    }

    #[test]
    fn the_first_id_becomes_the_first_lsn_where_it_can() {
        check(&[], 1);
        check(&[25, 30], 25);
        check(&[25, 1, 2], 1);
        check(&[7, 7], 1);
        check(&[0, 5], 1);
        check(&[u64::MAX], 1);
    }
}
