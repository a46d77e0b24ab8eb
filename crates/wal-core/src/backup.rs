//! A copy of a log that is in use: what was durable when it began, complete and closed.
//!
//! Segments that will not change any more get a second name where both places are in one file system. The newest is
//! copied up to the durable point, and the copy is closed. It gets its name first and the others follow from the newest
//! to the oldest: what is left of a backup that did not end lacks a predecessor, and is no log.

use std::sync::Arc;

use wal_format::{Close, FIRST_FRAME, FileName, FrameHeader, FrameKind, Lsn};
use wal_segment::{Directory, Segment, SegmentError, Storage, StorageFile};

use crate::{
    Log, LogError,
    beside::READ_ATTEMPTS,
    engine::Engine,
    error::{InconsistentSnafu, MissingLogSnafu, NotEmptySnafu},
    read::is_gone,
    recover,
    view::View,
};

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// The first entry in it; the same as `next` when there is none.
    pub first: Lsn,
    /// The LSN that comes next in it.
    pub next: Lsn,
    /// Its segments.
    pub segments: usize,
    /// How many of these are hard links: the log and the backup share their space.
    pub linked: usize,
    /// Bytes that were copied.
    pub copied_bytes: u64,
}

/// A log as it was at one moment.
pub(crate) struct Moment {
    view: Arc<View>,
    /// Index of the oldest segment in the view that the newest one leads to: those before it hold nothing any more.
    oldest: usize,
    /// Index of the newest one.
    newest: usize,
    /// How far that one goes.
    pub(crate) end: u64,
}

impl Moment {
    /// The segments, oldest first.
    pub(crate) fn segments(&self) -> &[Arc<Segment>] {
        self.view.segments.get(self.oldest..=self.newest).unwrap_or(&[])
    }
}

impl Log {
    /// Copies the log to an empty storage while it is in use, and returns when the copy is durable. It is the same log,
    /// with the same id, as it was at some moment after the call: everything that was durable before is in it. What is
    /// appended, trimmed or cut meanwhile does not disturb it.
    ///
    /// A log that is open for reading is copied as far as it was written when it was opened or
    /// [refreshed](Self::refresh).
    ///
    /// # Errors
    ///
    /// [`LogError::NotEmpty`] when there are files in `target`; [`LogError::MissingLog`] when nothing was ever written;
    /// damage of the newest segment, of its predecessors where it can be seen from their ends; [`LogError::Full`] and
    /// errors of either storage. What is in `target` then is no log and can be removed.
    pub fn backup(&self, target: &Arc<dyn Storage>) -> Result<BackupReport, LogError> {
        let engine = self.engine();
        let target = Directory::new(Arc::clone(target), &engine.options.prefix);
        check_empty(&**target.storage())?;
        let mut attempts = 0;
        loop {
            let mut backup = Backup { engine, target: &target, linked: 0, copied_bytes: 0 };
            let moment = engine.moment();
            engine.tell();
            match moment.and_then(|moment| backup.run(&moment)) {
                // A file went before it could be read: trimmed, or replaced.
                Err(error) if attempts < READ_ATTEMPTS && is_gone(&error) => {
                    attempts += 1;
                    engine.newer_view()?;
                    clear(&target)?;
                }
                result => return result,
            }
        }
    }
}

/// Refuses a place where something is.
pub(crate) fn check_empty(target: &dyn Storage) -> Result<(), LogError> {
    let listed = target.list().map_err(|source| {
        let path = target.location();
        LogError::segment(
            "look at the place of the copy",
            SegmentError::Io { operation: "list", path, source },
        )
    })?;
    if listed.is_empty() { Ok(()) } else { NotEmptySnafu { location: target.location() }.fail() }
}

/// Removes what an attempt left.
fn clear(target: &Directory) -> Result<(), LogError> {
    let listing = target.list().map_err(failed)?;
    let indexes = listing.indexes.into_iter().map(FileName::Index);
    let segments = listing.segments.into_iter().map(FileName::Segment);
    let preparing = listing.preparing.into_iter().map(FileName::Preparing);
    indexes.chain(segments).chain(preparing).try_for_each(|name| target.remove(name)).map_err(failed)
}

fn failed(source: SegmentError) -> LogError {
    LogError::segment("back the log up", source)
}

impl Engine {
    /// The log as far as it is durable; as far as it is written, where somebody else writes it.
    pub(crate) fn moment(&self) -> Result<Moment, LogError> {
        // Nothing is cut or trimmed while it is looked at.
        let _admin = self.admin.lock();
        let appender = self.appender.lock();
        let is_mine = appender.tail.is_some() || self.objects && self.preparer.is_some();
        // What another process wrote is looked at under the lock: meanwhile this one does not go on from it, with
        // entries that are not durable, and beside a writer nobody looks again.
        let _unchanged = if is_mine {
            let tick = appender.tick;
            drop(appender);
            if tick > self.marks.durable() {
                self.commit_discreetly(tick)?;
            }
            None
        } else {
            Some(appender)
        };
        self.poisoned().map_or(Ok(()), Err)?;
        let view = self.view();
        if let Some(lost) = view.lost.first() {
            return Err(lost.error());
        }
        let is_there = |segment: &Arc<Segment>| !is_mine || segment.durable() > FIRST_FRAME;
        let newest = view.segments.iter().rposition(is_there);
        let Some((newest, segment)) = newest.and_then(|at| Some((at, view.segments.get(at)?))) else {
            return MissingLogSnafu { location: self.directory.storage().location() }.fail();
        };
        let end = if is_mine { segment.durable() } else { segment.written() };
        let oldest = view.position(self.first_retained()).unwrap_or(0).min(newest);
        Ok(Moment { oldest, newest, end, view })
    }
}

struct Backup<'a> {
    engine: &'a Engine,
    target: &'a Directory,
    linked: usize,
    copied_bytes: u64,
}

impl Backup<'_> {
    fn run(&mut self, moment: &Moment) -> Result<BackupReport, LogError> {
        let segments = moment.segments();
        let Some((newest, older)) = segments.split_last() else {
            return MissingLogSnafu { location: self.engine.directory.storage().location() }.fail();
        };
        let next = self.newest(newest, moment.end)?;
        // Without the newest those before it might look like a log that ends there.
        self.target.sync_names().map_err(failed)?;
        for segment in older.iter().rev() {
            self.older(segment)?;
        }
        self.target.sync_names().map_err(failed)?;
        let first = self.verify(segments.len(), next)?;
        let (segments, linked, copied_bytes) = (segments.len(), self.linked, self.copied_bytes);
        Ok(BackupReport { first, next, segments, linked, copied_bytes })
    }

    /// Copies the newest segment up to the last frame that is not about what comes next, and closes the copy.
    fn newest(&mut self, segment: &Segment, end: u64) -> Result<Lsn, LogError> {
        let broken = || {
            let why = "its last frame is not where it should be";
            InconsistentSnafu { path: segment.path(), why }.build()
        };
        let [before, last] = segment.last_frames(end).map_err(failed)?;
        let (mut offset, mut last) = last.ok_or_else(broken)?;
        // The successor that a seal names will not be there.
        if last.kind == FrameKind::Seal {
            (offset, last) = before.ok_or_else(broken)?;
        }
        let next = segment.next_after(&last);
        let end = offset + last.frame_len();
        let is_closed = last.kind == FrameKind::Close;
        self.copy(segment, end, |file| {
            if is_closed {
                return Ok(());
            }
            // It claims what precedes it.
            file.sync()?;
            let close = close_frame(segment, &last, end, next)?;
            file.write_at(end, &close)
        })?;
        if is_closed {
            self.index(segment);
        }
        Ok(next)
    }

    /// Links or copies a segment that has a successor.
    fn older(&mut self, segment: &Segment) -> Result<(), LogError> {
        let (from, name) = (self.engine.directory.storage(), FileName::Segment(segment.id()));
        let name = name.with_prefix(&self.engine.options.prefix);
        // Whatever stands against a link, a copy may still be had.
        if self.target.storage().link(&**from, &name).is_ok() {
            self.linked += 1;
        } else {
            self.copy(segment, segment.written(), |_| Ok(()))?;
        }
        self.index(segment);
        Ok(())
    }

    /// Copies a segment under a name that says that it is not ready, has `finish` write what is to follow, and gives it
    /// its own name when it is durable.
    fn copy(
        &mut self,
        segment: &Segment,
        end: u64,
        finish: impl FnOnce(&dyn StorageFile) -> std::io::Result<()>,
    ) -> Result<(), LogError> {
        let preparing = FileName::Preparing(segment.id());
        let path = self.target.path(preparing);
        let io = |operation| {
            let path = path.clone();
            move |source| failed(SegmentError::Io { operation, path, source })
        };
        let storage = self.target.storage();
        let name = |name: FileName| name.with_prefix(&self.engine.options.prefix);
        let file = storage.create(&name(preparing)).map_err(io("create"))?;
        segment.copy(end, &*file, &path).map_err(failed)?;
        finish(&*file).map_err(io("write"))?;
        file.sync().map_err(io("sync"))?;
        storage.rename(&name(preparing), &name(FileName::Segment(segment.id()))).map_err(io("name"))?;
        self.copied_bytes += end;
        Ok(())
    }

    /// A hint: without it the copy is slower to open, and nothing else.
    fn index(&self, segment: &Segment) {
        if let Some(index) = self.engine.directory.read_index(segment.header(), segment.written()) {
            let _ = self.target.write_index(&index);
        }
    }

    /// Opens the copy as a reader would: it must be one log that ends cleanly where it should.
    fn verify(&self, segments: usize, next: Lsn) -> Result<Lsn, LogError> {
        let found = recover::find(&Arc::new(self.target.clone()))?;
        let location = self.target.storage().location();
        let Some(log) = found.log else { return MissingLogSnafu { location }.fail() };
        if log.links.len() + 1 == segments && log.next() == next && log.verdict.is_closed() {
            Ok(log.first_retained)
        } else {
            InconsistentSnafu { path: location, why: "the copy is not what was copied" }.fail()
        }
    }
}

/// The frame that closes a copy whose last frame is `last`. It carries no state: the one who opens the copy reads it.
fn close_frame(segment: &Segment, last: &FrameHeader, offset: u64, next: Lsn) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    Close { next, state: None }.encode(&mut body).map_err(std::io::Error::other)?;
    let key = segment.key();
    let header = FrameHeader {
        body_crc: key.checksum.of(&body),
        body_len: u32::try_from(body.len()).unwrap_or(u32::MAX),
        lsn_delta: last.lsn_delta.saturating_add(last.count),
        count: 0,
        prev_units: last.units(),
        time: last.time,
        proof_lag: Some(0),
        kind: FrameKind::Close,
        codec: 0,
        columns: 0,
        entry_kind: 0,
    };
    let mut frame = header.encode(key, offset).to_vec();
    frame.extend_from_slice(&body);
    frame.resize(usize::try_from(header.frame_len()).unwrap_or(frame.len()), 0);
    Ok(frame)
}
