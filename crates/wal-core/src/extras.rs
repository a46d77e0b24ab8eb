//! What a log does only if its options ask for it.
//!
//! Its threads and its appends would do it, so every program that opens a log would have the code of all of it. They
//! reach it through a pointer instead, which comes with the environment: whoever leaves the options as they are can
//! leave this out, too (`adr/0018`).

use bytes::Bytes;
use parking_lot::MutexGuard;
use snafu::ResultExt;
use wal_compress::{CodecId, Codecs};
use wal_format::{BodyShape, NewEntry, SegmentId};
use wal_segment::LoadedFrame;

use crate::{
    LogError, Options,
    append::Stamped,
    appender::Appender,
    engine::Engine,
    entry::OpenFrame,
    error::{CompressionSnafu, InvalidOptionSnafu},
    frame_cache::FramePlace,
    patience::{Patience, Terms},
    payload::{Coded, Payloads},
};

/// What a log can do beyond the default options: remove by [`Retention`](crate::Retention), compress, and decompress.
#[derive(Clone, Copy, Debug)]
pub struct Extras(Option<&'static Extra>);

impl Extras {
    /// All of it.
    pub const ALL: Self = Self(Some(&ALL));
    /// Nothing of it. A log whose options ask for retention is not opened for writing then, and one whose environment
    /// has codecs is not opened at all: [`LogError::InvalidOption`]. Options that name a codec which is not there are
    /// an error of their own: [`LogError::Compression`].
    ///
    /// The codecs that features of `wal-compress` bring count, which some other crate may have asked for:
    /// [`Codecs::none`] has none.
    pub const NONE: Self = Self(None);

    pub(crate) fn check(self, options: &Options, codecs: &Codecs) -> Result<(), LogError> {
        match self.0 {
            None if options.retention.has_limits() => missing(NO_RETENTION),
            None => self.check_codecs(codecs),
            Some(_) => Ok(()),
        }
    }

    /// For a log that is opened for reading: frames that some codec can read must be readable. Where there is none,
    /// they are an error, extras or not.
    pub(crate) fn check_codecs(self, codecs: &Codecs) -> Result<(), LogError> {
        if self.0.is_none() && codecs.has_any() { missing(NO_COMPRESSION) } else { Ok(()) }
    }

    pub(crate) fn decompress(
        self,
        payloads: &Payloads,
        coded: Coded,
        body: &[u8],
        raw: Vec<u8>,
    ) -> Result<Vec<u8>, LogError> {
        match self.0 {
            Some(extra) => (extra.decompress)(payloads, coded, body, raw),
            None => {
                // There is no such codec, and the error says why.
                payloads.codecs().get(CodecId(coded.codec)).context(CompressionSnafu)?;
                missing(NO_COMPRESSION)
            }
        }
    }
}

const NO_RETENTION: &str = "the environment has no code for retention: `Extras::ALL` has it";
const NO_COMPRESSION: &str = "the environment has codecs and no code for compression: `Extras::ALL` has it";

fn missing<T>(why: &'static str) -> Result<T, LogError> {
    InvalidOptionSnafu { option: "extras", why }.fail()
}

/// The parts behind the pointer, as the rest of the log reaches them.
#[derive(Debug)]
#[expect(clippy::type_complexity, reason = "each is the type of one function, and said here alone")]
struct Extra {
    retain: fn(&Engine),
    append_packed: fn(&Engine, &NewEntry<'_>, &Terms) -> Result<Stamped, LogError>,
    append_compressed: fn(&Engine, &[u8], BodyShape, usize, &Terms) -> Result<Stamped, LogError>,
    settle: fn(&Engine),
    settle_closed: fn(&Engine),
    lock_when_settled: fn(&Engine, Patience) -> Result<MutexGuard<'_, Appender>, LogError>,
    run_packer: fn(&Engine),
    decompress: fn(&Payloads, Coded, &[u8], Vec<u8>) -> Result<Vec<u8>, LogError>,
    open_cached: fn(&Engine, SegmentId, LoadedFrame) -> Result<OpenFrame, LogError>,
    cached: fn(&Engine, FramePlace) -> Option<Bytes>,
    keep: fn(&Engine, FramePlace, Bytes),
}

static ALL: Extra = Extra {
    retain: Engine::retain_by_policy,
    append_packed: Engine::append_to_pack,
    append_compressed: Engine::compress_and_append,
    settle: Engine::settle_all,
    settle_closed: Engine::settle_backlog,
    lock_when_settled: Engine::settle_and_lock,
    run_packer: Engine::compress_packs,
    decompress: Payloads::decompress,
    open_cached: Engine::open_from_cache,
    cached: Engine::find_in_cache,
    keep: Engine::put_in_cache,
};

/// What needs no extras where there is nothing to do.
impl Engine {
    /// A pass of retention by the policy of the log, if it has one, on behalf of nobody: what cannot be done now is
    /// tried again.
    pub(crate) fn retain_by_itself(&self) {
        if self.options.retention.has_limits()
            && let Some(extra) = self.extras.0
        {
            (extra.retain)(self);
        }
    }

    /// Appends one entry to the pack that is open, or begins another, and returns when it is as durable as asked.
    pub(crate) fn append_packed(&self, entry: &NewEntry<'_>, terms: &Terms) -> Result<Stamped, LogError> {
        match self.extras.0 {
            Some(extra) => (extra.append_packed)(self, entry, terms),
            None => missing(NO_COMPRESSION),
        }
    }

    pub(crate) fn append_compressed(
        &self,
        raw: &[u8],
        shape: BodyShape,
        payload_len: usize,
        terms: &Terms,
    ) -> Result<Stamped, LogError> {
        match self.extras.0 {
            Some(extra) => (extra.append_compressed)(self, raw, shape, payload_len, terms),
            None => missing(NO_COMPRESSION),
        }
    }

    /// Makes frames of everything that was appended before the call.
    pub(crate) fn settle(&self) {
        if self.payloads.may_pack()
            && let Some(extra) = self.extras.0
        {
            (extra.settle)(self);
        }
    }

    /// Makes frames of packs that take no more entries, as long as too many wait.
    pub(crate) fn settle_closed(&self) {
        if let Some(extra) = self.extras.0 {
            (extra.settle_closed)(self);
        }
    }

    /// The short lock when there are no packs: a frame can be stamped, or the segment changed.
    pub(crate) fn lock_settled(&self, patience: Patience) -> Result<MutexGuard<'_, Appender>, LogError> {
        let appender = self.lock_appender(patience)?;
        match self.extras.0 {
            Some(extra) if !appender.packs.is_empty() => {
                drop(appender);
                (extra.lock_when_settled)(self, patience)
            }
            _ => Ok(appender),
        }
    }

    /// Opens a compressed frame of which others may want other entries next: what was decompressed is kept.
    pub(crate) fn open_cached(&self, segment: SegmentId, frame: LoadedFrame) -> Result<OpenFrame, LogError> {
        match self.extras.0 {
            Some(extra) => (extra.open_cached)(self, segment, frame),
            None => OpenFrame::new(frame.header, frame.lsn, frame.body, &self.payloads),
        }
    }

    /// What a frame was decompressed to lately.
    pub(crate) fn cached(&self, place: FramePlace) -> Option<Bytes> {
        self.extras.0.and_then(|extra| (extra.cached)(self, place))
    }

    /// Keeps what a frame was decompressed to.
    pub(crate) fn keep(&self, place: FramePlace, body: Bytes) {
        if let Some(extra) = self.extras.0 {
            (extra.keep)(self, place, body);
        }
    }

    /// What a thread does that compresses, until the log is closed.
    pub(crate) fn run_packer(&self) {
        if let Some(extra) = self.extras.0 {
            (extra.run_packer)(self);
        }
    }
}
