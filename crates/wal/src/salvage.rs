//! Copying what is left of a damaged log into new ones.

use std::{
    io,
    ops::{ControlFlow, RangeInclusive},
    path::{Path, PathBuf},
    time::Duration,
};

use wal_core::{AppendOptions, Entry, LogError, Options, SalvageReport, SyncPolicy};
use wal_format::{Lsn, NewEntry};
use wal_segment::SegmentError;

use crate::{Batch, Error, Wal, WalBuilder, builder::url};

/// No entry of any log is longer.
const ENTRY_LEN_MAX: u32 = (1 << 30) - 1024;

/// What [`salvage`] found and wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// What was found, with the entries that are gone.
    pub report: SalvageReport,
    /// The logs that were written, oldest entries first.
    pub runs: Vec<SalvagedRun>,
}

/// Entries without a gap between them, in a log of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvagedRun {
    /// The directory of the log.
    pub dir: PathBuf,
    /// Its entries, which have the LSNs that they had.
    pub lsns: RangeInclusive<Lsn>,
}

/// Copies every entry of a damaged log that still verifies, and says exactly which are gone. The log itself is not
/// changed, and not locked: close its writer first.
///
/// A log has no holes, so every run of entries without a gap becomes a log of its own, in a directory inside of `to`
/// named after its first entry: entries keep their LSNs, kinds, terms, timestamps and batches. They get a new time of
/// appending, and lose the ids of transactions. A log without damage becomes one log.
///
/// # Errors
///
/// - [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when `to` is there and not empty.
/// - [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no log in `from`.
/// - [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when nothing can be read at all.
/// - [`ErrorKind::Io`](crate::ErrorKind::Io) when a file cannot be read: what cannot be read now is not lost.
///
/// What was written before an error stays.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let (from, to) = (dir.path().join("log"), dir.path().join("rescued"));
/// let wal = wal::Wal::open(&from)?;
/// wal.append("hello")?;
/// wal.close()?;
/// let salvaged = wal::salvage(&from, &to)?;
/// assert!(salvaged.report.damage.is_empty());
/// let copy = wal::Wal::open(&salvaged.runs[0].dir)?;
/// assert_eq!(copy.get(wal::Lsn::FIRST)?.payload, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn salvage(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Salvaged, Error> {
    Wal::builder(from).salvage_to(to)
}

/// [`salvage`], of a log that a builder was made for.
pub(crate) fn salvage_to(from: WalBuilder, to: &Path) -> Result<Salvaged, Error> {
    check_empty(to).map_err(Error::new)?;
    let mut runs = Runs { to: to.to_owned(), done: Vec::new(), current: None };
    let mut failed = None;
    let report = from.salvage(|entries| match runs.take(entries) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    runs.close()?;
    Ok(Salvaged { report, runs: runs.done })
}

#[expect(clippy::disallowed_methods, reason = "no log is concerned yet")]
fn check_empty(dir: &Path) -> Result<(), LogError> {
    if url(dir).is_some() {
        return Err(LogError::InvalidArgument { why: "salvage writes into a directory; `copy` takes a URL" });
    }
    match std::fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Ok(false) => Ok(()),
        Ok(true) => Err(LogError::InvalidArgument { why: "the directory to salvage to is not empty" }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => {
            let source = SegmentError::Io { operation: "list", path: dir.display().to_string(), source };
            Err(LogError::Segment { operation: "salvage", source })
        }
    }
}

/// The logs that are written.
struct Runs {
    to: PathBuf,
    done: Vec<SalvagedRun>,
    current: Option<(Wal, SalvagedRun)>,
}

impl Runs {
    fn take(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
        if self.current.as_ref().is_some_and(|(_, run)| run.lsns.end().next() != first.lsn) {
            self.close()?;
        }
        let (wal, run) = match &mut self.current {
            Some(current) => current,
            none => none.insert(begin(&self.to, first.lsn)?),
        };
        append(wal, entries)?;
        run.lsns = *run.lsns.start()..=last.lsn;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        if let Some((wal, run)) = self.current.take() {
            wal.close()?;
            self.done.push(run);
        }
        Ok(())
    }
}

fn begin(to: &Path, first: Lsn) -> Result<(Wal, SalvagedRun), Error> {
    let dir = to.join(format!("from-{:020}", first.get()));
    // Closing makes everything durable; until then nobody relies on it.
    let sync = SyncPolicy::Background { interval: Duration::from_secs(1) };
    let options = Options { sync, first_lsn: first, entry_len_max: ENTRY_LEN_MAX, ..Options::default() };
    let wal = Wal::builder(&dir).options(options).open()?;
    Ok((wal, SalvagedRun { dir, lsns: first..=first }))
}

fn append(wal: &Wal, entries: &[Entry]) -> Result<(), Error> {
    if let [entry] = entries {
        return wal.append_with(new_entry(entry), &AppendOptions::default()).map(drop);
    }
    let mut batch = Batch::new();
    entries.iter().try_for_each(|entry| batch.push_entry(new_entry(entry)))?;
    wal.append_batch(&batch).map(drop)
}

fn new_entry(entry: &Entry) -> NewEntry<'_> {
    NewEntry {
        kind: entry.kind,
        term: entry.term,
        timestamp: entry.timestamp,
        ..NewEntry::plain(&entry.payload)
    }
}
