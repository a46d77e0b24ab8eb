//! Compressing and decompressing the bodies of entries frames.

use bytes::Bytes;
use snafu::ResultExt;
use wal_compress::{CodecId, Codecs, Compression, worth_storing};
use wal_format::{BODY_LEN_MAX, split_compressed};

use crate::{
    error::{CompressionSnafu, DECODE, EncodingSnafu, LogError},
    stats::Counters,
};

/// The codecs of a log, and when to use which.
#[derive(Debug)]
pub(crate) struct Payloads {
    codecs: Codecs,
    settings: Compression,
}

impl Payloads {
    pub(crate) fn new(codecs: Codecs, settings: Compression) -> Result<Self, LogError> {
        codecs.get(settings.codec).context(CompressionSnafu)?;
        Ok(Self { codecs, settings })
    }

    pub(crate) const fn codecs(&self) -> &Codecs {
        &self.codecs
    }

    /// Compresses a body into `scratch` when that pays; the codec id says whether it did.
    pub(crate) fn encode<'a>(
        &self,
        raw: &'a [u8],
        scratch: &'a mut Vec<u8>,
        stats: &Counters,
    ) -> Result<(&'a [u8], u8), LogError> {
        if !self.settings.applies_to(raw.len()) {
            return Ok((raw, CodecId::IDENTITY.0));
        }
        scratch.clear();
        scratch.extend_from_slice(&u32::try_from(raw.len()).unwrap_or(u32::MAX).to_le_bytes());
        let codec = self.codecs.get(self.settings.codec).context(CompressionSnafu)?;
        codec.compress(raw, scratch).context(CompressionSnafu)?;
        let pays = worth_storing(raw.len(), scratch.len(), self.settings.min_gain_percent);
        stats.compressed(raw.len(), if pays { scratch.len() } else { raw.len() });
        if pays { Ok((scratch, self.settings.codec.0)) } else { Ok((raw, CodecId::IDENTITY.0)) }
    }

    /// The body of a frame as it was before compression. What the frame says of its length is checked against the
    /// limits of the format and of the options before anything is allocated.
    pub(crate) fn decode(&self, codec: u8, body: Bytes) -> Result<Bytes, LogError> {
        if codec == CodecId::IDENTITY.0 {
            return Ok(body);
        }
        let split = split_compressed(&body, BODY_LEN_MAX);
        let (raw_len, stored) = split.context(EncodingSnafu { operation: DECODE })?;
        self.settings.check_raw_len(raw_len).context(CompressionSnafu)?;
        let mut raw = Vec::new();
        self.codecs
            .decompress(CodecId(codec), stored, raw_len as usize, &mut raw)
            .context(CompressionSnafu)?;
        Ok(raw.into())
    }
}
