//! What the log remembers besides its entries: small named values that are changed in order with the entries, survive
//! truncation, and are carried by every opening.

use snafu::ResultExt;
use wal_format::{FrameKind, MetadataRecord, Namespace};

use crate::{
    Durability, Log, LogError,
    append::Stamped,
    appender::{Admitted, Appender, Draft, Reserve},
    engine::Engine,
    error::{EncodingSnafu, InvalidArgumentSnafu, MetadataUnconfirmedSnafu},
    patience::{Patience, Terms},
};

/// Bodies of metadata frames up to this length may use the reserve of a segment.
pub(crate) const SMALL: usize = 512;
/// Greatest length of a name in bytes.
const NAME_LEN_MAX: usize = 255;

impl Engine {
    /// Changes the metadata by the records that `decide` makes of the state under the lock. None change nothing: then
    /// the changes before are what is to be as durable as asked.
    pub(crate) fn change_metadata(
        &self,
        durability: Durability,
        decide: &mut dyn FnMut(&Appender) -> Result<Vec<u8>, LogError>,
    ) -> Result<(), LogError> {
        let now = self.clock.now();
        let terms = Terms { durability, when_full: self.options.when_full, ..Terms::PLAIN };
        let mut until = None;
        let stamped = loop {
            let appender = self.lock_settled(Patience::Endless)?;
            let Some(appender) = self.admitted(appender, &terms, Reserve::Keep, &mut until)? else {
                continue;
            };
            let body = decide(&appender)?;
            if body.is_empty() {
                break Stamped::at(appender.next, appender.metadata_tick);
            }
            let admitted = appender.admit(&body, self.options.metadata_len_max)?;
            let reserve = if body.len() <= SMALL { Reserve::Small } else { Reserve::Keep };
            let draft = Draft::control(FrameKind::Metadata, &body, self.options.checksum);
            let room = self.with_room(appender, (body.len(), 0), reserve, Patience::Endless, now)?;
            if let Some(mut appender) = room {
                let stamped = self.stamp(&mut appender, &draft, now);
                self.change(&mut appender, admitted);
                break stamped;
            }
        };
        self.wake_driver(stamped.begins_interval());
        self.carry_through(&stamped, &terms).context(MetadataUnconfirmedSnafu)
    }

    /// Carries out a change whose frame has just been stamped. Frames that come later may need a dictionary in it.
    pub(crate) fn change(&self, appender: &mut Appender, admitted: Admitted<'_>) {
        appender.change(admitted);
        if admitted.has(Namespace::DICTIONARY) {
            self.payloads.learn(&appender.metadata);
        }
    }

    /// Reads the metadata. After a failure, what is not durable is not certain.
    pub(crate) fn read_metadata<T>(&self, read: impl FnOnce(&Appender) -> T) -> Result<T, LogError> {
        let appender = self.appender.lock();
        if appender.metadata_tick > self.marks.durable()
            && let Some(error) = self.poisoned()
        {
            return Err(error);
        }
        Ok(read(&appender))
    }
}

impl Log {
    /// Sets or deletes (`None`) a value of the user's. Takes its place among the appends, and is as durable as asked,
    /// or as the policy says.
    ///
    /// # Errors
    ///
    /// [`LogError::MetadataFull`]; [`LogError::InvalidArgument`] for a name that is empty or longer than 255 bytes;
    /// those of [`append`](Self::append). After [`LogError::MetadataUnconfirmed`] the change may be there or not.
    pub fn set_meta(
        &self,
        name: &str,
        value: Option<&[u8]>,
        durability: Option<Durability>,
    ) -> Result<(), LogError> {
        let body = user_value(name, value)?;
        self.change(durability, &mut |appender| {
            let before = appender.metadata.get(Namespace::USER, name.as_bytes());
            // There is nothing to delete.
            Ok(if before.is_none() && value.is_none() { Vec::new() } else { body.clone() })
        })
    }

    /// A value of the user's, as it was set last.
    ///
    /// # Errors
    ///
    /// [`LogError::Poisoned`] when it was set and is not certain after a failure.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, LogError> {
        let get =
            |appender: &Appender| appender.metadata.get(Namespace::USER, name.as_bytes()).map(<[u8]>::to_vec);
        self.engine().read_metadata(get)
    }

    /// The names of all values of the user's, in ascending order.
    ///
    /// # Errors
    ///
    /// Those of [`meta`](Self::meta).
    pub fn meta_names(&self) -> Result<Vec<String>, LogError> {
        self.engine().read_metadata(|appender| {
            appender.metadata.iter(Namespace::USER).map(|(name, _)| text(name)).collect()
        })
    }

    /// Changes the metadata by the log's threads' rules.
    pub(crate) fn change(
        &self,
        durability: Option<Durability>,
        decide: &mut dyn FnMut(&Appender) -> Result<Vec<u8>, LogError>,
    ) -> Result<(), LogError> {
        self.start_threads()?;
        let durability = durability.unwrap_or_else(|| self.engine().options.sync.into());
        self.engine().change_metadata(durability, decide).inspect_err(|_| self.tell())
    }
}

/// The record that sets or deletes (`None`) a value of the user's, for a batch.
///
/// # Errors
///
/// [`LogError::InvalidArgument`] for a name that is empty or longer than 255 bytes; [`LogError::Encoding`] for a value
/// longer than 1 MiB.
pub fn user_value(name: &str, value: Option<&[u8]>) -> Result<Vec<u8>, LogError> {
    check_name(name)?;
    encode(&MetadataRecord { namespace: Namespace::USER, name: name.as_bytes(), value })
}

/// The bytes of one change.
pub(crate) fn encode(record: &MetadataRecord<'_>) -> Result<Vec<u8>, LogError> {
    let mut body = Vec::with_capacity(record.encoded_len());
    record.encode(&mut body).context(EncodingSnafu { operation: "encode a change of the metadata" })?;
    Ok(body)
}

pub(crate) fn check_name(name: &str) -> Result<(), LogError> {
    if name.is_empty() || name.len() > NAME_LEN_MAX {
        return InvalidArgumentSnafu { why: "a name must be 1 to 255 bytes long" }.fail();
    }
    Ok(())
}

/// A name as text. Those that this log gave are; another program's may not be.
pub(crate) fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
