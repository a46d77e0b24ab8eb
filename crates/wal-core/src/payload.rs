//! Compressing and decompressing the bodies of entries frames.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use snafu::ResultExt;
use wal_compress::{Codec, CodecId, Codecs, Compression, WhenBehind, worth_storing};
use wal_format::{
    BODY_LEN_MAX, BodyShape, FrameHeader, Metadata, Namespace, fold_ends, split_compressed, unfold_ends,
};

use crate::{
    Extras,
    chunk::CHUNK_LEN,
    error::{CompressionSnafu, DECODE, EncodingSnafu, LogError},
    gain::Gain,
    stats::Counters,
};

/// Longer packs gain nothing and cost readers much.
const PACK_LEN_MAX: usize = 16 << 20;
/// The part of a pack that is enough to see whether anything can be gained.
const TRIAL: usize = 8;
/// So many buffers are kept for the next appends.
const SPARES: usize = 8;

/// What must be known of a frame to make its body what it was before compression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coded {
    pub(crate) codec: u8,
    pub(crate) count: u32,
    pub(crate) columns: u8,
}

impl From<&FrameHeader> for Coded {
    fn from(header: &FrameHeader) -> Self {
        let FrameHeader { codec, count, columns, .. } = *header;
        Self { codec, count, columns }
    }
}

/// The codecs of a log, and when to use which.
#[derive(Debug)]
pub(crate) struct Payloads {
    codecs: Codecs,
    extras: Extras,
    settings: Compression,
    gain: Gain,
    spares: Mutex<Vec<Vec<u8>>>,
    /// A dictionary of the log's is one that its codec, as it is here, cannot use.
    passed_over: AtomicBool,
}

impl Payloads {
    pub(crate) fn new(codecs: Codecs, extras: Extras, settings: Compression) -> Result<Self, LogError> {
        // Another log's dictionaries are none of this one's.
        let codecs = codecs.unshared();
        codecs.get(settings.codec).context(CompressionSnafu)?;
        Ok(Self {
            codecs,
            extras,
            settings,
            gain: Gain::default(),
            spares: Mutex::default(),
            passed_over: AtomicBool::new(false),
        })
    }

    /// Whether single entries are packed with others at present: they are not where that gained nothing lately.
    pub(crate) fn packs(&self) -> bool {
        self.may_pack() && !self.gain.pauses()
    }

    /// Whether there may be packs.
    pub(crate) fn may_pack(&self) -> bool {
        self.settings.packs(0)
    }

    /// The greatest length of a pack's payloads, in bytes. Where the last pack gained nothing, the next is a trial.
    pub(crate) fn pack_len(&self) -> usize {
        let len = self.settings.pack_len.min(self.settings.raw_len_max as usize / 2).min(PACK_LEN_MAX);
        if self.gain.is_wary() { len / TRIAL } else { len }
    }

    /// How many threads compress packs, besides those that append.
    pub(crate) fn threads(&self) -> usize {
        if self.may_pack() { self.settings.threads as usize } else { 0 }
    }

    /// What happens to packs for which those threads have no time.
    pub(crate) const fn when_behind(&self) -> WhenBehind {
        self.settings.when_behind
    }

    /// The codec for new bodies.
    pub(crate) fn codec(&self) -> Result<&dyn Codec, LogError> {
        self.codecs.get(self.settings.codec).map(|codec| &**codec).context(CompressionSnafu)
    }

    /// A buffer for a body, which may have been one before.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.spares.lock().pop().unwrap_or_default()
    }

    /// Keeps a buffer for the next body.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        if (1..=4 * CHUNK_LEN).contains(&buffer.capacity()) {
            let mut spares = self.spares.lock();
            if spares.len() < SPARES {
                buffer.clear();
                spares.push(buffer);
            }
        }
    }

    pub(crate) const fn codecs(&self) -> &Codecs {
        &self.codecs
    }

    /// Compresses a body into `scratch` when that pays; the codec id says whether it did.
    pub(crate) fn encode<'a>(
        &self,
        raw: &'a [u8],
        shape: BodyShape,
        scratch: &'a mut Vec<u8>,
        stats: &Counters,
    ) -> Result<(&'a [u8], u8), LogError> {
        scratch.clear();
        let codec = self.compress(raw, shape, scratch, stats)?;
        Ok((if codec == CodecId::IDENTITY.0 { raw } else { scratch }, codec))
    }

    /// Whether a body of this length is to be compressed. One that is not because nothing was gained lately counts as
    /// passed.
    pub(crate) fn tries(&self, raw_len: usize) -> bool {
        if self.gain.pauses() {
            self.gain.passed(raw_len);
            return false;
        }
        self.settings.applies_to(raw_len)
    }

    /// Adds a compressed body to what `out` holds, when that pays; the codec id says whether it did, and if it is none,
    /// what `out` has more is worth nothing.
    pub(crate) fn compress(
        &self,
        raw: &[u8],
        shape: BodyShape,
        out: &mut Vec<u8>,
        stats: &Counters,
    ) -> Result<u8, LogError> {
        if !self.tries(raw.len()) {
            return Ok(CodecId::IDENTITY.0);
        }
        let start = out.len();
        out.extend_from_slice(&u32::try_from(raw.len()).unwrap_or(u32::MAX).to_le_bytes());
        if shape.count > 1 {
            let mut folded = self.buffer();
            fold_ends(shape.count, shape.columns, raw, &mut folded);
            let compressed = self.codec()?.compress(&folded, out);
            self.give_back(folded);
            compressed.context(CompressionSnafu)?;
        } else {
            self.codec()?.compress(raw, out).context(CompressionSnafu)?;
        }
        let len = out.len().saturating_sub(start);
        let gains = worth_storing(raw.len(), len, self.settings.min_gain_percent);
        self.gain.tried(raw.len(), gains);
        stats.compressed(raw.len(), if gains { len } else { raw.len() });
        Ok(if gains { self.settings.codec.0 } else { CodecId::IDENTITY.0 })
    }

    /// The body of a frame as it was before compression. What the frame says of its length is checked against the
    /// limits of the format and of the options before anything is allocated.
    pub(crate) fn decode(&self, coded: impl Into<Coded>, body: Bytes) -> Result<Bytes, LogError> {
        self.decode_into(coded, body, Vec::new())
    }

    /// The same, into memory that is there, if it is needed at all.
    pub(crate) fn decode_into(
        &self,
        coded: impl Into<Coded>,
        body: Bytes,
        raw: Vec<u8>,
    ) -> Result<Bytes, LogError> {
        let coded = coded.into();
        if coded.codec == CodecId::IDENTITY.0 {
            return Ok(body);
        }
        self.extras.decompress(self, coded, &body, raw).map(Bytes::from)
    }

    /// For a body that is compressed: [`decode_into`](Self::decode_into).
    pub(crate) fn decompress(
        &self,
        coded: Coded,
        body: &[u8],
        mut raw: Vec<u8>,
    ) -> Result<Vec<u8>, LogError> {
        let Coded { codec, count, columns } = coded;
        let split = split_compressed(body, BODY_LEN_MAX);
        let (raw_len, stored) = split.context(EncodingSnafu { operation: DECODE })?;
        self.settings.check_raw_len(raw_len).context(CompressionSnafu)?;
        // Who keeps a part of a body keeps all of its memory, and the cache of frames counts no more than the body.
        if raw.capacity() / 2 > raw_len as usize {
            raw = Vec::new();
        }
        raw.clear();
        self.codecs
            .decompress(CodecId(codec), stored, raw_len as usize, &mut raw)
            .context(CompressionSnafu)?;
        if count > 1 {
            let mut scratch = self.buffer();
            unfold_ends(count, columns, &mut raw, &mut scratch);
            self.give_back(scratch);
        }
        Ok(raw)
    }

    /// Whether a dictionary of another log may be made known, if its codec is there. Only its record does that.
    pub(crate) fn check_dictionary(&self, value: &[u8]) -> Result<(), LogError> {
        if let Some((codec, dictionary)) = value.split_first()
            && let Ok(codec) = self.codecs.get(CodecId(*codec))
        {
            codec.check_dictionary(dictionary).context(CompressionSnafu)?;
        }
        Ok(())
    }

    /// Whether every dictionary that was met is known: one that frames need and that is not is gone.
    pub(crate) fn knows_dictionaries(&self) -> bool {
        !self.passed_over.load(Ordering::Relaxed)
    }

    /// Makes the dictionaries known that some metadata holds; the newest of the log's codec compresses from now on.
    ///
    /// One that cannot be used is passed over: it is missed by the frames that need it, and they say so.
    pub(crate) fn learn(&self, metadata: &Metadata) {
        let mut newest = None;
        for (_, value) in metadata.iter(Namespace::DICTIONARY) {
            let Some((codec, dictionary)) = value.split_first() else { continue };
            let Ok(known) = self.codecs.get(CodecId(*codec)) else { continue };
            match known.add_dictionary(dictionary) {
                Ok(id) if self.settings.codec == CodecId(*codec) => newest = Some(id),
                Ok(_) => {}
                Err(_) => self.passed_over.store(true, Ordering::Relaxed),
            }
        }
        if let Some(id) = newest
            && let Ok(codec) = self.codec()
        {
            codec.use_dictionary(Some(id));
            // What gained nothing without it may gain now.
            self.gain.tried(0, true);
        }
    }
}
