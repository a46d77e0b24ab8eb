//! The counters themselves.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Deleted, DeletionReason, Stats, histogram::Recorder};
use crate::prepare::pace::Written;

/// What follows in a structure laid out in order begins a cache line, and the one that processors fetch with it:
/// threads that count different things do not take turns.
#[derive(Debug, Default)]
#[repr(align(128))]
struct NewLine;

/// Written by many threads, in groups of those who write at the same time.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Counters {
    _appends: NewLine,
    pub(crate) append_duration: Recorder,
    pub(crate) append_stalls: AtomicU64,
    pub(crate) flushes_full: AtomicU64,
    compression_raw_bytes: AtomicU64,
    compression_stored_bytes: AtomicU64,
    pub(crate) compression_skipped_bytes: AtomicU64,

    _writes: NewLine,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) write_duration: Recorder,

    _syncs: NewLine,
    pub(crate) syncs: AtomicU64,
    /// Of the bytes written, those that were synced since.
    durable_bytes: AtomicU64,
    pub(crate) rounds: AtomicU64,
    pub(crate) flushes_interval: AtomicU64,
    pub(crate) sync_duration: Recorder,
    pub(crate) group_size: Recorder,

    _reads: NewLine,
    pub(crate) cache_hits: AtomicU64,
    pub(crate) cache_misses: AtomicU64,
    pub(crate) read_damage: AtomicU64,

    _rare: NewLine,
    pub(crate) write_errors: AtomicU64,
    pub(crate) sync_errors: AtomicU64,
    pub(crate) segments_started: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) replays: AtomicU64,
    pub(crate) replay_entries: AtomicU64,
    pub(crate) replay_callback_errors: AtomicU64,
    pub(crate) replay_duration: Recorder,
    pub(crate) hook_events_dropped: AtomicU64,
    pub(crate) opening: AtomicU64,
    deleted: [(AtomicU64, AtomicU64); DeletionReason::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            _appends: NewLine,
            append_duration: Recorder::of_times(),
            append_stalls: AtomicU64::default(),
            flushes_full: AtomicU64::default(),
            compression_raw_bytes: AtomicU64::default(),
            compression_stored_bytes: AtomicU64::default(),
            compression_skipped_bytes: AtomicU64::default(),
            _writes: NewLine,
            written_bytes: AtomicU64::default(),
            write_duration: Recorder::of_times(),
            _syncs: NewLine,
            syncs: AtomicU64::default(),
            durable_bytes: AtomicU64::default(),
            rounds: AtomicU64::default(),
            flushes_interval: AtomicU64::default(),
            sync_duration: Recorder::of_times(),
            group_size: Recorder::of_sizes(),
            _reads: NewLine,
            cache_hits: AtomicU64::default(),
            cache_misses: AtomicU64::default(),
            read_damage: AtomicU64::default(),
            _rare: NewLine,
            write_errors: AtomicU64::default(),
            sync_errors: AtomicU64::default(),
            segments_started: AtomicU64::default(),
            checkpoints: AtomicU64::default(),
            replays: AtomicU64::default(),
            replay_entries: AtomicU64::default(),
            replay_callback_errors: AtomicU64::default(),
            replay_duration: Recorder::of_times(),
            hook_events_dropped: AtomicU64::default(),
            opening: AtomicU64::default(),
            deleted: Default::default(),
        }
    }
}

impl Counters {
    /// Segments of so many bytes altogether were removed.
    pub(crate) fn retention_deleted(&self, reason: DeletionReason, segments: u64, bytes: u64) {
        let place = DeletionReason::ALL.iter().position(|known| *known == reason);
        if let Some((all, len)) = place.and_then(|place| self.deleted.get(place)) {
            add(all, segments);
            add(len, bytes);
        }
    }

    /// A body that compression was tried on was stored in so many bytes, compressed or not.
    pub(crate) fn compressed(&self, raw: usize, stored: usize) {
        add(&self.compression_raw_bytes, raw as u64);
        add(&self.compression_stored_bytes, stored as u64);
    }

    /// So many more bytes are in the file. Returns how many were written altogether. Called by one thread at a time.
    pub(crate) fn wrote(&self, bytes: usize) -> u64 {
        let written = self.written_bytes.load(Ordering::Relaxed) + bytes as u64;
        self.written_bytes.store(written, Ordering::Relaxed);
        written
    }

    /// A sync ended well that covered all writes up to this number of bytes, and so many frames for the first time.
    pub(crate) fn synced(&self, bytes: u64, frames: u64, nanoseconds: u64) {
        add(&self.syncs, 1);
        self.durable_bytes.fetch_max(bytes, Ordering::Relaxed);
        self.sync_duration.record(nanoseconds);
        self.group_size.record(frames);
    }

    /// What was written and synced until now.
    pub(crate) fn written(&self) -> Written {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Written { bytes: get(&self.written_bytes), syncs: get(&self.syncs) }
    }

    /// Bytes that were written and not synced since.
    pub(super) fn unsynced_bytes(&self) -> u64 {
        let durable = self.durable_bytes.load(Ordering::Relaxed);
        self.written_bytes.load(Ordering::Relaxed).saturating_sub(durable)
    }

    pub(super) fn snapshot(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let deleted = DeletionReason::ALL.iter().zip(&self.deleted).map(|(reason, (segments, bytes))| {
            Deleted { reason: *reason, segments: get(segments), bytes: get(bytes) }
        });
        let deleted: Vec<Deleted> = deleted.collect();
        let mut stats = Stats {
            append_stalls: get(&self.append_stalls),
            append_duration: self.append_duration.snapshot(),
            written_bytes: get(&self.written_bytes),
            write_duration: self.write_duration.snapshot(),
            write_errors: get(&self.write_errors),
            syncs: get(&self.syncs),
            sync_duration: self.sync_duration.snapshot(),
            sync_errors: get(&self.sync_errors),
            group_size: self.group_size.snapshot(),
            flushes_waiting: get(&self.rounds).saturating_sub(get(&self.flushes_interval)),
            flushes_interval: get(&self.flushes_interval),
            flushes_full: get(&self.flushes_full),
            segments_started: get(&self.segments_started),
            segments_removed: deleted.iter().map(|deleted| deleted.segments).sum(),
            deleted,
            checkpoints: get(&self.checkpoints),
            replays: get(&self.replays),
            replay_entries: get(&self.replay_entries),
            replay_callback_errors: get(&self.replay_callback_errors),
            replay_duration: self.replay_duration.snapshot(),
            read_damage: get(&self.read_damage),
            compression_raw_bytes: get(&self.compression_raw_bytes),
            compression_stored_bytes: get(&self.compression_stored_bytes),
            compression_skipped_bytes: get(&self.compression_skipped_bytes),
            cache_hits: get(&self.cache_hits),
            cache_misses: get(&self.cache_misses),
            hook_events_dropped: get(&self.hook_events_dropped),
            ..Stats::default()
        };
        stats.writes = stats.write_duration.count();
        stats.recovery.duration = get(&self.opening);
        stats
    }
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}
