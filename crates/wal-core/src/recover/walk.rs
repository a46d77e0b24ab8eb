//! Reading all that is left of a log, frame by frame, around every damaged place.

use std::{ops::RangeInclusive, sync::Arc};

use wal_format::{FIRST_FRAME, FileName, Frame, FrameFault, Item, Lsn, Parsed, parse_frame};
use wal_segment::{Directory, SegmentError, StorageFile, scan};

use super::{Part, Remains};
use crate::{LogError, report::Finding};

/// What is handed every frame that belongs to the log.
pub(crate) type Each<'a> = &'a mut dyn FnMut(&Part, &Frame<'_>) -> Result<(), LogError>;

/// Hands every frame that verifies and belongs to the log to `each`, in order, and returns what is wrong between them.
pub(crate) fn walk(
    directory: &Arc<Directory>,
    left: &Remains,
    each: Each<'_>,
) -> Result<Vec<Finding>, LogError> {
    let oldest = left.parts.first().map_or(Lsn::FIRST, |part| part.base);
    let mut walk = Walk { first_retained: left.first_retained, expected: oldest, findings: Vec::new() };
    if let Some(source) = &left.below {
        walk.note(source, left.first_retained, oldest);
    }
    for (at, part) in left.parts.iter().enumerate() {
        let above = left.parts.get(at + 1);
        let good = walk.read(directory, part, above, each)?;
        walk.end_of(directory, part, above, good, left)?;
        walk.expected = walk.expected.max(above.map_or(Lsn::FIRST, |above| above.base));
    }
    Ok(walk.findings)
}

struct Walk {
    first_retained: Lsn,
    /// The LSN that the next frame should have.
    expected: Lsn,
    findings: Vec<Finding>,
}

impl Walk {
    /// Reads one segment and returns where its last frame ends.
    fn read(
        &mut self,
        directory: &Directory,
        part: &Part,
        above: Option<&Part>,
        each: Each<'_>,
    ) -> Result<u64, LogError> {
        let bound = above.map_or(Lsn::MAX, |above| above.base);
        let limit = part.limit.unwrap_or(u64::MAX);
        let file = open(directory, part)?;
        let mut good = FIRST_FRAME;
        let mut failed = None;
        let scanned = scan(&*file, &part.inspected.path, |item| {
            let (Item::Frame(frame) | Item::Beyond(frame)) = item else { return Ok(()) };
            let next = frame.lsn.plus(u64::from(frame.header.count));
            let ours = frame.offset < limit && frame.lsn >= self.expected && next <= bound;
            if failed.is_some() || !ours {
                return Ok(());
            }
            if frame.offset > good {
                let source = fault_at(&*file, part, good)?;
                self.note(&source, self.expected, frame.lsn);
            }
            good = frame.offset.saturating_add(frame.header.frame_len());
            self.expected = next;
            failed = each(part, frame).err();
            Ok(())
        });
        match (scanned, failed) {
            (_, Some(error)) => Err(error),
            (Err(source), None) => Err(LogError::segment("read a segment", source)),
            (Ok(_), None) => Ok(good),
        }
    }

    /// What is wrong between the last frame of a segment and the next segment.
    fn end_of(
        &mut self,
        directory: &Directory,
        part: &Part,
        above: Option<&Part>,
        good: u64,
        left: &Remains,
    ) -> Result<(), LogError> {
        let short = part.limit.is_some_and(|limit| good < limit);
        let after = above.map_or(Lsn::MAX, |above| above.base);
        match (&part.above, above) {
            _ if short => {
                let source = fault_at(&*open(directory, part)?, part, good)
                    .map_err(|source| LogError::segment("read a segment", source))?;
                let to = if part.above.is_none() && above.is_none() { self.expected } else { after };
                self.note(&source, self.expected, to);
            }
            // The hole was noted when the frames behind it were found.
            (Some(source), None) if source.path() == part.inspected.path && good > left.verdict.end => {}
            (Some(source), _) => self.note(source, self.expected, after),
            (None, Some(above)) if self.expected < after && after != self.first_retained => {
                let source = SegmentError::Frame {
                    path: above.inspected.path.clone(),
                    offset: FIRST_FRAME,
                    source: FrameFault::OutOfOrder { what: "its lsn" },
                };
                self.note(&source, self.expected, after);
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes a damaged place that costs the retained ones of the entries from `first` to before `next`.
    fn note(&mut self, source: &SegmentError, first: Lsn, next: Lsn) {
        let first = first.max(self.first_retained);
        let last = if next == Lsn::MAX { Some(next) } else { next.previous() };
        let lsns: Option<RangeInclusive<Lsn>> =
            last.filter(|last| first <= *last && first < next).map(|last| first..=last);
        self.findings.push(Finding::of(source, lsns));
    }
}

fn open(directory: &Directory, part: &Part) -> Result<Arc<dyn StorageFile>, LogError> {
    let name = FileName::Segment(part.inspected.header.segment);
    directory.open(name).map_err(|source| LogError::segment("read a segment", source))
}

/// Why there is no frame at a place.
fn fault_at(file: &dyn StorageFile, part: &Part, offset: u64) -> Result<SegmentError, SegmentError> {
    let path = part.inspected.path.clone();
    let io = |source| SegmentError::Io { operation: "read", path: path.clone(), source };
    let mut bytes = vec![0; 4096];
    let mut len = file.read_at(offset, &mut bytes).map_err(io)?;
    let key = part.inspected.header.key();
    let mut parsed = parse_frame(bytes.get(..len).unwrap_or(&[]), key, offset);
    if let Parsed::More(needed) = parsed
        && offset.saturating_add(needed) <= file.len().map_err(io)?
    {
        bytes = vec![0; usize::try_from(needed).unwrap_or(0)];
        len = file.read_at(offset, &mut bytes).map_err(io)?;
        parsed = parse_frame(bytes.get(..len).unwrap_or(&[]), key, offset);
    }
    let source = match parsed {
        Parsed::Fault(fault) => fault,
        Parsed::More(_) => FrameFault::End,
        Parsed::Frame(..) => FrameFault::OutOfOrder { what: "its place" },
    };
    Ok(SegmentError::Frame { path, offset, source })
}
