//! From one segment to another: what stands behind the last entry of the one and before the first entry of the other is
//! not what readers look for, and may still be nothing that they may pass over.

use wal_format::{FIRST_FRAME, FrameHeader, Lsn};
use wal_segment::{FrameReader, SegmentError};

use crate::{engine::Engine, packs::NO_PLACE, peek::PEEK_LEN, view::View};

/// The frame that a reader stands at, by where it and its neighbours are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Index of the segment in the view.
    pub(crate) position: usize,
    /// LSN of the first entry in a later segment.
    pub(crate) bound: u64,
    pub(crate) offset: u64,
    pub(crate) end: u64,
    pub(crate) prev_units: u32,
}

impl Place {
    /// `None` for a frame without a place: what follows it must be looked up.
    pub(crate) fn new(view: &View, position: usize, offset: u64, header: &FrameHeader) -> Option<Self> {
        let bound = view.bound(position).map_or(u64::MAX, Lsn::get);
        let place = Self { position, bound, offset, end: offset, prev_units: 0 };
        (offset != NO_PLACE).then(|| place.moved(offset, header))
    }

    /// That of another frame in the same segment.
    pub(crate) const fn moved(self, offset: u64, header: &FrameHeader) -> Self {
        Self { offset, end: offset + header.frame_len(), prev_units: header.prev_units, ..self }
    }

    /// The same frame in a later view, by an entry of it: in the same segment, or in another one where its writer has
    /// written it anew. `None` when it is not there any more.
    pub(crate) fn in_later(self, engine: &Engine, view: &View, later: &View, lsn: Lsn) -> Option<Self> {
        let header = |view: &View, position: usize| view.segments.get(position).map(|it| *it.header());
        let position = later.position(lsn)?;
        if header(view, self.position)? == header(later, position)? {
            let bound = later.bound(position).map_or(u64::MAX, Lsn::get);
            return Some(Self { position, bound, ..self });
        }
        let found = engine.peek_once(later, lsn, &mut FrameReader::new(PEEK_LEN)).ok()?;
        Self::new(later, found.position, found.offset, &found.header)
    }

    /// Where the frame before starts; `None` for the first of a segment.
    pub(crate) fn previous(&self) -> Option<u64> {
        self.offset.checked_sub(u64::from(self.prev_units) * 8).filter(|_| self.prev_units > 0)
    }
}

impl View {
    /// Whether whoever reads forwards may go on with `lsn`, which is not in the frame behind the last one, at `place`.
    /// Without it, reading begins with `lsn`.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Unsupported`].
    #[cold]
    pub(crate) fn check_way_to(
        &self,
        lsn: Lsn,
        place: Option<Place>,
        reader: &mut FrameReader,
    ) -> Result<(), SegmentError> {
        let Some(to) = self.position(lsn) else { return Ok(()) };
        let begins = || self.segments.get(to).is_some_and(|segment| segment.base() == lsn);
        match place {
            Some(Place { position, end, .. }) if position < to => {
                self.check_between((position, end), to, reader)
            }
            None if begins() => self.check_between((to, FIRST_FRAME), to, reader),
            _ => Ok(()),
        }
    }

    /// Whether the frames without entries may be passed over that follow a place, up to the first entry of the segment
    /// at `to`. Of anything else that is wrong with them nothing is said: no entry is missing for it.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Unsupported`].
    pub(crate) fn check_between(
        &self,
        (from, mut offset): (usize, u64),
        to: usize,
        reader: &mut FrameReader,
    ) -> Result<(), SegmentError> {
        for segment in self.segments.get(from..=to).unwrap_or(&[]) {
            let passed = reader.pass_control(segment, offset, usize::MAX);
            if let Err(error @ SegmentError::Unsupported { .. }) = passed {
                return Err(error);
            }
            offset = FIRST_FRAME;
        }
        Ok(())
    }
}
