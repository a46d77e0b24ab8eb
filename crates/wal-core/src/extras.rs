//! What a log does only if its options ask for it.
//!
//! Its threads and its appends would do it, so every program that opens a log would have the code of all of it. They
//! reach it through a pointer instead, which comes with the environment: whoever leaves the options as they are can
//! leave this out, too (`adr/0018`).

use std::fmt;

use parking_lot::MutexGuard;
use wal_compress::CodecId;
use wal_format::{BodyShape, NewEntry};

use crate::{
    LogError, Options,
    append::Stamped,
    appender::Appender,
    engine::Engine,
    error::InvalidOptionSnafu,
    patience::{Patience, Terms},
};

/// What a log can do beyond the default options: remove by [`Retention`](crate::Retention), and compress.
///
/// Decompressing is no extra: any log can be read.
#[derive(Clone, Copy, Debug)]
pub struct Extras(Option<&'static dyn Extra>);

impl Extras {
    /// All of it.
    pub const ALL: Self = Self(Some(&All));
    /// Nothing of it. A log whose options ask for retention or compression is not opened for writing then:
    /// [`LogError::InvalidOption`].
    pub const NONE: Self = Self(None);

    pub(crate) fn check(self, options: &Options) -> Result<(), LogError> {
        let asked = if options.retention.has_limits() {
            Some("retention")
        } else if options.compression.codec != CodecId::IDENTITY {
            Some("compression")
        } else {
            None
        };
        match (self.0, asked) {
            (None, Some(option)) => missing(option),
            _ => Ok(()),
        }
    }
}

fn missing<T>(option: &'static str) -> Result<T, LogError> {
    InvalidOptionSnafu { option, why: "the log was opened without the code for it" }.fail()
}

/// The parts behind the pointer, as the rest of the log reaches them.
trait Extra: fmt::Debug + Sync {
    fn retain(&self, engine: &Engine);
    fn append_packed(
        &self,
        engine: &Engine,
        entry: &NewEntry<'_>,
        terms: &Terms,
    ) -> Result<Stamped, LogError>;
    fn append_compressed(
        &self,
        engine: &Engine,
        raw: &[u8],
        shape: BodyShape,
        payload_len: usize,
        terms: &Terms,
    ) -> Result<Stamped, LogError>;
    fn settle(&self, engine: &Engine);
    fn settle_closed(&self, engine: &Engine);
    fn lock_when_settled<'a>(
        &self,
        engine: &'a Engine,
        patience: Patience,
    ) -> Result<MutexGuard<'a, Appender>, LogError>;
    fn run_packer(&self, engine: &Engine);
}

#[derive(Debug)]
struct All;

impl Extra for All {
    fn retain(&self, engine: &Engine) {
        engine.retain_by_policy();
    }

    fn append_packed(
        &self,
        engine: &Engine,
        entry: &NewEntry<'_>,
        terms: &Terms,
    ) -> Result<Stamped, LogError> {
        engine.append_to_pack(entry, terms)
    }

    fn append_compressed(
        &self,
        engine: &Engine,
        raw: &[u8],
        shape: BodyShape,
        payload_len: usize,
        terms: &Terms,
    ) -> Result<Stamped, LogError> {
        engine.compress_and_append(raw, shape, payload_len, terms)
    }

    fn settle(&self, engine: &Engine) {
        engine.settle_all();
    }

    fn settle_closed(&self, engine: &Engine) {
        engine.settle_backlog();
    }

    fn lock_when_settled<'a>(
        &self,
        engine: &'a Engine,
        patience: Patience,
    ) -> Result<MutexGuard<'a, Appender>, LogError> {
        engine.settle_and_lock(patience)
    }

    fn run_packer(&self, engine: &Engine) {
        engine.compress_packs();
    }
}

/// What needs no extras where there is nothing to do.
impl Engine {
    /// A pass of retention by the policy of the log, if it has one, on behalf of nobody: what cannot be done now is
    /// tried again.
    pub(crate) fn retain_by_itself(&self) {
        if self.options.retention.has_limits()
            && let Some(extra) = self.extras.0
        {
            extra.retain(self);
        }
    }

    /// Appends one entry to the pack that is open, or begins another, and returns when it is as durable as asked.
    pub(crate) fn append_packed(&self, entry: &NewEntry<'_>, terms: &Terms) -> Result<Stamped, LogError> {
        match self.extras.0 {
            Some(extra) => extra.append_packed(self, entry, terms),
            None => missing("compression"),
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
            Some(extra) => extra.append_compressed(self, raw, shape, payload_len, terms),
            None => missing("compression"),
        }
    }

    /// Makes frames of everything that was appended before the call.
    pub(crate) fn settle(&self) {
        if self.payloads.may_pack()
            && let Some(extra) = self.extras.0
        {
            extra.settle(self);
        }
    }

    /// Makes frames of packs that take no more entries, as long as too many wait.
    pub(crate) fn settle_closed(&self) {
        if let Some(extra) = self.extras.0 {
            extra.settle_closed(self);
        }
    }

    /// The short lock when there are no packs: a frame can be stamped, or the segment changed.
    pub(crate) fn lock_settled(&self, patience: Patience) -> Result<MutexGuard<'_, Appender>, LogError> {
        let appender = self.lock_appender(patience)?;
        match self.extras.0 {
            Some(extra) if !appender.packs.is_empty() => {
                drop(appender);
                extra.lock_when_settled(self, patience)
            }
            _ => Ok(appender),
        }
    }

    /// What a thread does that compresses, until the log is closed.
    pub(crate) fn run_packer(&self) {
        if let Some(extra) = self.extras.0 {
            extra.run_packer(self);
        }
    }
}
