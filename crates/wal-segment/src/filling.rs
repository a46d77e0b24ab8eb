//! A segment file in the making: filled with zeros piece by piece, then synced, then named.

use std::sync::Arc;

use snafu::ResultExt;
use wal_format::{FileName, SEGMENT_HEADER_LEN, SegmentHeader, SegmentId};

use crate::{
    Directory, StorageFile,
    error::{IoSnafu, SegmentError},
};

/// Zeros go out in writes of this size: the page cache keeps them in folios as large, and small writes into larger
/// folios are slower (`docs/adr/0003`).
const PIECE_LEN: usize = 64 << 10;

/// A file that is being prepared ([`Directory::begin`]). Unless it is finished or abandoned it stays behind under its
/// temporary name, and the next writer removes it.
#[derive(Debug)]
pub struct Filling {
    directory: Directory,
    segment: SegmentId,
    file: Arc<dyn StorageFile>,
    capacity: u64,
    /// Everything before this is as it will be.
    filled: u64,
}

impl Filling {
    /// So many bytes are filled between two looks at the medium, so that a sync of the log never queues behind more.
    pub const STEP: u64 = 256 << 10;

    pub(crate) fn begin(
        directory: &Directory,
        header: &SegmentHeader,
        capacity: u64,
        zero_fill: bool,
    ) -> Result<Self, SegmentError> {
        let segment = header.segment;
        let path = || directory.path(FileName::Preparing(segment));
        let file = directory
            .create_preparing(segment)
            .with_context(|_| IoSnafu { operation: "create", path: path() })?;
        let filled = if zero_fill { SEGMENT_HEADER_LEN as u64 } else { capacity };
        let filling = Self { directory: directory.clone(), segment, file, capacity, filled };
        match filling.file.write_at(0, &header.encode()).and_then(|()| filling.file.reserve(capacity)) {
            Ok(()) => Ok(filling),
            Err(error) => {
                filling.abandon();
                Err(error).with_context(|_| IoSnafu { operation: "prepare", path: path() })
            }
        }
    }

    /// How long the segment will be.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Fills the file up to `end`, or to its capacity. At most [`STEP`](Self::STEP) bytes are left for the medium to
    /// write when this returns, and those it has begun with, if the storage can say so without waiting.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`]: [`abandon`](Self::abandon) it.
    pub fn fill(&mut self, end: u64) -> Result<(), SegmentError> {
        let end = end.min(self.capacity);
        while self.filled < end {
            self.step(end).with_context(|_| {
                let path = self.directory.path(FileName::Preparing(self.segment));
                IoSnafu { operation: "fill", path }
            })?;
        }
        Ok(())
    }

    fn step(&mut self, end: u64) -> std::io::Result<()> {
        let zeros = vec![0; PIECE_LEN];
        let from = self.filled;
        let step_end = end.min(from.saturating_add(Self::STEP));
        while self.filled < step_end {
            // The first piece ends at a multiple of the piece length, so that all others are aligned.
            let piece = (PIECE_LEN as u64 - self.filled % PIECE_LEN as u64).min(step_end - self.filled);
            self.file.write_at(self.filled, zeros.get(..piece as usize).unwrap_or(&zeros))?;
            self.filled += piece;
        }
        // Whoever fills step by step leaves the medium time in between. Otherwise it is waited for.
        if step_end == end && self.file.write_back(from..step_end) { Ok(()) } else { self.file.sync() }
    }

    /// Fills the rest, makes everything durable and gives the file its final name, which is durable after
    /// [`Directory::sync_names`].
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`]; nothing is left behind then under the final name.
    pub fn finish(mut self) -> Result<Arc<dyn StorageFile>, SegmentError> {
        let finished = self.fill(self.capacity).and_then(|()| {
            let path = || self.directory.path(FileName::Preparing(self.segment));
            self.file.sync().with_context(|_| IoSnafu { operation: "prepare", path: path() })?;
            self.file.freeze(SEGMENT_HEADER_LEN as u64);
            self.directory.name(self.segment).with_context(|_| IoSnafu {
                operation: "name",
                path: self.directory.path(FileName::Segment(self.segment)),
            })
        });
        match finished {
            Ok(()) => Ok(self.file),
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }

    /// Removes the file. A half-made one only wastes space, and there may be none: whether that works does not matter.
    /// For whoever has the right to write the log.
    pub fn abandon(&self) {
        let _ = self.directory.remove(FileName::Preparing(self.segment));
    }
}
