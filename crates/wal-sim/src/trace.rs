//! What was done to a disk, in order.

use std::{fmt, io, ops::Range, sync::Arc};

/// One line of the [trace](crate::SimDisk::trace).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// For an operation its number; for anything else the number of the next operation.
    pub operation: u64,
    /// What happened.
    pub event: Event,
    /// How it ended.
    pub outcome: Outcome,
}

/// What happened to a disk. All but the last few are operations, and have numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A file was created.
    Create(Arc<str>),
    /// A file was renamed.
    Rename {
        /// Its old name.
        from: Arc<str>,
        /// Its new name.
        to: Arc<str>,
    },
    /// A name was removed.
    Remove(Arc<str>),
    /// Names were synced.
    SyncNames,
    /// Bytes were written.
    Write(Arc<str>, Range<u64>),
    /// Space was reserved, up to this length.
    Reserve(Arc<str>, u64),
    /// Space was given back.
    Punch(Arc<str>, Range<u64>),
    /// A file was synced.
    Sync(Arc<str>),
    /// A read went wrong as planned. Other reads are not recorded. No operation.
    BadRead(Arc<str>, Range<u64>),
    /// The medium failed to begin a write as planned. Other calls of `write_back` are not recorded. No operation.
    BadWriteBack(Arc<str>, Range<u64>),
    /// A process started. No operation.
    Start,
    /// The process was killed. No operation.
    Kill,
    /// The power was cut. No operation.
    PowerCut,
    /// The medium was damaged from outside. No operation.
    Damage(Arc<str>),
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Done,
    /// With an error of this kind.
    Failed(io::ErrorKind),
    /// The process died at it.
    Died,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6} {}", self.operation, self.event)?;
        match self.outcome {
            Outcome::Done => Ok(()),
            Outcome::Failed(kind) => write!(f, ": {kind}"),
            Outcome::Died => f.write_str(": died"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(name) => write!(f, "create {name}"),
            Self::Rename { from, to } => write!(f, "rename {from} to {to}"),
            Self::Remove(name) => write!(f, "remove {name}"),
            Self::SyncNames => f.write_str("sync names"),
            Self::Write(name, range) => write!(f, "write {name} {range:?}"),
            Self::Reserve(name, len) => write!(f, "reserve {name} {len}"),
            Self::Punch(name, range) => write!(f, "punch {name} {range:?}"),
            Self::Sync(name) => write!(f, "sync {name}"),
            Self::BadRead(name, range) => write!(f, "bad read {name} {range:?}"),
            Self::BadWriteBack(name, range) => write!(f, "bad write back {name} {range:?}"),
            Self::Start => f.write_str("start"),
            Self::Kill => f.write_str("kill"),
            Self::PowerCut => f.write_str("power cut"),
            Self::Damage(name) => write!(f, "damage {name}"),
        }
    }
}

/// A growing list of records whose beginning several disks share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    before: Option<Arc<Self>>,
    records: Vec<Record>,
}

impl Trace {
    pub(crate) fn push(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Makes a clone cheap.
    pub(crate) fn settle(&mut self) {
        if !self.records.is_empty() {
            self.before = Some(Arc::new(std::mem::take(self)));
        }
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        let mut parts = vec![&self.records];
        let mut before = &self.before;
        while let Some(part) = before {
            parts.push(&part.records);
            before = &part.before;
        }
        parts.into_iter().rev().flatten().cloned().collect()
    }
}
