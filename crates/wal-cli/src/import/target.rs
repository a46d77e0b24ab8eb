//! The new log.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use snafu::{OptionExt, ResultExt};
use wal::{AppendOptions, Batch, Lsn, NewEntry, Options, SyncPolicy, Wal};
use wal_import::{Entry, Event};

use super::{source::Source, tally::Counts};
use crate::{
    error::{Failure, FileSnafu, LeftoverSnafu, NotEmptySnafu, UrlSnafu, UsageSnafu},
    place::is_url,
};

/// The greatest that a log takes: what another program took is not refused for its size.
pub(super) const ENTRY_LEN_MAX: u32 = (1 << 30) - 1024;

/// A directory that is fit to become a log.
pub(super) struct Target {
    dir: PathBuf,
    /// What it is called until it is complete.
    partial: PathBuf,
}

impl Target {
    pub(super) fn check(dir: &Path) -> Result<Self, Failure> {
        if is_url(dir) {
            let why = "import into a directory, and copy that";
            return UrlSnafu { why }.fail();
        }
        let name = dir.file_name().context(UsageSnafu { what: "DIR must end in a name, not in a dot" })?;
        match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return NotEmptySnafu { dir }.fail(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Failure::File { operation: "list", path: dir.to_owned(), source }),
        }
        let mut partial = name.to_owned();
        partial.push(".partial");
        let partial = dir.with_file_name(partial);
        if fs::symlink_metadata(&partial).is_ok() {
            return LeftoverSnafu { partial }.fail();
        }
        Ok(Self { dir: dir.to_owned(), partial })
    }

    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives the log its name, durably.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        let Self { dir, partial } = self;
        match fs::remove_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::File { operation: "replace", path: dir.clone(), source: error });
            }
            _ => fs::rename(partial, dir).context(FileSnafu { operation: "rename", path: partial })?,
        }
        sync_parent(dir)
    }

    /// Removes what was written. That it is left when this fails is what its name says.
    pub(super) fn discard(&self) {
        let _ = fs::remove_dir_all(&self.partial);
    }

    /// Appends everything, and makes it durable.
    pub(super) fn write(self, source: &Source, first: Lsn) -> Result<Written, Failure> {
        let result = write(&self.partial, source, first);
        let written = Written { target: self, counts: Counts::default() };
        match result {
            Ok(counts) => Ok(Written { counts, ..written }),
            Err(failure) => {
                written.discard();
                Err(failure)
            }
        }
    }
}

fn write(dir: &Path, source: &Source, first: Lsn) -> Result<Counts, Failure> {
    // Closing makes everything durable; until then nobody relies on it.
    let sync = SyncPolicy::Background { interval: Duration::from_secs(1) };
    let options = Options { sync, first_lsn: first, entry_len_max: ENTRY_LEN_MAX, ..Options::default() };
    let mut writer = Writer {
        wal: Wal::builder(dir).options(options).open()?,
        counts: Counts::default(),
        batch: Batch::new(),
        transaction: None,
        payload: Vec::new(),
    };
    let mut last = None;
    source.read(|file, event| {
        if last.as_deref() != Some(file.name()) {
            writer.end_transaction()?;
            last = Some(file.name().to_owned());
        }
        match event {
            Event::Entry(entry) => writer.take(&entry),
            Event::Damage { .. } => writer.end_transaction(),
            Event::Checkpoint { number } => {
                writer.end_transaction()?;
                writer.wal.checkpoint(&checkpoint_name(number))?;
                Ok(())
            }
            _ => Ok(()),
        }
    })?;
    writer.end_transaction()?;
    writer.wal.close()?;
    Ok(writer.counts)
}

struct Writer {
    wal: Wal,
    counts: Counts,
    /// Entries of the transaction.
    batch: Batch,
    transaction: Option<Vec<u8>>,
    /// Kept for its memory.
    payload: Vec<u8>,
}

impl Writer {
    fn take(&mut self, entry: &Entry<'_>) -> Result<(), Failure> {
        if self.transaction.as_deref() != entry.transaction.as_deref() {
            self.end_transaction()?;
        }
        self.counts.add(entry);
        let payload = match entry.operation {
            Some(operation) => {
                let timestamp = entry.timestamp.unwrap_or(0);
                put_operation(operation.entity, operation.key, &entry.payload, timestamp, &mut self.payload);
                &self.payload
            }
            None => &*entry.payload,
        };
        let new = NewEntry {
            kind: entry.kind,
            term: entry.term.filter(|term| !is_reserved_term(*term)),
            timestamp: entry.timestamp.filter(|time| !is_reserved_time(*time)),
            ..NewEntry::plain(payload)
        };
        match entry.transaction.as_deref() {
            Some(name) => {
                self.batch.push_entry(new)?;
                self.transaction = Some(name.to_owned());
            }
            None => drop(self.wal.append_with(new, &AppendOptions::default())?),
        }
        Ok(())
    }

    fn end_transaction(&mut self) -> Result<(), Failure> {
        self.transaction = None;
        if !self.batch.is_empty() {
            self.wal.append_batch(&self.batch)?;
            self.batch.clear();
        }
        Ok(())
    }
}

/// What `wal::oplog` reads, which takes entities that are UTF-8; in the other log they may be any bytes.
fn put_operation(entity: &[u8], key: &[u8], data: &[u8], timestamp: i64, payload: &mut Vec<u8>) {
    payload.clear();
    payload.extend_from_slice(&[1, 0, 0, 0]);
    for part in [entity, key, data] {
        payload.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    payload.extend_from_slice(&timestamp.to_le_bytes());
    [entity, key, data].iter().for_each(|part| payload.extend_from_slice(part));
}

/// What a checkpoint is called that has a number in the other log.
pub(super) fn checkpoint_name(number: u64) -> String {
    format!("xwal-{number}")
}

/// Whether the entry has a term or a time that a log cannot store.
pub(super) fn is_reserved(entry: &Entry<'_>) -> bool {
    entry.term.is_some_and(is_reserved_term) || entry.timestamp.is_some_and(is_reserved_time)
}

const fn is_reserved_term(term: u64) -> bool {
    term == u64::MAX
}

const fn is_reserved_time(time: i64) -> bool {
    time == i64::MIN
}

/// A log that is complete and durable, under its first name.
pub(super) struct Written {
    target: Target,
    counts: Counts,
}

impl Written {
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn finish(self) -> Result<(), Failure> {
        self.target.finish()
    }

    pub(super) fn discard(self) {
        self.target.discard();
    }
}

#[cfg(unix)]
fn sync_parent(dir: &Path) -> Result<(), Failure> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = fs::File::open(parent).and_then(|parent| parent.sync_all());
    synced.context(FileSnafu { operation: "sync", path: parent })
}

/// There is no such thing.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as where there is")]
fn sync_parent(_: &Path) -> Result<(), Failure> {
    Ok(())
}
