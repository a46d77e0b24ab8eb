//! The statistics as named series: the one list that every way to publish them reads.
//!
//! Names, units and meanings are documented in `docs/OBSERVABILITY.md`, and a test compares the two.

use super::{Histogram, Stats};
use crate::TierStats;

/// How the values of a series behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// They only grow, from zero when the log is opened.
    Counter,
    /// They go up and down.
    Gauge,
    /// Each is a distribution that only grows.
    Histogram,
}

/// All series of one name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// The name, without the `_total` that a counter ends in where it is exposed. Ends in the unit, if there is one.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// `bytes`, `seconds`, or nothing.
    pub unit: &'static str,
    /// How it behaves.
    pub kind: MetricKind,
    /// One for each set of labels.
    pub samples: Vec<Sample>,
}

/// One series.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// What tells it from the others of its name.
    pub labels: Vec<(&'static str, String)>,
    /// Its value now.
    pub value: MetricValue,
}

/// The value of a series.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MetricValue {
    /// A whole number.
    Integer(u64),
    /// Any number.
    Real(f64),
    /// A distribution, in the unit of its family.
    Distribution {
        /// Greatest value, and how many values do not exceed it; the last is infinite and counts them all.
        buckets: Vec<(f64, u64)>,
        /// The sum of all values.
        sum: f64,
    },
}

impl Family {
    /// The name under which its samples are exposed: that of a counter ends in `_total`.
    #[must_use]
    pub fn sample_name(&self) -> String {
        let suffix = if self.kind == MetricKind::Counter { "_total" } else { "" };
        format!("{}{suffix}", self.name)
    }
}

pub(super) const NANO: f64 = 1e9;

impl Stats {
    /// The statistics as series, for whoever publishes them. In the same order each time; those that only a writer
    /// knows are left out of a log that is open for reading only.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let mut list = List(Vec::new());
        self.state(&mut list);
        self.reads(&mut list);
        if !self.read_only {
            self.appends(&mut list);
            self.files(&mut list);
        }
        if let Some(requests) = &self.requests {
            requests.series(&mut list);
        }
        if let Some(tier) = &self.tier {
            self::tier(tier, &mut list);
        }
        list.0
    }

    fn state(&self, list: &mut List) {
        let last = self.next_lsn.saturating_sub(1);
        let durable = self.durable_next_lsn.saturating_sub(1);
        list.gauge("wal_first_lsn", "The first entry of the log, if there are any", self.first_lsn);
        list.gauge("wal_last_lsn", "The last entry of the log", last);
        list.gauge("wal_durable_lsn", "The last entry that is durable", durable);
        list.gauge("wal_durable_lag_entries", "Entries that are not durable", self.durable_lag_entries);
        list.gauge("wal_segments", "Segments of the log", self.segments);
        list.gauge("wal_segment_index", "Number of the newest segment", self.segment_index);
        list.gauge("wal_disk_bytes", "Bytes that the segments hold", self.disk_bytes);
        let lag = |lag: &super::CursorLag| (vec![("cursor", lag.cursor.clone())], lag.entries);
        list.labelled(
            ("wal_cursor_lag", "Entries that a cursor has not passed", MetricKind::Gauge),
            self.cursors.iter().map(lag),
        );
        let recovery = &self.recovery;
        list.real(
            "wal_recovery_duration_seconds",
            "Time that opening the log took",
            recovery.duration as f64 / NANO,
        );
        list.gauge("wal_recovery_entries", "Entries that opening the log found", recovery.entries);
        list.gauge(
            "wal_recovery_truncated_bytes",
            "Length of the torn tail that opening the log found",
            recovery.cut_bytes,
        );
    }

    fn reads(&self, list: &mut List) {
        let damage = [("open", self.recovery.damage), ("read", self.read_damage)];
        list.labelled(
            ("wal_corruptions", "Damage found, by what found it", MetricKind::Counter),
            damage.map(|(kind, count)| (vec![("kind", kind.to_owned())], count)),
        );
        list.counter("wal_replays", "Replays that ended, well or not", self.replays);
        list.counter("wal_replay_entries", "Entries that replays handed over", self.replay_entries);
        list.counter(
            "wal_replay_callback_errors",
            "Replays whose callback refused a batch",
            self.replay_callback_errors,
        );
        list.histogram(
            ("wal_replay_duration_seconds", "Time that replays took"),
            &self.replay_duration,
            NANO,
        );
        list.counter("wal_cache_hits", "Reads that found their frame in the cache", self.cache_hits);
        list.counter("wal_cache_misses", "Reads that did not", self.cache_misses);
        list.counter(
            "wal_hook_events_dropped",
            "Events that hooks were too slow for",
            self.hook_events_dropped,
        );
    }

    fn appends(&self, list: &mut List) {
        list.counter(
            "wal_appends",
            "Appends: of one entry, a batch or a transaction; those that were packed together are one",
            self.frames,
        );
        list.counter("wal_append_entries", "Entries appended", self.entries);
        list.counter("wal_append_bytes", "Bytes of payload appended", self.payload_bytes);
        list.counter("wal_append_stalls", "Appends that found the buffer full", self.append_stalls);
        list.histogram(
            ("wal_append_duration_seconds", "Time of appends that waited for a write or a sync"),
            &self.append_duration,
            NANO,
        );
        list.gauge("wal_buffered_entries", "Entries in memory only", self.buffered_entries);
        list.gauge("wal_buffered_bytes", "Bytes of frames in memory only", self.buffered_bytes);
        list.gauge("wal_durable_lag_bytes", "Bytes of frames that are not durable", self.durable_lag_bytes);
        list.counter(
            "wal_compression_raw_bytes",
            "Bytes before compression, where it was tried",
            self.compression_raw_bytes,
        );
        list.counter(
            "wal_compression_stored_bytes",
            "The same bytes as they were stored",
            self.compression_stored_bytes,
        );
        list.counter(
            "wal_compression_skipped_bytes",
            "Bytes for which there was no time to compress them",
            self.compression_skipped_bytes,
        );
        let ratio = match self.compression_stored_bytes {
            0 => 1.0,
            stored => self.compression_raw_bytes as f64 / stored as f64,
        };
        list.real("wal_compression_ratio", "Bytes before compression for one stored", ratio);
    }

    fn files(&self, list: &mut List) {
        list.counter("wal_writes", "Writes to segments", self.writes);
        list.counter("wal_write_bytes", "Bytes written to segments", self.written_bytes);
        list.histogram(("wal_write_duration_seconds", "Time of writes"), &self.write_duration, NANO);
        list.counter("wal_sync", "Syncs of segments", self.syncs);
        list.histogram(("wal_sync_duration_seconds", "Time of syncs"), &self.sync_duration, NANO);
        list.histogram(
            ("wal_group_commit_size", "Frames that became durable with one sync"),
            &self.group_size,
            1.0,
        );
        let errors = [("write", self.write_errors), ("sync", self.sync_errors)];
        list.labelled(
            ("wal_errors", "Writes and syncs that failed", MetricKind::Counter),
            errors.map(|(operation, count)| (vec![("operation", operation.to_owned())], count)),
        );
        let triggers = [
            ("waiting", self.flushes_waiting),
            ("interval", self.flushes_interval),
            ("full", self.flushes_full),
        ];
        list.labelled(
            ("wal_flush_triggers", "What made the log write", MetricKind::Counter),
            triggers.map(|(trigger, count)| (vec![("trigger", trigger.to_owned())], count)),
        );
        list.counter("wal_rotations", "Segments started", self.segments_started);
        let reason = |deleted: &super::Deleted| vec![("reason", deleted.reason.name().to_owned())];
        list.labelled(
            ("wal_retention_deleted_segments", "Segments removed", MetricKind::Counter),
            self.deleted.iter().map(|deleted| (reason(deleted), deleted.segments)),
        );
        list.labelled(
            ("wal_retention_deleted_bytes", "Bytes of segments removed", MetricKind::Counter),
            self.deleted.iter().map(|deleted| (reason(deleted), deleted.bytes)),
        );
        list.counter("wal_checkpoints", "Checkpoints made", self.checkpoints);
        list.gauge("wal_poisoned", "Whether a failure has ended the log", u64::from(self.poisoned));
        list.gauge("wal_fenced", "Whether another writer has taken the log over", u64::from(self.fenced));
        list.gauge(
            "wal_recovery_rewritten_entries",
            "Entries that opening the log wrote anew",
            self.recovery.rewritten,
        );
    }
}

fn tier(tier: &TierStats, list: &mut List) {
    list.counter("wal_tier_shipped_segments", "Segments shipped to the tier", tier.shipped_segments);
    list.counter("wal_tier_shipped_bytes", "Bytes of segments shipped to the tier", tier.shipped_bytes);
    list.counter("wal_tier_failures", "Attempts to ship that failed", tier.failures);
    list.counter("wal_tier_evicted_segments", "Segments that left for the tier", tier.evicted_segments);
    list.counter("wal_tier_removed_segments", "Segments removed from the tier", tier.removed_segments);
    list.counter("wal_tier_dropped_segments", "Segments given up unshipped", tier.dropped_segments);
    list.gauge("wal_tier_lag_segments", "Sealed segments not shipped", tier.unshipped_segments);
    list.gauge("wal_tier_lag_bytes", "Bytes of sealed segments not shipped", tier.unshipped_bytes);
    list.gauge("wal_tier_local_bytes", "Bytes of segments in the local storage", tier.local_bytes);
    list.gauge("wal_tier_failing", "Whether the last attempt failed", tier.last_error.is_some().into());
    list.gauge("wal_tier_conflict", "Whether somebody else ships to the tier", tier.conflict.into());
}

pub(super) struct List(Vec<Family>);

type Labels = Vec<(&'static str, String)>;

impl List {
    fn push(
        &mut self,
        (name, help, kind): (&'static str, &'static str, MetricKind),
        samples: impl IntoIterator<Item = (Labels, MetricValue)>,
    ) {
        let unit = ["bytes", "seconds"].into_iter().find(|unit| name.ends_with(unit)).unwrap_or("");
        let samples = samples.into_iter().map(|(labels, value)| Sample { labels, value }).collect();
        self.0.push(Family { name, help, unit, kind, samples });
    }

    pub(super) fn labelled(
        &mut self,
        what: (&'static str, &'static str, MetricKind),
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        self.push(what, samples.into_iter().map(|(labels, value)| (labels, MetricValue::Integer(value))));
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.labelled((name, help, MetricKind::Counter), [(Vec::new(), value)]);
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.labelled((name, help, MetricKind::Gauge), [(Vec::new(), value)]);
    }

    fn real(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.push((name, help, MetricKind::Gauge), [(Vec::new(), MetricValue::Real(value))]);
    }

    /// `scale` of what was recorded are one of the family's unit.
    pub(super) fn histogram(
        &mut self,
        (name, help): (&'static str, &'static str),
        of: &Histogram,
        scale: f64,
    ) {
        let mut below = 0;
        let bounds = of.bounds.iter().map(|bound| *bound as f64 / scale).chain([f64::INFINITY]);
        let buckets = bounds.zip(&of.counts).map(|(bound, count)| {
            below += count;
            (bound, below)
        });
        let value = MetricValue::Distribution { buckets: buckets.collect(), sum: of.sum as f64 / scale };
        self.push((name, help, MetricKind::Histogram), [(Vec::new(), value)]);
    }
}
