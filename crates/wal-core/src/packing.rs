//! Appending to packs, and making frames of them (`docs/adr/0011`, `docs/adr/0017`).
//!
//! - A pack is claimed under the short lock, oldest first, and finished without it: compressed, or copied as it is.
//! - Whoever has claimed a pack finishes it, whatever happens, and needs no other lock for that: it can be waited for.
//! - Finished packs get their places in the order of their LSNs, from whoever holds the short lock next.
//! - While a pack is claimed no segment ends or begins, because that takes a log without packs.
//!
//! The rest of the log comes here through `extras.rs`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parking_lot::{Condvar, MutexGuard};
use snafu::ResultExt;
use wal_compress::WhenBehind;
use wal_format::{FRAME_HEADER_LEN, NewEntry};

use crate::{
    Durability, LogError,
    append::Stamped,
    appender::{Appender, Reserve},
    engine::Engine,
    error::EncodingSnafu,
    marks::Tick,
    packs::{Finished, Pack, body_len_for},
    patience::{Errand, Patience, Terms},
    stats::add,
};

/// So often what came in meanwhile is compressed without the short lock, before the rest is compressed under it.
const ROUNDS: usize = 2;
/// So many packs may wait for each thread that compresses before it counts as being behind: one that it takes next, and
/// one more, so that it does not run out of them.
const BACKLOG: usize = 2;

/// How those meet who compress packs. Both go with the short lock.
#[derive(Debug, Default)]
pub(crate) struct Packing {
    /// For the threads that compress: a pack was closed, or it is over.
    work: Condvar,
    /// For those who wait for others: a pack was finished.
    finished: Condvar,
}

/// What is done with a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Compress,
    StorePlain,
}

impl Engine {
    /// Whether an entry is packed with others instead of being a frame of its own.
    pub(crate) fn packs(&self, payload_len: usize) -> bool {
        self.payloads.packs() && payload_len < self.payloads.pack_len()
    }

    pub(crate) fn append_to_pack(&self, entry: &NewEntry<'_>, terms: &Terms) -> Result<Stamped, LogError> {
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
                Patience::Endless => self.settle_backlog(),
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
                let stamped = self.stamped(&mut appender, first, 1, true);
                let has_work = begun && appender.packs.closed() > 0;
                drop(appender);
                if has_work {
                    self.packing.work.notify_one();
                }
                return Ok(stamped);
            }
        }
    }

    /// Whether more packs wait than those who compress can have in hand.
    #[inline]
    pub(crate) fn is_behind(&self, appender: &Appender) -> bool {
        let closed = appender.packs.closed();
        closed > 0 && closed > self.packers() * BACKLOG
    }

    /// How many threads compress besides those that append.
    fn packers(&self) -> usize {
        if self.has_threads() { self.payloads.threads() } else { 0 }
    }

    /// What those do with packs who have better things to do than compressing.
    fn when_behind(&self) -> How {
        match self.payloads.when_behind() {
            WhenBehind::StorePlain if self.packers() > 0 => How::StorePlain,
            WhenBehind::StorePlain | WhenBehind::Compress => How::Compress,
        }
    }

    pub(crate) fn settle_backlog(&self) {
        let how = self.when_behind();
        let mut appender = self.appender.lock();
        while self.is_behind(&appender) {
            // What was closed last is still in this processor's cache, and costs little to store as it is. The oldest
            // is what the next thing to be written waits for.
            let claimed = match how {
                How::StorePlain => appender.packs.claim_last_closed(),
                How::Compress => appender.packs.claim_closed(),
            };
            let Some(pack) = claimed else { return };
            appender = self.finish_pack(appender, pack, how);
        }
    }

    pub(crate) fn compress_packs(&self) {
        let mut appender = self.appender.lock();
        while !appender.packs.over {
            match appender.packs.claim_closed() {
                Some(pack) => appender = self.finish_pack(appender, pack, How::Compress),
                None => self.packing.work.wait(&mut appender),
            }
        }
    }

    /// Ends the threads that compress.
    pub(crate) fn end_packing(&self) {
        self.appender.lock().packs.over = true;
        self.packing.work.notify_all();
    }

    pub(crate) fn settle_all(&self) {
        let upto = self.appender.lock().tick;
        // Without a deadline nothing can fail.
        let _ = self.settle_upto(upto, Patience::Endless);
    }

    fn settle_upto(&self, upto: Tick, patience: Patience) -> Result<(), LogError> {
        let how = self.when_behind();
        let mut appender = self.lock_appender(patience)?;
        loop {
            self.settle_finished(&mut appender);
            if !appender.packs.has(upto) {
                return Ok(());
            }
            let claimed = if appender.packs.holds > 0 { None } else { appender.packs.claim(upto) };
            match claimed {
                // What is asked for itself is compressed, and nothing is waited for that came before.
                Some((pack, was_closed)) => {
                    let how = if was_closed { how } else { How::Compress };
                    appender = self.finish_pack(appender, pack, how);
                    if self.has_run_out(patience) && appender.packs.has(upto) {
                        return Err(patience.run_out("compress what came before"));
                    }
                }
                None => self.wait_for_others(&mut appender, patience)?,
            }
        }
    }

    /// Waits until another thread has finished a pack.
    fn wait_for_others(
        &self,
        appender: &mut MutexGuard<'_, Appender>,
        patience: Patience,
    ) -> Result<(), LogError> {
        match patience {
            Patience::Until(deadline) => {
                let left = deadline.saturating_sub(self.clock.monotonic());
                if left.is_zero() {
                    return Err(patience.run_out("compress what came before"));
                }
                self.packing.finished.wait_for(appender, left);
            }
            Patience::Endless | Patience::None => self.packing.finished.wait(appender),
        }
        Ok(())
    }

    fn has_run_out(&self, patience: Patience) -> bool {
        matches!(patience, Patience::Until(deadline) if self.clock.monotonic() >= deadline)
    }

    /// Finishes a pack that was claimed, without the lock, and gives it its place if it is its turn.
    fn finish_pack<'a>(
        &'a self,
        mut appender: MutexGuard<'a, Appender>,
        pack: std::sync::Arc<Pack>,
        how: How,
    ) -> MutexGuard<'a, Appender> {
        let spare = appender.spares.pop().unwrap_or_default();
        drop(appender);
        let tick = pack.tick;
        let finished = self.finished(&pack, how, spare);
        // The memory of a pack that nobody else has is used again.
        drop(pack);
        // While a pack is claimed nobody does I/O under this lock.
        let mut appender = self.appender.lock();
        appender.packs.finish(tick, finished);
        self.settle_finished(&mut appender);
        appender
    }

    /// Gives places to the packs whose turn it is.
    fn settle_finished(&self, appender: &mut Appender) {
        if appender.settle() {
            self.look_ahead(appender);
            self.packing.finished.notify_all();
        }
    }

    /// The frame that a pack becomes, into memory that is there.
    fn finished(&self, pack: &Pack, how: How, mut bytes: Vec<u8>) -> Finished {
        bytes.clear();
        bytes.resize(FRAME_HEADER_LEN, 0);
        let mut codec = 0;
        let shape = if how == How::StorePlain {
            pack.entries.finish(&mut bytes)
        } else {
            let mut raw = self.payloads.buffer();
            let shape = pack.entries.finish(&mut raw);
            let encode = || self.payloads.compress(&raw, shape, &mut bytes, &self.stats);
            // Whoever leads a commit is here, and a panic in the user's codec must not take it along. The entries have
            // their LSNs: they are stored without the gain.
            codec = catch_unwind(AssertUnwindSafe(encode)).unwrap_or(Ok(0)).unwrap_or(0);
            if codec == 0 {
                bytes.truncate(FRAME_HEADER_LEN);
                bytes.extend_from_slice(&raw);
            }
            self.payloads.give_back(raw);
            shape
        };
        let body = bytes.get(FRAME_HEADER_LEN..).unwrap_or_default();
        let (body_len, body_crc) = (body.len(), self.options.checksum.of(body));
        if how == How::StorePlain {
            add(&self.stats.compression_skipped_bytes, body_len as u64);
        }
        bytes.resize(FRAME_HEADER_LEN + body_len.next_multiple_of(8), 0);
        Finished { bytes, body_len, body_crc, codec, shape }
    }

    /// The short lock, once there are no packs.
    pub(crate) fn settle_and_lock(&self, patience: Patience) -> Result<MutexGuard<'_, Appender>, LogError> {
        if patience == Patience::None {
            // Compressing is work for somebody with time.
            self.leave_errand(Errand::Write);
            return Err(patience.run_out("compress what came before"));
        }
        // No codec can be cut short: somebody with a deadline leaves them to others, if there are any.
        let (mut rounds, mut how) = (ROUNDS, self.when_behind());
        if patience != Patience::Endless && self.packers() > 0 {
            self.have_settled(patience)?;
            (rounds, how) = (0, How::StorePlain);
        }
        for _ in 0..rounds {
            let upto = self.lock_appender(patience)?.tick;
            self.settle_upto(upto, patience)?;
        }
        let mut appender = self.lock_appender(patience)?;
        appender.packs.holds += 1;
        let settled = self.settle_under_lock(&mut appender, how, patience);
        appender.packs.holds -= 1;
        if appender.packs.holds == 0 {
            self.packing.finished.notify_all();
            self.packing.work.notify_all();
        }
        settled.map(|()| appender)
    }

    /// Waits until others have made frames of everything that was appended before the call.
    fn have_settled(&self, patience: Patience) -> Result<(), LogError> {
        let mut appender = self.lock_appender(patience)?;
        let upto = appender.tick;
        appender.packs.seal();
        self.packing.work.notify_all();
        loop {
            self.settle_finished(&mut appender);
            if !appender.packs.has(upto) {
                return Ok(());
            }
            self.wait_for_others(&mut appender, patience)?;
        }
    }

    fn settle_under_lock(
        &self,
        appender: &mut MutexGuard<'_, Appender>,
        how: How,
        patience: Patience,
    ) -> Result<(), LogError> {
        loop {
            self.settle_finished(appender);
            if appender.packs.is_empty() {
                return Ok(());
            }
            match appender.packs.claim(Tick::MAX) {
                Some((pack, _)) => {
                    let spare = appender.spares.pop().unwrap_or_default();
                    let finished = self.finished(&pack, how, spare);
                    appender.packs.finish(pack.tick, finished);
                }
                None => self.wait_for_others(appender, patience)?,
            }
        }
    }
}
