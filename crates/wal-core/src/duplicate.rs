//! A new log with the content of another one.

use std::sync::Arc;

use snafu::ResultExt;
use wal_format::{
    BODY_LEN_MAX, CursorPosition, LogId, Lsn, METADATA_LEN_MAX, Metadata, MetadataRecord, Namespace,
};
use wal_segment::Storage;

use crate::{
    AppendOptions, Durability, Entropy, Environment, Log, LogError, Options, Retention, SyncPolicy, WhenFull,
    appender::Appender,
    backup::check_empty,
    dictionary::adopt,
    error::{CutOffSnafu, EncodingSnafu, MissingLogSnafu, OutOfRangeSnafu, TruncatedSnafu},
    frames::check_records,
    patience::Patience,
};

/// What a clone holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloneReport {
    /// Its identity: new.
    pub id: LogId,
    /// The first entry in it; the same as `next` when there is none.
    pub first: Lsn,
    /// The LSN that comes next in it.
    pub next: Lsn,
    /// Frames that were copied.
    pub frames: u64,
}

impl Log {
    /// All that the log remembers besides its entries.
    ///
    /// # Errors
    ///
    /// [`LogError::Poisoned`] when it is not certain after a failure.
    pub fn metadata(&self) -> Result<Metadata, LogError> {
        self.engine().read_metadata(|appender| appender.metadata.clone())
    }

    /// Replaces all that the log remembers besides its entries, in one step; durable on return. For logs that are
    /// brought to the state of another one. Of dictionaries none is taken away, because frames may need it.
    ///
    /// # Errors
    ///
    /// [`LogError::OutOfRange`] for a checkpoint or a cursor beyond the next LSN; [`LogError::Encoding`] for one that
    /// cannot be decoded; [`LogError::Compression`] for a dictionary that has the id of another one here; those of
    /// [`set_meta`](Self::set_meta).
    pub fn replace_metadata(&self, metadata: &Metadata) -> Result<(), LogError> {
        self.change(Some(Durability::Durable), &mut |appender| {
            let mut records = difference(&appender.metadata, metadata)?;
            check_records(&records).context(EncodingSnafu { operation: "read the metadata" })?;
            check_places(metadata, appender)?;
            records.extend(adopt(&self.engine().payloads, &appender.metadata, metadata)?);
            Ok(records)
        })
    }

    /// Makes a log with an identity of its own in an empty storage, with the entries of this one, their LSNs, kinds,
    /// terms, timestamps, append times and transactions, and with its metadata; durable on return. Every frame is
    /// verified and decoded on the way, and stored as it is. Batches stay batches.
    ///
    /// What is in the log at the moment of the call is copied. Cutting off some of that meanwhile is an error, and so
    /// is trimming it where the copy has not come by yet. On a log that is open for reading it is one, too, when a
    /// writer came meanwhile and put copies in the place of what the one before it had left.
    ///
    /// # Errors
    ///
    /// [`LogError::NotEmpty`] when there are files in `target`; [`LogError::MissingLog`] when nothing was ever written;
    /// [`LogError::CutOff`] and [`LogError::Truncated`] as said above; those of reading and of appending. What is in
    /// `target` then is a log that lacks entries: remove it.
    pub fn clone_into(
        &self,
        target: Arc<dyn Storage>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<CloneReport, LogError> {
        let engine = self.engine();
        check_empty(&*target)?;
        if engine.view().segments.is_empty() {
            return MissingLogSnafu { location: engine.directory.storage().location() }.fail();
        }
        if engine.preparer.is_some() {
            self.sync()?;
        }
        let generation = engine.history().generation();
        let (metadata, first, next) = {
            // Settled, so that the next LSN is not inside a frame.
            let appender = engine.lock_settled(Patience::Endless)?;
            (appender.metadata.clone(), appender.first_retained, appender.next)
        };
        let codecs = engine.payloads.codecs().clone();
        let environment =
            Environment { clock: Arc::clone(&engine.clock), entropy, codecs, ..Environment::new(target) };
        let clone = Self::open(environment, options(&engine.options, first))?;
        let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
        // The frames need them.
        clone.change(Some(Durability::Buffered), &mut |appender| {
            adopt(&clone.engine().payloads, &appender.metadata, &metadata)
        })?;
        let entries = self.frames(first..next);
        // In this order: what is trimmed from here on is missed by the frames. An empty range misses nothing.
        let retained = engine.first_retained();
        if first < retained.min(next) {
            return TruncatedSnafu { lsn: first, first: retained }.fail();
        }
        let mut frames = 0;
        for frame in entries {
            clone.append_frame(&frame?, &buffered)?;
            frames += 1;
        }
        // The metadata is of the moment of the call, and so must all entries be.
        if let Some(cut) = engine.cut_since(generation).filter(|cut| *cut < next) {
            return CutOffSnafu { lsn: cut, next: cut }.fail();
        }
        if frames == 0 {
            // Otherwise nothing would say where it goes on.
            clone.reset(next)?;
        }
        clone.replace_metadata(&metadata)?;
        let id = clone.id().unwrap_or(LogId([0; 16]));
        clone.close()?;
        Ok(CloneReport { id, first, next, frames })
    }
}

/// Whatever the other log took is taken again, and nothing is synced before the end.
fn options(of: &Options, first_lsn: Lsn) -> Options {
    Options {
        first_lsn,
        sync: SyncPolicy::Always,
        background_threads: false,
        entry_len_max: BODY_LEN_MAX - 1024,
        metadata_len_max: METADATA_LEN_MAX,
        // There is nobody but the one who copies to make room in the buffer.
        when_full: WhenFull::Block,
        // What is to go goes when the clone is used.
        retention: Retention::default(),
        ..of.clone()
    }
}

/// The records that make `after` of `before`, but for dictionaries.
fn difference(before: &Metadata, after: &Metadata) -> Result<Vec<u8>, LogError> {
    let mut records = Vec::new();
    let context = EncodingSnafu { operation: "encode the metadata" };
    let is_own = |record: &MetadataRecord<'_>| record.namespace == Namespace::DICTIONARY;
    for record in before
        .records()
        .filter(|record| !is_own(record) && after.get(record.namespace, record.name).is_none())
    {
        MetadataRecord { value: None, ..record }.encode(&mut records).context(context)?;
    }
    let is_new = |record: &MetadataRecord<'_>| before.get(record.namespace, record.name) != record.value;
    for record in after.records().filter(|record| !is_own(record) && is_new(record)) {
        record.encode(&mut records).context(context)?;
    }
    Ok(records)
}

fn check_places(metadata: &Metadata, appender: &Appender) -> Result<(), LogError> {
    let checkpoints = metadata
        .iter(Namespace::CHECKPOINT)
        .filter_map(|(_, value)| wal_format::Checkpoint::decode(value).ok().map(|checkpoint| checkpoint.lsn));
    let cursors = metadata.iter(Namespace::CURSOR);
    let cursors =
        cursors.filter_map(|(_, value)| CursorPosition::decode(value).ok().map(|cursor| cursor.next));
    match checkpoints.chain(cursors).find(|lsn| *lsn > appender.next) {
        Some(lsn) => OutOfRangeSnafu { lsn, next: appender.next }.fail(),
        None => Ok(()),
    }
}
