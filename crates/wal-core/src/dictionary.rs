//! Dictionaries: what the entries of a log have in common, learned from them, so that small ones compress well.
//!
//! They are metadata, under numbers that grow: every opening carries all of them, so every segment can be decoded
//! alone. The newest compresses; none is removed, because frames may need it.

use snafu::ResultExt;
use wal_format::{Metadata, MetadataRecord, Namespace};

use crate::{
    Durability, Log, LogError,
    error::{CompressionSnafu, InvalidArgumentSnafu},
    metadata::encode,
    payload::Payloads,
};

/// Greatest length of a dictionary in bytes.
const LEN_MAX: usize = 32 << 10;
/// Least length of a dictionary in bytes: below, there is nothing that zstd would train.
const LEN_MIN: usize = 256;
/// Greatest length of all samples together in bytes.
const SAMPLES_LEN_MAX: usize = 64 << 20;
/// Longer entries are cut to this: a dictionary is for small ones.
const SAMPLE_LEN: usize = 4 << 10;

/// How to train a dictionary.
///
/// ```
/// use wal_core::DictionaryOptions;
/// let options = DictionaryOptions { len: 8 << 10, ..DictionaryOptions::default() };
/// assert!(options.sample_len > 100 * options.len);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DictionaryOptions {
    /// Its greatest length in bytes, 256 to 32,768. It counts as metadata: every segment begins with it, and
    /// [`Options::metadata_len_max`](crate::Options::metadata_len_max) bounds all dictionaries of the log together.
    /// Default: 16 KiB.
    pub len: usize,
    /// It is trained from so many bytes of the newest entries, at most 64 MiB. Default: 2 MiB.
    pub sample_len: usize,
}

impl Default for DictionaryOptions {
    fn default() -> Self {
        Self { len: 16 << 10, sample_len: 2 << 20 }
    }
}

/// A dictionary that was trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dictionary {
    /// What frames name it by.
    pub id: u32,
    /// Its length in bytes.
    pub len: usize,
    /// How many entries it was trained from.
    pub samples: usize,
}

/// Payloads back to back, and their lengths.
#[derive(Debug, Default)]
struct Samples {
    bytes: Vec<u8>,
    lens: Vec<usize>,
}

impl Log {
    /// Trains a dictionary from the newest entries, makes it durable with the log, and compresses with it from now on,
    /// also after the log is opened again. Older dictionaries stay for the frames that need them.
    ///
    /// It pays where entries of some hundred bytes resemble one another and are not packed with many others. Entries
    /// shorter than [`Compression::min_len`](wal_compress::Compression::min_len) are not compressed with it either.
    ///
    /// # Errors
    ///
    /// [`LogError::Compression`] when the log's codec has no dictionaries, nothing can be learned from its entries, or
    /// another thread has trained one meanwhile; [`LogError::InvalidArgument`]; [`LogError::MetadataFull`] when there
    /// is no room for it: give the log more [`metadata_len_max`](crate::Options::metadata_len_max). Those of
    /// [`get`](Self::get) and [`set_meta`](Self::set_meta).
    pub fn train_dictionary(&self, options: &DictionaryOptions) -> Result<Dictionary, LogError> {
        if !(LEN_MIN..=LEN_MAX).contains(&options.len) {
            return InvalidArgumentSnafu { why: "a dictionary is 256 to 32,768 bytes long" }.fail();
        }
        if options.sample_len > SAMPLES_LEN_MAX {
            return InvalidArgumentSnafu { why: "a dictionary is trained from at most 64 MiB" }.fail();
        }
        let payloads = &self.engine().payloads;
        let codec = payloads.codec()?;
        let samples = self.samples(options.sample_len)?;
        let trained = codec.train_dictionary(&samples.bytes, &samples.lens, options.len);
        let trained = trained.context(CompressionSnafu)?;
        let id = codec.check_dictionary(&trained).context(CompressionSnafu)?;
        let mut value = vec![codec.id().0];
        value.extend_from_slice(&trained);
        // It is known and used from the stamp of its record on: the frames that need it come after it in the log.
        self.change(Some(Durability::Durable), &mut |appender| {
            // Another thread may have trained one meanwhile, which has the id now; or the same, of the same entries.
            codec.check_dictionary(&trained).context(CompressionSnafu)?;
            let newest = appender.metadata.iter(Namespace::DICTIONARY).last();
            if newest.is_some_and(|(_, newest)| *newest == value) {
                Ok(Vec::new())
            } else {
                record(&appender.metadata, &value)
            }
        })?;
        Ok(Dictionary { id, len: trained.len(), samples: samples.lens.len() })
    }

    /// Payloads of the newest entries, up to so many bytes.
    fn samples(&self, len_max: usize) -> Result<Samples, LogError> {
        let mut samples = Samples::default();
        for entry in self.range(..).rev() {
            let payload = entry?.payload;
            let sample = &payload[..payload.len().min(SAMPLE_LEN)];
            if samples.bytes.len() + sample.len() > len_max {
                break;
            }
            // Zstd makes nothing of shorter ones.
            if sample.len() >= 8 {
                samples.bytes.extend_from_slice(sample);
                samples.lens.push(sample.len());
            }
        }
        Ok(samples)
    }
}

/// The record that adds a dictionary as the newest.
fn record(metadata: &Metadata, value: &[u8]) -> Result<Vec<u8>, LogError> {
    numbered(next_number(metadata), value)
}

/// The records that add those dictionaries of another log that are not here. None that is here goes: frames need them.
///
/// A dictionary of the other log that has the id of another one here is an error: no frame would say which it means.
pub(crate) fn adopt(payloads: &Payloads, here: &Metadata, there: &Metadata) -> Result<Vec<u8>, LogError> {
    let is_here = |value: &[u8]| here.iter(Namespace::DICTIONARY).any(|(_, known)| known == value);
    let mut records = Vec::new();
    let mut number = next_number(here);
    for (_, value) in there.iter(Namespace::DICTIONARY).filter(|(_, value)| !is_here(value)) {
        payloads.check_dictionary(value)?;
        records.extend(numbered(number, value)?);
        number = number.saturating_add(1);
    }
    Ok(records)
}

fn next_number(metadata: &Metadata) -> u32 {
    let number = |name: &[u8]| name.first_chunk().map_or(0, |name| u32::from_be_bytes(*name));
    let newest = metadata.iter(Namespace::DICTIONARY).last();
    newest.map_or(0, |(name, _)| number(name).saturating_add(1))
}

fn numbered(number: u32, value: &[u8]) -> Result<Vec<u8>, LogError> {
    let name = number.to_be_bytes();
    encode(&MetadataRecord { namespace: Namespace::DICTIONARY, name: &name, value: Some(value) })
}
