//! Loading frames of segments one after the other, verified and where possible without copying.

mod peek;

use std::ops::Range;

use bytes::Bytes;
use wal_format::{FIRST_FRAME, FRAME_HEADER_LEN, FrameFault, FrameHeader, Lsn, Parsed, parse_frame};

use super::{LoadedFrame, Segment, read::hop_in};
use crate::error::SegmentError;

/// So many frames of a segment are passed on the way to its first entry. Mostly it is the second.
const FIRST_FRAMES: usize = 16;
/// Who reads on where the last read ended gets so many times as much.
const GROWTH: u64 = 4;
/// No more than this is read at once for one entry among those around it, of which it may be the first.
const AROUND_MAX: u64 = 16 << 10;

/// Loads frames of segments one after the other, reading ahead.
#[derive(Clone, Debug)]
pub struct FrameReader {
    least: u64,
    most: u64,
    /// So much was asked for last.
    ahead: u64,
    window: Bytes,
    start: u64,
    of: Option<(u64, u64)>,
}

impl FrameReader {
    /// A reader that asks for at least `read_ahead` bytes at a time.
    #[must_use]
    pub const fn new(read_ahead: u64) -> Self {
        Self::growing(read_ahead, read_ahead)
    }

    /// A reader that asks for at least `least` bytes where it begins, and for more the further it reads on from there,
    /// in either direction: `most` in the end. At once where bytes are lent, which costs nothing.
    #[must_use]
    pub const fn growing(least: u64, most: u64) -> Self {
        Self { least, most, ahead: 0, window: Bytes::new(), start: 0, of: None }
    }

    /// Loads and verifies the frame that holds `lsn`; `None` when it is not among the written frames.
    ///
    /// # Errors
    ///
    /// Those of [`Segment::locate`] and of [`read`](Self::read).
    pub fn seek(&mut self, segment: &Segment, lsn: Lsn) -> Result<Option<LoadedFrame>, SegmentError> {
        if lsn == segment.base
            && let Some(first) = self.first(segment)
        {
            return Ok(Some(first));
        }
        match self.find(segment, lsn, AROUND_MAX)? {
            Some(offset) => self.read(segment, offset),
            None => Ok(None),
        }
    }

    /// Where the frame that holds `lsn` starts, as [`Segment::locate`] says. Mostly it is in the window then: whole,
    /// unless it is longer than `most`, or the last of the index.
    pub(super) fn find(
        &mut self,
        segment: &Segment,
        lsn: Lsn,
        most: u64,
    ) -> Result<Option<u64>, SegmentError> {
        let Some(delta) = segment.delta_of(lsn) else { return Ok(None) };
        let found = self.find_by_index(segment, delta, most);
        if !segment.has_filed_index() {
            return found;
        }
        let is_right = match &found {
            Ok(Some(offset)) => {
                self.peek(segment, *offset).is_ok_and(|it| it.is_some_and(|it| holds(&it, delta)))
            }
            Ok(None) => false,
            Err(error) => !error.is_damage(),
        };
        // The index may have led astray, or the frame is damaged: an index of what is there tells, and is made once.
        if is_right || segment.index_anew().is_err() {
            found
        } else {
            self.find_by_index(segment, delta, most)
        }
    }

    fn find_by_index(
        &mut self,
        segment: &Segment,
        delta: u32,
        most: u64,
    ) -> Result<Option<u64>, SegmentError> {
        let Range { start, end } = segment.around(delta)?;
        if let Some(offset) = self.hop_from(segment, start, delta) {
            return Ok(Some(offset));
        }
        if start < segment.written() {
            let around = end.saturating_sub(start).min(most);
            let ahead = self.grow(segment, start, start, around);
            self.fill(segment, start, ahead)?;
        }
        match self.hop_from(segment, start, delta) {
            Some(offset) => Ok(Some(offset)),
            None => segment.locate_delta(delta),
        }
    }

    /// The same by following lengths from `start` on, if it is in the window.
    fn hop_from(&self, segment: &Segment, start: u64, delta: u32) -> Option<u64> {
        let at = self.covers(segment, start).then(|| start.saturating_sub(self.start))?;
        let window = self.window.get(usize::try_from(at).ok()?..)?;
        hop_in(window, delta, 0).map(|(at, _)| start + at)
    }

    /// The frame that holds the first entry, if no more than a few others precede it: whoever walks through the log
    /// needs no index. What is wrong on the way is no hindrance to the way through the index.
    fn first(&mut self, segment: &Segment) -> Option<LoadedFrame> {
        let offset = self.pass_control(segment, FIRST_FRAME, FIRST_FRAMES).ok()??;
        let frame = self.read(segment, offset).ok()?;
        frame.filter(|frame| frame.header.lsn_delta == 0)
    }

    /// Loads and verifies the frame at `offset`; `None` at or beyond the end of what is written.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Frame`] when there is no valid frame, [`SegmentError::Unsupported`] when it is one that must be
    /// understood and is not, [`SegmentError::Io`] when it cannot be read.
    pub fn read(&mut self, segment: &Segment, offset: u64) -> Result<Option<LoadedFrame>, SegmentError> {
        let Some((header, body)) = self.load(segment, offset)? else { return Ok(None) };
        let lsn = segment.base.plus(u64::from(header.lsn_delta));
        Ok(Some(LoadedFrame { offset, header, lsn, body: self.window.slice(body) }))
    }

    /// The same without taking a reference to the body: says where it stands in the [`window`](Self::window).
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    #[inline]
    pub fn load(
        &mut self,
        segment: &Segment,
        offset: u64,
    ) -> Result<Option<(FrameHeader, Range<usize>)>, SegmentError> {
        if offset >= segment.written() {
            return Ok(None);
        }
        if self.covers(segment, offset) {
            let at = (offset - self.start) as usize;
            if let Parsed::Frame(header, body) = parse_frame(&self.window[at..], segment.key(), offset) {
                segment.check_kind(&header)?;
                let start = at + FRAME_HEADER_LEN;
                return Ok(Some((header, start..start + body.len())));
            }
        }
        self.load_slowly(segment, offset)
    }

    /// Where the body of a frame that was read stands in the [`window`](Self::window), unless that has moved, or the
    /// frame came from somewhere else.
    #[must_use]
    pub fn body_of(&self, segment: &Segment, frame: &LoadedFrame) -> Option<Range<usize>> {
        let at = usize::try_from(frame.offset.checked_sub(self.start)?).ok()?;
        let start = at.checked_add(FRAME_HEADER_LEN)?;
        let body = start..start.checked_add(frame.body.len())?;
        let is_there = self.covers(segment, frame.offset) && body.end <= self.window.len();
        is_there.then_some(body)
    }

    /// The bytes read last.
    #[must_use]
    pub const fn window(&self) -> &Bytes {
        &self.window
    }

    /// Where the bytes read last start in their segment.
    #[must_use]
    pub const fn window_start(&self) -> u64 {
        self.start
    }

    #[inline]
    fn covers(&self, segment: &Segment, offset: u64) -> bool {
        self.of == Some(key_of(segment))
            && offset >= self.start
            && offset - self.start < self.window.len() as u64
    }

    #[cold]
    fn load_slowly(
        &mut self,
        segment: &Segment,
        offset: u64,
    ) -> Result<Option<(FrameHeader, Range<usize>)>, SegmentError> {
        if !self.covers(segment, offset) {
            let ahead = self.grow(segment, offset, offset, 0);
            self.fill(segment, offset, ahead)?;
        }
        loop {
            let at = (offset - self.start) as usize;
            let rest = self.window.get(at..).unwrap_or(&[]);
            let fault = match parse_frame(rest, segment.key(), offset) {
                Parsed::Frame(header, body) => {
                    segment.check_kind(&header)?;
                    let start = at + FRAME_HEADER_LEN;
                    return Ok(Some((header, start..start + body.len())));
                }
                Parsed::More(needed) if offset.saturating_add(needed) <= segment.written() => {
                    let have = rest.len() as u64;
                    let ahead = self.grow(segment, offset, offset, needed);
                    self.fill(segment, offset, ahead)?;
                    if self.window.len() as u64 > have {
                        continue;
                    }
                    FrameFault::End
                }
                Parsed::More(_) => FrameFault::End,
                Parsed::Fault(fault) => fault,
            };
            return Err(SegmentError::Frame { path: segment.path.clone(), offset, source: fault });
        }
    }

    /// Loads the frame between `offset` and `end` on the way to the front: reads ahead in that direction.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn load_backwards(
        &mut self,
        segment: &Segment,
        offset: u64,
        end: u64,
    ) -> Result<Option<(FrameHeader, Range<usize>)>, SegmentError> {
        if !self.covers(segment, offset) || end - self.start > self.window.len() as u64 {
            // What a frame says of the one before it may lead to the front of all frames.
            let ahead = self.grow(segment, end, end.saturating_sub(self.most), 0);
            let start = end.saturating_sub(ahead).max(FIRST_FRAME).min(offset);
            self.fill(segment, start, end.saturating_sub(start))?;
        }
        self.load(segment, offset)
    }

    /// How much to ask for from `place` on, in whichever direction; the most of it would begin `at`. `needed` bytes are
    /// certain to be looked at. Remembered, for the next time to be more.
    fn grow(&mut self, segment: &Segment, place: u64, at: u64, needed: u64) -> u64 {
        let end = self.start.saturating_add(self.window.len() as u64);
        let goes_on = self.of == Some(key_of(segment)) && (self.start..=end).contains(&place);
        let grown = if goes_on { self.ahead.saturating_mul(GROWTH) } else { 0 };
        let ahead = if segment.lends(at, self.most) { self.most } else { grown.min(self.most) };
        self.ahead = ahead.max(self.least);
        self.ahead.max(needed)
    }

    fn fill(&mut self, segment: &Segment, offset: u64, len: u64) -> Result<(), SegmentError> {
        self.window = segment.window(offset, len)?;
        self.start = offset;
        self.of = Some(key_of(segment));
        Ok(())
    }
}

const fn holds(header: &FrameHeader, delta: u32) -> bool {
    match delta.checked_sub(header.lsn_delta) {
        Some(index) => index < header.count,
        None => false,
    }
}

const fn key_of(segment: &Segment) -> (u64, u64) {
    (segment.header.segment.0, segment.header.salt)
}
