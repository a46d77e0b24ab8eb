//! The same log in another place, segment by segment and byte by byte, whatever kind of storage either place is.
//!
//! The newest segment is copied first and the oldest last: what is left of a copy that was cut short lacks a
//! predecessor, and is no log. The next attempt finds what is there already and copies the rest.

use std::{io, sync::Arc};

use wal_format::{FileName, FrameKind, Lsn, Scanner, SegmentId};
use wal_segment::{Directory, Inspected, Segment, SegmentError, Storage, StorageFile, inspect};

use crate::{
    Log, LogError,
    engine::Engine,
    error::{DiffersSnafu, InconsistentSnafu, MissingLogSnafu},
    open, recover,
};

/// What [`Log::copy_to`] found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyReport {
    /// The first entry of the copy; the same as `next` when there is none.
    pub first: Lsn,
    /// The LSN that comes next in it.
    pub next: Lsn,
    /// Its segments.
    pub segments: usize,
    /// How many of these were copied by this call; the others were there.
    pub copied: usize,
    /// Their bytes.
    pub copied_bytes: u64,
}

const PIECE_LEN: usize = 256 << 10;
/// So much of the beginning and of the end of a segment tells whether it is the one that was to be copied: with its
/// salt it has no equal, and it got its name when it was whole.
const PROBE_LEN: usize = 4096;

impl Log {
    /// Makes a copy of the log as it is now in another storage, or completes one that was begun, or brings one up to
    /// date. It is the same log, with the same id and the same segments, byte for byte up to where they are valid.
    /// Every frame is verified on the way. Durable on return.
    ///
    /// The copy of a log that grows can be brought up to date where segments do not grow, which is so on object
    /// storage. Oldest segments that the log has let go of may be left in the copy, and do no harm.
    ///
    /// # Errors
    ///
    /// [`LogError::Differs`] when there is something else in `target`, which then stays as it is;
    /// [`LogError::Locked`] when somebody writes there; [`LogError::MissingLog`] when nothing was ever written;
    /// damage; errors of either storage. What is in `target` then is no log unless it was one before, and the next
    /// attempt goes on from there.
    pub fn copy_to(&self, target: &Arc<dyn Storage>) -> Result<CopyReport, LogError> {
        let engine = self.engine();
        let lock = open::lock(target)?;
        let moment = engine.moment();
        engine.tell();
        let moment = moment?;
        let target = Arc::new(Directory::new(Arc::clone(target), &engine.options.prefix));
        let mut copying = Copying { engine, target, copied: 0, copied_bytes: 0 };
        let report = copying.run(moment.segments(), moment.end);
        drop(lock);
        report
    }
}

struct Copying<'a> {
    engine: &'a Engine,
    target: Arc<Directory>,
    copied: usize,
    copied_bytes: u64,
}

impl Copying<'_> {
    fn run(&mut self, segments: &[Arc<Segment>], end: u64) -> Result<CopyReport, LogError> {
        let Some((newest, older)) = segments.split_last() else {
            return MissingLogSnafu { location: self.engine.directory.storage().location() }.fail();
        };
        let (end, next) = end_of(newest, end)?;
        let with_ends =
            || [(newest, end)].into_iter().chain(older.iter().rev().map(|older| (older, older.written())));
        let present = self.present(segments)?;
        let missing: Vec<_> = with_ends().filter(|(segment, _)| !present.contains(&segment.id())).collect();
        // Before anything is changed.
        with_ends()
            .filter(|(segment, _)| present.contains(&segment.id()))
            .try_for_each(|(segment, end)| self.check(segment, end))?;
        for (segment, end) in missing {
            self.segment(segment, end)?;
        }
        let found = recover::find(&self.target)?;
        let location = self.target.storage().location();
        let Some(log) = found.log else { return MissingLogSnafu { location }.fail() };
        if log.links.len() + 1 != segments.len() || log.next() != next {
            return InconsistentSnafu { path: location, why: "the copy is not what was copied" }.fail();
        }
        let (copied, copied_bytes) = (self.copied, self.copied_bytes);
        Ok(CopyReport { first: log.first_retained, next, segments: segments.len(), copied, copied_bytes })
    }

    /// The segments that are there; one that has no business there is an error.
    fn present(&self, segments: &[Arc<Segment>]) -> Result<Vec<SegmentId>, LogError> {
        let mut listing = self.target.list().map_err(failed)?;
        let oldest = segments.first().map(|segment| segment.id());
        let log_id = segments.first().map(|segment| segment.header().log_id);
        for id in &listing.segments {
            if segments.iter().any(|segment| segment.id() == *id) {
                continue;
            }
            // What the log has let go of may still be in a copy of it.
            let Inspected { header, path, .. } = inspect(&self.target, *id).map_err(failed)?;
            if Some(*id) > oldest || Some(header.log_id) != log_id {
                return DiffersSnafu { path }.fail();
            }
        }
        listing.segments.retain(|id| Some(*id) >= oldest);
        Ok(listing.segments)
    }

    /// Makes sure that a segment that is there is the one that would be copied.
    fn check(&self, segment: &Segment, end: u64) -> Result<(), LogError> {
        let name = FileName::Segment(segment.id());
        let (ours, theirs) =
            (self.engine.directory.open(name).map_err(failed)?, self.target.open(name).map_err(failed)?);
        let io =
            |source| failed(SegmentError::Io { operation: "read", path: self.target.path(name), source });
        let tail = end.saturating_sub(PROBE_LEN as u64);
        let same = theirs.len().map_err(io)? == end
            && same_at(&*ours, &*theirs, 0, end).map_err(io)?
            && same_at(&*ours, &*theirs, tail, end).map_err(io)?;
        if same { Ok(()) } else { DiffersSnafu { path: self.target.path(name) }.fail() }
    }

    fn segment(&mut self, segment: &Segment, end: u64) -> Result<(), LogError> {
        let storage = Arc::clone(self.target.storage());
        let prefix = &self.engine.options.prefix;
        let is_whole = !storage.capabilities().append_after_sync;
        let name = FileName::Segment(segment.id());
        // An object gets its name when it is whole. A file gets it when it is durable.
        let first = if is_whole { name } else { FileName::Preparing(segment.id()) };
        let io = |operation| {
            let path = self.target.path(first);
            move |source: io::Error| failed(SegmentError::Io { operation, path, source })
        };
        if !is_whole {
            self.target.remove(first).map_err(failed)?;
        }
        let file = storage.create(&first.with_prefix(prefix)).map_err(io("create"))?;
        if let Err(error) = self.content(segment, end, &*file, &self.target.path(first)) {
            // Nothing was published; what is left of a file wastes space until the next attempt.
            let _ = storage.remove(&first.with_prefix(prefix));
            return Err(error);
        }
        file.sync().map_err(io("sync"))?;
        if !is_whole {
            storage.rename(&first.with_prefix(prefix), &name.with_prefix(prefix)).map_err(io("name"))?;
            self.target.sync_names().map_err(failed)?;
        }
        (self.copied, self.copied_bytes) = (self.copied + 1, self.copied_bytes + end);
        Ok(())
    }

    /// Copies the bytes, and makes sure that they are frames up to the last.
    fn content(&self, segment: &Segment, end: u64, to: &dyn StorageFile, path: &str) -> Result<(), LogError> {
        let from = self.engine.directory.open(FileName::Segment(segment.id())).map_err(failed)?;
        let mut scanner = Scanner::new();
        let mut piece = vec![0; PIECE_LEN];
        let mut offset = 0;
        let read =
            |source| failed(SegmentError::Io { operation: "read", path: segment.path().to_owned(), source });
        let header = |source| failed(SegmentError::header(segment.path(), source));
        while offset < end {
            let wanted = (end - offset).min(PIECE_LEN as u64) as usize;
            let piece = piece.get_mut(..wanted).unwrap_or_default();
            let got = from.read_at(offset, piece).map_err(read)?;
            let piece = piece.get(..got).unwrap_or_default();
            if piece.is_empty() {
                break;
            }
            to.write_at(offset, piece).map_err(|source| {
                failed(SegmentError::Io { operation: "write", path: path.to_owned(), source })
            })?;
            scanner.feed(piece);
            while scanner.next().map_err(header)?.is_some() {}
            offset += got as u64;
        }
        scanner.end();
        while scanner.next().map_err(header)?.is_some() {}
        let verdict = scanner.verdict();
        if verdict.end == end {
            return Ok(());
        }
        let (path, offset, source) = (segment.path().to_owned(), verdict.end, verdict.fault);
        let first = verdict.next.unwrap_or(segment.base());
        Err(LogError::Lost { first, last: None, source: SegmentError::Frame { path, offset, source } })
    }
}

/// Where the newest segment of a copy ends, and the LSN there. A seal names a successor, which the copy will lack.
fn end_of(newest: &Segment, end: u64) -> Result<(u64, Lsn), LogError> {
    let broken = || {
        let why = "its last frame is not where it should be";
        InconsistentSnafu { path: newest.path(), why }.build()
    };
    let [before, last] = newest.last_frames(end).map_err(failed)?;
    let (mut offset, mut last) = last.ok_or_else(broken)?;
    if last.kind == FrameKind::Seal {
        (offset, last) = before.ok_or_else(broken)?;
    }
    Ok((offset + last.frame_len(), newest.next_after(&last)))
}

/// Whether two files hold the same for some bytes, up to `end` at the most.
fn same_at(one: &dyn StorageFile, other: &dyn StorageFile, offset: u64, end: u64) -> io::Result<bool> {
    let len = end.saturating_sub(offset).min(PROBE_LEN as u64) as usize;
    let read = |file: &dyn StorageFile| {
        let mut bytes = vec![0; len];
        let read = file.read_at(offset, &mut bytes)?;
        bytes.truncate(read);
        Ok::<_, io::Error>(bytes)
    };
    Ok(read(one)? == read(other)?)
}

fn failed(source: SegmentError) -> LogError {
    LogError::segment("copy the log", source)
}
