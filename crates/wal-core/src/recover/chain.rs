//! From the newest segment through its predecessors down to the first retained entry.

use std::sync::Arc;

use wal_format::{FileName, Lsn, Predecessor, SegmentId};
use wal_segment::{Directory, Inspected, Segment, SegmentError, check_last_frame};

use super::inherit;
use crate::{
    LogError,
    error::{InconsistentSnafu, MissingSegmentSnafu},
};

/// A segment that its successor names.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) inspected: Inspected,
    pub(crate) base: Lsn,
    /// Where its valid data ends.
    pub(crate) end: u64,
}

impl Link {
    /// What a successor names is durable.
    pub(crate) fn segment(&self, directory: &Arc<Directory>) -> Segment {
        inherit(directory, &self.inspected, self.base, self.end, self.end)
    }
}

/// Walks down, oldest last, and returns the links oldest first.
pub(super) fn walk(
    directory: &Directory,
    inspected: &[Inspected],
    head: usize,
    first_retained: Lsn,
) -> Result<Vec<Link>, LogError> {
    let mut links: Vec<Link> = Vec::new();
    let mut current = inspected.get(head);
    while let Some(opening) = current.and_then(|segment| segment.opening.as_ref()) {
        if opening.base <= first_retained {
            break;
        }
        let path = current.map_or("", |segment| segment.path.as_str());
        let Some(predecessor) = opening.predecessor else {
            let why = "it names no predecessor, but older entries are still part of the log";
            return InconsistentSnafu { path, why }.fail();
        };
        let link = link(directory, inspected, &predecessor, opening.base)?;
        if current.is_some_and(|segment| segment.header.segment <= predecessor.segment) {
            return InconsistentSnafu { path, why: "its predecessor is not older than itself" }.fail();
        }
        current = at(inspected, predecessor.segment);
        links.push(link);
    }
    links.reverse();
    Ok(links)
}

pub(super) fn link(
    directory: &Directory,
    inspected: &[Inspected],
    predecessor: &Predecessor,
    before: Lsn,
) -> Result<Link, LogError> {
    let Some(segment) = at(inspected, predecessor.segment) else {
        return missing(directory, predecessor.segment, before);
    };
    let inconsistent = |why| InconsistentSnafu { path: segment.path.clone(), why }.fail();
    if segment.header.salt != predecessor.salt {
        return inconsistent("its successor names another file of this name");
    }
    let damaged = |source| LogError::Lost { first: Lsn::FIRST, last: before.previous(), source };
    let Some(opening) = &segment.opening else {
        let source = wal_format::FrameFault::HeaderChecksum;
        let offset = wal_format::FIRST_FRAME;
        return Err(damaged(SegmentError::Frame { path: segment.path.clone(), offset, source }));
    };
    if opening.base > before {
        return inconsistent("it begins after its successor");
    }
    let Some(last_frame) = predecessor.last_frame() else {
        return inconsistent("its successor names an impossible end");
    };
    let name = FileName::Segment(predecessor.segment);
    if is_whole(directory, name, predecessor.end) {
        return Ok(Link { inspected: segment.clone(), base: opening.base, end: predecessor.end });
    }
    let checked =
        directory.open(name).and_then(|file| check_last_frame(&*file, segment, last_frame, predecessor));
    let last = checked.map_err(|source| {
        if source.is_damage() {
            LogError::Lost { first: opening.base, last: before.previous(), source }
        } else {
            LogError::segment("read the end of a segment", source)
        }
    })?;
    // Below the first retained entry LSNs may have jumped, but no walk goes there.
    let next = opening.base.plus(u64::from(last.lsn_delta)).plus(u64::from(last.count));
    if next != before {
        return inconsistent("its successor does not begin with the entry after its last");
    }
    Ok(Link { inspected: segment.clone(), base: opening.base, end: predecessor.end })
}

/// An object that is as long as its successor says is the one that it means: its salt says so, and it was published
/// whole. Looking at its last frame would cost a request for each segment.
fn is_whole(directory: &Directory, name: FileName, end: u64) -> bool {
    !directory.storage().capabilities().append_after_sync
        && directory.open(name).is_ok_and(|file| file.len().is_ok_and(|len| len == end))
}

/// The segments are in ascending order.
pub(super) fn at(inspected: &[Inspected], id: SegmentId) -> Option<&Inspected> {
    let at = inspected.binary_search_by_key(&id, |segment| segment.header.segment);
    at.ok().and_then(|at| inspected.get(at))
}

/// Where the segment is that is meant: the file of this name may be another one.
pub(super) fn position(inspected: &[Inspected], named: Predecessor) -> Option<usize> {
    let at = inspected.binary_search_by_key(&named.segment, |segment| segment.header.segment).ok()?;
    inspected.get(at).filter(|found| found.header.salt == named.salt).map(|_| at)
}

pub(super) fn missing<T>(directory: &Directory, segment: SegmentId, near: Lsn) -> Result<T, LogError> {
    let shipped = directory.has_note(segment);
    MissingSegmentSnafu { segment, location: directory.storage().location(), near, shipped }.fail()
}

/// Only reached if the list changed under our hands, which it cannot.
pub(super) fn no_opening<T>(directory: &Directory) -> Result<T, LogError> {
    InconsistentSnafu { path: directory.storage().location(), why: "its newest segment has no opening" }
        .fail()
}
