//! What a log counts: always, whoever asks. Threads add to relaxed atomics; `Stats` is what they add up to.
//!
//! Appends to memory take part in no atomic: what they count is plain numbers under the lock that they hold anyway, and
//! they are not timed, because a look at the clock costs a quarter of such an append. An append that waits for a write
//! or a sync is timed, and so is every write and every sync.

mod counters;
mod histogram;
mod openmetrics;
mod requests;
mod series;

pub(crate) use counters::{Counters, add};
pub use histogram::Histogram;
pub use requests::RequestStats;
pub use series::{Family, MetricKind, MetricValue, Sample};

use crate::{Log, LogError, TierStats, cursor, engine::Engine};

/// What a log has done since it was opened, and how it stands.
///
/// Fields are read one after the other while the log goes on: they need not fit each other exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Stats {
    /// Whether the log is open for reading only. Then only its state is known, not what its writer does.
    pub read_only: bool,
    /// Entries appended.
    pub entries: u64,
    /// Frames of entries appended: one a call of append, or one for the calls that were packed together.
    pub frames: u64,
    /// Bytes of payload appended.
    pub payload_bytes: u64,
    /// Appends that found the buffer full.
    pub append_stalls: u64,
    /// Nanoseconds that appends took which waited until their entries were durable, or with the operating system.
    pub append_duration: Histogram,

    /// Writes to the storage.
    pub writes: u64,
    /// Bytes handed to the storage, frame headers and padding included.
    pub written_bytes: u64,
    /// Nanoseconds that writes took.
    pub write_duration: Histogram,
    /// Writes that failed, for want of space included.
    pub write_errors: u64,
    /// Syncs of segment data that succeeded.
    pub syncs: u64,
    /// Nanoseconds that these took.
    pub sync_duration: Histogram,
    /// Syncs that failed; the first one ends the log.
    pub sync_errors: u64,
    /// Frames that became durable with one sync.
    pub group_size: Histogram,
    /// Rounds of writing and syncing that somebody waited for or asked for.
    pub flushes_waiting: u64,
    /// Rounds that the policy's interval demanded.
    pub flushes_interval: u64,
    /// Writes because enough was waiting in memory.
    pub flushes_full: u64,

    /// Segments started.
    pub segments_started: u64,
    /// Segments removed.
    pub segments_removed: u64,
    /// The same by what removed them. Every reason is listed.
    pub deleted: Vec<Deleted>,
    /// Checkpoints made.
    pub checkpoints: u64,
    /// Replays that ended, well or not.
    pub replays: u64,
    /// Entries that callbacks of replays accepted.
    pub replay_entries: u64,
    /// Replays that ended because the callback refused a batch.
    pub replay_callback_errors: u64,
    /// Nanoseconds that replays took.
    pub replay_duration: Histogram,
    /// Damage found while reading.
    pub read_damage: u64,
    /// Bytes of frame bodies before compression, of those that were tried.
    pub compression_raw_bytes: u64,
    /// Bytes of the same bodies as they were stored.
    pub compression_stored_bytes: u64,
    /// Bytes of frame bodies that were not tried because nobody had time for it:
    /// [`WhenBehind::StorePlain`](wal_compress::WhenBehind::StorePlain).
    pub compression_skipped_bytes: u64,
    /// Reads that found a frame in the cache of decoded frames.
    pub cache_hits: u64,
    /// Reads that did not.
    pub cache_misses: u64,
    /// Events that no hook heard of because too many waited.
    pub hook_events_dropped: u64,

    /// The first entry, if there are any.
    pub first_lsn: u64,
    /// The LSN of the next append.
    pub next_lsn: u64,
    /// Entries before this one are durable.
    pub durable_next_lsn: u64,
    /// Entries that are not durable.
    pub durable_lag_entries: u64,
    /// Bytes of frames that are not durable.
    pub durable_lag_bytes: u64,
    /// Entries in memory that are not written.
    pub buffered_entries: u64,
    /// Bytes of frames in memory that are not written.
    pub buffered_bytes: u64,
    /// Segments of the log.
    pub segments: u64,
    /// Number of the newest segment; zero when there is none.
    pub segment_index: u64,
    /// Bytes that the segments hold, without the space that was prepared ahead of use.
    pub disk_bytes: u64,
    /// Whether a failed write or sync has ended the log.
    pub poisoned: bool,
    /// Whether another writer has taken the log over.
    pub fenced: bool,
    /// What was asked of the store, where the log is on object storage or has a tier there.
    pub requests: Option<RequestStats>,
    /// What consumers have not acknowledged, by the name of their cursor.
    pub cursors: Vec<CursorLag>,
    /// How the log stands with its tier; `None` when it has none, or is open for reading only.
    pub tier: Option<TierStats>,
    /// What opening the log took and found.
    pub recovery: RecoveryStats,
}

/// How far a consumer is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CursorLag {
    /// The name of its cursor.
    pub cursor: String,
    /// Entries in the log that it has not acknowledged.
    pub entries: u64,
}

/// What opening a log took and found. More is in the [`RecoveryReport`](crate::RecoveryReport).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RecoveryStats {
    /// How long it took, in nanoseconds.
    pub duration: u64,
    /// Entries that were found.
    pub entries: u64,
    /// Those of them that were written anew because nothing proved them durable.
    pub rewritten: u64,
    /// Length of the torn tail that is not part of the log, in bytes, the zeros behind it left out.
    pub cut_bytes: u64,
    /// Places that were found damaged.
    pub damage: u64,
}

/// Why segments are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DeletionReason {
    /// Their entries were removed from the front by the user.
    Trimmed,
    /// Their entries were cut off the end.
    Cut,
    /// The log was cleared.
    Cleared,
    /// A newer segment has what they held.
    Superseded,
    /// Retention: their entries were not to be kept.
    KeepFrom,
    /// Retention: their entries were too old.
    Age,
    /// Retention: the log was too large.
    Size,
    /// Retention: there were too many of them.
    Count,
    /// The tier could not be reached for too long.
    Behind,
}

impl DeletionReason {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Trimmed,
        Self::Cut,
        Self::Cleared,
        Self::Superseded,
        Self::KeepFrom,
        Self::Age,
        Self::Size,
        Self::Count,
        Self::Behind,
    ];

    /// As a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Cut => "cut",
            Self::Cleared => "cleared",
            Self::Superseded => "superseded",
            Self::KeepFrom => "keep_from",
            Self::Age => "age",
            Self::Size => "size",
            Self::Count => "count",
            Self::Behind => "behind",
        }
    }
}

/// Segments that were removed for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Deleted {
    /// Why.
    pub reason: DeletionReason,
    /// How many.
    pub segments: u64,
    /// Length of their files in bytes.
    pub bytes: u64,
}

impl Log {
    /// What the log has done since it was opened, and how it stands. Takes the lock of appends for a moment, and does
    /// no I/O.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine().stats_now()
    }
}

impl Engine {
    fn stats_now(&self) -> Stats {
        let mut stats = self.stats.snapshot();
        let view = self.view();
        stats.read_only = self.preparer.is_none();
        let poison = self.poisoned();
        stats.poisoned = poison.is_some();
        stats.fenced = matches!(poison, Some(LogError::Fenced { .. }));
        stats.requests = self.directory.storage().requests().map(RequestStats::from);
        stats.tier = self.tier.as_ref().map(|tier| tier.stats(&view));
        stats.segments = view.segments.len() as u64;
        stats.segment_index = view.segments.last().map_or(0, |newest| newest.id().0);
        stats.disk_bytes = view.segments.iter().map(|segment| segment.written()).sum();
        stats.first_lsn = self.first_retained().get();
        stats.recovery.entries =
            self.report.first.zip(self.report.next).and_then(|(first, next)| next.since(first)).unwrap_or(0);
        stats.recovery.rewritten = self.report.rewritten;
        stats.recovery.cut_bytes = self.report.cut.map_or(0, |cut| cut.bytes);
        stats.recovery.damage = self.report.lost.len() as u64;
        // With the operating system, and not counted as written yet.
        let stored;
        {
            let appender = self.appender.lock();
            stats.entries = appender.counts.entries;
            stats.frames = appender.counts.frames;
            stats.payload_bytes = appender.counts.payload_bytes;
            let unwritten = appender.unwritten(self.marks.written());
            (stats.buffered_entries, stats.buffered_bytes) =
                (unwritten.entries as u64, unwritten.bytes as u64);
            stored = appender.stored.bytes as u64;
            // An unreadable one is told to those who ask for it.
            let cursors = cursor::all(&appender).unwrap_or_default();
            stats.cursors =
                cursors.into_iter().map(|info| CursorLag { cursor: info.name, entries: info.lag }).collect();
        }
        // Durable first: what becomes durable in between is not counted as lagging behind an older end.
        stats.durable_next_lsn = self.marks.durable_next().get();
        stats.next_lsn = self.marks.next().get();
        stats.durable_lag_entries = stats.next_lsn.saturating_sub(stats.durable_next_lsn);
        stats.durable_lag_bytes = stats.buffered_bytes + stored + self.stats.unsynced_bytes();
        stats.written_bytes += stored;
        stats
    }
}
