//! Reading a segment from successive slices, from whatever they come: the one decoder that files, objects, sockets
//! and fuzzers share.

mod plain;
mod resume;
mod verdict;

use alloc::vec::Vec;

pub use verdict::{Beyond, Judgement, LastFrame, Verdict};

use crate::{
    DecodeError, EntriesRef, EntryRef, FrameFault, FrameHeader, FrameKind, Lsn, Opening, Parsed,
    SegmentHeader, SegmentKey,
    layout::{FIRST_FRAME, FRAME_ALIGN, SEGMENT_HEADER_LEN},
    parse_frame,
};

/// One thing found in a segment.
#[derive(Debug)]
pub enum Item<'a> {
    /// The segment header: always the first item.
    Header(SegmentHeader),
    /// A frame that verifies and continues the one before it.
    Frame(Frame<'a>),
    /// A frame that verifies, beyond the first place that does not. Never part of the log; it may prove that something
    /// before it was lost.
    Beyond(Frame<'a>),
}

/// A valid frame with its place.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Where it starts in the segment.
    pub offset: u64,
    /// Its header.
    pub header: FrameHeader,
    /// The first four bytes: the header's checksum as stored.
    pub header_crc: u32,
    /// LSN of its first entry (of the next one, for a control frame).
    pub lsn: Lsn,
    /// Its stored body, compressed when `header.codec` is not zero.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The entries with their LSNs; none when the frame is of another kind.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Compressed`] when the body must be decompressed first (see
    /// [`split_compressed`](crate::split_compressed)); otherwise those of [`EntriesRef::parse`].
    #[inline]
    pub fn entries(
        &self,
    ) -> Result<impl Iterator<Item = Result<(Lsn, EntryRef<'a>), DecodeError>> + use<'a>, DecodeError> {
        let is_entries = self.header.kind == FrameKind::Entries;
        let entries = if is_entries { EntriesRef::of(&self.header, self.body)? } else { EntriesRef::NONE };
        let first = self.lsn;
        Ok((0..entries.len()).map(move |n| Ok((first.plus(u64::from(n)), entries.get(n)?))))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Frames,
    Beyond,
}

/// A push-style decoder of one segment: [`feed`](Self::feed) it bytes from the start of the file, take
/// [`next`](Self::next) until it has no more, say [`end`](Self::end) when no bytes are left, and ask for the
/// [`verdict`](Self::verdict).
///
/// Memory is bounded by what was fed and not yet taken: at most one frame and one slice.
///
/// The example in the [crate documentation](crate) lists a whole segment.
#[derive(Debug)]
pub struct Scanner {
    buffer: Vec<u8>,
    /// Of the buffer, what was fed.
    filled: usize,
    taken: usize,
    offset: u64,
    ended: bool,
    stage: Stage,
    key: Option<SegmentKey>,
    opening: Option<Opening>,
    expected_delta: u32,
    expected_units: u32,
    verdict: Verdict,
}

/// What was found without borrowing the buffer, so that the borrow can be taken once it is known.
pub(crate) enum Found {
    Header(SegmentHeader),
    Frame { header: FrameHeader, offset: u64, at: usize, beyond: bool },
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// A scanner at the start of a segment.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            buffer: Vec::new(),
            filled: 0,
            taken: 0,
            offset: 0,
            ended: false,
            stage: Stage::Header,
            key: None,
            opening: None,
            expected_delta: 0,
            expected_units: 0,
            verdict: Verdict::at_start(),
        }
    }

    /// Adds the bytes that follow those fed so far.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.filled = self.filled.saturating_add(bytes.len());
    }

    /// The same without a copy: `read` writes up to `len` of them where they are wanted and says how many it did.
    ///
    /// # Errors
    ///
    /// What `read` returns: nothing was added then.
    pub fn feed_with<E>(
        &mut self,
        len: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let fed = read(self.room(len))?.min(len);
        self.filled = self.filled.saturating_add(fed);
        Ok(fed)
    }

    /// Whether bytes that follow can be passed over if they are zeros: the first place that holds no frame was found,
    /// and nothing that was fed is waiting for more.
    #[must_use]
    pub const fn passes_zeros(&self) -> bool {
        matches!(self.stage, Stage::Beyond) && self.taken == self.filled
    }

    /// Does what feeding `len` zeros would, of which nobody need read any: a file system knows of space that was never
    /// written to. Returns how many there were; none where they matter ([`passes_zeros`](Self::passes_zeros)), and
    /// otherwise all of them that make whole units of frames.
    ///
    /// ```
    /// use wal_format::{Scanner, example_segment};
    ///
    /// let mut scanner = Scanner::new();
    /// assert_eq!(scanner.pass_zeros(4096), 0, "these would be the header");
    /// scanner.feed(&example_segment());
    /// while scanner.next()?.is_some() {}
    /// assert_eq!(scanner.pass_zeros(1 << 30), 1 << 30);
    /// scanner.end();
    /// assert!(!scanner.verdict().dirty, "nothing follows the last frame");
    /// # Ok::<(), wal_format::DecodeError>(())
    /// ```
    pub const fn pass_zeros(&mut self, len: u64) -> u64 {
        const WHOLE: u64 = !(FRAME_ALIGN as u64 - 1);
        let len = if self.passes_zeros() { len & WHOLE } else { 0 };
        self.offset = self.offset.saturating_add(len);
        len
    }

    /// Space for more, behind what was not taken yet.
    fn room(&mut self, len: usize) -> &mut [u8] {
        // Of a long frame that comes in pieces nothing is moved.
        if self.taken > 0 {
            self.buffer.copy_within(self.taken..self.filled, 0);
            self.filled = self.filled.saturating_sub(self.taken);
            self.taken = 0;
        }
        let end = self.filled.saturating_add(len);
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        self.buffer.get_mut(self.filled..end).unwrap_or_default()
    }

    /// Says that no bytes follow. What is incomplete now is a fault.
    pub const fn end(&mut self) {
        self.ended = true;
    }

    /// The opening frame, once it was seen.
    #[must_use]
    pub const fn opening(&self) -> Option<&Opening> {
        self.opening.as_ref()
    }

    /// The next item; `None` when more bytes are needed, or after [`end`](Self::end) when there is nothing left.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the header or the opening frame cannot be read, or a frame of an unknown kind stands where
    /// a reader must understand it. Places that hold no valid frame are not errors: the verdict judges them.
    #[expect(clippy::should_implement_trait, reason = "the item borrows from the scanner")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, DecodeError> {
        Ok(self.find()?.map(|found| self.item(found)))
    }

    /// The same without borrowing.
    pub(crate) fn find(&mut self) -> Result<Option<Found>, DecodeError> {
        loop {
            let step = match self.stage {
                Stage::Header => self.header()?,
                Stage::Frames => self.frame()?,
                Stage::Beyond => self.beyond(),
            };
            match step {
                Step::Found(found) => return Ok(Some(found)),
                Step::Again => {}
                Step::Starved => return Ok(None),
            }
        }
    }

    /// What the bytes so far amount to. Final once [`end`](Self::end) was said and [`next`](Self::next) returned
    /// `None`.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    fn window(&self) -> &[u8] {
        self.buffer.get(self.taken..self.filled).unwrap_or(&[])
    }

    fn take(&mut self, len: usize) {
        self.taken = self.taken.saturating_add(len).min(self.filled);
        self.offset = self.offset.saturating_add(len as u64);
    }

    fn header(&mut self) -> Result<Step, DecodeError> {
        if self.window().len() < SEGMENT_HEADER_LEN && !self.ended {
            return Ok(Step::Starved);
        }
        let header = SegmentHeader::decode(self.window())?;
        self.key = Some(header.key());
        self.stage = Stage::Frames;
        self.take(SEGMENT_HEADER_LEN);
        self.verdict.end = FIRST_FRAME;
        Ok(Step::Found(Found::Header(header)))
    }

    fn frame(&mut self) -> Result<Step, DecodeError> {
        let Some(key) = self.key else { return Ok(Step::Starved) };
        let (header, body_len) = match parse_frame(self.window(), key, self.offset) {
            Parsed::More(_) if !self.ended => return Ok(Step::Starved),
            Parsed::More(_) => return Ok(self.stop(FrameFault::End)),
            Parsed::Fault(fault) => return Ok(self.stop(fault)),
            Parsed::Frame(header, body) => (header, body.len()),
        };
        if let Some(fault) = self.out_of_order(&header) {
            return Ok(self.stop(fault));
        }
        if matches!(header.kind, FrameKind::Unknown(_)) && !header.kind.is_ignorable() {
            return Err(DecodeError::UnsupportedKind { kind: header.kind.id() });
        }
        if header.kind == FrameKind::Opening {
            let at = self.taken.saturating_add(crate::FRAME_HEADER_LEN);
            let body = self.buffer.get(at..at.saturating_add(body_len)).unwrap_or(&[]);
            self.opening = Some(Opening::decode(body)?);
        }
        let (offset, at) = (self.offset, self.taken);
        let len = usize::try_from(header.frame_len()).unwrap_or(usize::MAX);
        self.take(len);
        self.expected_delta = self.expected_delta.saturating_add(header.count);
        self.expected_units = header.units();
        let next = self.opening.as_ref().map(|opening| opening.base.plus(u64::from(self.expected_delta)));
        self.verdict.frame(&header, self.header_crc(at), offset, next);
        Ok(Step::Found(Found::Frame { header, offset, at, beyond: false }))
    }

    fn out_of_order(&self, header: &FrameHeader) -> Option<FrameFault> {
        let what = if header.lsn_delta != self.expected_delta {
            "its lsn"
        } else if header.prev_units != self.expected_units {
            "the length of the one before"
        } else if !self.has_lsns(header.lsn_delta, header.count) {
            "its entry count"
        } else {
            return None;
        };
        Some(FrameFault::OutOfOrder { what })
    }

    /// Whether there is an LSN for each entry of a frame and for the one after it.
    fn has_lsns(&self, lsn_delta: u32, count: u32) -> bool {
        let base = self.opening.as_ref().map_or(0, |opening| opening.base.get());
        let next = lsn_delta.checked_add(count);
        next.is_some_and(|next| base.checked_add(u64::from(next)).is_some())
    }

    /// The first bad place was found: from here on frames are only looked for, eight bytes at a time.
    fn stop(&mut self, fault: FrameFault) -> Step {
        self.verdict.fault = fault;
        self.stage = Stage::Beyond;
        Step::Again
    }

    fn beyond(&mut self) -> Step {
        let Some(key) = self.key else { return Step::Starved };
        self.skip_zeros();
        if self.window().len() < FRAME_ALIGN {
            let last = self.window().iter().rposition(|byte| *byte != 0);
            if let Some(last) = last.filter(|_| self.ended) {
                self.verdict.dirty = true;
                self.verdict.dirty_end = self.offset.saturating_add(last as u64).saturating_add(1);
            }
            return Step::Starved;
        }
        self.verdict.dirty = true;
        let header = match parse_frame(self.window(), key, self.offset) {
            Parsed::More(_) if !self.ended => return Step::Starved,
            Parsed::More(_) | Parsed::Fault(_) => {
                self.take(self.step_over(key));
                self.verdict.dirty_end = self.offset;
                return Step::Again;
            }
            Parsed::Frame(header, _) => header,
        };
        let (offset, at) = (self.offset, self.taken);
        self.take(usize::try_from(header.frame_len()).unwrap_or(usize::MAX));
        self.verdict.dirty_end = self.offset;
        self.verdict.beyond(&header, offset, self.opening.as_ref().map(|opening| opening.base));
        Step::Found(Found::Frame { header, offset, at, beyond: true })
    }

    /// How far the next frame is at least from a place that holds none.
    ///
    /// A frame whose header verifies and whose body does not is stepped over whole: the writer put nothing else inside
    /// it, so what looks like a frame there is payload. It also keeps the time of a scan linear.
    fn step_over(&self, key: SegmentKey) -> usize {
        let header = self.window().first_chunk().map(|bytes| FrameHeader::decode(bytes, key, self.offset));
        match header {
            Some(Ok(header)) => {
                usize::try_from(header.frame_len()).unwrap_or(usize::MAX).min(self.window().len())
            }
            _ => FRAME_ALIGN,
        }
    }

    fn skip_zeros(&mut self) {
        let words = self.window().as_chunks::<FRAME_ALIGN>().0;
        let zeros = words.iter().position(|word| *word != [0; FRAME_ALIGN]).unwrap_or(words.len());
        self.take(zeros.saturating_mul(FRAME_ALIGN));
    }

    fn header_crc(&self, at: usize) -> u32 {
        let bytes = self.buffer.get(at..).and_then(|bytes| bytes.first_chunk::<4>());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    pub(crate) fn item(&self, found: Found) -> Item<'_> {
        match found {
            Found::Header(header) => Item::Header(header),
            Found::Frame { header, offset, at, beyond } => {
                let start = at.saturating_add(crate::FRAME_HEADER_LEN);
                let end = start.saturating_add(header.body_len as usize);
                let base = self.opening.as_ref().map_or(Lsn::FIRST, |opening| opening.base);
                let frame = Frame {
                    offset,
                    header,
                    header_crc: self.header_crc(at),
                    lsn: base.plus(u64::from(header.lsn_delta)),
                    body: self.buffer.get(start..end).unwrap_or(&[]),
                };
                if beyond { Item::Beyond(frame) } else { Item::Frame(frame) }
            }
        }
    }
}

enum Step {
    Found(Found),
    Again,
    Starved,
}

#[cfg(test)]
mod tests;
