//! Durable positions of consumers. Retention does not pass them unless it is told how far it may.

use snafu::ResultExt;
use wal_format::{CursorPosition, Lsn, Metadata, MetadataRecord, Namespace};

use crate::{
    Durability, Log, LogError,
    appender::Appender,
    error::{EncodingSnafu, NoSuchNameSnafu, OutOfRangeSnafu},
    metadata::{check_name, encode, text},
};

/// Where a consumer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CursorInfo {
    /// Its name.
    pub name: String,
    /// The first entry that it has not acknowledged. Before the first entry of the log when that is gone already.
    pub next: Lsn,
    /// When it was moved last, in nanoseconds since 1970.
    pub time: u64,
    /// Entries in the log that it has not acknowledged.
    pub lag: u64,
}

impl Log {
    /// Makes a cursor before the entry `at`, or at the first entry of the log, unless there is one of the name. Durable
    /// on return. Says where the cursor stands.
    ///
    /// # Errors
    ///
    /// [`LogError::OutOfRange`] when `at` is beyond the next LSN; those of [`set_meta`](Self::set_meta).
    pub fn create_cursor(&self, name: &str, at: Option<Lsn>) -> Result<Lsn, LogError> {
        check_name(name)?;
        let mut stands = None;
        self.change(Some(Durability::Durable), &mut |appender| {
            if let Some(position) = position(&appender.metadata, name)? {
                stands = Some(position.next);
                return Ok(Vec::new());
            }
            let next = at.unwrap_or(appender.first_retained);
            stands = Some(next);
            self.moved(appender, name, next)
        })?;
        stands.map_or_else(|| NoSuchNameSnafu { what: "cursor", name }.fail(), Ok)
    }

    /// Where a cursor stands: the first entry that it has not acknowledged.
    ///
    /// # Errors
    ///
    /// [`LogError::NoSuchName`] when there is no such cursor; [`LogError::Poisoned`] when it is not certain after a
    /// failure.
    pub fn cursor(&self, name: &str) -> Result<Lsn, LogError> {
        let found = self.engine().read_metadata(|appender| position(&appender.metadata, name))??;
        found.map_or_else(|| NoSuchNameSnafu { what: "cursor", name }.fail(), |found| Ok(found.next))
    }

    /// All cursors, by name.
    ///
    /// # Errors
    ///
    /// [`LogError::Poisoned`] when they are not certain after a failure; [`LogError::Encoding`] when one cannot be
    /// decoded.
    pub fn cursors(&self) -> Result<Vec<CursorInfo>, LogError> {
        self.engine().read_metadata(all)?
    }

    /// Moves a cursor behind the entry `through`: it and those before are done with. A cursor that stands further stays
    /// there. As durable as asked, or as the policy says.
    ///
    /// # Errors
    ///
    /// [`LogError::NoSuchName`] when there is no such cursor, [`LogError::OutOfRange`] when the entry is not in the log
    /// yet; those of [`set_meta`](Self::set_meta).
    pub fn acknowledge(
        &self,
        name: &str,
        through: Lsn,
        durability: Option<Durability>,
    ) -> Result<(), LogError> {
        self.change(durability, &mut |appender| {
            let Some(position) = position(&appender.metadata, name)? else {
                return NoSuchNameSnafu { what: "cursor", name }.fail();
            };
            if through >= appender.next {
                return OutOfRangeSnafu { lsn: through, next: appender.next }.fail();
            }
            if through < position.next { Ok(Vec::new()) } else { self.moved(appender, name, through.next()) }
        })
    }

    /// Puts a cursor before the entry `next`, wherever it stood. As durable as asked, or as the policy says.
    ///
    /// # Errors
    ///
    /// Those of [`acknowledge`](Self::acknowledge).
    pub fn move_cursor(&self, name: &str, next: Lsn, durability: Option<Durability>) -> Result<(), LogError> {
        self.change(durability, &mut |appender| match position(&appender.metadata, name)? {
            Some(_) => self.moved(appender, name, next),
            None => NoSuchNameSnafu { what: "cursor", name }.fail(),
        })
    }

    /// Deletes a cursor; durable on return.
    ///
    /// # Errors
    ///
    /// [`LogError::NoSuchName`] when there is none; those of [`set_meta`](Self::set_meta).
    pub fn delete_cursor(&self, name: &str) -> Result<(), LogError> {
        self.change(Some(Durability::Durable), &mut |appender| match appender
            .metadata
            .get(Namespace::CURSOR, name.as_bytes())
        {
            Some(_) => encode(&record(name.as_bytes(), None)),
            None => NoSuchNameSnafu { what: "cursor", name }.fail(),
        })
    }

    fn moved(&self, appender: &Appender, name: &str, next: Lsn) -> Result<Vec<u8>, LogError> {
        if next > appender.next {
            return OutOfRangeSnafu { lsn: next, next: appender.next }.fail();
        }
        let time = appender.time.max(self.engine().clock.now());
        encode(&record(name.as_bytes(), Some(&CursorPosition { next, time }.encode())))
    }
}

const fn record<'a>(name: &'a [u8], value: Option<&'a [u8]>) -> MetadataRecord<'a> {
    MetadataRecord { namespace: Namespace::CURSOR, name, value }
}

fn decode(value: &[u8]) -> Result<CursorPosition, LogError> {
    CursorPosition::decode(value).context(EncodingSnafu { operation: "read a cursor" })
}

fn position(metadata: &Metadata, name: &str) -> Result<Option<CursorPosition>, LogError> {
    metadata.get(Namespace::CURSOR, name.as_bytes()).map(decode).transpose()
}

/// The cursors of a log, by name.
pub(crate) fn all(appender: &Appender) -> Result<Vec<CursorInfo>, LogError> {
    let info = |(name, value)| {
        let CursorPosition { next, time } = decode(value)?;
        let lag = appender.next.since(next.max(appender.first_retained)).unwrap_or(0);
        Ok(CursorInfo { name: text(name), next, time, lag })
    };
    appender.metadata.iter(Namespace::CURSOR).map(info).collect()
}

/// Sets the cursors beyond a cut before `next` to it, and says which.
pub(crate) fn clamp_beyond(metadata: &mut Metadata, next: Lsn) -> Vec<String> {
    let beyond = |value: &[u8]| CursorPosition::decode(value).is_ok_and(|position| position.next > next);
    let names = metadata.iter(Namespace::CURSOR).filter(|(_, value)| beyond(value));
    let clamped: Vec<(Vec<u8>, u64)> = names
        .map(|(name, value)| {
            (name.to_vec(), CursorPosition::decode(value).map_or(0, |position| position.time))
        })
        .collect();
    for (name, time) in &clamped {
        metadata.apply(&record(name, Some(&CursorPosition { next, time: *time }.encode())));
    }
    clamped.iter().map(|(name, _)| text(name)).collect()
}
