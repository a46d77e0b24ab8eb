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
const _: () = assert!(Filling::STEP.is_multiple_of(PIECE_LEN as u64));

/// So much is filled between two syncs where no sync of the log could queue behind it: enough to make their number
/// small, and little beside what a system keeps in memory before it has whoever writes wait.
const STEP_ALONE: u64 = 8 << 20;

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

    /// Fills the file up to `end`, or to its capacity. The medium is asked to write the last [`STEP`](Self::STEP), and
    /// not waited for where the storage can do so; whatever was filled before that in the same call is synced. Ends
    /// sooner once it is not `wanted` any more, which is asked before each step.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`]; it is [abandoned](Self::abandon) then.
    pub fn fill(&mut self, end: u64, wanted: impl Fn() -> bool) -> Result<(), SegmentError> {
        let end = end.min(self.capacity);
        while self.filled < end && wanted() {
            let filled = self.step(end).inspect_err(|_| self.abandon());
            let path = || self.directory.path(FileName::Preparing(self.segment));
            filled.with_context(|_| IoSnafu { operation: "fill", path: path() })?;
        }
        Ok(())
    }

    /// Fills the file up to `end`, or to its capacity, while nobody syncs the log: in long steps. Nothing of the last
    /// one is synced before [`finish`](Self::finish).
    ///
    /// # Errors
    ///
    /// Those of [`fill`](Self::fill).
    pub fn fill_alone(&mut self, end: u64) -> Result<(), SegmentError> {
        let end = end.min(self.capacity);
        while self.filled < end {
            let filled = self.long_step(end).inspect_err(|_| self.abandon());
            let path = || self.directory.path(FileName::Preparing(self.segment));
            filled.with_context(|_| IoSnafu { operation: "fill", path: path() })?;
        }
        Ok(())
    }

    /// Makes the segment end where it is filled. What was reserved behind that is given back with the rest of it, when
    /// it has ended.
    pub const fn shorten(&mut self) {
        self.capacity = self.filled;
    }

    fn step(&mut self, end: u64) -> std::io::Result<()> {
        let from = self.filled;
        let step_end = end.min(from - from % Self::STEP + Self::STEP);
        self.write_zeros(step_end)?;
        // Whoever fills step by step leaves the medium time in between. Otherwise it is waited for.
        if step_end == end && self.file.write_back(from..step_end)? { Ok(()) } else { self.file.sync() }
    }

    fn long_step(&mut self, end: u64) -> std::io::Result<()> {
        self.write_zeros(end.min(self.filled.saturating_add(STEP_ALONE)))?;
        if self.filled < end { self.file.sync() } else { Ok(()) }
    }

    fn write_zeros(&mut self, end: u64) -> std::io::Result<()> {
        let zeros = vec![0; PIECE_LEN];
        while self.filled < end {
            let piece = piece_end(self.filled, end) - self.filled;
            self.file.write_at(self.filled, zeros.get(..piece as usize).unwrap_or(&zeros))?;
            self.filled += piece;
        }
        Ok(())
    }

    /// Makes everything durable and gives the file its final name, which is durable after [`Directory::sync_names`].
    /// What was not filled stays reserved.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Io`]; nothing is left behind then under the final name.
    pub fn finish(self) -> Result<Arc<dyn StorageFile>, SegmentError> {
        match self.sync_and_name() {
            Ok(()) => Ok(self.file),
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }

    fn sync_and_name(&self) -> Result<(), SegmentError> {
        let path = self.directory.path(FileName::Preparing(self.segment));
        self.file.sync().context(IoSnafu { operation: "prepare", path })?;
        self.file.freeze(SEGMENT_HEADER_LEN as u64);
        let path = self.directory.path(FileName::Segment(self.segment));
        self.directory.name(self.segment).context(IoSnafu { operation: "name", path })
    }

    /// Removes the file. A half-made one only wastes space, and there may be none: whether that works does not matter.
    /// For whoever has the right to write the log.
    pub fn abandon(&self) {
        let _ = self.directory.remove(FileName::Preparing(self.segment));
    }
}

/// Where the write that begins at `from` ends: all but the first begin at multiples of their length.
const fn piece_end(from: u64, end: u64) -> u64 {
    let piece_end = from - from % PIECE_LEN as u64 + PIECE_LEN as u64;
    if piece_end < end { piece_end } else { end }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use wal_format::{ChecksumKind, LogId};

    use super::*;
    use crate::{LocalOptions, LocalStorage};

    #[test]
    fn what_is_not_wanted_any_more_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let storage = LocalStorage::open(dir.path(), LocalOptions::default()).unwrap();
        let directory = Directory::new(Arc::new(storage), "");
        let header = SegmentHeader {
            checksum: ChecksumKind::Crc32,
            ignorable_flags: 0,
            log_id: LogId([1; 16]),
            segment: SegmentId(1),
            epoch: 1,
            salt: 7,
            created: 0,
        };
        let mut filling = directory.begin(&header, 8 * Filling::STEP, true).unwrap();
        let asked = Cell::new(0);
        let wanted = || asked.replace(asked.get() + 1) < 3;
        filling.fill(u64::MAX, wanted).unwrap();
        assert_eq!(filling.filled, 3 * Filling::STEP);
        let file = filling.finish().unwrap();
        assert_eq!(file.len().unwrap(), 8 * Filling::STEP, "all of it is reserved");
        assert_eq!(directory.list().unwrap().segments, [SegmentId(1)]);
    }

    #[test]
    fn pieces_are_aligned() {
        let mut from = SEGMENT_HEADER_LEN as u64;
        for nth in 1..=16 {
            let end = piece_end(from, 1 << 20);
            assert_eq!(end, nth << 16);
            from = end;
        }
        assert_eq!(piece_end(65_536, 70_000), 70_000);
    }
}
