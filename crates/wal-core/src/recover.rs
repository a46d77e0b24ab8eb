//! Finding the log among the files: `docs/FORMAT.md`, section 6. Reads only.

mod chain;
mod closed;
mod cut;
mod objects;
mod remains;
mod walk;

use std::sync::Arc;

use wal_format::{
    CloseState, EntriesRef, FIRST_FRAME, FileName, FrameKind, Item, Judgement, LogId, Lsn, Metadata,
    Position, Seal, SegmentId, Trim, Verdict,
};
use wal_segment::{
    Directory, Inspected, LazyFile, Listing, Segment, SegmentError, SegmentSet, inspect, scan_notable,
};

pub(crate) use chain::Link;
pub(crate) use cut::{CutPlace, place_of_cut};
pub(crate) use remains::{Lost, Part, Remains, remains};
pub(crate) use walk::walk;

use crate::LogError;

/// A log as it was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) listing: Listing,
    /// Every header that could be read belongs to this log; `None` when there is no segment at all.
    pub(crate) log_id: Option<LogId>,
    /// Greatest epoch of any writer.
    pub(crate) epoch: u64,
    /// Greatest id of any segment file, used or not.
    pub(crate) greatest: SegmentId,
    pub(crate) log: Option<FoundLog>,
    pub(crate) dead: Vec<SegmentId>,
    pub(crate) unused: Vec<SegmentId>,
    /// The first of the unused ones that was begun, whether it holds whole frames, and how many bytes.
    pub(crate) begun: Option<(SegmentId, bool, u64)>,
    /// The end must be written anew although it is proven: something else follows it.
    pub(crate) must_rewrite: bool,
    /// Segments that must never be removed.
    pub(crate) fences: SegmentSet,
}

/// The segments that make up a log, and how its newest one ends.
#[derive(Debug)]
pub(crate) struct FoundLog {
    /// All segments but the newest, oldest first.
    pub(crate) links: Vec<Link>,
    pub(crate) head: Inspected,
    pub(crate) verdict: Verdict,
    pub(crate) first_retained: Lsn,
    pub(crate) metadata: Metadata,
}

impl FoundLog {
    pub(crate) fn base(&self) -> Lsn {
        self.head.opening.as_ref().map_or(Lsn::FIRST, |opening| opening.base)
    }

    pub(crate) fn next(&self) -> Lsn {
        self.verdict.next.unwrap_or_else(|| self.base())
    }

    pub(crate) fn time(&self) -> u64 {
        self.verdict.last.map_or(0, |last| last.time)
    }

    /// Everything of the newest segment before this offset is proven durable; its first frame when nothing is.
    pub(crate) fn proven(&self) -> u64 {
        self.verdict.proven.max(FIRST_FRAME)
    }

    pub(crate) fn segment(&self, directory: &Arc<Directory>, written: u64, durable: u64) -> Segment {
        inherit(directory, &self.head, self.base(), written, durable)
    }
}

/// Reads all headers and openings, scans the newest segment, and walks from it down to the first retained entry.
pub(crate) fn find(directory: &Arc<Directory>) -> Result<Found, LogError> {
    find_among(directory, Company::None)
}

/// The same beside a writer that may go on meanwhile: the log as it was at some moment.
pub(crate) fn find_beside_a_writer(directory: &Arc<Directory>) -> Result<Found, LogError> {
    find_among(directory, Company::Writer)
}

/// Who else may be changing the files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Company {
    None,
    Writer,
}

fn find_among(directory: &Arc<Directory>, company: Company) -> Result<Found, LogError> {
    let failed = |source| LogError::segment("open the log", source);
    let listing = directory.list().map_err(failed)?;
    let inspected = inspect_all(directory, &listing).map_err(failed)?;
    let log_id = same_log(&inspected).map_err(failed)?;
    let epoch = inspected.iter().map(|segment| segment.header.epoch).max().unwrap_or(0);
    let greatest = listing.segments.last().copied().unwrap_or(SegmentId(0));
    if !directory.storage().capabilities().append_after_sync {
        return objects::find(directory, listing, &inspected, log_id);
    }
    let head = inspected.iter().rposition(|segment| segment.opening.is_some());
    let unopened = inspected.get(head.map_or(0, |head| head + 1)..).unwrap_or(&[]);
    let closed = head.and_then(|head| closed::find(directory, inspected.get(head)?));
    let closed_by =
        head.filter(|_| closed.is_some()).and_then(|head| Some(inspected.get(head)?.header.epoch));
    let mut begun = None;
    // Who closed the log has written nothing since.
    for segment in unopened.iter().filter(|segment| Some(segment.header.epoch) != closed_by) {
        let verdict = never_used(directory, segment, head.is_none())?;
        if verdict.dirty && begun.is_none() {
            let bytes = verdict.dirty_end.saturating_sub(FIRST_FRAME);
            begun = Some((segment.header.segment, verdict.beyond.is_some(), bytes));
        }
    }
    let unused = unopened.iter().map(|segment| segment.header.segment).collect();
    let mut found = Found {
        listing,
        log_id,
        epoch,
        greatest,
        log: None,
        dead: Vec::new(),
        unused,
        begun,
        must_rewrite: false,
        fences: SegmentSet::default(),
    };
    if let Some(head) = head {
        let log = found_log(directory, &found.listing, &inspected, head, (closed, company))?;
        let live: SegmentSet = log.links.iter().map(|link| link.inspected.header.segment).collect();
        let below = inspected.iter().take(head).map(|segment| segment.header.segment);
        found.dead = below.filter(|id| !live.contains(*id)).collect();
        found.log = Some(log);
    }
    Ok(found)
}

/// So many headers are asked for ahead.
const AHEAD: usize = 4096;

fn inspect_all(directory: &Directory, listing: &Listing) -> Result<Vec<Inspected>, SegmentError> {
    let mut inspected = Vec::with_capacity(listing.segments.len());
    for ids in listing.segments.chunks(AHEAD) {
        directory.prefetch(ids);
        for id in ids {
            inspected.push(inspect(directory, *id)?);
        }
    }
    Ok(inspected)
}

fn found_log(
    directory: &Arc<Directory>,
    listing: &Listing,
    inspected: &[Inspected],
    head: usize,
    (closed, company): (Option<(Verdict, CloseState)>, Company),
) -> Result<FoundLog, LogError> {
    let Some(newest) = inspected.get(head) else { return chain::no_opening(directory) };
    let (verdict, state) = match closed {
        Some(found) => found,
        None => scan_newest(directory, listing, newest, company)?,
    };
    let CloseState { first_retained, metadata } = state;
    let links = chain::walk(directory, inspected, head, first_retained)?;
    Ok(FoundLog { links, head: newest.clone(), verdict, first_retained, metadata })
}

fn scan_newest(
    directory: &Directory,
    listing: &Listing,
    newest: &Inspected,
    company: Company,
) -> Result<(Verdict, CloseState), LogError> {
    let Some(opening) = &newest.opening else { return chain::no_opening(directory) };
    let mut state =
        State { first_retained: opening.first_retained, metadata: opening.metadata.clone(), seal: None };
    let scanned = directory
        .open(FileName::Segment(newest.header.segment))
        .and_then(|file| scan_notable(&*file, &newest.path, |item| state.take(item, &newest.path)));
    let verdict = scanned.map_err(|source| LogError::segment("read the newest segment", source))?;
    check_end(newest, &verdict)?;
    // Among objects only a tier has sealed segments, and what follows the newest of them was not shipped.
    let is_local = directory.storage().capabilities().append_after_sync;
    let is_absent = |seal: &Seal| is_local && listing.segments.binary_search(&seal.successor).is_err();
    if let Some(seal) = state.seal_at_end(&verdict).filter(is_absent)
        && (company == Company::None || !has_begun(directory, seal.successor)?)
    {
        return chain::missing(directory, seal.successor, seal.next);
    }
    let State { first_retained, metadata, .. } = state;
    Ok((verdict, CloseState { first_retained, metadata }))
}

/// Whether a segment is there by now: a live writer may have begun it after the files were listed, and sealed the one
/// before, which does not mean that it is missing.
fn has_begun(directory: &Directory, segment: SegmentId) -> Result<bool, LogError> {
    let listing = directory.list().map_err(|source| LogError::segment("read the newest segment", source))?;
    Ok(listing.segments.binary_search(&segment).is_ok())
}

/// What the control frames of the newest segment add up to.
pub(crate) struct State {
    pub(crate) first_retained: Lsn,
    pub(crate) metadata: Metadata,
    /// The seal that was seen last, and where.
    pub(crate) seal: Option<(u64, Seal)>,
}

impl State {
    pub(crate) fn take(&mut self, item: &Item<'_>, path: &str) -> Result<(), SegmentError> {
        let Item::Frame(frame) = item else { return Ok(()) };
        let unreadable = |source| SegmentError::Body { path: path.to_owned(), offset: frame.offset, source };
        match frame.header.kind {
            FrameKind::Trim => {
                let trim = Trim::decode(frame.body).map_err(unreadable)?;
                self.first_retained = self.first_retained.max(trim.first_retained);
            }
            // Written by a later version: the records count like those of a control frame.
            FrameKind::Entries if frame.header.has_metadata() => {
                let entries = EntriesRef::of(&frame.header, frame.body).map_err(unreadable)?;
                self.metadata.apply_all(entries.metadata()).map_err(unreadable)?;
            }
            FrameKind::Metadata => self.metadata.apply_all(frame.body).map_err(unreadable)?,
            FrameKind::Seal => {
                self.seal = Some((frame.offset, Seal::decode(frame.body).map_err(unreadable)?))
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the log goes on in another segment, or begins elsewhere than it did.
    pub(crate) fn ends(&self, first_retained: Lsn) -> bool {
        self.seal.is_some() || self.first_retained != first_retained
    }

    /// The seal, if it is the last frame.
    fn seal_at_end(&self, verdict: &Verdict) -> Option<Seal> {
        let last = verdict.last?;
        self.seal.as_ref().filter(|(offset, _)| *offset == last.offset).map(|(_, seal)| *seal)
    }
}

/// Torn or damaged: the rule. What was proven durable and cannot be read is never cut.
fn check_end(newest: &Inspected, verdict: &Verdict) -> Result<(), LogError> {
    if verdict.judgement() != Judgement::Damaged {
        return Ok(());
    }
    let last = verdict.resumes_at.and_then(Lsn::previous);
    let first = verdict.next.unwrap_or(Lsn::FIRST);
    let source =
        SegmentError::Frame { path: newest.path.clone(), offset: verdict.end, source: verdict.fault };
    Err(LogError::Lost { first, last: last.filter(|last| *last >= first), source })
}

/// A segment above the newest opening was prepared and not used, unless a frame in it proves that its opening was
/// durable and is lost. Where there is no other opening any frame proves that: only what is copied from a log that
/// stands is written before the opening.
fn never_used(directory: &Directory, segment: &Inspected, alone: bool) -> Result<Verdict, LogError> {
    let scanned = directory
        .open(FileName::Segment(segment.header.segment))
        .and_then(|file| scan_notable(&*file, &segment.path, |_| Ok(())));
    let verdict = scanned.map_err(|source| LogError::segment("read a segment without an opening", source))?;
    if verdict.judgement() != Judgement::Damaged && !(alone && verdict.beyond.is_some()) {
        return Ok(verdict);
    }
    let source =
        SegmentError::Frame { path: segment.path.clone(), offset: FIRST_FRAME, source: verdict.fault };
    Err(LogError::Lost { first: Lsn::FIRST, last: None, source })
}

/// The log of the segments; one that belongs to another is an error.
fn same_log(inspected: &[Inspected]) -> Result<Option<LogId>, SegmentError> {
    let Some(expected) = majority(inspected) else { return Ok(None) };
    match inspected.iter().find(|segment| segment.header.log_id != expected) {
        Some(other) => {
            Err(SegmentError::Foreign { path: other.path.clone(), found: other.header.log_id, expected })
        }
        None => Ok(Some(expected)),
    }
}

/// The log that most of the segments belong to.
fn majority(inspected: &[Inspected]) -> Option<LogId> {
    most_frequent(inspected.iter().map(|segment| segment.header.log_id.0).collect())
}

/// Of several, the greatest. The ids come from storage: it must not matter how many different ones there are.
fn most_frequent(mut ids: Vec<[u8; 16]>) -> Option<LogId> {
    ids.sort_unstable();
    let longest = ids.chunk_by(|one, next| one == next).max_by_key(|run| run.len())?;
    longest.first().copied().map(LogId)
}

/// Where the newest segment ends, for the report.
pub(crate) const fn position(of: &Inspected, offset: u64) -> Position {
    Position { segment: of.header.segment, offset }
}

fn inherit(directory: &Arc<Directory>, of: &Inspected, base: Lsn, written: u64, durable: u64) -> Segment {
    let file = LazyFile::new(Arc::clone(directory), FileName::Segment(of.header.segment));
    let (header, path) = (of.header, of.path.clone());
    Segment::inherited(Arc::clone(directory), header, base, path, Arc::new(file), written, durable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_segments_say_which_log_it_is() {
        let of = |ids: &[u8]| most_frequent(ids.iter().map(|id| [*id; 16]).collect()).map(|id| id.0[0]);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some(7));
        assert_eq!(of(&[1, 3, 1, 2, 1, 3]), Some(1));
        assert_eq!(of(&[2, 3, 1, 3, 2, 1]), Some(3), "the greatest of several");
        assert_eq!(of(&[2, 3, 1, 2]), Some(2));
    }
}
