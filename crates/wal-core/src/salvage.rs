//! Taking out of a damaged log whatever can still be read. Reads only.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use wal_compress::{Codecs, CompressError};
use wal_format::{Frame, FrameKind, Lsn};
use wal_segment::{Directory, SegmentError, Storage};

use crate::{
    Entry, Extras, LogError, Options,
    entry::OpenFrame,
    error::MissingLogSnafu,
    payload::Payloads,
    recover::{self, Part, Remains, remains, walk},
    report::Finding,
};

/// What [`salvage`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvageReport {
    /// Entries that were handed out.
    pub entries: u64,
    /// The first of them.
    pub first: Option<Lsn>,
    /// The last of them.
    pub last: Option<Lsn>,
    /// What is damaged, in the order of the log, with the entries that are gone because of it. Empty when the log is
    /// whole.
    pub damage: Vec<Finding>,
}

/// Hands every entry that still verifies to `each`, with its LSN, in ascending order: around missing and unreadable
/// segments, and behind damaged places inside of segments. The entries of one call were appended together, as a batch
/// or alone. Changes nothing, and takes no lock.
///
/// A torn write at the end is not part of the log and is left out. Where the segment is lost that says how far another
/// one is valid, entries that a truncation had removed may come back.
///
/// `each` may end it early; the report then speaks of all damage up to there.
///
/// # Errors
///
/// [`LogError::MissingLog`] when there is no log; the error of opening it when no segment has an opening that can be
/// read, because the LSNs are then unknown; errors of the storage, and of codecs that are not there: what cannot be
/// read now is not lost.
pub fn salvage(
    storage: Arc<dyn Storage>,
    codecs: Codecs,
    options: &Options,
    mut each: impl FnMut(&[Entry]) -> ControlFlow<()>,
) -> Result<SalvageReport, LogError> {
    options.validate()?;
    let payloads = Payloads::new(codecs, Extras::ALL, options.compression.clone())?;
    let directory = Arc::new(Directory::new(storage, &options.prefix));
    let left = look(&directory)?;
    payloads.learn(&left.metadata);
    let mut report = SalvageReport::default();
    let mut undecodable = Vec::new();
    let mut ended = false;
    let damage = walk(&directory, &left, &mut |part, frame| {
        if ended {
            return Ok(());
        }
        match entries(part, frame, left.first_retained, &payloads) {
            Ok(entries) if entries.is_empty() => {}
            Ok(entries) => {
                report.entries += entries.len() as u64;
                report.first = report.first.or(entries.first().map(|entry| entry.lsn));
                report.last = entries.last().map(|entry| entry.lsn);
                ended = each(&entries).is_break();
            }
            Err(error) => undecodable.push(unreadable(part, frame, error, &payloads)?),
        }
        Ok(())
    })?;
    report.damage = in_order(damage, undecodable);
    Ok(report)
}

/// What is left of a log, or why nothing is.
pub(crate) fn look(directory: &Arc<Directory>) -> Result<Remains, LogError> {
    if let Some(left) = remains(directory)? {
        return Ok(left);
    }
    recover::find(directory)?;
    MissingLogSnafu { location: directory.storage().location() }.fail()
}

/// The retained entries of a frame.
fn entries(
    part: &Part,
    frame: &Frame<'_>,
    first_retained: Lsn,
    payloads: &Payloads,
) -> Result<Vec<Entry>, LogError> {
    match retained(part, frame, first_retained, payloads)? {
        Some((open, mut lsns)) => lsns.try_fold(Vec::new(), |mut entries, lsn| {
            entries.push(open.entry(lsn)?);
            Ok(entries)
        }),
        None => Ok(Vec::new()),
    }
}

/// A frame with entries, and the LSNs of those that are retained.
pub(crate) fn retained(
    part: &Part,
    frame: &Frame<'_>,
    first_retained: Lsn,
    payloads: &Payloads,
) -> Result<Option<(OpenFrame, impl Iterator<Item = Lsn> + use<>)>, LogError> {
    if frame.header.kind != FrameKind::Entries || frame.header.count == 0 {
        return Ok(None);
    }
    let lsn = part.base.plus(u64::from(frame.header.lsn_delta));
    let open = OpenFrame::new(frame.header, lsn, Bytes::copy_from_slice(frame.body), payloads)?;
    let lsns = (0..u64::from(frame.header.count)).map(move |index| lsn.plus(index));
    Ok(Some((open, lsns.filter(move |lsn| *lsn >= first_retained))))
}

/// A frame that verifies and cannot be decoded costs its entries; that a codec is not there is an error. A dictionary
/// is part of the log: one that is not there is gone, unless the codec refuses one that is.
pub(crate) fn unreadable(
    part: &Part,
    frame: &Frame<'_>,
    error: LogError,
    payloads: &Payloads,
) -> Result<Finding, LogError> {
    let dictionary = match &error {
        LogError::Compression { source: CompressError::MissingDictionary { id } } => Some(*id),
        _ => None,
    };
    let dictionary = dictionary.filter(|_| payloads.knows_dictionaries());
    if !error.is_damage() && dictionary.is_none() {
        return Err(error);
    }
    let last = frame.lsn.plus(u64::from(frame.header.count).saturating_sub(1));
    let (path, offset) = (part.inspected.path.clone(), frame.offset);
    if let Some(id) = dictionary {
        let what = format!("dictionary {id}, which its entries were compressed with, is gone");
        return Ok(Finding { path, offset: Some(offset), lsns: Some(frame.lsn..=last), what });
    }
    let source = match error {
        LogError::Encoding { source, .. } => SegmentError::Body { path, offset, source },
        _ => SegmentError::Frame { path, offset, source: wal_format::FrameFault::BodyChecksum },
    };
    Ok(Finding::of(&source, Some(frame.lsn..=last)))
}

/// Findings by the entries that they cost, those that cost none where they were found.
pub(crate) fn in_order(mut findings: Vec<Finding>, more: Vec<Finding>) -> Vec<Finding> {
    for finding in more {
        let start = |finding: &Finding| finding.lsns.as_ref().map(|lsns| *lsns.start());
        let first = start(&finding);
        let at = findings.iter().position(|other| start(other) > first).unwrap_or(findings.len());
        findings.insert(at, finding);
    }
    findings
}
