//! Appending: the body is encoded and checksummed by the caller's thread, then stamped under a short lock.

mod stamped;

use std::{sync::atomic::Ordering, time::Duration};

use parking_lot::MutexGuard;
use snafu::ResultExt;
use stamped::Due;
pub(crate) use stamped::Stamped;
use wal_format::{BODY_LEN_MAX, BodyShape, EntriesBuilder, FrameKind, Lsn, NewEntry};

use crate::{
    Durability, LogError,
    appender::{Appender, CONTROL_RESERVE, Draft, Reserve, Room, padded},
    begin::opening_len,
    chunk::CHUNK_LEN,
    engine::Engine,
    error::{ConflictSnafu, EncodingSnafu, InvalidArgumentSnafu, TooLargeSnafu, UnconfirmedSnafu},
    events::Start,
    frames::check_records,
    patience::{Errand, Patience, Terms},
    stats::add,
};

/// Beyond this LSN nothing is appended, so that the last one of a batch is one, too.
const NEXT_MAX: u64 = u64::MAX - u32::MAX as u64;

impl Engine {
    /// Appends one entry and returns when it is as durable as asked.
    #[inline(always)]
    pub(crate) fn append(&self, entry: &NewEntry<'_>, terms: &Terms) -> Result<Stamped, LogError> {
        self.check_len(entry.payload.len())?;
        if self.packs(entry.payload.len()) {
            return self.append_packed(entry, terms);
        }
        if entry.is_plain() {
            let shape = BodyShape { count: 1, columns: 0, entry_kind: entry.kind };
            return self.append_body(entry.payload, shape, entry.payload.len(), terms);
        }
        let mut body = Vec::new();
        let shape = entry.encode(&mut body).context(EncodingSnafu { operation: "encode the entry" })?;
        check_body_len(body.len())?;
        self.append_body(&body, shape, entry.payload.len(), terms)
    }

    /// Appends a batch as one frame.
    pub(crate) fn append_batch(&self, batch: &EntriesBuilder, terms: &Terms) -> Result<Stamped, LogError> {
        if batch.is_empty() {
            return InvalidArgumentSnafu { why: "a batch must hold at least one entry" }.fail();
        }
        self.check_len(batch.payload_len())?;
        check_body_len(batch.body_len())?;
        let context = EncodingSnafu { operation: "read a change of the metadata" };
        check_records(batch.metadata()).context(context)?;
        let mut body = Vec::new();
        let shape = batch.finish(&mut body);
        if batch.metadata().is_empty() {
            return self.append_body(&body, shape, batch.payload_len(), terms);
        }
        // Recovery must be able to read the records without a codec.
        let draft = self.draft(&body, 0, shape, batch.metadata());
        self.append_draft(&draft, batch.payload_len(), terms)
    }

    #[inline(always)]
    fn append_body(
        &self,
        raw: &[u8],
        shape: BodyShape,
        payload_len: usize,
        terms: &Terms,
    ) -> Result<Stamped, LogError> {
        if !self.payloads.tries(raw.len()) {
            return self.append_draft(&self.draft(raw, 0, shape, &[]), payload_len, terms);
        }
        self.append_compressed(raw, shape, payload_len, terms)
    }

    /// For a log that compresses: [`append_compressed`](Self::append_compressed).
    pub(crate) fn compress_and_append(
        &self,
        raw: &[u8],
        shape: BodyShape,
        payload_len: usize,
        terms: &Terms,
    ) -> Result<Stamped, LogError> {
        let mut scratch = self.payloads.buffer();
        let (body, codec) = self.payloads.encode(raw, shape, &mut scratch, &self.stats)?;
        let draft = self.draft(body, codec, shape, &[]);
        let stamped = self.append_draft(&draft, payload_len, terms);
        self.payloads.give_back(scratch);
        stamped
    }

    #[inline(always)]
    pub(crate) fn draft<'a>(
        &self,
        body: &'a [u8],
        codec: u8,
        shape: BodyShape,
        metadata: &'a [u8],
    ) -> Draft<'a> {
        Draft { metadata, ..Draft::entries(body, self.options.checksum.of(body), codec, shape) }
    }

    #[inline(always)]
    pub(crate) fn append_draft(
        &self,
        draft: &Draft<'_>,
        payload_len: usize,
        terms: &Terms,
    ) -> Result<Stamped, LogError> {
        // A look at the clock is much for an append to memory, and nothing beside a write or a sync.
        let through = match terms.durability {
            Durability::Buffered => return self.append_untimed(draft, payload_len, terms),
            Durability::Written => {
                let stored = self.stores.then(|| self.append_stored(draft, payload_len, terms)).flatten();
                stored.or_else(|| self.append_through(draft, payload_len, terms))
            }
            Durability::Durable => None,
        };
        through.unwrap_or_else(|| self.timed(|| self.append_untimed(draft, payload_len, terms)))
    }

    /// Counts how long an append takes that waits for a write or a sync.
    #[inline(never)]
    pub(crate) fn timed(
        &self,
        append: impl FnOnce() -> Result<Stamped, LogError>,
    ) -> Result<Stamped, LogError> {
        let start = Start::now(&*self.clock);
        let appended = append();
        if appended.is_ok() {
            self.stats.append_duration.record(start.elapsed_ns(&*self.clock));
        }
        appended
    }

    #[inline(always)]
    fn append_untimed(
        &self,
        draft: &Draft<'_>,
        payload_len: usize,
        terms: &Terms,
    ) -> Result<Stamped, LogError> {
        let stamped = match self.place_at_once(draft, payload_len, terms) {
            Some(stamped) => stamped,
            None => self.place(draft, payload_len, Reserve::Keep, terms)?,
        };
        self.wake_driver(stamped.begins_interval());
        if terms.durability == Durability::Buffered && !stamped.due.has(Due::SYNC.and(Due::WRITE)) {
            return Ok(stamped);
        }
        self.carry_out(stamped, terms)
    }

    /// Stamps a frame if nothing at all stands in the way, as is so for nearly every append. [`place`](Self::place)
    /// sees to everything else.
    #[inline(always)]
    fn place_at_once(&self, draft: &Draft<'_>, payload_len: usize, terms: &Terms) -> Option<Stamped> {
        let now = self.clock.now();
        let mut appender = self.free_appender(draft, terms)?;
        appender.count(1, draft.shape.count, payload_len);
        Some(self.stamp(&mut appender, draft, now))
    }

    /// The short lock, if nothing at all stands in the way of stamping this frame.
    #[inline(always)]
    pub(crate) fn free_appender(&self, draft: &Draft<'_>, terms: &Terms) -> Option<MutexGuard<'_, Appender>> {
        let asks = terms.expected.is_some() || terms.patience != Patience::Endless || self.objects;
        if asks || draft.time.is_some() || !draft.metadata.is_empty() {
            return None;
        }
        let appender = self.appender.lock();
        let is_free = self.takes(&appender) && appender.packs.is_empty() && !self.is_full(&appender);
        let has_room = || appender.room(draft.body.len(), draft.shape.count, Reserve::Keep) == Room::Here;
        (is_free && has_room()).then_some(appender)
    }

    /// What remains to be done for entries that have their LSNs.
    pub(crate) fn conclude(&self, stamped: Stamped, terms: &Terms) -> Result<Stamped, LogError> {
        self.wake_driver(stamped.begins_interval());
        self.carry_out(stamped, terms)
    }

    #[inline(never)]
    pub(crate) fn carry_out(&self, stamped: Stamped, terms: &Terms) -> Result<Stamped, LogError> {
        self.carry_through(&stamped, terms).map(|()| stamped).or_else(|source| {
            let (first, last) = (stamped.first, stamped.last);
            Err(source).context(UnconfirmedSnafu { first, last })
        })
    }

    /// Stamps a frame, starting or changing segments as needed.
    pub(crate) fn place(
        &self,
        draft: &Draft<'_>,
        payload_len: usize,
        reserve: Reserve,
        terms: &Terms,
    ) -> Result<Stamped, LogError> {
        let now = draft.time.unwrap_or_else(|| self.clock.now());
        let mut until = None;
        loop {
            let appender = self.lock_settled(terms.patience)?;
            let Some(appender) = self.admitted(appender, terms, reserve, &mut until)? else { continue };
            let admitted = appender.admit(draft.metadata, self.options.metadata_len_max)?;
            let need = (draft.body.len(), draft.shape.count);
            if let Some(mut appender) = self.with_room(appender, need, reserve, terms.patience, now)? {
                appender.count(1, draft.shape.count, payload_len);
                let stamped = self.stamp(&mut appender, draft, now);
                self.change(&mut appender, admitted);
                return Ok(stamped);
            }
        }
    }

    /// Gives the lock back when the log takes appends on these terms. Otherwise waits until it may, and everything
    /// under the lock must be looked at anew.
    pub(crate) fn admitted<'a>(
        &self,
        appender: MutexGuard<'a, Appender>,
        terms: &Terms,
        reserve: Reserve,
        until: &mut Option<Duration>,
    ) -> Result<Option<MutexGuard<'a, Appender>>, LogError> {
        let Terms { expected, patience, .. } = *terms;
        self.check_writable(&appender)?;
        if let Some(expected) = expected.filter(|expected| *expected != appender.next) {
            return ConflictSnafu { expected, next: appender.next }.fail();
        }
        if appender.next.get() > NEXT_MAX {
            return InvalidArgumentSnafu { why: "the log has run out of LSNs" }.fail();
        }
        // A trim is short, is waited for anyway, and holds a lock under which nobody may be told of a write.
        if reserve == Reserve::Keep && self.is_full(&appender) {
            drop(appender);
            return self.make_way(terms, until).map(|()| None);
        }
        if patience != Patience::Endless
            && let Some(tick) = self.overdue(&appender)
        {
            drop(appender);
            return self.wait_durable(tick, patience).map(|()| None);
        }
        Ok(Some(appender))
    }

    /// Gives the lock back when the active segment has room for a frame. Otherwise makes it, and everything under the
    /// lock must be looked at anew.
    pub(crate) fn with_room<'a>(
        &self,
        mut appender: MutexGuard<'a, Appender>,
        (body_len, count): (usize, u32),
        reserve: Reserve,
        patience: Patience,
        now: u64,
    ) -> Result<Option<MutexGuard<'a, Appender>>, LogError> {
        if self.objects {
            // Compressed they need less, and an object is left behind only without packs.
            if !appender.packs.is_empty() && appender.room(body_len, count, reserve) != Room::Here {
                drop(appender);
                drop(self.lock_settled(patience)?);
                return Ok(None);
            }
            return self.room_in_object(appender, (body_len, count), reserve, now).map(Some);
        }
        let errand = Errand::Room { body_len, count };
        let room = appender.room(body_len, count, reserve);
        if room != Room::Here && reserve == Reserve::Keep {
            self.tier.as_ref().map_or(Ok(()), |tier| tier.check(self, &appender))?;
        }
        match room {
            Room::Here => return Ok(Some(appender)),
            Room::None if patience == Patience::Endless => self.begin_first(&mut appender, body_len)?,
            Room::None => {
                drop(appender);
                self.have_done(errand, patience, "start a segment")?;
            }
            // Compressed they need less, and a segment is left behind only without packs.
            Room::Next if !appender.packs.is_empty() => {
                drop(appender);
                drop(self.lock_settled(patience)?);
            }
            Room::Next => {
                if self.next_segment(appender, body_len, now)?.is_some() {
                    self.have_done(errand, patience, "prepare a segment")?;
                }
            }
        }
        Ok(None)
    }

    /// Goes on in the next segment if it is ready. Otherwise says how long it must be, and lets go of the lock.
    pub(crate) fn next_segment(
        &self,
        mut appender: MutexGuard<'_, Appender>,
        body_len: usize,
        now: u64,
    ) -> Result<Option<u64>, LogError> {
        let len = segment_len_for(&appender, body_len);
        match self.preparer()?.take(len) {
            Some(successor) => self.roll(&mut appender, successor, now).map(|()| None),
            None => Ok(Some(len)),
        }
    }

    #[inline(always)]
    pub(crate) fn stamp(&self, appender: &mut Appender, draft: &Draft<'_>, now: u64) -> Stamped {
        let first = appender.stamp(draft, now);
        let promises = draft.shape.count > 0 || draft.kind == FrameKind::Metadata;
        let stamped = self.stamped(appender, first, draft.shape.count, promises);
        self.look_ahead(appender);
        stamped
    }

    /// What became of the last so many entries, which were just added. What `promises` something must be synced in
    /// time.
    #[inline(always)]
    pub(crate) fn stamped(&self, appender: &mut Appender, first: Lsn, count: u32, promises: bool) -> Stamped {
        let last = first.plus(u64::from(count.saturating_sub(1)));
        self.marks.set_next(appender.next);
        let mut due = Due::WRITE.when(appender.queued.bytes >= CHUNK_LEN);
        due = due.and(Due::SETTLE.when(self.is_behind(appender)));
        if self.options.sync.interval().is_some() && promises {
            due = due.and(self.note_unsynced(appender));
        }
        Stamped { first, last, tick: appender.tick, due }
    }

    /// Has the successor prepared in time.
    #[inline]
    pub(crate) fn look_ahead(&self, appender: &mut Appender) {
        if let Some(tail) = appender.tail.as_mut().filter(|tail| tail.offset >= tail.prepare_at) {
            tail.prepare_at = u64::MAX;
            self.ask_for_chores();
        }
    }

    /// Remembers when the oldest entry without a sync was stamped. Looks at the clock only now and then; while a sync
    /// is under way, which may hang, whenever there is another stamp.
    fn note_unsynced(&self, appender: &mut Appender) -> Due {
        let oldest = appender.oldest_unsynced();
        // The first that the sync under way will not cover is looked at in any case: when that sync ends, nobody else
        // knows of it.
        let first = appender.unsynced_since.is_none();
        let may_hang = appender.syncing_since.is_some() && appender.looked != appender.time;
        if !first && !may_hang && !is_64th(appender) {
            return Due::NOTHING;
        }
        appender.looked = appender.time;
        let now = u64::try_from(self.clock.monotonic().as_nanos()).unwrap_or(u64::MAX);
        appender.unsynced_since.get_or_insert(now);
        let age = u128::from(now.saturating_sub(oldest.unwrap_or(now)));
        let is_overdue = age > self.options.unsynced_age_max.as_nanos();
        Due::INTERVAL.when(first).and(Due::SYNC.when(is_overdue))
    }

    fn roll(
        &self,
        appender: &mut Appender,
        successor: crate::prepare::Prepared,
        now: u64,
    ) -> Result<(), LogError> {
        let after = appender.tail.as_ref().map(|tail| tail.segment.id());
        let segment = appender
            .roll(successor, now)
            .ok_or(LogError::InvalidArgument { why: "the metadata does not fit an opening frame" })?;
        self.rotated(&segment, appender.tail.as_ref().map_or(0, |tail| tail.capacity));
        self.show(after, segment);
        Ok(())
    }

    /// Takes entries as far as asked, or as far as there is time.
    pub(crate) fn carry_through(&self, stamped: &Stamped, terms: &Terms) -> Result<(), LogError> {
        let Terms { durability, patience, .. } = *terms;
        match durability {
            // What was overdue was waited for before.
            _ if stamped.due.has(Due::SYNC) && patience == Patience::Endless => {
                self.commit.wait(self, stamped.tick)
            }
            Durability::Durable => self.wait_durable(stamped.tick, patience),
            Durability::Written if self.marks.written() >= stamped.tick => Ok(()),
            Durability::Written => self.have_done(Errand::WriteUpTo(stamped.tick), patience, "write"),
            Durability::Buffered if !stamped.due.has(Due::WRITE) => Ok(()),
            Durability::Buffered if patience == Patience::Endless => {
                add(&self.stats.flushes_full, 1);
                self.write_if_free()
            }
            Durability::Buffered => {
                add(&self.stats.flushes_full, 1);
                self.leave_errand(Errand::Write);
                Ok(())
            }
        }
    }

    #[inline]
    pub(crate) fn check_len(&self, len: usize) -> Result<(), LogError> {
        let max = u64::from(self.options.entry_len_max);
        if len as u64 > max { TooLargeSnafu { len: len as u64, max }.fail() } else { Ok(()) }
    }

    /// Whether the log takes appends at all: [`admitted`](Self::admitted) says why not.
    #[inline]
    fn takes(&self, appender: &Appender) -> bool {
        !appender.closed && appender.next.get() <= NEXT_MAX && self.preparer.is_some() && !self.is_poisoned()
    }

    /// Lets the sync thread know that there is something to do, if it does not look by itself in time.
    #[inline]
    pub(crate) fn wake_driver(&self, interval_begins: bool) {
        if let Some(driver) = self.driver.get()
            && (interval_begins || driver.asleep.load(Ordering::SeqCst))
        {
            driver.kick();
        }
    }
}

/// Whether this append is one of those that look at the clock. The entries of a pack share a tick.
fn is_64th(appender: &Appender) -> bool {
    let Appender { tick, counts, packs, .. } = appender;
    tick.is_multiple_of(64) || (!packs.is_empty() && counts.entries.is_multiple_of(64))
}

/// Metadata can make the body of a batch longer than its entries may be.
fn check_body_len(len: usize) -> Result<(), LogError> {
    let max = u64::from(BODY_LEN_MAX);
    if len as u64 > max { TooLargeSnafu { len: len as u64, max }.fail() } else { Ok(()) }
}

/// How long the next segment must be at least to hold a frame with this body.
pub(crate) fn segment_len_for(appender: &Appender, body_len: usize) -> u64 {
    wal_format::FIRST_FRAME + opening_len(&appender.metadata) + padded(body_len) + CONTROL_RESERVE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_no_frame_can_hold_is_refused_before_it_is_laid_out() {
        assert!(check_body_len(BODY_LEN_MAX as usize).is_ok());
        let refused = check_body_len(BODY_LEN_MAX as usize + 1);
        assert!(matches!(refused, Err(LogError::TooLarge { len, max }) if len == max + 1), "{refused:?}");
    }
}
