//! What a log counts, and how it is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use wal_compress::Compression;
use wal_core::{
    AppendOptions, CheckpointOptions, DeletionReason, Durability, Log, MetricKind, MetricValue, Options,
    RecoveryMode, ReplayOptions, RequestStats, Retention, Stats, SyncPolicy,
};
use wal_format::{Lsn, NewEntry};
use wal_segment::{MemoryStorage, Requests, Storage};

use crate::{
    hooked::Hooked,
    support::{environment, open, small},
};

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new())
}

fn quiet() -> Options {
    Options { background_threads: false, ..small() }
}

fn lazy() -> Options {
    let sync = SyncPolicy::Background { interval: Duration::from_secs(3600) };
    Options { sync, ..quiet() }
}

fn deleted(stats: &Stats, reason: DeletionReason) -> u64 {
    stats.deleted.iter().find(|deleted| deleted.reason == reason).unwrap().segments
}

#[test]
fn durable_appends_are_counted_and_timed() {
    let log = open(&memory(), &quiet()).unwrap();
    for _ in 0..5 {
        log.append(b"hello").unwrap();
    }
    let stats = log.stats();
    assert_eq!((stats.entries, stats.frames, stats.payload_bytes), (5, 5, 25));
    assert_eq!((stats.append_duration.count(), stats.sync_duration.count(), stats.syncs), (5, 5, 5));
    assert_eq!((stats.write_duration.count(), stats.writes), (5, 5));
    assert_eq!((stats.group_size.count(), stats.group_size.sum), (5, 5), "one frame a sync");
    assert_eq!((stats.flushes_waiting, stats.flushes_interval, stats.flushes_full), (5, 0, 0));
    assert_eq!((stats.first_lsn, stats.next_lsn, stats.durable_next_lsn), (1, 6, 6));
    assert_eq!((stats.durable_lag_entries, stats.durable_lag_bytes, stats.buffered_bytes), (0, 0, 0));
    assert_eq!((stats.segments, stats.segment_index), (1, 1));
    assert_eq!(stats.disk_bytes, log.segments().unwrap()[0].end);
}

#[test]
fn what_is_not_durable_yet_is_known() {
    let log = open(&memory(), &lazy()).unwrap();
    log.append(b"hello").unwrap();
    log.append(b"there").unwrap();
    let stats = log.stats();
    assert_eq!((stats.buffered_entries, stats.buffered_bytes), (2, 96), "two frames of 48 bytes");
    assert_eq!((stats.durable_lag_entries, stats.durable_lag_bytes), (2, 96));
    assert_eq!(stats.append_duration.count(), 0, "nobody waited");
    let written = AppendOptions { durability: Some(Durability::Written), ..AppendOptions::default() };
    log.append_entry(&NewEntry::plain(b"third"), &written).unwrap();
    let stats = log.stats();
    assert_eq!((stats.buffered_entries, stats.buffered_bytes), (0, 0));
    assert_eq!((stats.durable_lag_entries, stats.durable_lag_bytes), (3, 144));
    assert_eq!(stats.append_duration.count(), 1);
    log.sync().unwrap();
    let stats = log.stats();
    assert_eq!((stats.durable_lag_entries, stats.durable_lag_bytes), (0, 0));
    assert_eq!((stats.group_size.count(), stats.group_size.sum), (1, 3));
    log.append(b"fourth").unwrap();
    log.maintain().unwrap();
    assert_eq!(log.stats().flushes_interval, 1);
    for _ in 0..30 {
        log.append(&[7; 30_000]).unwrap();
    }
    assert!(log.stats().flushes_full > 2, "whenever enough for one write waits");
}

#[test]
fn removed_segments_are_counted_by_what_removed_them() {
    let log = open(&memory(), &quiet()).unwrap();
    let fill = || (0..20).for_each(|_| assert!(log.append(&[b'S'; 9000]).is_ok()));
    fill();
    let started = log.stats().segments_started;
    assert!(started >= 3, "{started}");
    let trimmed = log.truncate_before(Lsn::new(15).unwrap()).unwrap();
    let stats = log.stats();
    assert_eq!(deleted(&stats, DeletionReason::Trimmed), trimmed.segments);
    assert!(stats.deleted[0].bytes >= trimmed.segments * (64 << 10));
    fill();
    let cut = log.truncate_from(Lsn::new(18).unwrap()).unwrap();
    let cleared = log.clear().unwrap();
    let stats = log.stats();
    assert_eq!(deleted(&stats, DeletionReason::Cut), cut.segments);
    assert_eq!(deleted(&stats, DeletionReason::Cleared), cleared.segments);
    assert_eq!(stats.segments_removed, trimmed.segments + cut.segments + cleared.segments);
    assert_eq!(stats.segments, 1);
}

#[test]
fn what_retention_removes_is_counted_by_its_reason() {
    let retention = Retention { max_segments: Some(2), ..Retention::default() };
    let log = open(&memory(), &Options { retention, ..quiet() }).unwrap();
    (0..40).for_each(|_| assert!(log.append(&[b'S'; 9000]).is_ok()));
    log.maintain().unwrap();
    let stats = log.stats();
    assert!(deleted(&stats, DeletionReason::Count) >= 3, "{:?}", stats.deleted);
    assert_eq!(stats.segments_removed, deleted(&stats, DeletionReason::Count));
    assert!(stats.segments <= 2);
}

#[test]
fn consumers_checkpoints_and_replays_are_counted() {
    let storage = memory();
    let log = open(&storage, &quiet()).unwrap();
    for n in 0..10 {
        log.append(&[n]).unwrap();
    }
    log.create_cursor("slow", Lsn::new(3)).unwrap();
    log.checkpoint("here", CheckpointOptions::default()).unwrap();
    log.replay(&ReplayOptions::default(), |_| Ok::<(), ()>(())).unwrap();
    log.replay(&ReplayOptions::default(), |_| Err(())).unwrap_err();
    let stats = log.stats();
    assert_eq!((stats.cursors[0].cursor.as_str(), stats.cursors[0].entries), ("slow", 8));
    assert_eq!((stats.checkpoints, stats.replays, stats.replay_entries), (1, 2, 10));
    assert_eq!((stats.replay_callback_errors, stats.replay_duration.count()), (1, 2));
    let reader = Log::open_read_only(environment(storage), quiet()).unwrap();
    let stats = reader.stats();
    assert!(stats.read_only);
    assert_eq!((stats.next_lsn, stats.recovery.entries, stats.cursors[0].entries), (11, 10, 8));
}

#[test]
fn compression_is_measured_where_it_is_tried() {
    let compression = Compression { codec: wal_compress::CodecId::ZSTD, ..Compression::default() };
    let log = open(&memory(), &Options { compression, ..quiet() }).unwrap();
    log.append(b"x").unwrap();
    assert_eq!(log.stats().compression_raw_bytes, 0, "too short to try");
    log.append(&[b'a'; 8192]).unwrap();
    let stats = log.stats();
    assert_eq!(stats.compression_raw_bytes, 8192);
    assert!((1..200).contains(&stats.compression_stored_bytes), "{}", stats.compression_stored_bytes);
}

/// A copy of the only segment with other bytes in it.
fn edited(storage: &MemoryStorage, edit: impl FnOnce(&mut [u8])) -> Arc<dyn Storage> {
    let name = storage.list().unwrap().into_iter().find(|name| name.ends_with(".wal")).unwrap();
    let mut bytes = vec![0; 64 << 10];
    storage.open(&name).unwrap().read_at(0, &mut bytes).unwrap();
    edit(&mut bytes);
    let copy = MemoryStorage::new();
    copy.create(&name).unwrap().write_at(0, &bytes).unwrap();
    Arc::new(copy)
}

#[test]
fn failures_and_damage_are_counted() {
    let storage = MemoryStorage::new();
    let hooked = Hooked::new(Arc::new(storage.clone()));
    let log = open(&(Arc::new(hooked.clone()) as Arc<dyn Storage>), &quiet()).unwrap();
    log.append(b"first").unwrap();
    hooked.fail("sync");
    log.append(b"second").unwrap_err();
    let stats = log.stats();
    assert_eq!((stats.sync_errors, stats.write_errors, stats.poisoned), (1, 0, true));
    assert_eq!((stats.durable_lag_entries, stats.durable_lag_bytes), (1, 48), "it never will be");
    drop(log);

    let damaged = edited(&storage, |bytes| {
        let place = bytes.windows(5).position(|window| window == b"first").unwrap();
        bytes[place] = b'F';
    });
    let options = Options { recovery: RecoveryMode::ReadToDamage, ..quiet() };
    let reader = Log::open_read_only(environment(damaged), options).unwrap();
    reader.get(Lsn::FIRST).unwrap_err();
    assert!(reader.range(..).next().unwrap().is_err());
    let stats = reader.stats();
    assert_eq!((stats.recovery.damage, stats.read_damage), (1, 2));
}

#[test]
fn a_torn_end_is_measured() {
    let storage = MemoryStorage::new();
    let dynamic = || Arc::new(storage.clone()) as Arc<dyn Storage>;
    let log = open(&dynamic(), &quiet()).unwrap();
    log.append(b"first").unwrap();
    let end = log.segments().unwrap()[0].end;
    std::mem::forget(log);
    let torn = edited(&storage, |bytes| bytes[end as usize + 40..][..61].fill(7));
    let stats = Log::open_read_only(environment(torn), quiet()).unwrap().stats();
    assert_eq!(stats.recovery.cut_bytes.next_multiple_of(8), 104);
    assert_eq!(stats.recovery.entries, 1);
}

/// Of a text in the format of OpenMetrics: of each family its type, unit and the names of its samples' labels.
fn parsed(text: &str) -> BTreeMap<String, (String, String, BTreeSet<String>)> {
    let mut families: BTreeMap<String, (String, String, BTreeSet<String>)> = BTreeMap::new();
    let mut current = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (what, name, value) = (words.next().unwrap(), words.next(), words.next());
            match (what, name, value) {
                ("EOF", None, None) => assert_eq!(lines.next(), None, "nothing follows the end"),
                ("TYPE", Some(name), Some(kind)) => {
                    current = name.to_owned();
                    let new =
                        families.insert(current.clone(), (kind.to_owned(), String::new(), BTreeSet::new()));
                    assert!(new.is_none(), "{name} twice");
                }
                ("UNIT", Some(name), Some(unit)) => {
                    assert!(name == current && name.ends_with(&format!("_{unit}")), "{line}");
                    unit.clone_into(&mut families.get_mut(name).unwrap().1);
                }
                ("HELP", Some(name), Some(_)) => assert_eq!(name, current),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let family = families.get_mut(&current).unwrap();
        let suffixes: &[&str] = match family.0.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            _ => &["_bucket", "_count", "_sum"],
        };
        assert!(suffixes.iter().any(|suffix| name == format!("{current}{suffix}")), "{line}");
        let labels = labels.strip_suffix('}').unwrap().split(',').filter_map(|label| label.split_once('='));
        family.2.extend(labels.map(|(name, _)| name.to_owned()).filter(|name| name != "le"));
    }
    assert!(text.ends_with("# EOF\n"));
    families
}

#[test]
fn documentation_and_exposition_name_the_same_series() {
    let storage = memory();
    let log = Log::open(environment(Arc::clone(&storage)).with_tier(memory()), quiet()).unwrap();
    log.append(b"hello").unwrap();
    log.create_cursor("one", None).unwrap();
    let mut stats = log.stats();
    stats.requests = Some(RequestStats::from(Requests {
        publish_bounds: &[1_000_000],
        publish_counts: vec![3, 1],
        ..Requests::default()
    }));
    let text = stats.to_openmetrics();
    let mut exposed = BTreeMap::new();
    for (name, (kind, unit, labels)) in parsed(&text) {
        let name = if kind == "counter" { format!("{name}_total") } else { name };
        let labels: Vec<String> = labels.into_iter().collect();
        exposed.insert(name, (kind, unit, labels.join(", ")));
    }
    let mut documented = BTreeMap::new();
    for line in include_str!("../../../../docs/OBSERVABILITY.md").lines() {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        if let ["", name, kind, unit, labels, ..] = cells[..]
            && name.starts_with("wal_")
        {
            documented.insert(name.to_owned(), (kind.to_owned(), unit.to_owned(), labels.to_owned()));
        }
    }
    assert_eq!(documented, exposed);
    let reader = Log::open_read_only(environment(storage), quiet()).unwrap().stats().to_openmetrics();
    let of_reader = parsed(&reader);
    assert!(of_reader.contains_key("wal_disk_bytes") && !of_reader.contains_key("wal_appends"));
}

#[test]
fn distributions_are_cumulative_and_end_with_all() {
    let log = open(&memory(), &quiet()).unwrap();
    (0..10).for_each(|_| assert!(log.append(b"hello").is_ok()));
    let families = log.stats().families();
    let mut histograms = 0;
    for family in families.iter().filter(|family| family.kind == MetricKind::Histogram) {
        let MetricValue::Distribution { buckets, .. } = &family.samples[0].value else {
            panic!("{family:?}")
        };
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{family:?}");
        assert!(buckets.last().unwrap().0.is_infinite());
        histograms += 1;
    }
    assert_eq!(histograms, 5);
}
