//! Looking at every byte of a log that means something. Reads only.

use std::{collections::BTreeMap, sync::Arc};

use wal_compress::Codecs;
use wal_format::{Frame, FrameKind, IndexPoint, Lsn, SegmentId};
use wal_segment::{Directory, Storage};

use crate::{
    Extras, LogError, Options,
    beside::READ_ATTEMPTS,
    payload::Payloads,
    read::is_gone,
    recover::{Part, Remains, walk},
    report::Finding,
    salvage::{in_order, look, retained, unreadable},
};

/// What [`examine`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Examination {
    /// Segments of the log that were read.
    pub segments: usize,
    /// Frames in them, control frames included.
    pub frames: u64,
    /// Entries that are there.
    pub entries: u64,
    /// Their payloads together, in bytes.
    pub payload_bytes: u64,
    /// What is damaged, in the order of the log. Empty when it is whole.
    pub damage: Vec<Finding>,
    /// What is no damage and worth knowing: a torn end, files that are not part of the log, index files that are of no
    /// use.
    pub notes: Vec<Finding>,
}

/// Reads every frame of every segment of a log, by copying reads, and checks all there is to check: headers of dead and
/// unused segments too, the links between segments, that LSNs have no gaps and times do not run backwards, that every
/// entry can be decoded, and that the index sidecars lead to frames. Goes on behind damage. Takes no lock and changes
/// nothing.
///
/// # Errors
///
/// Those of [`salvage`](crate::salvage).
pub fn examine(
    storage: Arc<dyn Storage>,
    codecs: Codecs,
    options: &Options,
) -> Result<Examination, LogError> {
    options.validate()?;
    let payloads = Payloads::new(codecs, Extras::ALL, options.compression.clone())?;
    let directory = Arc::new(Directory::new(storage, &options.prefix));
    let mut attempts = 0;
    loop {
        attempts += 1;
        match examine_once(&directory, &payloads) {
            // A live writer removes segments that it has replaced.
            Err(error) if attempts < READ_ATTEMPTS && is_gone(&error) => {}
            Ok(found) if attempts < READ_ATTEMPTS && !found.damage.is_empty() && attempts < 3 => {}
            result => return result,
        }
    }
}

fn examine_once(directory: &Arc<Directory>, payloads: &Payloads) -> Result<Examination, LogError> {
    let left = look(directory)?;
    payloads.learn(&left.metadata);
    let mut found = Examination { segments: left.parts.len(), ..Examination::default() };
    let mut more = Vec::new();
    let mut pointers = Pointers::of(directory, &left, &mut found.notes);
    let mut time = 0;
    let damage = walk(directory, &left, &mut |part, frame| {
        found.frames += 1;
        // An opening may be younger than the frames that were copied behind it.
        if frame.header.kind == FrameKind::Entries {
            if frame.header.time < time {
                more.push(place(part, frame, "its time lies before that of the entries before it"));
            }
            time = frame.header.time;
        }
        if let Some(finding) = pointers.pass(part, frame) {
            more.push(finding);
        }
        match count(part, frame, left.first_retained, payloads) {
            Ok((entries, bytes)) => {
                found.entries += entries;
                found.payload_bytes += bytes;
            }
            Err(error) => more.push(unreadable(part, frame, error, payloads)?),
        }
        Ok(())
    })?;
    found.damage = in_order(damage, more);
    found.damage.extend(stray(&left, &found.damage));
    found.notes.extend(notes(directory, &left));
    Ok(found)
}

/// How many retained entries a frame holds, and the bytes of their payloads. None of them is kept: a frame of many
/// empty ones is short.
fn count(
    part: &Part,
    frame: &Frame<'_>,
    first_retained: Lsn,
    payloads: &Payloads,
) -> Result<(u64, u64), LogError> {
    let Some((open, lsns)) = retained(part, frame, first_retained, payloads)? else { return Ok((0, 0)) };
    let (mut entries, mut bytes) = (0, 0);
    for lsn in lsns {
        entries += 1;
        bytes += open.entry_ref(lsn)?.payload.len() as u64;
    }
    Ok((entries, bytes))
}

/// Segment files that are none or another log's, as far as nothing was said of them yet.
fn stray(left: &Remains, told: &[Finding]) -> Vec<Finding> {
    let bad = left.bad.iter().map(|(_, error)| Finding::of(error, None));
    bad.filter(|bad| told.iter().all(|finding| finding.path != bad.path)).collect()
}

fn notes(directory: &Directory, left: &Remains) -> Vec<Finding> {
    let note = |path: String, offset: Option<u64>, what: &str| Finding {
        path,
        offset,
        lsns: None,
        what: what.to_owned(),
    };
    let segment = |id: &SegmentId| directory.path(wal_format::FileName::Segment(*id));
    let mut notes = Vec::new();
    if let Some(newest) = left.parts.last().filter(|part| part.above.is_none() && left.verdict.dirty) {
        let what = "a torn write, which was never acknowledged, is not part of the log";
        notes.push(note(newest.inspected.path.clone(), Some(newest.end), what));
    }
    let dead = left.dead.iter().map(|id| note(segment(id), None, "it was replaced or cut off"));
    let unused = left.unused.iter().map(|id| note(segment(id), None, "it was prepared and not used"));
    notes.extend(dead.chain(unused));
    let preparing = left.listing.preparing.iter().map(|id| wal_format::FileName::Preparing(*id));
    notes.extend(preparing.map(|name| note(directory.path(name), None, "its preparation was cut short")));
    notes
}

fn place(part: &Part, frame: &Frame<'_>, what: &str) -> Finding {
    let (path, offset) = (part.inspected.path.clone(), Some(frame.offset));
    Finding { path, offset, lsns: None, what: what.to_owned() }
}

/// The points of the index sidecars that were not passed yet.
struct Pointers {
    points: BTreeMap<SegmentId, Vec<IndexPoint>>,
    /// Where the frame passed last ends, and in which segment.
    passed: (SegmentId, u64),
}

impl Pointers {
    fn of(directory: &Directory, left: &Remains, notes: &mut Vec<Finding>) -> Self {
        let mut points = BTreeMap::new();
        for id in &left.listing.indexes {
            let path = directory.path(wal_format::FileName::Index(*id));
            let mut useless = |what: &str| {
                let what = what.to_owned();
                notes.push(Finding { path: path.clone(), offset: None, lsns: None, what });
            };
            let Some(part) = left.parts.iter().find(|part| part.inspected.header.segment == *id) else {
                useless("its segment is not part of the log");
                continue;
            };
            match directory.read_index(&part.inspected.header, directory.len_of(*id).unwrap_or(part.end)) {
                None => useless("it does not verify, or belongs to another file; the log does without"),
                Some(index) if index.base != part.base => useless("it belongs to another file of this name"),
                Some(mut index) => {
                    index.points.retain(|point| point.offset() < part.end);
                    index.points.reverse();
                    points.insert(*id, index.points);
                }
            }
        }
        Self { points, passed: (SegmentId(0), 0) }
    }

    /// A sidecar that verifies and leads to a place where no frame is, or another one, makes good entries look lost.
    fn pass(&mut self, part: &Part, frame: &Frame<'_>) -> Option<Finding> {
        let id = part.inspected.header.segment;
        let inside_of = if self.passed.0 == id { self.passed.1 } else { 0 };
        self.passed = (id, frame.offset.saturating_add(frame.header.frame_len()));
        let points = self.points.get_mut(&id)?;
        let mut wrong = None;
        while let Some(point) = points.last().copied().filter(|point| point.offset() <= frame.offset) {
            points.pop();
            // A point into a damaged place is right, and the place is told of.
            let misled = point.offset() == frame.offset && point.lsn_delta != frame.header.lsn_delta;
            if misled || point.offset() < inside_of {
                wrong = Some(point);
            }
        }
        wrong.map(|point| {
            let lsn: Lsn = part.base.plus(u64::from(point.lsn_delta));
            place(part, frame, &format!("its index sidecar leads to another place for entry {lsn}"))
        })
    }
}
