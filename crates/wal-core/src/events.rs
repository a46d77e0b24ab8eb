//! What a log tells a subscriber of `tracing`, under the feature of that name; without it all of this is nothing.
//!
//! Targets and fields are documented in `docs/OBSERVABILITY.md` and do not change without notice. Nothing that happens
//! with every append is above the level TRACE, and no payload is ever told. Locks of the log may be held while a
//! subscriber hears of something: it must not call the log.
#![cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nobody listens"))]

use std::{sync::Arc, time::Duration};

use wal_format::{Lsn, SegmentId};
use wal_segment::{Directory, Segment, Storage};

use crate::{Clock, LogError, RecoveryReport, engine::chain};

/// A sync that takes so many microseconds is worth a warning.
const SLOW_US: u64 = 1_000_000;

#[cfg(feature = "tracing")]
macro_rules! event {
    ($target:literal, $level:ident, $($rest:tt)*) => {
        tracing::event!(target: $target, tracing::Level::$level, $($rest)*)
    };
}

#[cfg(not(feature = "tracing"))]
macro_rules! event {
    ($($rest:tt)*) => {};
}

#[cfg(feature = "tracing")]
macro_rules! span {
    ($level:ident, $name:literal, $path:expr) => {
        // What the fields are made of is evaluated only for somebody who listens.
        Span(
            tracing::span!(
                target: concat!("wal::", $name),
                tracing::Level::$level,
                $name,
                path = $path
            )
            .entered(),
        )
    };
}

#[cfg(not(feature = "tracing"))]
macro_rules! span {
    ($($rest:tt)*) => {
        Span()
    };
}

/// A stretch of time that a subscriber sees as a span: what is told meanwhile, by this thread, belongs to it.
#[derive(Debug)]
#[must_use]
#[cfg_attr(feature = "tracing", expect(dead_code, reason = "it is there to be dropped"))]
pub(crate) struct Span(#[cfg(feature = "tracing")] tracing::span::EnteredSpan);

impl Span {
    pub(crate) fn open(storage: &Arc<dyn Storage>) -> Self {
        span!(INFO, "open", storage.location())
    }

    pub(crate) fn recovery(directory: &Directory) -> Self {
        span!(INFO, "recovery", directory.storage().location())
    }

    pub(crate) fn rotate(directory: &Directory) -> Self {
        span!(DEBUG, "rotate", directory.storage().location())
    }

    pub(crate) fn flush(directory: &Directory) -> Self {
        span!(TRACE, "flush", directory.storage().location())
    }

    pub(crate) fn retention(directory: &Directory) -> Self {
        span!(INFO, "retention", directory.storage().location())
    }

    pub(crate) fn replay(directory: &Directory) -> Self {
        span!(INFO, "replay", directory.storage().location())
    }

    /// In the span that the caller is in, when there is one.
    pub(crate) fn append(directory: &Directory) -> Self {
        span!(INFO, "append", directory.storage().location())
    }
}

/// The moment something begins, or ends, whose time is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start(Duration);

impl Start {
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self(clock.monotonic())
    }

    /// Nanoseconds since then.
    pub(crate) fn elapsed_ns(self, clock: &dyn Clock) -> u64 {
        self.ns_until(Self::now(clock))
    }

    /// Nanoseconds from then to the end of it.
    pub(crate) fn ns_until(self, Self(end): Self) -> u64 {
        let Self(start) = self;
        u64::try_from(end.saturating_sub(start).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Made only for somebody who listens.
fn path(directory: &Directory) -> String {
    if cfg!(feature = "tracing") { directory.storage().location() } else { String::new() }
}

pub(crate) fn opened(directory: &Directory, read_only: bool, report: &RecoveryReport, elapsed_us: u64) {
    let path = &*path(directory);
    event!(
        "wal::open",
        INFO,
        path,
        read_only,
        segments = report.segments,
        first = report.first.map(Lsn::get),
        next = report.next.map(Lsn::get),
        clean = report.clean,
        elapsed_us,
        "opened"
    );
    if let Some(cut) = &report.cut {
        event!(
            "wal::recovery",
            WARN,
            path,
            segment = cut.at.segment.0,
            offset = cut.at.offset,
            next = cut.next.get(),
            frames_beyond = cut.frames_beyond,
            "a torn end is not part of the log"
        );
    }
    for finding in &report.lost {
        event!("wal::recovery", ERROR, path, finding = ?finding, "part of the log is lost");
    }
    if report.rewritten > 0 {
        event!("wal::recovery", INFO, path, entries = report.rewritten, "the end was written anew");
    }
    let (dead, unused) = (report.dead.len(), report.unused.len());
    if dead + unused > 0 {
        event!("wal::recovery", DEBUG, path, dead, unused, "files that are not part of the log");
    }
}

pub(crate) fn not_opened(path: &str, error: &LogError) {
    let error = if cfg!(feature = "tracing") { chain(error) } else { String::new() };
    event!("wal::open", WARN, path, error, "could not be opened");
}

pub(crate) fn prepared(directory: &Directory, segment: SegmentId, bytes: u64, elapsed_us: u64) {
    let path = path(directory);
    event!("wal::prepare", DEBUG, path, segment = segment.0, bytes, elapsed_us, "a segment is ready");
}

pub(crate) fn rotated(segment: &Segment, bytes: u64) {
    let (path, id, lsn) = (segment.path(), segment.id().0, segment.base().get());
    event!("wal::rotate", DEBUG, path, segment = id, lsn, bytes, "the log goes on in a new segment");
}

pub(crate) fn written(segment: &Segment, offset: u64, bytes: usize, next: Lsn) {
    let (path, id) = (segment.path(), segment.id().0);
    event!("wal::write", TRACE, path, segment = id, offset, bytes, next = next.get(), "written");
}

pub(crate) fn synced(segment: &Segment, offset: u64, next: Lsn, elapsed_us: u64) {
    let (path, id) = (segment.path(), segment.id().0);
    if elapsed_us >= SLOW_US {
        event!("wal::sync", WARN, path, segment = id, offset, next = next.get(), elapsed_us, "a slow sync");
    } else {
        event!("wal::sync", TRACE, path, segment = id, offset, next = next.get(), elapsed_us, "synced");
    }
}

pub(crate) fn truncated(directory: &Directory, what: &str, lsn: Lsn) {
    let path = path(directory);
    event!("wal::truncate", INFO, path, what, lsn = lsn.get(), "entries were removed");
}

pub(crate) fn passed(directory: &Directory, cursor: &str, lsn: Lsn) {
    let path = path(directory);
    event!(
        "wal::retention",
        WARN,
        path,
        cursor,
        lsn = lsn.get(),
        "entries were removed before they were acknowledged"
    );
}

pub(crate) fn removed(directory: &Directory, files: usize) {
    let path = path(directory);
    event!("wal::remove", DEBUG, path, files, "files were removed");
}

pub(crate) fn shipped(segment: &Segment, bytes: usize) {
    let (path, id) = (segment.path(), segment.id().0);
    event!("wal::tier", DEBUG, path, segment = id, bytes, "a segment is in the tier");
}

pub(crate) fn evicted(segment: &Segment) {
    let (path, id) = (segment.path(), segment.id().0);
    event!("wal::tier", DEBUG, path, segment = id, "a segment is read from the tier");
}

pub(crate) fn not_shipped(directory: &Directory, cause: &str, conflict: bool) {
    let path = path(directory);
    if conflict {
        event!("wal::tier", ERROR, path, cause, "nothing is shipped any more");
    } else {
        event!("wal::tier", WARN, path, cause, "a segment could not be shipped");
    }
}

pub(crate) fn poisoned(directory: &Directory, cause: &str) {
    let path = path(directory);
    event!("wal::poison", ERROR, path, cause, "nothing more is acknowledged before the log is reopened");
}

pub(crate) fn panicked(directory: &Directory, thread: &str) {
    let path = path(directory);
    event!("wal::panic", ERROR, path, thread, "something panicked in a thread, which goes on");
}

pub(crate) fn closed(directory: &Directory, clean: bool) {
    let path = path(directory);
    event!("wal::close", INFO, path, clean, "closed");
}
