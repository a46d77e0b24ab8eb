//! Copying a segment as it stands in its file.

use snafu::ResultExt;
use wal_format::{FIRST_FRAME, FrameHeader, Lsn};

use super::{FrameReader, Segment};
use crate::{StorageFile, error::SegmentError};

/// So much is copied at a time.
const PIECE_LEN: usize = 256 << 10;

impl Segment {
    /// Copies the first `end` bytes, header included, to the start of another file. Not synced.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`] for the file that could not be read or, by its path `to`, written.
    pub fn copy(&self, end: u64, file: &dyn StorageFile, to: &str) -> Result<(), SegmentError> {
        let mut piece = vec![0; PIECE_LEN];
        let mut offset = 0;
        while offset < end {
            let len = usize::try_from(end - offset).unwrap_or(PIECE_LEN).min(PIECE_LEN);
            let wanted = piece.get_mut(..len).unwrap_or_default();
            let read = self.file.read_at(offset, wanted).with_context(|_| self.io("read"))?;
            if read < len {
                let source = std::io::ErrorKind::UnexpectedEof.into();
                return Err(SegmentError::Io { operation: "read", path: self.path.clone(), source });
            }
            file.write_at(offset, wanted).map_err(|source| SegmentError::Io {
                operation: "write",
                path: to.to_owned(),
                source,
            })?;
            offset += len as u64;
        }
        Ok(())
    }

    /// The last two frames before `end`, which must be the end of a frame: where they start, and their headers. The
    /// one before the last is there unless the last is the opening.
    ///
    /// # Errors
    ///
    /// [`SegmentError`] when what lies on the way cannot be read or is damaged.
    pub fn last_frames(&self, end: u64) -> Result<[Option<(u64, FrameHeader)>; 2], SegmentError> {
        match self.last_frames_by_index(end) {
            Err(error) if error.is_damage() && self.has_filed_index() => {
                self.index_anew()?;
                self.last_frames_by_index(end)
            }
            found => found,
        }
    }

    fn last_frames_by_index(&self, end: u64) -> Result<[Option<(u64, FrameHeader)>; 2], SegmentError> {
        let near = self.floor(u32::MAX)?;
        self.last_frames_from(if near < end { near } else { FIRST_FRAME }, end)
    }

    fn last_frames_from(
        &self,
        mut offset: u64,
        end: u64,
    ) -> Result<[Option<(u64, FrameHeader)>; 2], SegmentError> {
        let mut reader = FrameReader::new(PIECE_LEN as u64);
        let mut last = [None, None];
        while offset < end {
            let Some(header) = reader.peek(self, offset)? else { break };
            last = [last[1], Some((offset, header))];
            offset += header.frame_len();
        }
        if let [None, Some((offset, header))] = last
            && let Some(before) = offset.checked_sub(u64::from(header.prev_units) * 8)
            && header.prev_units > 0
        {
            last[0] = reader.peek(self, before)?.map(|header| (before, header));
        }
        Ok(last)
    }

    /// LSN after the last entry of a frame of this segment.
    #[must_use]
    pub fn next_after(&self, header: &FrameHeader) -> Lsn {
        self.base.plus(u64::from(header.lsn_delta)).plus(u64::from(header.count))
    }
}
