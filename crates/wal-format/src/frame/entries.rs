//! The frames that are met most: those of appends and batches that are not compressed.

use super::{FrameHeader, FrameKind};
use crate::{
    ChecksumKind,
    checksum::{self, HeaderSum},
    layout::{BODY_LEN_MAX, FIRST_FRAME, FRAME_ALIGN, FRAME_HEADER_LEN, NO_PROOF, frame_len},
    segment_header::SegmentKey,
};

/// The words of a header.
type Words = [u64; FRAME_HEADER_LEN / 8];

/// A valid frame of entries whose body is not compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntriesFrame<'a> {
    /// LSN of the first entry, relative to the base of the segment.
    pub lsn_delta: u32,
    /// How many entries it holds: at least one.
    pub count: u32,
    /// Length of the frame before it in units of eight bytes.
    pub prev_units: u32,
    /// When it was stamped.
    pub time: u64,
    /// Everything of the segment before this offset had been synced when it was stamped; zero when it claims nothing.
    pub proves: u64,
    /// Which optional columns the body has.
    pub columns: u8,
    /// The user's kind of every entry, unless the body has a column of kinds.
    pub entry_kind: u8,
    /// The body: of a [plain](Self::is_plain) frame the payload, otherwise for [`EntriesRef`](crate::EntriesRef).
    pub body: &'a [u8],
}

impl EntriesFrame<'_> {
    /// Whether it holds one entry and nothing else.
    #[inline]
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.count == 1 && self.columns == 0
    }

    /// Length of the whole frame in units of eight bytes: what the next frame repeats.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a frame is at most 1 GiB and 48 bytes long")]
    pub const fn units(&self) -> u32 {
        (frame_len(self.body.len() as u32) / 8) as u32
    }
}

/// [`parse_frame`](crate::parse_frame) for the frames that are met most: `None` when the one at the start of `window`
/// is not valid or not of this form, which `parse_frame` then tells apart. Reads each word of the header once and
/// builds nothing else.
///
/// Whoever reads many takes an [`EntriesParser`].
#[inline]
#[must_use]
pub fn parse_entries(window: &[u8], key: SegmentKey, offset: u64) -> Option<EntriesFrame<'_>> {
    parse::<false>(window, key, offset, &mut InOneGo(key.checksum))
}

/// [`parse_entries`] for many frames of one segment: of a header it only looks at what is different from the one
/// before, which among frames of like entries is a third of it.
///
/// ```
/// use wal_format::{ChecksumKind, EntriesParser, FRAME_HEADER_LEN, FrameHeader, FrameKind, SegmentKey};
///
/// let key = SegmentKey { checksum: ChecksumKind::Crc32, salt: 7 };
/// let mut parser = EntriesParser::new(key);
/// for (lsn_delta, offset) in [(1, 4096), (2, 4144)] {
///     let header = FrameHeader {
///         body_crc: key.checksum.of(b"an entry"),
///         body_len: 8,
///         lsn_delta,
///         count: 1,
///         prev_units: 6,
///         time: 0,
///         proof_lag: None,
///         kind: FrameKind::Entries,
///         codec: 0,
///         columns: 0,
///         entry_kind: 0,
///     };
///     let mut frame = header.encode(key, offset).to_vec();
///     frame.extend_from_slice(b"an entry");
///     assert_eq!(parser.parse(&frame, offset).map(|frame| frame.body), Some(&b"an entry"[..]));
///     assert_eq!(parser.parse(&frame, offset + 8), None, "a frame is valid in its place alone");
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct EntriesParser {
    key: SegmentKey,
    sum: HeaderSum,
}

impl EntriesParser {
    /// A parser of the frames of one segment.
    #[must_use]
    pub const fn new(key: SegmentKey) -> Self {
        Self { key, sum: HeaderSum::new(key.checksum) }
    }

    /// What [`parse_entries`] says of the frame at the start of `window`, which stands at `offset` of the segment.
    #[inline(always)]
    #[must_use]
    pub fn parse<'a>(&mut self, window: &'a [u8], offset: u64) -> Option<EntriesFrame<'a>> {
        parse::<false>(window, self.key, offset, &mut self.sum)
    }

    /// The same of a [plain](EntriesFrame::is_plain) frame; the body of another one is not looked at.
    #[inline(always)]
    #[must_use]
    pub fn parse_plain<'a>(&mut self, window: &'a [u8], offset: u64) -> Option<EntriesFrame<'a>> {
        parse::<true>(window, self.key, offset, &mut self.sum)
    }
}

/// A way to the checksum of a header: from its words, or from its bytes behind the checksum itself.
trait Sum {
    fn of_header(&mut self, words: Words, bytes: &[u8]) -> u32;
}

struct InOneGo(ChecksumKind);

impl Sum for InOneGo {
    #[inline(always)]
    fn of_header(&mut self, _: Words, bytes: &[u8]) -> u32 {
        self.0.of(bytes)
    }
}

impl Sum for HeaderSum {
    #[inline(always)]
    fn of_header(&mut self, words: Words, _: &[u8]) -> u32 {
        self.of(words)
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "each part of a word is taken on purpose")]
fn parse<'a, const PLAIN: bool>(
    window: &'a [u8],
    key: SegmentKey,
    offset: u64,
    sum: &mut impl Sum,
) -> Option<EntriesFrame<'a>> {
    let (header, rest) = window.split_first_chunk::<FRAME_HEADER_LEN>()?;
    let words @ [crcs, lens, counts, time, tail] = [0, 8, 16, 24, 32].map(|at| word(header, at));
    // Kind 1 and codec 0.
    let (count, columns) = (counts as u32, (tail >> 48) as u8);
    if (tail >> 32) as u16 != u16::from(FrameKind::Entries.id()) || count == 0 {
        return None;
    }
    if PLAIN && (count, columns) != (1, 0) {
        return None;
    }
    let crc = sum.of_header(words, header.get(4..)?) ^ checksum::place(key.salt, offset);
    let (body_len, prev_units, lag) = (lens as u32, (counts >> 32) as u32, tail as u32);
    if crc != crcs as u32 || body_len > BODY_LEN_MAX || prev_units == 0 || offset == FIRST_FRAME {
        return None;
    }
    let proves = if lag == NO_PROOF { 0 } else { FrameHeader::claim(lag, offset)? };
    let (body, behind) = rest.split_at_checked(body_len as usize)?;
    let padding = behind.get(..body.len().wrapping_neg() % FRAME_ALIGN)?;
    if key.checksum.of(body) != (crcs >> 32) as u32 || padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    Some(EntriesFrame {
        lsn_delta: (lens >> 32) as u32,
        count,
        prev_units,
        time,
        proves,
        columns,
        entry_kind: (tail >> 56) as u8,
        body,
    })
}

#[inline]
fn word(header: &[u8; FRAME_HEADER_LEN], at: usize) -> u64 {
    header.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
