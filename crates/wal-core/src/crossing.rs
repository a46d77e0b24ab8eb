//! From one segment to another: what stands behind the last entry of the one and before the first entry of the other is
//! not what readers look for, and may still be nothing that they may pass over.

use wal_format::{FIRST_FRAME, Lsn};
use wal_segment::{FrameReader, SegmentError};

use crate::view::View;

impl View {
    /// Whether whoever reads forwards may go on with `lsn`, which is not in the frame behind the last one: `place` is
    /// the segment of that one, as its index in the view, and where it ends. Without it, reading begins with `lsn`.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Unsupported`].
    #[cold]
    pub(crate) fn check_way_to(
        &self,
        lsn: Lsn,
        place: Option<(usize, u64)>,
        reader: &mut FrameReader,
    ) -> Result<(), SegmentError> {
        let Some(to) = self.position(lsn) else { return Ok(()) };
        let begins = || self.segments.get(to).is_some_and(|segment| segment.base() == lsn);
        match place {
            Some((from, end)) if from < to => self.check_between((from, end), to, reader),
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
