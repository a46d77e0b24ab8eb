//! Taking entries away: from the front, from the end, all.
//!
//! Nothing is overwritten. From the front, a frame says where the log begins now, and whole segments below are removed
//! once that frame is durable. From the end, a new segment names as its predecessor the place of the cut.

use std::sync::{Arc, atomic::Ordering};

use snafu::ResultExt;
use wal_format::{Close, CloseState, FrameKind, Lsn, Predecessor, Seal, Trim};
use wal_segment::{FrameReader, SegmentError};

use crate::{
    LogError,
    appender::{Appender, Draft, Reserve, Tail, padded},
    begin::{Beginning, Carried, Inheritance, begin_len},
    engine::Engine,
    error::{EncodingSnafu, OutOfRangeSnafu, TruncatedSnafu},
    events,
    flush::Writer,
    open::frame_before,
    patience::Terms,
};

impl Engine {
    /// Removes the entries before `first`. Durable on return; space is freed by whole segments.
    pub(crate) fn truncate_before(&self, first: Lsn) -> Result<(), LogError> {
        let _admin = self.admin.lock();
        let before = {
            let mut appender = self.appender.lock();
            self.check_writable(&appender)?;
            if first > appender.next {
                return OutOfRangeSnafu { lsn: first, next: appender.next }.fail();
            }
            if first <= self.first_retained() {
                return Ok(());
            }
            // Set before the frame is stamped: a segment that is started in between must not forget it. An earlier trim
            // whose frame waits for space may have set more, and a later frame does not take it back.
            let before = appender.first_retained;
            appender.first_retained = first.max(before);
            before
        };
        let body = Trim { first_retained: first }.encode();
        let body_crc = self.options.checksum.of(&body);
        let shape = wal_format::BodyShape { count: 0, columns: 0, entry_kind: 0 };
        let draft = Draft { kind: FrameKind::Trim, body: &body, body_crc, codec: 0, shape };
        let placed = self.place(&draft, 0, Reserve::Control, &Terms::PLAIN);
        let stamped = placed.inspect_err(|_| self.appender.lock().first_retained = before)?;
        // The frame that permits the deletion is durable before anything is deleted, whatever the policy.
        self.commit.wait(self, stamped.tick)?;
        let active = {
            let appender = self.appender.lock();
            self.show_trim(&appender);
            appender.active()
        };
        events::truncated(&self.directory, "before", first);
        self.sweep(active);
        Ok(())
    }

    /// The frames of all trims so far are durable: readers learn of them, one included whose call failed because its
    /// frame had to wait for space.
    fn show_trim(&self, appender: &Appender) {
        let first = appender.first_retained;
        if first > self.first_retained() {
            self.set_first_retained(first);
            let mut view = self.view.write();
            *view = Arc::new(view.trimmed(first));
        }
    }

    /// Removes the entries from `next` on; the next append gets that LSN. Durable on return.
    pub(crate) fn truncate_from(&self, next: Lsn) -> Result<(), LogError> {
        let _admin = self.admin.lock();
        let mut writer = self.writer.lock();
        let mut appender = self.appender.lock();
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
            return Ok(());
        }
        let beginning = self.cut_at(next, &appender)?;
        self.change_history(&mut writer, &mut appender, &beginning, next)?;
        self.cuts.cut(next);
        events::truncated(&self.directory, "from", next);
        self.sweep(appender.active());
        Ok(())
    }

    /// Removes all entries; the next LSN stays. Durable on return.
    pub(crate) fn clear(&self) -> Result<(), LogError> {
        let _admin = self.admin.lock();
        let mut writer = self.writer.lock();
        let mut appender = self.appender.lock();
        self.check_writable(&appender)?;
        let next = appender.next;
        // What a trim has promised, not what one has only tried.
        if self.first_retained() == next {
            return Ok(());
        }
        self.drain(&mut writer, &mut appender)?;
        self.show_trim(&appender);
        let before = std::mem::replace(&mut appender.first_retained, next);
        let beginning = Beginning { base: next, predecessor: None, carried: None };
        let changed = self.change_history(&mut writer, &mut appender, &beginning, next);
        changed.inspect_err(|_| appender.first_retained = before)?;
        self.set_first_retained(next);
        events::truncated(&self.directory, "all", next);
        self.sweep(appender.active());
        Ok(())
    }

    /// Goes on in a new segment that begins as given. Everything appended so far must be durable.
    fn change_history(
        &self,
        writer: &mut Writer,
        appender: &mut Appender,
        beginning: &Beginning,
        next: Lsn,
    ) -> Result<(), LogError> {
        let prepared = self.take_prepared(begin_len(appender, beginning, 0))?;
        if let Some(key) = appender.tail.as_ref().map(|tail| tail.segment.key()) {
            let seal = Seal { successor: prepared.header.segment, next: appender.next }.encode();
            appender.stamp(&Draft::control(FrameKind::Seal, &seal, key), self.clock.now());
            self.drain(writer, appender)?;
        }
        let end = appender.tail.as_ref().map(Tail::predecessor);
        let begun = self.begin(appender, beginning, &prepared);
        begun.inspect_err(|_| self.go_on_elsewhere(writer, appender, end))?;
        *self.inheritance.lock() = Inheritance::None;
        let sealed = writer.forget();
        self.sealed.lock().extend(sealed);
        self.ask_for_chores();
        appender.next = next;
        appender.tick += 1;
        self.marks.set_next(next);
        self.marks.set_written(appender.tick);
        self.marks.set_durable(appender.tick, next);
        Ok(())
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
        let body = self.payloads.decode(frame.header.codec, frame.body.clone())?;
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
        let _admin = self.admin.lock();
        let mut writer = self.writer.lock();
        let mut appender = self.appender.lock();
        if appender.closed {
            return Ok(());
        }
        appender.closed = true;
        let closed = self.close_tail(&mut writer, &mut appender);
        drop(appender);
        drop(writer);
        self.ended.store(true, Ordering::Release);
        self.commit.wake(self);
        self.index_sealed();
        if let Some(preparer) = &self.preparer {
            preparer.close();
        }
        events::closed(&self.directory, closed.is_ok());
        closed
    }

    fn close_tail(&self, writer: &mut Writer, appender: &mut Appender) -> Result<(), LogError> {
        let Some(key) = appender.tail.as_ref().map(|tail| tail.segment.key()) else {
            return self.poisoned().map_or(Ok(()), Err);
        };
        self.drain(writer, appender)?;
        let body = close_body(appender)?;
        appender.stamp(&Draft::control(FrameKind::Close, &body, key), self.clock.now());
        self.drain(writer, appender)?;
        if let Some(tail) = &appender.tail {
            self.directory_hint(&tail.segment, tail.offset - u64::from(tail.prev_units) * 8);
            tail.segment.release_tail();
        }
        Ok(())
    }

    /// Writes index sidecars of sealed segments. They are hints: a failure costs time later, nothing else.
    pub(crate) fn index_sealed(&self) {
        let sealed = std::mem::take(&mut *self.sealed.lock());
        let view = self.view();
        for (segment, last_frame) in sealed {
            if view.segments.iter().any(|live| live.id() == segment.id()) {
                self.directory_hint(&segment, last_frame);
            }
            segment.release_tail();
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
