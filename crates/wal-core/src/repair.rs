//! Making a damaged log one that opens again, at a price that is named first.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::RangeInclusive,
    sync::Arc,
};

use wal_format::{FileName, FrameKind, IndexPoint, Lsn, SegmentId, SegmentIndex};
use wal_segment::{Directory, SegmentError, SparseIndex, Storage};

use crate::{
    Environment, LogError, Options,
    error::InvalidArgumentSnafu,
    open,
    recover::{Remains, place_of_cut, walk},
    report::Finding,
    salvage::look,
};

/// What [`repair`] may do.
#[derive(Clone, Debug, Default)]
pub struct RepairOptions {
    /// Whether a damaged log is cut at the first damaged place. Everything behind it is then no longer part of the log.
    /// Default: `false`.
    pub cut_at_damage: bool,
    /// Where every file that is removed or replaced is copied to first, durably. Default: none, and nothing is changed:
    /// the report says what would be done.
    pub quarantine: Option<Arc<dyn Storage>>,
}

/// What [`repair`] did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// What is damaged. Repair cannot bring it back; it can be cut off, or [salvaged](crate::salvage) around.
    pub damage: Vec<Finding>,
    /// Where the log is cut, why, and the entries that are given up.
    pub cut: Option<Finding>,
    /// Files that are removed.
    pub removed: Vec<String>,
    /// Index files that are written anew.
    pub indexes: Vec<String>,
}

impl RepairReport {
    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cut.is_none() && self.removed.is_empty() && self.indexes.is_empty()
    }
}

/// Removes files that are no longer part of a log, writes index files that are missing or wrong anew, and, if it may,
/// cuts the log at the first damaged place: a new segment is written that names it as the end. Nothing is edited in
/// place. Without a [quarantine](RepairOptions::quarantine) it changes nothing and takes no lock.
///
/// # Errors
///
/// An error of the kind `Unsupported` for a log on object storage; [`LogError::Locked`] when a writer has the log;
/// [`LogError::InvalidArgument`] when the log cannot be cut because
/// nothing before the damaged place can be relied on; those of [`salvage`](crate::salvage); errors of the storage.
pub fn repair(
    environment: Environment,
    options: &Options,
    how: &RepairOptions,
) -> Result<RepairReport, LogError> {
    options.validate_for_writing()?;
    check_is_files(&*environment.storage)?;
    let directory = Arc::new(Directory::new(Arc::clone(&environment.storage), &options.prefix));
    let lock = match how.quarantine {
        Some(_) => Some(open::lock(&environment.storage)?),
        None => None,
    };
    let left = look(&directory)?;
    let mut indexes = Indexes::default();
    let damage = walk(&directory, &left, &mut |part, frame| {
        indexes.take(part.inspected.header.segment, frame.header.lsn_delta, frame.offset);
        Ok(())
    })?;
    let mut report = RepairReport { damage, ..RepairReport::default() };
    if !report.damage.is_empty() && how.cut_at_damage {
        let place = place_of_cut(&directory, &left)?;
        let Some(place) = place else {
            return InvalidArgumentSnafu { why: "nothing before the damaged place can be kept; salvage" }
                .fail();
        };
        report.cut = report.damage.first().map(|first| given_up(first, place.next, &left));
        let kept: BTreeSet<SegmentId> =
            left.parts.iter().take(place.part + 1).map(|part| part.inspected.header.segment).collect();
        let newest = left.parts.get(place.part).map(|part| part.inspected.header.segment);
        let names = leavings(&left, &kept);
        report.removed = names.iter().map(|name| directory.path(*name)).collect();
        if let (Some(quarantine), Some(lock)) = (&how.quarantine, lock) {
            // What is kept of the newest one may be copied into a new segment, which then replaces it.
            let index = newest.filter(|id| left.listing.indexes.contains(id)).map(FileName::Index);
            let newest = newest.map(FileName::Segment).into_iter().chain(index);
            keep(&directory, &options.prefix, &**quarantine, names.iter().copied().chain(newest))?;
            open::cut(environment, options.clone(), lock, &left, place)?;
            remove(&directory, &names)?;
        }
        return Ok(report);
    }
    let mut kept: BTreeSet<SegmentId> = left.parts.iter().map(|part| part.inspected.header.segment).collect();
    // What is damaged stays as long as nobody gives it up; and the greatest number is never given twice.
    if !report.damage.is_empty() {
        kept.extend(left.bad.iter().map(|(id, _)| *id));
        kept.extend(left.unused.iter().copied());
    }
    kept.extend(left.listing.segments.last().copied());
    // A segment that is sealed names the next one, which must be there, however far it was begun.
    if left.verdict.last.is_some_and(|last| last.kind == FrameKind::Seal) {
        kept.extend(left.unused.iter().copied());
    }
    let names = leavings(&left, &kept);
    let rebuilt = indexes.wrong(&directory, &left);
    report.removed = names.iter().map(|name| directory.path(*name)).collect();
    let path = |index: &SegmentIndex| directory.path(FileName::Index(index.segment));
    report.indexes = rebuilt.iter().map(path).collect();
    if let Some(quarantine) = &how.quarantine {
        let there = |index: &&SegmentIndex| left.listing.indexes.contains(&index.segment);
        let replaced = rebuilt.iter().filter(there).map(|index| FileName::Index(index.segment));
        keep(&directory, &options.prefix, &**quarantine, names.iter().copied().chain(replaced))?;
        remove(&directory, &names)?;
        let failed = |source| LogError::segment("write an index file", source);
        rebuilt.iter().try_for_each(|index| directory.write_index(index)).map_err(failed)?;
        directory.sync_names().map_err(failed)?;
    }
    Ok(report)
}

/// Objects are never edited, and what is dead among them goes when the log is opened for writing.
fn check_is_files(storage: &dyn Storage) -> Result<(), LogError> {
    if storage.capabilities().append_after_sync {
        return Ok(());
    }
    let why =
        "objects are not repaired in place: salvage what can be read into a directory, and copy that back";
    let source = io::Error::new(io::ErrorKind::Unsupported, why);
    Err(LogError::segment(
        "repair the log",
        SegmentError::Io { operation: "repair", path: storage.location(), source },
    ))
}

/// The first damaged place, with everything that is given up by cutting there.
fn given_up(first: &Finding, next: Lsn, left: &Remains) -> Finding {
    let open_end = left.parts.last().is_some_and(|part| part.above.is_some());
    let last = if open_end { Some(Lsn::MAX) } else { left.verdict.next.and_then(Lsn::previous) };
    let lsns: Option<RangeInclusive<Lsn>> = last.filter(|last| next <= *last).map(|last| next..=last);
    Finding { lsns, ..first.clone() }
}

/// The files that belong to none of the segments that are kept.
fn leavings(left: &Remains, kept: &BTreeSet<SegmentId>) -> Vec<FileName> {
    let gone = |id: &&SegmentId| !kept.contains(id);
    let segments = left.listing.segments.iter().filter(gone).map(|id| FileName::Segment(*id));
    let indexes = left.listing.indexes.iter().filter(gone).map(|id| FileName::Index(*id));
    let preparing = left.listing.preparing.iter().map(|id| FileName::Preparing(*id));
    indexes.chain(segments).chain(preparing).collect()
}

/// Copies files to another place, durably.
fn keep(
    directory: &Directory,
    prefix: &str,
    quarantine: &dyn Storage,
    names: impl Iterator<Item = FileName>,
) -> Result<(), LogError> {
    for name in names {
        let failed = |source| {
            let source = SegmentError::Io { operation: "copy", path: directory.path(name), source };
            LogError::segment("put a file into quarantine", source)
        };
        let from = directory.open(name).map_err(|source| LogError::segment("read a file", source))?;
        let to = quarantine.create(&name.with_prefix(prefix)).map_err(failed)?;
        let mut piece = vec![0; 256 << 10];
        let mut offset = 0;
        loop {
            let len = from.read_at(offset, &mut piece).map_err(failed)?;
            if len == 0 {
                break;
            }
            to.write_at(offset, piece.get(..len).unwrap_or(&[])).map_err(failed)?;
            offset += len as u64;
        }
        to.sync().map_err(failed)?;
    }
    let failed = |source| SegmentError::Io { operation: "sync", path: quarantine.location(), source };
    quarantine.sync_names().map_err(|source| LogError::segment("put files into quarantine", failed(source)))
}

fn remove(directory: &Directory, names: &[FileName]) -> Result<(), LogError> {
    let failed = |source| LogError::segment("remove old files", source);
    names.iter().try_for_each(|name| directory.remove(*name)).map_err(failed)?;
    directory.sync_names().map_err(failed)
}

/// Where the frames of every segment are.
#[derive(Default)]
struct Indexes {
    frames: BTreeMap<SegmentId, (SparseIndex, BTreeSet<(u64, u32)>)>,
}

impl Indexes {
    fn take(&mut self, segment: SegmentId, lsn_delta: u32, offset: u64) {
        let (index, frames) = self.frames.entry(segment).or_default();
        index.offer(lsn_delta, offset);
        frames.insert((offset, lsn_delta));
    }

    /// The sidecars of sealed segments without damage that are missing, or do not lead to frames.
    fn wrong(&self, directory: &Directory, left: &Remains) -> Vec<SegmentIndex> {
        let mut wrong = Vec::new();
        for part in left.parts.iter().take(left.parts.len().saturating_sub(1)) {
            let header = &part.inspected.header;
            let Some((index, frames)) = self.frames.get(&header.segment) else { continue };
            let Some((last_frame, _)) = frames.last().copied() else { continue };
            if part.above.is_some() {
                continue;
            }
            let leads = |point: &IndexPoint| frames.contains(&(point.offset(), point.lsn_delta));
            let len = directory.len_of(header.segment).unwrap_or(part.end);
            let is_right = directory.read_index(header, len).is_some_and(|found| {
                let same = (found.base, found.end) == (part.base, part.end);
                same && found.points.iter().all(leads)
            });
            if !is_right {
                wrong.push(SegmentIndex {
                    log_id: header.log_id,
                    segment: header.segment,
                    salt: header.salt,
                    end: part.end,
                    base: part.base,
                    last_frame,
                    points: index.points().to_vec(),
                });
            }
        }
        wrong
    }
}
