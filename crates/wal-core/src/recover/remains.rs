//! What is left of a damaged log: the segments that can still be read, and what is wrong between them. Reads only; an
//! error of the storage is returned, never taken for an absence.

use std::{ops::RangeInclusive, sync::Arc};

use wal_format::{
    FIRST_FRAME, FileName, FrameFault, FrameKind, Item, Judgement, Lsn, Metadata, MetadataRecords, Namespace,
    Predecessor, SegmentId, Verdict,
};
use wal_segment::{Directory, Inspected, Listing, Segment, SegmentError, SegmentSet, inspect, scan_notable};

use super::{State, chain, has_begun, inherit, majority, never_used, objects};
use crate::{LogError, report::Finding};

/// The readable segments of a log, and what is wrong between them.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) listing: Listing,
    /// Oldest first; the last one is the newest segment that can be read.
    pub(crate) parts: Vec<Part>,
    pub(crate) first_retained: Lsn,
    pub(crate) metadata: Metadata,
    /// How the newest readable segment ends.
    pub(crate) verdict: Verdict,
    /// Why the oldest part does not reach down to the first retained entry, if it does not.
    pub(crate) below: Option<SegmentError>,
    /// Segment files that are none, or another log's.
    pub(crate) bad: Vec<(SegmentId, SegmentError)>,
    pub(crate) dead: Vec<SegmentId>,
    pub(crate) unused: Vec<SegmentId>,
}

/// A segment that can be read.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) inspected: Inspected,
    pub(crate) base: Lsn,
    /// Where its valid data ends: where its successor says, or at the first bad place.
    pub(crate) end: u64,
    /// Nothing at or beyond this offset is part of the log, as far as anything says so.
    pub(crate) limit: Option<u64>,
    /// The LSN at its end, where it had to be scanned for that.
    pub(crate) next: Option<Lsn>,
    /// What is wrong between this segment and the one above it.
    pub(crate) above: Option<SegmentError>,
}

impl Part {
    pub(crate) fn segment(&self, directory: &Arc<Directory>, durable: u64) -> Segment {
        inherit(directory, &self.inspected, self.base, self.end, durable)
    }
}

/// Entries that are gone, and why.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) lsns: RangeInclusive<Lsn>,
    pub(crate) source: SegmentError,
}

impl Lost {
    pub(crate) fn finding(&self) -> Finding {
        Finding::of(&self.source, Some(self.lsns.clone()))
    }

    pub(crate) fn error(&self) -> LogError {
        let last = Some(*self.lsns.end()).filter(|last| *last != Lsn::MAX);
        LogError::Lost { first: *self.lsns.start(), last, source: duplicate(&self.source) }
    }
}

impl Remains {
    /// The entries that are known to be gone without reading everything, in ascending order.
    pub(crate) fn lost(&self) -> Vec<Lost> {
        let mut lost = Vec::new();
        let oldest = self.parts.first().map_or(Lsn::MAX, |part| part.base);
        if let (Some(source), Some(last)) = (&self.below, oldest.previous()) {
            lost.push(Lost { lsns: self.first_retained..=last, source: duplicate(source) });
        }
        for (at, part) in self.parts.iter().enumerate() {
            let (Some(source), Some(first)) = (&part.above, part.next) else { continue };
            let after = self.parts.get(at + 1).map(|above| above.base);
            let last = after.map_or(Some(Lsn::MAX), Lsn::previous);
            let first = first.max(self.first_retained);
            if let Some(last) = last.filter(|last| first <= *last) {
                lost.push(Lost { lsns: first..=last, source: duplicate(source) });
            }
        }
        lost
    }
}

/// Looks for what is left; `None` when no segment has an opening that can be read.
pub(crate) fn remains(directory: &Arc<Directory>) -> Result<Option<Remains>, LogError> {
    let listing = directory.list().map_err(failed)?;
    let (mut sound, mut bad) = sort_out(directory, &listing)?;
    let is_objects = !directory.storage().capabilities().append_after_sync;
    let mut late = Vec::new();
    if is_objects {
        late = sort_out_objects(&mut sound, &mut bad);
    }
    let Some(head) = sound.iter().rposition(|segment| segment.opening.is_some()) else { return Ok(None) };
    let Some(newest) = sound.get(head) else { return Ok(None) };
    let unopened = sound.get(head + 1..).unwrap_or(&[]);
    let (verdict, state) = scan_head(directory, newest, is_objects)?;
    // What was published whole has no torn end.
    let damaged = verdict.judgement() == Judgement::Damaged || is_objects && verdict.dirty;
    let above = above_head(directory, &listing, newest, unopened, &bad, (&verdict, &state))?;
    let base = newest.opening.as_ref().map_or(Lsn::FIRST, |opening| opening.base);
    let above = above.or_else(|| {
        let (path, offset) = (newest.path.clone(), verdict.end);
        damaged.then_some(SegmentError::Frame { path, offset, source: verdict.fault })
    });
    let top = Part {
        inspected: newest.clone(),
        base,
        end: verdict.end,
        limit: (!damaged).then_some(verdict.end),
        next: verdict.next,
        above,
    };
    let (parts, below) = descend(directory, &sound, top, state.first_retained)?;
    let live: SegmentSet = parts.iter().map(|part| part.inspected.header.segment).collect();
    let ids = |of: &[Inspected]| of.iter().map(|segment| segment.header.segment).collect::<Vec<_>>();
    let mut dead = ids(sound.get(..head).unwrap_or(&[]));
    dead.extend(late);
    let is_fence =
        |id: &SegmentId| is_objects && chain::at(&sound, *id).is_some_and(|of| of.header.is_fence());
    dead.retain(|id| !live.contains(*id) && !is_fence(id));
    Ok(Some(Remains {
        parts,
        below,
        first_retained: state.first_retained,
        metadata: state.metadata,
        verdict,
        bad,
        dead,
        unused: ids(unopened),
        listing,
    }))
}

type Bad = Vec<(SegmentId, SegmentError)>;

/// The segments with a valid header of this log, and those without.
fn sort_out(directory: &Directory, listing: &Listing) -> Result<(Vec<Inspected>, Bad), LogError> {
    let (mut sound, mut bad) = (Vec::new(), Vec::new());
    for id in &listing.segments {
        match inspect(directory, *id) {
            Ok(segment) => sound.push(segment),
            Err(error) if error.is_damage() => bad.push((*id, error)),
            Err(error) => return Err(failed(error)),
        }
    }
    let Some(expected) = majority(&sound) else { return Ok((sound, bad)) };
    let foreign = sound.extract_if(.., |segment| segment.header.log_id != expected);
    bad.extend(foreign.map(|Inspected { header, path, .. }| {
        (header.segment, SegmentError::Foreign { path, found: header.log_id, expected })
    }));
    Ok((sound, bad))
}

/// Objects: one without an opening is damaged, because it was published whole; and what lies above the newest segment
/// that is part of the log was never acknowledged. Those are taken out and returned.
fn sort_out_objects(sound: &mut Vec<Inspected>, bad: &mut Bad) -> Vec<SegmentId> {
    let broken = sound.extract_if(.., |segment| segment.opening.is_none());
    bad.extend(broken.map(|Inspected { header, path, .. }| {
        let (offset, source) = (FIRST_FRAME, FrameFault::HeaderChecksum);
        (header.segment, SegmentError::Frame { path, offset, source })
    }));
    // Where damage hides the proof of every one of them, the newest that can be read has to do.
    let head = objects::head(sound).unwrap_or(sound.len());
    let late = sound.split_off(sound.len().min(head + 1));
    late.iter().map(|segment| segment.header.segment).collect()
}

fn scan_head(
    directory: &Directory,
    newest: &Inspected,
    is_objects: bool,
) -> Result<(Verdict, State), LogError> {
    let (first_retained, metadata) = newest.opening.as_ref().map_or_else(
        || (Lsn::FIRST, Metadata::default()),
        |opening| (opening.first_retained, opening.metadata.clone()),
    );
    let mut state = State { first_retained, metadata, seal: None };
    let mut beyond = Metadata::default();
    let file = directory.open(FileName::Segment(newest.header.segment)).map_err(failed)?;
    let verdict = scan_notable(&*file, &newest.path, |item| {
        take_dictionaries(item, &mut beyond);
        state.take(item, &newest.path)
    });
    let verdict = verdict.map_err(failed)?;
    // What stands behind damage is part of the log. What stands behind a torn end is not.
    if verdict.judgement() == Judgement::Damaged || is_objects {
        beyond.records().for_each(|record| state.metadata.apply(&record));
    }
    Ok((verdict, state))
}

/// Takes the dictionaries that a frame beyond the first bad place brings: those behind it need them.
fn take_dictionaries(item: &Item<'_>, metadata: &mut Metadata) {
    let Item::Beyond(frame) = item else { return };
    if frame.header.kind == FrameKind::Metadata {
        let records = MetadataRecords::new(frame.body).map_while(Result::ok);
        records
            .filter(|record| record.namespace == Namespace::DICTIONARY)
            .for_each(|record| metadata.apply(&record));
    }
}

/// What says that acknowledged entries followed the end of the newest readable segment.
fn above_head(
    directory: &Directory,
    listing: &Listing,
    newest: &Inspected,
    unopened: &[Inspected],
    bad: &Bad,
    (verdict, state): (&Verdict, &State),
) -> Result<Option<SegmentError>, LogError> {
    if verdict.judgement() == Judgement::Damaged {
        let (path, offset) = (newest.path.clone(), verdict.end);
        return Ok(Some(SegmentError::Frame { path, offset, source: verdict.fault }));
    }
    if let Some((_, error)) = bad.iter().find(|(id, _)| *id > newest.header.segment) {
        return Ok(Some(duplicate(error)));
    }
    for segment in unopened {
        match never_used(directory, segment, false) {
            Ok(_) => {}
            Err(error) if error.is_damage() => return Ok(Some(cause(error))),
            Err(error) => return Err(error),
        }
    }
    let absent =
        state.seal_at_end(verdict).filter(|seal| listing.segments.binary_search(&seal.successor).is_err());
    let Some(seal) = absent else { return Ok(None) };
    let missing = || SegmentError::Missing { path: directory.path(FileName::Segment(seal.successor)) };
    Ok((!has_begun(directory, seal.successor)?).then(missing))
}

/// From the newest part down to the first retained entry, around what is missing. Returns the parts oldest first.
fn descend(
    directory: &Directory,
    sound: &[Inspected],
    top: Part,
    first_retained: Lsn,
) -> Result<(Vec<Part>, Option<SegmentError>), LogError> {
    let mut parts = vec![top];
    let mut below = None;
    while let Some(part) = parts.last().filter(|part| part.base > first_retained) {
        let (id, base) = (part.inspected.header.segment, part.base);
        let predecessor = part.inspected.opening.as_ref().and_then(|opening| opening.predecessor);
        match linked(directory, sound, part, predecessor.as_ref()) {
            Ok(link) => parts.push(link),
            Err(error) if error.is_damage() => {
                let source = named(directory, error);
                match next_below(directory, sound, (id, base), predecessor.as_ref(), &source)? {
                    Some(part) => parts.push(part),
                    None => {
                        below = Some(source);
                        break;
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    parts.reverse();
    Ok((parts, below))
}

fn linked(
    directory: &Directory,
    sound: &[Inspected],
    above: &Part,
    predecessor: Option<&Predecessor>,
) -> Result<Part, LogError> {
    let path = || above.inspected.path.clone();
    let Some(predecessor) = predecessor else {
        return Err(LogError::Inconsistent { path: path(), why: "it names no predecessor" });
    };
    if above.inspected.header.segment <= predecessor.segment {
        return Err(LogError::Inconsistent { path: path(), why: "its predecessor is not older than itself" });
    }
    let chain::Link { inspected, base, end } = chain::link(directory, sound, predecessor, above.base)?;
    Ok(Part { inspected, base, end, limit: Some(end), next: None, above: None })
}

/// The segment below a place where the chain is broken: the one that should be there, if only its end is damaged, or
/// the nearest older one.
fn next_below(
    directory: &Directory,
    sound: &[Inspected],
    (above, before): (SegmentId, Lsn),
    predecessor: Option<&Predecessor>,
    source: &SegmentError,
) -> Result<Option<Part>, LogError> {
    let is_named = |segment: &Inspected| {
        predecessor
            .is_some_and(|named| named.segment == segment.header.segment && named.salt == segment.header.salt)
    };
    let ceiling = predecessor.map_or(above, |named| named.segment.min(above));
    let found = sound.iter().rev().find(|segment| {
        let below = segment.header.segment < ceiling || is_named(segment);
        let base = segment.opening.as_ref().map(|opening| opening.base);
        below && segment.header.segment < above && base.is_some_and(|base| base < before)
    });
    let Some(segment) = found else { return Ok(None) };
    let file = directory.open(FileName::Segment(segment.header.segment)).map_err(failed)?;
    let verdict = scan_notable(&*file, &segment.path, |_| Ok(())).map_err(failed)?;
    let limit = predecessor.filter(|_| is_named(segment)).map(|named| named.end);
    let (base, next) = (verdict.next, verdict.next.map(|next| next.min(before)));
    let base = segment.opening.as_ref().map(|opening| opening.base).or(base).unwrap_or(Lsn::FIRST);
    let end = verdict.end.min(limit.unwrap_or(u64::MAX));
    let source = if end < verdict.end || verdict.judgement() != Judgement::Damaged {
        duplicate(source)
    } else {
        SegmentError::Frame { path: segment.path.clone(), offset: end, source: verdict.fault }
    };
    Ok(Some(Part { inspected: segment.clone(), base, end, limit, next, above: Some(source) }))
}

/// The file that an error of the chain is about.
fn named(directory: &Directory, error: LogError) -> SegmentError {
    match error {
        LogError::MissingSegment { segment, .. } => {
            SegmentError::Missing { path: directory.path(FileName::Segment(segment)) }
        }
        error => cause(error),
    }
}

/// What a damaged file's error says about the file.
fn cause(error: LogError) -> SegmentError {
    match error {
        LogError::Lost { source, .. } | LogError::Segment { source, .. } => source,
        LogError::Inconsistent { path, why } => {
            SegmentError::Frame { path, offset: FIRST_FRAME, source: FrameFault::OutOfOrder { what: why } }
        }
        LogError::MissingSegment { location, .. } => SegmentError::Missing { path: location },
        _ => SegmentError::Missing { path: String::new() },
    }
}

/// The same error once more. Errors of the storage never come here: they are returned where they occur.
fn duplicate(error: &SegmentError) -> SegmentError {
    error.duplicate().unwrap_or_else(|| SegmentError::Missing { path: String::new() })
}

fn failed(source: SegmentError) -> LogError {
    LogError::segment("read a damaged log", source)
}
