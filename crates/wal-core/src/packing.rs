//! Appending to packs, and making frames of them (`docs/adr/0011`).

use std::panic::{AssertUnwindSafe, catch_unwind};

use parking_lot::MutexGuard;
use snafu::ResultExt;
use wal_format::NewEntry;

use crate::{
    Durability, LogError,
    append::Stamped,
    appender::{Appender, Draft, Reserve},
    engine::Engine,
    error::EncodingSnafu,
    marks::Tick,
    packs::{Pack, body_len_for},
    patience::{Errand, Patience, Terms},
};

/// So often what came in meanwhile is compressed without the short lock, before the rest is compressed under it.
const ROUNDS: usize = 2;

/// What the one thread works with that compresses packs.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    raw: Vec<u8>,
    stored: Vec<u8>,
}

impl Packer {
    /// The frame that a pack becomes.
    fn draft(&mut self, engine: &Engine, pack: &Pack) -> Draft<'_> {
        self.raw.clear();
        let shape = pack.entries.finish(&mut self.raw);
        let encode = || {
            let encoded = engine.payloads.encode(&self.raw, shape, &mut self.stored, &engine.stats);
            encoded.map(|(_, codec)| codec)
        };
        // Whoever leads a commit is here, and a panic in the user's codec must not take it along. The entries have
        // their LSNs: they are stored without the gain.
        let codec = catch_unwind(AssertUnwindSafe(encode)).unwrap_or(Ok(0)).unwrap_or(0);
        let body = if codec == 0 { &self.raw } else { &self.stored };
        engine.draft(body, codec, shape, &[])
    }
}

impl Engine {
    /// Whether an entry is packed with others instead of being a frame of its own.
    pub(crate) fn packs(&self, payload_len: usize) -> bool {
        self.payloads.packs() && payload_len < self.payloads.pack_len()
    }

    /// Appends one entry to the pack that is open, or begins another, and returns when it is as durable as asked.
    pub(crate) fn append_packed(&self, entry: &NewEntry<'_>, terms: &Terms) -> Result<Stamped, LogError> {
        entry.check().context(EncodingSnafu { operation: "encode the entry" })?;
        match terms.durability {
            Durability::Buffered => self.append_packed_untimed(entry, terms),
            Durability::Written | Durability::Durable => {
                self.timed(|| self.append_packed_untimed(entry, terms))
            }
        }
    }

    fn append_packed_untimed(&self, entry: &NewEntry<'_>, terms: &Terms) -> Result<Stamped, LogError> {
        let stamped = self.pack(entry, terms)?;
        if stamped.packs_wait() && terms.durability == Durability::Buffered {
            match terms.patience {
                Patience::Endless => self.settle_full(),
                Patience::Until(_) | Patience::None => self.leave_errand(Errand::Settle),
            }
        }
        self.conclude(stamped, terms)
    }

    fn pack(&self, entry: &NewEntry<'_>, terms: &Terms) -> Result<Stamped, LogError> {
        let now = self.clock.now();
        let mut until = None;
        loop {
            let appender = self.lock_appender(terms.patience)?;
            let Some(appender) = self.admitted(appender, terms, Reserve::Keep, &mut until)? else { continue };
            let need = (body_len_for(entry.payload.len()), 1);
            let room = self.with_room(appender, need, Reserve::Keep, terms.patience, now)?;
            if let Some(mut appender) = room {
                let first = appender.next;
                let begun = appender.pack(entry, self.payloads.pack_len(), now);
                appender.count(u32::from(begun), 1, entry.payload.len());
                return Ok(self.stamped(&mut appender, first, 1, true));
            }
        }
    }

    /// Makes frames of the packs that take no more entries, unless another thread is at it.
    pub(crate) fn settle_full(&self) {
        if let Some(mut packer) = self.packer.try_lock() {
            let full = self.appender.lock().packs.full();
            // Without a deadline nothing can fail.
            let _ = full.map(|full| self.settle_with(&mut packer, full, Patience::Endless));
        }
    }

    /// Makes frames of everything that was appended before the call.
    pub(crate) fn settle(&self) {
        if self.payloads.may_pack() {
            let mut packer = self.packer.lock();
            let upto = self.appender.lock().tick;
            // Without a deadline nothing can fail.
            let _ = self.settle_with(&mut packer, upto, Patience::Endless);
        }
    }

    fn settle_with(&self, packer: &mut Packer, upto: Tick, patience: Patience) -> Result<(), LogError> {
        let mut next = self.lock_appender(patience)?.packs.front(upto);
        while let Some(pack) = next {
            let draft = packer.draft(self, &pack);
            let mut appender = self.lock_appender(patience)?;
            appender.settle(&draft, pack);
            self.look_ahead(&mut appender);
            next = appender.packs.front(upto);
            drop(appender);
            if let Patience::Until(deadline) = patience
                && next.is_some()
                && self.clock.monotonic() >= deadline
            {
                return Err(patience.run_out("compress what came before"));
            }
        }
        Ok(())
    }

    /// The short lock when there are no packs: a frame can be stamped, or the segment changed.
    pub(crate) fn lock_settled(&self, patience: Patience) -> Result<MutexGuard<'_, Appender>, LogError> {
        let appender = self.lock_appender(patience)?;
        if appender.packs.is_empty() {
            return Ok(appender);
        }
        drop(appender);
        if patience == Patience::None {
            // Compressing is work for somebody with time.
            self.leave_errand(Errand::Write);
            return Err(patience.run_out("compress what came before"));
        }
        let mut packer = self.lock_for(&self.packer, patience)?;
        for _ in 0..ROUNDS {
            let upto = self.lock_appender(patience)?.tick;
            self.settle_with(&mut packer, upto, patience)?;
        }
        let mut appender = self.lock_appender(patience)?;
        while let Some(pack) = appender.packs.front(Tick::MAX) {
            let draft = packer.draft(self, &pack);
            appender.settle(&draft, pack);
        }
        Ok(appender)
    }
}
