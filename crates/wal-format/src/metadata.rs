//! What a log remembers besides its entries: small named values, carried whole by every opening frame and changed by
//! records in control frames and batches.
//!
//! ```text
//!  0 | op u8 | namespace u8 | name length u16 | value length u32 | name | value |     records back to back
//! ```

mod values;

use alloc::{collections::BTreeMap, vec::Vec};

pub use values::{Checkpoint, CursorPosition};

use crate::{
    DecodeError,
    layout::{METADATA_LEN_MAX, METADATA_NAME_LEN_MAX},
    le::Fields,
};

const SET: u8 = 1;
const DELETE: u8 = 2;
const RECORD_FIXED_LEN: usize = 8;

/// Which part of a log's metadata a name belongs to. Numbers without a constant are kept and carried on unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(pub u8);

impl Namespace {
    /// Named cuts of the log.
    pub const CHECKPOINT: Self = Self(1);
    /// Positions of consumers.
    pub const CURSOR: Self = Self(2);
    /// The user's own values.
    pub const USER: Self = Self(3);
    /// Compression dictionaries.
    pub const DICTIONARY: Self = Self(4);
}

/// One change of metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataRecord<'a> {
    /// Which part.
    pub namespace: Namespace,
    /// The name, at most 65,535 bytes.
    pub name: &'a [u8],
    /// The new value; `None` deletes the name.
    pub value: Option<&'a [u8]>,
}

impl MetadataRecord<'_> {
    /// Length of the record in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        RECORD_FIXED_LEN.saturating_add(self.name.len()).saturating_add(self.value.map_or(0, <[u8]>::len))
    }

    /// Appends the record to `out`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Invalid`] when name or value are longer than the format allows.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let value = self.value.unwrap_or(&[]);
        let name_len = u16::try_from(self.name.len()).map_err(|_| DecodeError::Invalid {
            what: "the name length",
            value: METADATA_NAME_LEN_MAX as u64,
        })?;
        let value_len = u32::try_from(value.len())
            .ok()
            .filter(|len| *len as usize <= METADATA_LEN_MAX)
            .ok_or(DecodeError::Invalid { what: "the value length", value: value.len() as u64 })?;
        out.push(if self.value.is_some() { SET } else { DELETE });
        out.push(self.namespace.0);
        out.extend_from_slice(&name_len.to_le_bytes());
        out.extend_from_slice(&value_len.to_le_bytes());
        out.extend_from_slice(self.name);
        out.extend_from_slice(value);
        Ok(())
    }
}

/// Reads records back to back. After an error there are no more.
#[derive(Clone, Copy, Debug)]
pub struct MetadataRecords<'a> {
    fields: Fields<'a>,
}

impl<'a> MetadataRecords<'a> {
    /// The records in `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { fields: Fields::new(bytes) }
    }

    fn record(&mut self) -> Option<Result<MetadataRecord<'a>, DecodeError>> {
        let op = self.fields.u8()?;
        let namespace = Namespace(self.fields.u8()?);
        let name_len = self.fields.u16()?;
        let value_len = self.fields.u32()?;
        let name = self.fields.bytes(usize::from(name_len))?;
        let value = self.fields.bytes(value_len as usize)?;
        match op {
            SET => Some(Ok(MetadataRecord { namespace, name, value: Some(value) })),
            DELETE if value.is_empty() => Some(Ok(MetadataRecord { namespace, name, value: None })),
            _ => Some(Err(DecodeError::Invalid { what: "a metadata operation", value: u64::from(op) })),
        }
    }
}

impl<'a> Iterator for MetadataRecords<'a> {
    type Item = Result<MetadataRecord<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let have = self.fields.rest().len();
        if have == 0 {
            return None;
        }
        let short = DecodeError::Short { needed: have.saturating_add(1), have };
        let record = self.record().unwrap_or(Err(short));
        if record.is_err() {
            self.fields = Fields::new(&[]);
        }
        Some(record)
    }
}

/// All metadata of a log at one place: names with their values, ordered.
///
/// ```
/// use wal_format::{Metadata, MetadataRecord, Namespace};
/// let mut metadata = Metadata::default();
/// metadata.apply(&MetadataRecord { namespace: Namespace::USER, name: b"vote", value: Some(b"7") });
/// assert_eq!(metadata.get(Namespace::USER, b"vote"), Some(b"7".as_slice()));
///
/// let mut bytes = Vec::new();
/// metadata.encode(&mut bytes)?;
/// assert_eq!(Metadata::decode(&bytes)?, metadata);
/// # Ok::<(), wal_format::DecodeError>(())
/// ```
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The number of the namespace and the name behind it: one tree, because each kind of tree is a lot of code.
    values: BTreeMap<Vec<u8>, Vec<u8>>,
}

// Not derived, because what is derived is compiled anew in every crate that clones, the tree with it.
impl Clone for Metadata {
    fn clone(&self) -> Self {
        Self { values: self.values.clone() }
    }
}

impl Metadata {
    /// The value of a name.
    #[must_use]
    pub fn get(&self, namespace: Namespace, name: &[u8]) -> Option<&[u8]> {
        self.values.get(&key(namespace, name)).map(Vec::as_slice)
    }

    /// Names and values of one part, ordered by name.
    pub fn iter(&self, namespace: Namespace) -> impl Iterator<Item = (&[u8], &[u8])> {
        let records = self.records().filter(move |record| record.namespace == namespace);
        records.filter_map(|record| Some((record.name, record.value?)))
    }

    /// Carries a change out. Applying the same change twice is the same as once.
    pub fn apply(&mut self, record: &MetadataRecord<'_>) {
        let key = key(record.namespace, record.name);
        match record.value {
            Some(value) => self.values.insert(key, value.to_vec()),
            None => self.values.remove(&key),
        };
    }

    /// Length of the encoding after the changes in `records`, in bytes, without carrying them out.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] at the first record that cannot be read.
    pub fn encoded_len_after(&self, records: &[u8]) -> Result<usize, DecodeError> {
        let mut changes = MetadataRecords::new(records);
        let Some(first) = changes.next().transpose()? else { return Ok(self.encoded_len()) };
        if changes.next().is_none() {
            let len =
                |value: &[u8]| RECORD_FIXED_LEN.saturating_add(first.name.len()).saturating_add(value.len());
            let before = self.get(first.namespace, first.name).map_or(0, len);
            return Ok(self.encoded_len().saturating_sub(before).saturating_add(first.value.map_or(0, len)));
        }
        let mut after = self.clone();
        after.apply_all(records)?;
        Ok(after.encoded_len())
    }

    /// Carries out all changes in `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] at the first record that cannot be read; those before it have been applied.
    pub fn apply_all(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        MetadataRecords::new(bytes).try_for_each(|record| {
            self.apply(&record?);
            Ok(())
        })
    }

    /// Length of the encoding in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.records().map(|record| record.encoded_len()).fold(0, usize::saturating_add)
    }

    /// Appends the encoding: one record a name.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Invalid`] when a name or value is longer than the format allows.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        self.records().try_for_each(|record| record.encode(out))
    }

    /// Reads an encoding back.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when it cannot be read.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut metadata = Self::default();
        metadata.apply_all(bytes)?;
        Ok(metadata)
    }

    /// What makes this of nothing: one record a name, ordered by namespace, then by name.
    pub fn records(&self) -> impl Iterator<Item = MetadataRecord<'_>> {
        self.values.iter().filter_map(|(key, value)| {
            let (namespace, name) = key.split_first()?;
            Some(MetadataRecord { namespace: Namespace(*namespace), name, value: Some(value) })
        })
    }
}

/// Keys are ordered by namespace, then by name.
fn key(namespace: Namespace, name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len().saturating_add(1));
    key.push(namespace.0);
    key.extend_from_slice(name);
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hostile_records_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(metadata) = Metadata::decode(&bytes) {
                prop_assert!(metadata.encoded_len() <= bytes.len());
            }
        }

        #[test]
        fn metadata_survives_its_encoding(
            changes in proptest::collection::vec(
                (0_u8..4, 0_u8..4, proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9))), 0..40)
        ) {
            let mut metadata = Metadata::default();
            let mut log = Vec::new();
            for (namespace, name, value) in &changes {
                let namespace = Namespace(*namespace);
                let record = MetadataRecord { namespace, name: &[*name], value: value.as_deref() };
                let mut alone = Vec::new();
                record.encode(&mut alone).unwrap();
                log.extend_from_slice(&alone);
                let predicted = metadata.encoded_len_after(&alone).unwrap();
                metadata.apply(&record);
                prop_assert_eq!(predicted, metadata.encoded_len());
            }
            prop_assert_eq!(&Metadata::decode(&log).unwrap(), &metadata);
            // What recovery relies on: replaying the changes on top of their own result changes nothing.
            let mut again = metadata.clone();
            again.apply_all(&log).unwrap();
            prop_assert_eq!(&again, &metadata);
            let mut bytes = Vec::new();
            metadata.encode(&mut bytes).unwrap();
            prop_assert_eq!(bytes.len(), metadata.encoded_len());
            prop_assert_eq!(Metadata::decode(&bytes).unwrap(), metadata);
        }
    }

    #[test]
    fn a_cut_record_is_an_error() {
        let mut bytes = Vec::new();
        MetadataRecord { namespace: Namespace::CURSOR, name: b"a", value: Some(b"bc") }
            .encode(&mut bytes)
            .unwrap();
        for len in 1..bytes.len() {
            assert!(Metadata::decode(&bytes[..len]).is_err(), "cut at {len}");
        }
    }
}
