//! Entries that are durable, mapped and in a frame of their own, without a lock: what most lookups in a warm log are.
//! All others are found in [`read`](crate::read), which also says what is wrong.

use wal_format::Lsn;
use wal_segment::{Aim, PlainEntry, Segment};

use crate::{Entry, EntryRef, engine::Engine};

/// So many entries are on their way from memory at once.
pub(crate) const GROUP: usize = 32;

impl Engine {
    /// The entry with this LSN, if it is one of these.
    #[inline]
    pub(crate) fn settled(&self, lsn: Lsn) -> Option<Entry> {
        self.with_segment(lsn, |segment| Some(owned(lsn, &segment.aim(lsn)?.entry()?)))
    }

    /// Shows it to `read`, which stays where it is when there is nothing to show.
    pub(crate) fn lend_settled<T>(
        &self,
        lsn: Lsn,
        read: &mut Option<impl FnOnce(EntryRef<'_>) -> T>,
    ) -> Option<T> {
        self.with_segment(lsn, |segment| {
            let entry = segment.aim(lsn)?.entry()?;
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

    /// Adds the entries of a group to those found, in order. Of those that are none of these, the places are `missing`.
    pub(crate) fn settled_group(&self, lsns: &[Lsn], found: &mut Vec<Entry>, missing: &mut Vec<usize>) {
        let (first, durable) = (self.first_retained(), self.marks.durable_next());
        let view = self.view.load();
        let mut segments = [None; GROUP];
        for (place, lsn) in segments.iter_mut().zip(lsns).filter(|(_, lsn)| first <= **lsn && **lsn < durable)
        {
            *place = view.position(*lsn).and_then(|position| view.segments.get(position));
            place.iter().for_each(|segment| segment.touch(*lsn));
        }
        let mut aims = [None; GROUP];
        for ((aim, segment), lsn) in aims.iter_mut().zip(segments).zip(lsns) {
            *aim = segment.and_then(|segment| segment.aim(*lsn));
        }
        aims.iter().flatten().for_each(Aim::touch);
        for (aim, lsn) in aims.iter().zip(lsns) {
            match aim.as_ref().and_then(Aim::entry) {
                Some(entry) => found.push(owned(*lsn, &entry)),
                None => missing.push(found.len() + missing.len()),
            }
        }
    }
}

fn owned(lsn: Lsn, entry: &PlainEntry<'_>) -> Entry {
    let PlainEntry { time, entry_kind: kind, .. } = *entry;
    Entry { lsn, kind, term: None, timestamp: None, time, transaction: None, payload: entry.to_bytes() }
}

const fn lent<'a>(lsn: Lsn, entry: &PlainEntry<'a>) -> EntryRef<'a> {
    let PlainEntry { time, entry_kind: kind, payload, .. } = *entry;
    EntryRef { lsn, kind, term: None, timestamp: None, time, payload }
}
