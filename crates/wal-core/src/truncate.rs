//! Taking entries away: from the front, from the end, all.
//!
//! Nothing is overwritten. From the front, a frame says where the log begins now, and whole segments below are removed
//! once that frame is durable. From the end, a new segment names as its predecessor the place of the cut.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, atomic::Ordering},
};

use snafu::ResultExt;
use wal_format::{Close, CloseState, FrameKind, Lsn, Predecessor, Seal, SegmentId, Trim};
use wal_segment::{FrameReader, SegmentError, SegmentSet};

use crate::{
    DeletionReason, LogError,
    append::Stamped,
    appender::{Appender, Draft, Reserve, Tail, padded},
    begin::{Beginning, Carried, Inheritance, begin_len},
    checkpoint::drop_beyond,
    cursor::clamp_beyond,
    engine::Engine,
    error::{CutOffSnafu, EncodingSnafu, OutOfRangeSnafu, TruncatedSnafu},
    events::Span,
    flush::Writer,
    open::frame_before,
    patience::Patience,
    prepare::Preparer,
    sweep::Swept,
};

/// So many sealed segments are kept open: a log that is only appended to needs no more memory the longer it gets.
const WARM: usize = 8;

/// What was taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Truncation {
    /// Entries that were in the log and are not any more.
    pub entries: u64,
    /// Segments whose files were removed.
    pub segments: u64,
    /// Length of these files in bytes. A reader that still has one open keeps its space.
    pub bytes: u64,
    /// The names of the checkpoints that stood beyond a cut: they are deleted.
    pub checkpoints: Vec<String>,
    /// The names of the cursors that stood beyond a cut: they stand at the cut now.
    pub cursors: Vec<String>,
}

impl From<Swept> for Truncation {
    fn from(Swept { segments, bytes }: Swept) -> Self {
        Self { segments, bytes, ..Self::default() }
    }
}

impl Engine {
    /// Removes the entries before `first`. Durable on return; space is freed by whole segments.
    pub(crate) fn truncate_before(&self, first: Lsn) -> Result<Truncation, LogError> {
        let _admin = self.admin.lock();
        self.trim(&mut |_| Ok(first), &|_| DeletionReason::Trimmed)
    }

    /// The same, unless the log was cut before `first` since `generation`: then other entries may stand there than
    /// those that the caller has seen.
    pub(crate) fn truncate_seen(&self, first: Lsn, generation: u64) -> Result<Truncation, LogError> {
        let _admin = self.admin.lock();
        match self.cuts.since(generation).filter(|next| *next < first) {
            Some(next) => CutOffSnafu { lsn: first, next }.fail(),
            None => self.trim(&mut |_| Ok(first), &|_| DeletionReason::Trimmed),
        }
    }

    /// The same, before what `decide` finds under the lock; `reason` says why a segment goes. The lock `admin` is held,
    /// and whoever holds it [tells](Self::tell) afterwards what became durable.
    pub(crate) fn trim(
        &self,
        decide: &mut dyn FnMut(&Appender) -> Result<Lsn, LogError>,
        reason: &dyn Fn(SegmentId) -> DeletionReason,
    ) -> Result<Truncation, LogError> {
        let _span = Span::retention(&self.directory);
        let began = self.first_retained();
        let Some((first, stamped)) = self.place_trim(decide, began)? else {
            return Ok(Truncation::default());
        };
        // The frame that permits the deletion is durable before anything is deleted, whatever the policy.
        self.commit_discreetly(stamped.tick)?;
        let view = self.view();
        let live: SegmentSet = view.segments.iter().map(|segment| segment.id()).collect();
        let reason = |id| match reason(id) {
            // Part of a trim that had to wait, of which the plan of retention knows nothing.
            DeletionReason::Superseded if live.contains(id) => DeletionReason::Trimmed,
            planned => planned,
        };
        let last = first.previous().and_then(|last| view.segments.get(view.position(last)?));
        let why = last.map_or(DeletionReason::Trimmed, |last| reason(last.id()));
        drop(view);
        let active = {
            let appender = self.appender.lock();
            self.show_trim(&appender);
            appender.active()
        };
        self.truncated(why, first);
        let entries = self.first_retained().since(began).unwrap_or(0);
        Ok(Truncation { entries, ..Truncation::from(self.sweep(active, &reason)) })
    }

    /// Stamps a trim before what `decide` finds, unless the log begins there or behind already. Where it begins changes
    /// with the frame, under the same lock: a segment that another thread begins while room is made does not tell of a
    /// trim that may still fail.
    fn place_trim(
        &self,
        decide: &mut dyn FnMut(&Appender) -> Result<Lsn, LogError>,
        began: Lsn,
    ) -> Result<Option<(Lsn, Stamped)>, LogError> {
        let now = self.clock.now();
        loop {
            let appender = self.lock_settled(Patience::Endless)?;
            self.check_writable(&appender)?;
            let first = decide(&appender)?;
            if first > appender.next {
                return OutOfRangeSnafu { lsn: first, next: appender.next }.fail();
            }
            if first <= began {
                return Ok(None);
            }
            // The last room is for trims that let a file go: others would use it up, and free nothing.
            let frees = self.view().position(first).is_some_and(|position| position > 0);
            let reserve = if frees { Reserve::Control } else { Reserve::Small };
            let body = Trim { first_retained: first }.encode();
            let need = (body.len(), 0);
            if let Some(mut appender) = self.with_room(appender, need, reserve, Patience::Endless, now)? {
                // A trim before this one whose frame waits for space may have let more go.
                appender.first_retained = first.max(appender.first_retained);
                let draft = Draft::control(FrameKind::Trim, &body, self.options.checksum);
                return Ok(Some((first, self.stamp(&mut appender, &draft, now))));
            }
        }
    }

    /// The frames of all trims so far are durable: readers learn of them, one included whose call failed because its
    /// frame had to wait for space.
    fn show_trim(&self, appender: &Appender) {
        let first = appender.first_retained;
        if first > self.first_retained() {
            self.set_first_retained(first);
            self.view.rcu(|view| view.trimmed(first));
        }
    }

    /// Removes the entries from `next` on; the next append gets that LSN. Durable on return.
    pub(crate) fn truncate_from(&self, next: Lsn) -> Result<Truncation, LogError> {
        let _admin = self.admin.lock();
        let mut writer = self.writer.lock();
        let mut appender = self.lock_settled(Patience::Endless)?;
        self.check_writable(&appender)?;
        if next > appender.next {
            return OutOfRangeSnafu { lsn: next, next: appender.next }.fail();
        }
        if next < appender.first_retained {
            return TruncatedSnafu { lsn: next, first: appender.first_retained }.fail();
        }
        self.drain(&mut writer, &mut appender)?;
        self.show_trim(&appender);
        if next == appender.next {
            return Ok(Truncation::default());
        }
        let end = appender.next;
        let beginning = self.cut_at(next, &appender)?;
        let (checkpoints, cursors) = self.change_history(&mut writer, &mut appender, &beginning, next)?;
        self.cuts.cut(next);
        self.watch.rewind();
        self.truncated(DeletionReason::Cut, next);
        let entries = end.since(next).unwrap_or(0);
        let swept = self.sweep(appender.active(), &|_| DeletionReason::Cut);
        Ok(Truncation { entries, checkpoints, cursors, ..Truncation::from(swept) })
    }

    /// Removes all entries; the next append gets the LSN `next`, or the one it would have got. Durable on return.
    pub(crate) fn clear(&self, next: Option<Lsn>) -> Result<Truncation, LogError> {
        let _admin = self.admin.lock();
        let mut writer = self.writer.lock();
        let mut appender = self.lock_settled(Patience::Endless)?;
        self.check_writable(&appender)?;
        let end = appender.next;
        let next = next.unwrap_or(end);
        self.drain(&mut writer, &mut appender)?;
        self.show_trim(&appender);
        // What a trim has promised, not what one has only tried.
        if self.first_retained() == next && end == next {
            return Ok(Truncation::default());
        }
        let began = self.first_retained();
        let before = std::mem::replace(&mut appender.first_retained, next);
        let beginning = Beginning { base: next, predecessor: None, carried: None };
        let changed = self.change_history(&mut writer, &mut appender, &beginning, next);
        let (checkpoints, cursors) = changed.inspect_err(|_| appender.first_retained = before)?;
        self.set_first_retained(next);
        if next < end {
            self.cuts.cut(next);
            self.watch.rewind();
        }
        self.truncated(DeletionReason::Cleared, next);
        let entries = end.since(began).unwrap_or(0);
        let swept = self.sweep(appender.active(), &|_| DeletionReason::Cleared);
        Ok(Truncation { entries, checkpoints, cursors, ..Truncation::from(swept) })
    }

    /// Goes on in a new segment that begins as given. Everything appended so far must be durable. Returns the names of
    /// the checkpoints and cursors that stood beyond the cut.
    fn change_history(
        &self,
        writer: &mut Writer,
        appender: &mut Appender,
        beginning: &Beginning,
        next: Lsn,
    ) -> Result<(Vec<String>, Vec<String>), LogError> {
        let mut metadata = appender.metadata.clone();
        let moved = (drop_beyond(&mut metadata, next), clamp_beyond(&mut metadata, next));
        let prepared = self.take_prepared(begin_len(appender, beginning, 0))?;
        let active = appender.tail.as_ref().filter(|_| !self.objects);
        if let Some(key) = active.map(|tail| tail.segment.key()) {
            let seal = Seal { successor: prepared.header.segment, next: appender.next }.encode();
            appender.stamp(&Draft::control(FrameKind::Seal, &seal, key.checksum), self.clock.now());
            self.drain(writer, appender)?;
        }
        let end = appender.tail.as_ref().map(Tail::predecessor);
        let before = std::mem::replace(&mut appender.metadata, metadata);
        let begun = self.or_poison("start a segment", || self.begin(appender, beginning, &prepared));
        if let Err(error) = begun {
            appender.metadata = before;
            if self.objects {
                return Err(self.unpublished(error));
            }
            self.go_on_elsewhere(writer, appender, end);
            return Err(error);
        }
        *self.inheritance.lock() = Inheritance::None;
        let sealed = writer.forget();
        self.sealed.lock().extend(sealed);
        self.ask_for_chores();
        appender.next = next;
        appender.tick += 1;
        // In this order: what the marks promise is looked for from the first entry on, and a log that is to go on at a
        // later LSN has no entries before that.
        self.set_first_retained(appender.first_retained.max(self.first_retained()));
        self.marks.set_next(next);
        self.marks.set_written(appender.tick, next);
        self.marks.set_filed(next);
        self.marks.set_durable(appender.tick, next);
        Ok(moved)
    }

    /// A segment that could not be started may look like the head to recovery: what is appended from here on goes to a
    /// newer one, which follows the end of the segment that was sealed.
    fn go_on_elsewhere(&self, writer: &mut Writer, appender: &mut Appender, end: Option<Predecessor>) {
        if end.is_none() {
            return;
        }
        appender.tail = None;
        self.sealed.lock().extend(writer.forget());
        *self.inheritance.lock() =
            Inheritance::End(Beginning { base: appender.next, predecessor: end, carried: None });
    }

    /// How a segment begins that cuts the log off before `next`, which is not the first entry retained or later ones
    /// would be missing.
    fn cut_at(&self, next: Lsn, appender: &Appender) -> Result<Beginning, LogError> {
        let last = next.previous().filter(|last| *last >= appender.first_retained);
        let Some(last) = last else {
            return Ok(Beginning { base: next, predecessor: None, carried: None });
        };
        let view = self.view();
        // Everything is written by now, and the lock that finding younger frames takes is held.
        let found = self.load_written(&view, last, &mut FrameReader::new(64 << 10))?;
        let Some((position, frame)) = found else {
            return OutOfRangeSnafu { lsn: last, next: appender.next }.fail();
        };
        let Some(segment) = view.segments.get(position) else {
            return OutOfRangeSnafu { lsn: last, next: appender.next }.fail();
        };
        if frame.lsn.plus(u64::from(frame.header.count)) == next {
            let predecessor = frame_before(segment, frame.end(), frame.header.units())?;
            return Ok(Beginning { base: next, predecessor: Some(predecessor), carried: None });
        }
        // The cut goes through a frame: the part that stays is written anew, and the cut is made before it.
        let predecessor = frame_before(segment, frame.offset, frame.header.prev_units)?;
        let body = self.payloads.decode(&frame.header, frame.body.clone())?;
        let carried = Carried {
            source: Arc::clone(segment),
            from: frame.offset,
            to: frame.end(),
            len: padded(body.len().max(frame.body.len())),
            until: Some(next),
        };
        Ok(Beginning { base: frame.lsn, predecessor: Some(predecessor), carried: Some(carried) })
    }

    /// Closes the log: what was appended is durable, and a mark says that nothing is missing.
    pub(crate) fn close(&self) -> Result<(), LogError> {
        let admin = self.admin.lock();
        let mut writer = self.writer.lock();
        let mut appender = self.lock_settled(Patience::Endless)?;
        if appender.closed {
            return Ok(());
        }
        appender.closed = true;
        // Each step is done whatever became of those before it: a storage that has panicked may do so in every call,
        // and whoever waits for the log is told all the same that it is closed.
        let close_tail = || self.close_tail(&mut writer, &mut appender);
        let closed = catch_unwind(AssertUnwindSafe(close_tail));
        drop(appender);
        drop(writer);
        self.transactions.roll_back_all();
        self.ended.store(true, Ordering::Release);
        self.commit.wake_threads(self);
        self.watch.wake_threads();
        let indexed = catch_unwind(AssertUnwindSafe(|| self.index_sealed()));
        let given_back = catch_unwind(AssertUnwindSafe(|| self.preparer.iter().for_each(Preparer::close)));
        self.told_closed(matches!(closed, Ok(Ok(()))));
        drop(admin);
        // A callback may close the log, too: it finds that done.
        self.tell();
        let closed = closed.and_then(|closed| indexed.and(given_back).map(|()| closed));
        closed.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn close_tail(&self, writer: &mut Writer, appender: &mut Appender) -> Result<(), LogError> {
        if self.objects {
            // A close would be an object of its own, and there is nothing to prove.
            return self.drain(writer, appender);
        }
        let Some(key) = appender.tail.as_ref().map(|tail| tail.segment.key()) else {
            return self.poisoned().map_or(Ok(()), Err);
        };
        self.drain(writer, appender)?;
        let body = close_body(appender)?;
        appender.stamp(&Draft::control(FrameKind::Close, &body, key.checksum), self.clock.now());
        self.drain(writer, appender)?;
        if let Some(tail) = &appender.tail {
            self.directory_hint(&tail.segment, tail.offset - u64::from(tail.prev_units) * 8);
            tail.segment.release_tail();
        }
        Ok(())
    }

    /// Writes index sidecars of sealed segments. They are hints: a failure costs time later, nothing else. Says whether
    /// there were any such segments.
    pub(crate) fn index_sealed(&self) -> bool {
        let sealed = std::mem::take(&mut *self.sealed.lock());
        let any = !sealed.is_empty();
        let view = self.view();
        for (segment, last_frame) in sealed {
            if view.segments.iter().any(|live| live.id() == segment.id()) {
                self.directory_hint(&segment, last_frame);
                self.cool(segment.id());
            }
            segment.release_tail();
        }
        any
    }

    /// A segment was sealed, which means that another one has been for a while: its file is closed and its index
    /// forgotten, until somebody reads there.
    fn cool(&self, sealed: SegmentId) {
        if self.objects {
            return;
        }
        let mut warm = self.warm.lock();
        warm.push_back(sealed);
        if warm.len() > WARM
            && let Some(cold) = warm.pop_front()
        {
            self.view.rcu(|view| view.reopened(cold));
        }
    }

    fn directory_hint(&self, segment: &wal_segment::Segment, last_frame: u64) {
        if let Some(index) = segment.sidecar(last_frame) {
            let _: Result<(), SegmentError> = self.directory.write_index(&index);
        }
    }
}

/// The state goes into the close where it fits; the reserve of a segment always has room for the rest.
fn close_body(appender: &Appender) -> Result<Vec<u8>, LogError> {
    let context = EncodingSnafu { operation: "encode the close" };
    let state = CloseState { first_retained: appender.first_retained, metadata: appender.metadata.clone() };
    let mut body = Vec::new();
    Close { next: appender.next, state: Some(state) }.encode(&mut body).context(context)?;
    let fits = appender.tail.as_ref().is_some_and(|tail| tail.offset + padded(body.len()) <= tail.capacity);
    if !fits {
        body.truncate(8);
    }
    Ok(body)
}
