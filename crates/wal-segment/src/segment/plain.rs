//! The short way to an entry: durable, in a part of the file that is mapped, and alone in a frame that is not
//! compressed. All others are found by the [`FrameReader`](super::FrameReader), which also says what is wrong.

use std::fmt;

use bytes::Bytes;
use wal_format::{FRAME_HEADER_LEN, Lsn, PlainFrame, parse_plain};

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

/// A verified entry that fills a frame of its own.
#[derive(Clone, Copy)]
pub struct PlainEntry<'a> {
    /// When it was stamped, in nanoseconds since 1970.
    pub time: u64,
    /// The user's kind of it.
    pub entry_kind: u8,
    /// Its bytes.
    pub payload: &'a [u8],
    segment: &'a Segment,
    /// Where these begin in the file.
    offset: u64,
}

impl PlainEntry<'_> {
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

    /// The entry, verified; `None` when it is not to be had in this way.
    #[inline]
    #[must_use]
    pub fn entry(&self) -> Option<PlainEntry<'a>> {
        let at = if self.stretch.even { self.likely } else { self.hop_and_note()? };
        let key = self.segment.key();
        let offset = self.start + at as u64;
        let frame = parse_plain(self.window.get(at..)?, key, offset)?;
        let PlainFrame { lsn_delta, time, entry_kind, payload, .. } = frame;
        if lsn_delta == self.delta {
            let offset = offset + FRAME_HEADER_LEN as u64;
            Some(PlainEntry { time, entry_kind, payload, segment: self.segment, offset })
        } else {
            None
        }
    }

    /// Goes from length to length to the frame. Where that turns out to be what the points suggest, this is noted: the
    /// next one need not, and an entry that looks like a frame is still never taken for one.
    #[inline(never)]
    fn hop_and_note(&self) -> Option<usize> {
        let at = hop_in(self.window, self.delta, self.frame_len as u64)?;
        if self.stretch.is_even(self.window)
            && let Some(index) = self.segment.index.get()
        {
            index.note_even(&self.stretch);
        }
        usize::try_from(at).ok()
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

impl fmt::Debug for PlainEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainEntry").field("payload", &self.payload).finish_non_exhaustive()
    }
}
