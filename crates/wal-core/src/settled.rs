//! Entries that are durable, mapped and not compressed, without a lock: what most lookups in a warm log are. All others
//! are found in [`read`](crate::read), which also says what is wrong.

use std::sync::Arc;

use wal_format::Lsn;
use wal_segment::{Aim, AimedEntry, Segment};

use crate::{Entry, EntryRef, engine::Engine};

/// Of many entries, the next so many are on their way from memory while one is read.
const AHEAD: usize = 16;
/// Of many entries, those in longer frames with others are left to who reads them in order: that verifies each frame
/// once.
const SHARED_MAX: usize = 2 << 10;

impl Engine {
    /// The entry with this LSN, if it is one of these.
    #[inline]
    pub(crate) fn settled(&self, lsn: Lsn) -> Option<Entry> {
        self.with_segment(lsn, |segment| Some(owned(lsn, &segment.aim(lsn)?.entry(usize::MAX)?)))
    }

    /// Shows it to `read`, which stays where it is when there is nothing to show.
    pub(crate) fn lend_settled<T>(
        &self,
        lsn: Lsn,
        read: &mut Option<impl FnOnce(EntryRef<'_>) -> T>,
    ) -> Option<T> {
        self.with_segment(lsn, |segment| {
            let entry = segment.aim(lsn)?.entry(usize::MAX)?;
            read.take().map(|read| read(lent(lsn, &entry)))
        })
    }

    #[inline]
    fn with_segment<T>(&self, lsn: Lsn, then: impl FnOnce(&Segment) -> Option<T>) -> Option<T> {
        // In this order: what is durable is in every view from now on, unless it is removed.
        if lsn >= self.marks.durable_next() || lsn < self.first_retained() {
            return None;
        }
        let view = self.view.load();
        then(view.segments.get(view.position(lsn)?)?)
    }

    /// Shows each of these entries to `visit`, with its place among them, in this order: `None` where it is none of
    /// these. All that are shown are of one history of the log.
    #[inline]
    pub(crate) fn settled_each(&self, lsns: &[Lsn], mut visit: impl FnMut(usize, Option<AimedEntry<'_>>)) {
        let (first, durable) = (self.first_retained(), self.marks.durable_next());
        let view = self.view.load();
        let segment_of = |lsn: Lsn| {
            let position = if first <= lsn && lsn < durable { view.position(lsn) } else { None };
            position.and_then(|position| view.segments.get(position))
        };
        let (mut segments, mut aims) = ([None; AHEAD], [None; AHEAD]);
        // Each is looked at three times: for the points around it to be fetched, for the entry itself to be fetched,
        // and when that has had the time to arrive.
        for step in 0..lsns.len().saturating_add(2 * AHEAD) {
            let (segment, aim) = (&mut segments[step % AHEAD], &mut aims[step % AHEAD]);
            if let Some(nth) = step.checked_sub(2 * AHEAD) {
                visit(nth, aim.as_ref().and_then(|aim: &Aim<'_>| aim.entry(SHARED_MAX)));
            }
            let aimed: Option<&Lsn> = step.checked_sub(AHEAD).and_then(|nth| lsns.get(nth));
            *aim = aimed.and_then(|lsn| segment.and_then(|segment: &Arc<Segment>| segment.aim(*lsn)));
            aim.iter().for_each(Aim::touch);
            *segment = lsns.get(step).and_then(|lsn| segment_of(*lsn).inspect(|segment| segment.touch(*lsn)));
        }
    }
}

#[inline]
pub(crate) fn owned(lsn: Lsn, entry: &AimedEntry<'_>) -> Entry {
    let AimedEntry { time, kind, term, timestamp, transaction, .. } = *entry;
    Entry { lsn, kind, term, timestamp, time, transaction, payload: entry.to_bytes() }
}

#[inline]
pub(crate) const fn lent<'a>(lsn: Lsn, entry: &AimedEntry<'a>) -> EntryRef<'a> {
    let AimedEntry { time, kind, term, timestamp, payload, .. } = *entry;
    EntryRef { lsn, kind, term, timestamp, time, payload }
}
