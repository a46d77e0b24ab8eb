//! What retention decides by: how long the segments are, and how old.

use std::{sync::Arc, time::Duration};

use wal_format::{FIRST_FRAME, FRAME_HEADER_LEN, Lsn};
use wal_segment::{BySegment, FrameReader, Segment};

use super::{
    Retained, age,
    age::Dated,
    belief::Belief,
    plan::{Facts, Pin, PinKind, SegmentFacts},
    policy::Retention,
};
use crate::{
    Clock, LogError, appender::Appender, checkpoint, cursor, cuts::Cuts, engine::Engine, packs::Part,
    view::View,
};

/// A single frame header is wanted.
const READ_LEN: u64 = 4 << 10;
/// More space than this behind its data was reserved for a segment and not given back yet.
const SLACK: u64 = 128 << 10;

/// What retention remembers from one look to the next.
#[derive(Debug)]
pub(crate) struct Keeper {
    belief: Belief,
    /// Entries from this LSN on were appended by this process.
    began: Lsn,
    /// The cuts of the log that `began` knows of.
    generation: u64,
    /// When it looked last, by the monotonic clock.
    looked: Duration,
    notes: BySegment<Note>,
    /// The last pass that removed something.
    pub(super) last: Option<Retained>,
}

/// What is known of a segment; times are those of the monotonic clock.
#[derive(Clone, Copy, Debug)]
struct Note {
    /// The LSN after its last entry, when it was looked at.
    next: Lsn,
    bytes: u64,
    /// The stamps of its first and its last entry, once they were read.
    first: Option<u64>,
    last: Option<u64>,
    /// The look before the first in which the segment was there, and the one in which it was.
    absent: Duration,
    present: Duration,
    /// The look before the first in which its last entry was there, and the one in which it was.
    shorter: Duration,
    complete: Duration,
}

impl Keeper {
    pub(crate) fn new(clock: &dyn Clock, last_stamp: u64, next: Lsn) -> Self {
        let opened = clock.monotonic();
        let belief = Belief::new(clock.now(), last_stamp, opened);
        Self { belief, began: next, generation: 0, looked: opened, notes: BySegment::default(), last: None }
    }

    /// What stands behind a cut was appended by this process, too.
    fn notice_cuts(&mut self, cuts: &Cuts) {
        let generation = cuts.generation();
        if let Some(next) = cuts.since(self.generation) {
            self.began = self.began.min(next);
        }
        self.generation = generation;
    }

    /// What is known of the time of an entry in the segment.
    fn dated(
        &self,
        segment: &Segment,
        entry: Lsn,
        stamp: Option<u64>,
        (after, by): (Duration, Duration),
        now: Duration,
    ) -> Dated {
        let own = entry >= self.began;
        Dated {
            stamp,
            created: segment.header().created,
            epoch: segment.header().epoch,
            at_most: own.then(|| now.saturating_sub(after)),
            at_least: now.saturating_sub(by),
        }
    }
}

impl Engine {
    /// Gathers what a plan needs.
    pub(super) fn retention_facts(&self, policy: &Retention) -> Result<Facts, LogError> {
        let mut keeper = self.keeper.lock();
        keeper.notice_cuts(&self.cuts);
        // The view before the end: what is appended meanwhile counts to the segment that was the last.
        let view = self.view();
        let mut facts = self.read_metadata(|appender| Facts::of(appender, self.first_retained()))??;
        let next = self.marks.next();
        let monotonic = self.clock.monotonic();
        let wall = keeper.belief.look(self.clock.now(), monotonic, policy.clock_trial);
        self.take_notes(&mut keeper, &view, next, monotonic);
        let ages = self.ages(&mut keeper, &view, policy, (wall, monotonic));
        for (at, segment) in view.segments.iter().enumerate() {
            let Some(note) = keeper.notes.get(segment.id()) else { continue };
            let (id, base) = (segment.id(), segment.base());
            let age = ages.get(at).copied();
            // An object is as long as what was written to it, and that grows until it is published.
            let bytes = if self.objects { segment.written() } else { note.bytes };
            facts.segments.push(SegmentFacts { id, base, next: note.next, bytes, age });
        }
        if policy.max_age.is_some() {
            facts.active_age = self.active_age(&mut keeper, &view, (wall, monotonic));
        }
        keeper.looked = monotonic;
        Ok(facts)
    }

    fn take_notes(&self, keeper: &mut Keeper, view: &View, next: Lsn, now: Duration) {
        let before = std::mem::take(&mut keeper.notes);
        for (at, segment) in view.segments.iter().enumerate() {
            let next = view.bound(at).unwrap_or(next).max(segment.base());
            let known = before.get(segment.id()).copied();
            // Its tail was reserved, and is given back some time after it has ended.
            let may_shrink = at + 1 < view.segments.len();
            let known =
                known.map(|note| match may_shrink && note.bytes > segment.written().saturating_add(SLACK) {
                    true => Note { bytes: self.space_of(segment), ..note },
                    false => note,
                });
            let note = match known {
                Some(note) if note.next == next => note,
                Some(note) => Note { next, last: None, shorter: keeper.looked, complete: now, ..note },
                None => Note {
                    next,
                    bytes: self.space_of(segment),
                    first: None,
                    last: None,
                    absent: keeper.looked,
                    present: now,
                    shorter: keeper.looked,
                    complete: now,
                },
            };
            keeper.notes.insert(segment.id(), note);
        }
    }

    /// How much space the file of a segment takes; at least as much as its data, also where that cannot be looked at.
    fn space_of(&self, segment: &Segment) -> u64 {
        let space = if self.objects { None } else { self.directory.space_of(segment.id()) };
        space.unwrap_or(0).max(segment.written())
    }

    /// The ages of the oldest segments, up to the first one that is younger than every limit.
    fn ages(
        &self,
        keeper: &mut Keeper,
        view: &Arc<View>,
        policy: &Retention,
        (wall, now): (u64, Duration),
    ) -> Vec<Duration> {
        let Some(least) = policy.least_age() else { return Vec::new() };
        let mut dated: Vec<Dated> = Vec::with_capacity(view.segments.len());
        for segment in &view.segments {
            let Some(note) = keeper.notes.get(segment.id()) else { continue };
            let last = note.next.previous().unwrap_or(segment.base());
            let stamp = note.last;
            dated.push(keeper.dated(segment, last, stamp, (note.shorter, note.complete), now));
        }
        let mut ages = Vec::new();
        for (at, segment) in view.segments.iter().enumerate() {
            let Some(note) = keeper.notes.get_mut(segment.id()) else { break };
            let age = match note.next.previous().filter(|last| *last >= segment.base()) {
                Some(last) => {
                    note.last = note.last.or_else(|| self.last_stamp(view, at, last));
                    let stamp = note.last;
                    if let Some(dated) = dated.get_mut(at) {
                        dated.stamp = stamp;
                    }
                    age::age(&dated, at, wall)
                }
                // There is nothing in it to be kept.
                None => Duration::MAX,
            };
            ages.push(age);
            if age <= least {
                break;
            }
        }
        ages
    }

    /// How old the first entry of the active segment is.
    fn active_age(
        &self,
        keeper: &mut Keeper,
        view: &Arc<View>,
        (wall, now): (u64, Duration),
    ) -> Option<Duration> {
        let segment = view.segments.last()?;
        let base = segment.base();
        let note = keeper.notes.get_mut(segment.id()).filter(|note| note.next > base)?;
        note.first = note.first.or_else(|| self.stamp_of(view, base));
        let stamp = note.first;
        let looks = (note.absent, note.present);
        let dated = keeper.dated(segment, base, stamp, looks, now);
        Some(age::age(&[dated], 0, wall))
    }

    /// The stamp of the last entry of a segment. One that has left is dated by the opening of the next, whose beginning
    /// is here: a request to the tier may hang, and this is asked under locks that closing the log takes, too.
    fn last_stamp(&self, view: &View, at: usize, last: Lsn) -> Option<u64> {
        let has_left =
            |segment: &Arc<Segment>| self.tier.as_ref().is_some_and(|tier| tier.has_left(segment.id()));
        if !view.segments.get(at).is_some_and(has_left) {
            return self.stamp_of(view, last);
        }
        let mut reader = FrameReader::new(FRAME_HEADER_LEN as u64);
        Some(reader.peek(view.segments.get(at + 1)?, FIRST_FRAME).ok()??.time)
    }

    /// The stamp of an entry's frame. One that cannot be read now is not an error of retention: the entry is dated by
    /// what surrounds it.
    fn stamp_of(&self, view: &View, lsn: Lsn) -> Option<u64> {
        let loaded = self.load(view, lsn, &mut FrameReader::new(READ_LEN), Part::Entry).ok()?;
        Some(loaded.1.header.time)
    }
}

impl Facts {
    /// What the metadata says.
    pub(super) fn of(appender: &Appender, shown: Lsn) -> Result<Self, LogError> {
        let mut facts = Self {
            segments: Vec::new(),
            active_age: None,
            first_retained: appender.first_retained,
            shown,
            pins: Vec::new(),
            unprotected: Vec::new(),
        };
        for cursor in cursor::all(appender)? {
            facts.pins.push(Pin { kind: PinKind::Cursor, name: cursor.name, lsn: cursor.next });
        }
        for checkpoint in checkpoint::all(&appender.metadata)? {
            let (name, lsn) = (checkpoint.name, checkpoint.lsn);
            if checkpoint.protected {
                facts.pins.push(Pin { kind: PinKind::Checkpoint, name, lsn });
            } else {
                facts.unprotected.push((name, lsn));
            }
        }
        Ok(facts)
    }

    /// The same segments, with what the metadata says now.
    pub(super) fn renewed(&self, appender: &Appender) -> Result<Self, LogError> {
        let Self { segments, active_age, shown, .. } = self.clone();
        Ok(Self { segments, active_age, ..Self::of(appender, shown)? })
    }
}
