//! The short way to an entry: durable, in a part of the file that is mapped, and in a frame that is not compressed. All
//! others are found by the [`FrameReader`](super::FrameReader), which also says what is wrong.

use std::fmt;

use bytes::Bytes;
use wal_format::{EntriesFrame, EntriesLayout, FRAME_HEADER_LEN, Lsn, parse_entries};

use super::{Segment, read::hop_in};
use crate::{local::fetch, points::Stretch};

/// Bytes of a cache line, or less.
const LINE: usize = 64;
/// More than this of an entry is fetched by the processor on its own, once it is read. Sixteen of these fit into the
/// nearest cache.
const TOUCHED: usize = 2048;

/// Where an entry is expected. Made by [`Segment::aim`].
#[derive(Clone, Copy)]
pub struct Aim<'a> {
    segment: &'a Segment,
    /// The frames among which it is, and where they begin.
    window: &'a [u8],
    start: u64,
    delta: u32,
    /// Where it begins in the window, if all of them are equally long.
    likely: usize,
    frame_len: usize,
    stretch: Stretch,
}

/// A verified entry, lent by the file.
#[derive(Clone, Copy)]
pub struct AimedEntry<'a> {
    /// When it was stamped, in nanoseconds since 1970.
    pub time: u64,
    /// The user's kind of it.
    pub kind: u8,
    /// The term, when one was given.
    pub term: Option<u64>,
    /// The user's own time, when one was given.
    pub timestamp: Option<i64>,
    /// The transaction that committed it, when one did.
    pub transaction: Option<[u8; 16]>,
    /// Its bytes.
    pub payload: &'a [u8],
    segment: &'a Segment,
    /// Where these begin in the file.
    offset: u64,
}

impl AimedEntry<'_> {
    /// Its bytes, to be kept.
    #[inline]
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let range = self.offset..self.offset + self.payload.len() as u64;
        self.segment.file.view(range).unwrap_or_else(|_| Bytes::copy_from_slice(self.payload))
    }
}

impl Segment {
    /// Has what [`aim`](Self::aim) will look at fetched into the caches: for several entries at once that takes little
    /// longer than for one.
    #[inline]
    pub fn touch(&self, lsn: Lsn) {
        let delta = lsn.since(self.base).and_then(|delta| u32::try_from(delta).ok());
        if let (Some(delta), Some(index)) = (delta, self.index.get()) {
            index.touch(delta);
        }
    }

    /// Where to look for an entry; `None` where that must be found out first, or the entry is not durable.
    #[inline]
    #[must_use]
    pub fn aim(&self, lsn: Lsn) -> Option<Aim<'_>> {
        let delta = u32::try_from(lsn.since(self.base)?).ok()?;
        let stretch = self.index.get()?.around(delta)?;
        let (start, durable) = (stretch.from.offset(), self.durable());
        let end = stretch.to.map_or(durable, |to| to.offset().min(durable));
        let file = self.file.prefix(end)?;
        let window = file.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)?;
        let frame_len = usize::try_from(stretch.frames().1).ok()?;
        let likely = (delta.wrapping_sub(stretch.from.lsn_delta) as usize).checked_mul(frame_len)?;
        Some(Aim { segment: self, window, start, delta, likely, frame_len, stretch })
    }
}

impl<'a> Aim<'a> {
    /// Has what [`entry`](Self::entry) will look at fetched into the caches.
    #[inline]
    pub fn touch(&self) {
        let Self { window, likely, frame_len: len, .. } = *self;
        let touch = |at: usize| window.get(at).iter().for_each(|byte| fetch(*byte));
        if !self.stretch.even {
            (0..likely).step_by(len.max(LINE)).for_each(touch);
        }
        let end = likely.saturating_add(len.clamp(1, TOUCHED));
        (likely..end).step_by(LINE).for_each(touch);
        touch(end - 1);
    }

    /// The entry, verified; `None` when it is not to be had in this way, or shares with others a frame of more
    /// than `shared_max` bytes, which would be verified for this one alone.
    #[inline]
    #[must_use]
    pub fn entry(&self, shared_max: usize) -> Option<AimedEntry<'a>> {
        let at = if self.stretch.even { self.likely } else { self.hop_and_note(shared_max)? };
        let offset = self.start + at as u64;
        let frame = parse_entries(self.window.get(at..)?, self.segment.key(), offset)?;
        let EntriesFrame { lsn_delta, time, entry_kind: kind, body, .. } = frame;
        let offset = offset + FRAME_HEADER_LEN as u64;
        if !frame.is_plain() {
            return self.among(&frame, offset);
        }
        let (term, timestamp, transaction, segment) = (None, None, None, self.segment);
        (lsn_delta == self.delta).then_some(AimedEntry {
            time,
            kind,
            term,
            timestamp,
            transaction,
            payload: body,
            segment,
            offset,
        })
    }

    /// The entry among those of a frame whose body begins at `offset`.
    #[inline(never)]
    fn among(&self, frame: &EntriesFrame<'a>, offset: u64) -> Option<AimedEntry<'a>> {
        let EntriesFrame { lsn_delta, count, columns, entry_kind, time, body, .. } = *frame;
        let index = self.delta.checked_sub(lsn_delta)?;
        let layout = EntriesLayout::parse(count, columns, entry_kind, body).ok()?;
        let entry = layout.get(body, index).ok()?;
        Some(AimedEntry {
            time,
            kind: entry.kind,
            term: entry.term,
            timestamp: entry.timestamp,
            transaction: layout.transaction(),
            payload: entry.payload,
            segment: self.segment,
            offset: offset + entry.range.start as u64,
        })
    }

    /// Goes from length to length to the frame. Where that turns out to be what the points suggest, this is noted: the
    /// next one need not, and an entry that looks like a frame is still never taken for one.
    #[inline(never)]
    fn hop_and_note(&self, shared_max: usize) -> Option<usize> {
        let (at, hint) = hop_in(self.window, self.delta, self.frame_len as u64)?;
        let at = usize::try_from(at).ok()?;
        if hint.count > 1 {
            return (hint.frame_len <= shared_max as u64).then_some(at);
        }
        if self.stretch.is_even(self.window)
            && let Some(index) = self.segment.index.get()
        {
            index.note_even(&self.stretch);
        }
        Some(at)
    }
}

// Written by hand, because `Bytes` shows its content, which here is a file.
impl fmt::Debug for Aim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aim")
            .field("segment", self.segment)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AimedEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AimedEntry").field("payload", &self.payload).finish_non_exhaustive()
    }
}
