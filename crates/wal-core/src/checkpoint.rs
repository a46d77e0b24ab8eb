//! Named places in the log, which a replay can begin and end at and which retention can be told to keep.

use snafu::ResultExt;
use wal_format::{Lsn, Metadata, MetadataRecord, Namespace};

use crate::{
    Durability, Log, LogError,
    error::{EncodingSnafu, NoSuchNameSnafu, OutOfRangeSnafu, TruncatedSnafu},
    metadata::{check_name, encode, text},
    stats::add,
};

/// A named place in the log: between two entries.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Its name.
    pub name: String,
    /// The LSN that came next when it was made: the entries before it are those that it covers.
    pub lsn: Lsn,
    /// Its number: greater than those of all checkpoints that were there when it was made.
    pub number: u64,
    /// When it was made, in nanoseconds since 1970.
    pub time: u64,
    /// Whether retention keeps the entries from here on.
    pub protected: bool,
}

/// How a checkpoint is to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointOptions {
    /// Where: before the entry with this LSN, which may be the next one. Default: at the end of the log.
    pub lsn: Option<Lsn>,
    /// Whether retention must keep the entries from here on. Default: no.
    pub protect: bool,
}

impl Log {
    /// Makes a checkpoint, or moves the one that has the name. On return it is durable, and so are the entries before
    /// it.
    ///
    /// # Errors
    ///
    /// [`LogError::OutOfRange`] and [`LogError::Truncated`] when there is no such place in the log; those of
    /// [`set_meta`](Self::set_meta).
    pub fn checkpoint(&self, name: &str, options: CheckpointOptions) -> Result<Checkpoint, LogError> {
        check_name(name)?;
        let mut made = None;
        self.change(Some(Durability::Durable), &mut |appender| {
            let lsn = options.lsn.unwrap_or(appender.next);
            if lsn > appender.next {
                return OutOfRangeSnafu { lsn, next: appender.next }.fail();
            }
            if lsn < appender.first_retained {
                return TruncatedSnafu { lsn, first: appender.first_retained }.fail();
            }
            let greatest = all(&appender.metadata)?.iter().map(|known| known.number).max().unwrap_or(0);
            let time = appender.time.max(self.engine().clock.now());
            let number = greatest.saturating_add(1);
            let value = wal_format::Checkpoint { lsn, number, time, protected: options.protect };
            made = Some(Checkpoint { name: name.to_owned(), lsn, number, time, protected: options.protect });
            encode(&record(name.as_bytes(), Some(&value.encode())))
        })?;
        add(&self.engine().stats.checkpoints, 1);
        made.map_or_else(|| NoSuchNameSnafu { what: "checkpoint", name }.fail(), Ok)
    }

    /// All checkpoints, by their place in the log, then by number.
    ///
    /// # Errors
    ///
    /// [`LogError::Poisoned`] when they are not certain after a failure; [`LogError::Encoding`] when one cannot be
    /// decoded.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>, LogError> {
        let mut all = self.engine().read_metadata(|appender| all(&appender.metadata))??;
        all.sort_by_key(|checkpoint| (checkpoint.lsn, checkpoint.number));
        Ok(all)
    }

    /// The checkpoint with a name.
    ///
    /// # Errors
    ///
    /// [`LogError::NoSuchName`] when there is none; those of [`checkpoints`](Self::checkpoints).
    pub fn find_checkpoint(&self, name: &str) -> Result<Checkpoint, LogError> {
        let found = self.checkpoints()?.into_iter().find(|checkpoint| checkpoint.name == name);
        found.map_or_else(|| NoSuchNameSnafu { what: "checkpoint", name }.fail(), Ok)
    }

    /// Deletes a checkpoint; durable on return. The entries stay.
    ///
    /// # Errors
    ///
    /// [`LogError::NoSuchName`] when there is none; those of [`set_meta`](Self::set_meta).
    pub fn delete_checkpoint(&self, name: &str) -> Result<(), LogError> {
        self.change(Some(Durability::Durable), &mut |appender| match appender
            .metadata
            .get(Namespace::CHECKPOINT, name.as_bytes())
        {
            Some(_) => encode(&record(name.as_bytes(), None)),
            None => NoSuchNameSnafu { what: "checkpoint", name }.fail(),
        })
    }
}

pub(crate) const fn record<'a>(name: &'a [u8], value: Option<&'a [u8]>) -> MetadataRecord<'a> {
    MetadataRecord { namespace: Namespace::CHECKPOINT, name, value }
}

/// The checkpoints in some metadata, by name.
pub(crate) fn all(metadata: &Metadata) -> Result<Vec<Checkpoint>, LogError> {
    named(metadata).map(|(_, checkpoint)| checkpoint).collect()
}

/// The same, with the bytes of their names.
pub(crate) fn named(metadata: &Metadata) -> impl Iterator<Item = (&[u8], Result<Checkpoint, LogError>)> {
    metadata.iter(Namespace::CHECKPOINT).map(|(name, value)| {
        let context = EncodingSnafu { operation: "read a checkpoint" };
        let decoded = wal_format::Checkpoint::decode(value).context(context);
        let checkpoint = decoded.map(|wal_format::Checkpoint { lsn, number, time, protected }| Checkpoint {
            name: text(name),
            lsn,
            number,
            time,
            protected,
        });
        (name, checkpoint)
    })
}

/// Deletes the checkpoints beyond a cut before `next`, and says which.
pub(crate) fn drop_beyond(metadata: &mut Metadata, next: Lsn) -> Vec<String> {
    let beyond = |value: &[u8]| wal_format::Checkpoint::decode(value).is_ok_and(|known| known.lsn > next);
    let names = metadata.iter(Namespace::CHECKPOINT).filter(|(_, value)| beyond(value));
    let names: Vec<Vec<u8>> = names.map(|(name, _)| name.to_vec()).collect();
    names.iter().for_each(|name| metadata.apply(&record(name, None)));
    names.iter().map(|name| text(name)).collect()
}
