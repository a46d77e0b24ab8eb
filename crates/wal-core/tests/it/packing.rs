//! Entries that are written together are compressed together, and nobody can tell.

use std::{sync::Arc, thread, time::Duration};

use wal_compress::{CodecId, Compression, WhenBehind};
use wal_core::{
    AppendOptions, DictionaryOptions, Durability, Environment, Log, LogError, Options, SyncPolicy,
    SystemEntropy, Ticket, examine,
};
use wal_format::{EntriesBuilder, Lsn, Metadata, MetadataRecord, Namespace, NewEntry};
use wal_segment::{MemoryStorage, Storage};
use wal_sim::VirtualTime;

use crate::{
    reading::{TestClock, lsn},
    support::{check, environment, fill, on_all, open, payload, small},
};

/// A log without threads, whose entries stay in memory until they are asked for.
fn packed() -> Options {
    Options {
        sync: SyncPolicy::Background { interval: Duration::from_secs(3600) },
        compression: Compression { codec: CodecId::ZSTD, ..Compression::default() },
        background_threads: false,
        ..small()
    }
}

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new())
}

#[test]
fn packed_entries_are_read_one_by_one_wherever_they_are() {
    on_all(|storage| {
        let log = open(&storage, &packed()).unwrap();
        fill(&log, 1..101);
        assert_eq!((log.stats().frames, log.stats().writes), (1, 0));
        check(&log, 1, 101);
        log.sync().unwrap();
        check(&log, 1, 101);
        fill(&log, 101..1001);
        check(&log, 1, 1001);
        let stats = log.stats();
        assert!(stats.frames < 10 && stats.entries == 1000, "{stats:?}");
        drop(log);
        let log = open(&storage, &packed()).unwrap();
        check(&log, 1, 1001);
        assert!(log.segments().unwrap().iter().map(|segment| segment.end).sum::<u64>() < 40_000);
        let plain = Options { compression: Compression::default(), ..packed() };
        drop(log);
        let log = open(&storage, &plain).unwrap();
        fill(&log, 1001..1050);
        drop(log);
        check(&open(&storage, &packed()).unwrap(), 1, 1050);
    });
}

#[test]
fn every_column_survives_packing() {
    let storage = memory();
    let log = open(&storage, &packed()).unwrap();
    let bytes = payload(250);
    let entry = |n: u64| NewEntry {
        payload: &bytes,
        kind: (n % 3) as u8,
        term: n.is_multiple_of(2).then_some(n),
        timestamp: n.is_multiple_of(5).then_some(n as i64 - 50),
    };
    let same = |log: &Log| {
        let mut n = 0;
        for found in log.range(..) {
            let (found, entry) = (found.unwrap(), entry(n));
            assert_eq!(found.payload, entry.payload);
            assert_eq!((found.kind, found.term, found.timestamp), (entry.kind, entry.term, entry.timestamp));
            assert_eq!(log.get(found.lsn).unwrap(), found);
            n += 1;
        }
        assert_eq!(n, 100);
    };
    for n in 0..100 {
        log.append_entry(&entry(n), &AppendOptions::default()).unwrap();
    }
    let reserved = NewEntry { term: Some(u64::MAX), ..NewEntry::plain(b"x") };
    assert!(matches!(log.append_entry(&reserved, &AppendOptions::default()), Err(LogError::Encoding { .. })));
    same(&log);
    log.close().unwrap();
    assert_eq!(log.stats().frames, 1);
    same(&open(&storage, &packed()).unwrap());
}

#[test]
fn what_is_a_frame_of_its_own_keeps_its_place_among_packs() {
    let storage = memory();
    let log = open(&storage, &packed()).unwrap();
    let mut batch = EntriesBuilder::default();
    for n in [11, 12, 13] {
        batch.push(&NewEntry::plain(&payload(n))).unwrap();
    }
    fill(&log, 1..11);
    assert_eq!(log.append_batch(&batch, &AppendOptions::default()).unwrap(), (lsn(11), lsn(13)));
    fill(&log, 14..20);
    log.set_meta("vote", Some(b"7"), None).unwrap();
    fill(&log, 20..30);
    check(&log, 1, 30);
    let expected = AppendOptions { expected: Some(lsn(29)), ..AppendOptions::default() };
    let conflict = log.append_entry(&NewEntry::plain(b"x"), &expected);
    assert!(matches!(conflict, Err(LogError::Conflict { next, .. }) if next == lsn(30)));
    let expected = AppendOptions { expected: Some(lsn(30)), ..expected };
    assert_eq!(log.append_entry(&NewEntry::plain(&payload(30)), &expected).unwrap(), lsn(30));
    let headers: Vec<_> = log.headers(Lsn::FIRST, Lsn::MAX).map(|header| header.unwrap().count).collect();
    assert_eq!(headers, [10, 3, 6, 11]);
    log.truncate_before(lsn(5)).unwrap();
    fill(&log, 31..40);
    log.truncate_after(lsn(25)).unwrap();
    fill(&log, 26..50);
    check(&log, 5, 50);
    log.truncate_after(lsn(44)).unwrap();
    check(&log, 5, 45);
    fill(&log, 45..48);
    drop(log);
    let log = open(&storage, &packed()).unwrap();
    check(&log, 5, 48);
    assert_eq!(log.meta("vote").unwrap().as_deref(), Some(&b"7"[..]));
    log.clear().unwrap();
    fill(&log, 48..60);
    check(&log, 48, 60);
}

#[test]
fn a_segment_is_filled_by_what_the_packs_turn_out_to_be() {
    let storage = memory();
    let log = open(&storage, &packed()).unwrap();
    let mut chance = wal_sim::Rng::new(3);
    let mut noise = vec![0; 600];
    let mut appended = Vec::new();
    for n in 0..2000 {
        if n % 500 < 250 {
            chance.fill(&mut noise);
        }
        log.append(&noise).unwrap();
        appended.push(noise.clone());
    }
    let same = |log: &Log| {
        let read: Vec<_> = log.range(..).map(|entry| entry.unwrap().payload.to_vec()).collect();
        assert!(read == appended);
    };
    same(&log);
    log.close().unwrap();
    let segments = log.segments().unwrap();
    let len: u64 = segments.iter().map(|segment| segment.end).sum();
    assert!((600_000..800_000).contains(&len), "half of it can be compressed, less the pauses: {len}");
    assert!(segments.iter().rev().skip(1).all(|segment| segment.end > 50_000), "{segments:?}");
    same(&open(&storage, &packed()).unwrap());
}

#[test]
fn threads_share_frames_and_get_what_they_wait_for() {
    let background = SyncPolicy::Background { interval: Duration::from_millis(5) };
    for (sync, threads, when_behind) in [
        (SyncPolicy::Always, 0, WhenBehind::Compress),
        (SyncPolicy::Always, 2, WhenBehind::Compress),
        (SyncPolicy::OsCache { interval: Duration::from_millis(5) }, 1, WhenBehind::StorePlain),
        (background, 0, WhenBehind::Compress),
        (background, 1, WhenBehind::Compress),
        (background, 2, WhenBehind::StorePlain),
    ] {
        let compression = Compression { threads, when_behind, pack_len: 16 << 10, ..packed().compression };
        let options = Options { sync, background_threads: true, compression, ..packed() };
        on_all(|storage| {
            let log = open(&storage, &options).unwrap();
            let per_thread = 400;
            thread::scope(|scope| {
                for thread in 0..8_u64 {
                    let log = &log;
                    scope.spawn(move || (0..per_thread).for_each(|n| one(log, thread, n)));
                }
            });
            let total = 8 * per_thread;
            let seen = |log: &Log| {
                let mut next = [0; 8];
                for entry in log.range(..) {
                    let entry = entry.unwrap();
                    let mut text = entry.payload.split(|byte| *byte == b' ');
                    let mut number =
                        || -> u64 { str::from_utf8(text.next().unwrap()).unwrap().parse().unwrap() };
                    let (thread, n) = (number() as usize, number());
                    assert_eq!(next[thread], n, "in the order of its thread");
                    next[thread] += 1;
                }
                assert_eq!(next, [per_thread; 8]);
            };
            seen(&log);
            drop(log);
            let log = open(&storage, &options).unwrap();
            assert_eq!(log.next_lsn(), lsn(total + 1));
            seen(&log);
        });
    }
}

fn one(log: &Log, thread: u64, n: u64) {
    let bytes = [format!("{thread} {n} ").into_bytes(), payload(n)].concat();
    let entry = NewEntry::plain(&bytes);
    match (thread + n) % 50 {
        0 => {
            let mut batch = EntriesBuilder::default();
            batch.push(&entry).unwrap();
            log.append_batch(&batch, &AppendOptions::default()).unwrap();
        }
        1 => {
            let ticket: Ticket = log.submit(&entry, None).unwrap();
            assert_eq!(log.get(ticket.lsn()).unwrap().payload, bytes);
            ticket.wait().unwrap();
            assert!(log.durable_lsn() >= Some(ticket.lsn()));
        }
        2 => {
            let options = AppendOptions {
                durability: Some(Durability::Durable),
                timeout: Some(Duration::from_secs(60)),
                ..AppendOptions::default()
            };
            let appended = log.append_entry(&entry, &options).unwrap();
            assert!(log.durable_lsn() >= Some(appended));
        }
        _ => {
            let appended = log.append(&bytes).unwrap();
            assert_eq!(log.get(appended).unwrap().payload, bytes);
        }
    }
}

#[test]
fn entries_of_a_pack_have_the_time_of_the_first_unless_it_is_long_ago() {
    let time = Arc::new(VirtualTime::new(1_000_000_000));
    let clock = Arc::new(TestClock(Arc::clone(&time)));
    let log = Log::open(Environment { clock, ..environment(memory()) }, packed()).unwrap();
    let (mut before, mut times) = (Vec::new(), Vec::new());
    for _ in 0..30 {
        time.advance(Duration::from_millis(10));
        let appended = log.append(b"tick").unwrap();
        times.push(time.wall_ns());
        before.push(log.get(appended).unwrap().time);
    }
    log.sync().unwrap();
    let after: Vec<_> = log.range(..).map(|entry| entry.unwrap().time).collect();
    assert_eq!(after, before, "nothing changes when they are written");
    assert!(after.is_sorted());
    for (given, appended) in after.iter().zip(&times) {
        assert!((0..=100_000_000).contains(&(appended - given)));
    }
}

#[test]
fn a_trained_dictionary_belongs_to_the_log() {
    on_all(|storage| {
        let compression =
            Compression { codec: CodecId::ZSTD, min_len: 32, pack_len: 0, ..Compression::default() };
        let options = Options { compression, ..packed() };
        let record = |n: u64| {
            let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            format!(r#"{{"id":{n},"name":"package-{mixed:x}","section":"libs","installed":true}}"#)
        };
        let log = open(&storage, &options).unwrap();
        let few = log.train_dictionary(&DictionaryOptions::default());
        assert!(matches!(few, Err(LogError::Compression { .. })), "{few:?}");
        let bytes = |log: &Log, range: std::ops::Range<u64>| {
            let before = log.stats().written_bytes;
            for n in range {
                log.append(record(n).as_bytes()).unwrap();
            }
            log.sync().unwrap();
            log.stats().written_bytes - before
        };
        let without = bytes(&log, 1..3001);
        let settings = DictionaryOptions { len: 4096, ..DictionaryOptions::default() };
        let first = log.train_dictionary(&settings).unwrap();
        assert!(first.len <= 4096 && first.samples == 3000, "{first:?}");
        let with = bytes(&log, 3001..6001);
        assert!(with < without * 8 / 10, "{with} of {without}");
        let second = log.train_dictionary(&settings).unwrap();
        assert_ne!(first.id, second.id);
        bytes(&log, 6001..6101);
        drop(log);
        let same = |log: &Log| {
            for entry in log.range(..) {
                let entry = entry.unwrap();
                assert_eq!(entry.payload, record(entry.lsn.get()).as_bytes());
            }
        };
        let log = open(&storage, &options).unwrap();
        same(&log);
        assert!(bytes(&log, 6101..9101) < without * 8 / 10, "it is used after the log was opened again");
        log.truncate_before(lsn(8000)).unwrap();
        log.close().unwrap();
        same(&log);
        let reader = Log::open_read_only(environment(Arc::clone(&storage)), options.clone()).unwrap();
        same(&reader);
        let found = examine(Arc::clone(&storage), Default::default(), &options).unwrap();
        assert_eq!((found.entries, found.damage.len()), (1101, 0), "{found:?}");
        let full = Options { metadata_len_max: 9000, ..options.clone() };
        drop(log);
        let log = open(&storage, &full).unwrap();
        assert!(matches!(log.train_dictionary(&settings), Err(LogError::MetadataFull { .. })));
        same(&log);
    });
}

#[test]
fn only_a_codec_with_dictionaries_trains_one() {
    let settings = DictionaryOptions::default();
    let compression = Compression { codec: CodecId::SNAPPY, ..Compression::default() };
    let log = open(&memory(), &Options { compression, ..packed() }).unwrap();
    fill(&log, 1..100);
    assert!(matches!(log.train_dictionary(&settings), Err(LogError::Compression { .. })));
    for settings in [
        DictionaryOptions { len: 0, ..settings.clone() },
        DictionaryOptions { len: 1 << 20, ..settings.clone() },
        DictionaryOptions { sample_len: 1 << 30, ..settings },
    ] {
        assert!(matches!(log.train_dictionary(&settings), Err(LogError::InvalidArgument { .. })));
    }
}

#[test]
fn packs_go_to_other_logs_as_frames() {
    let log = open(&memory(), &packed()).unwrap();
    fill(&log, 1..51);
    let stats = log.stats();
    assert_eq!((stats.buffered_entries, stats.durable_lag_entries, stats.frames), (50, 50, 1));
    assert!(stats.buffered_bytes > 50 * 8 && stats.compression_raw_bytes == 0, "{stats:?}");
    // A range that begins within a pack; then one that ends with a pack, and what was appended to the next since.
    let follower = open(&memory(), &Options { first_lsn: lsn(10), ..packed() }).unwrap();
    for range in [lsn(10)..lsn(51), lsn(51)..lsn(101), lsn(101)..lsn(121)] {
        let next = range.end.get();
        if log.next_lsn() < range.end {
            fill(&log, range.start.get()..next);
        }
        for frame in log.frames(range) {
            let frame = frame.unwrap();
            assert_eq!(frame.codec != 0, frame.first_lsn.get() > 10, "{frame:?}");
            follower.append_frame(&frame, &AppendOptions::default()).unwrap();
        }
        check(&follower, 10, next);
    }
    // Packs of the follower's own make way for a frame, and are part of copies.
    fill(&follower, 121..131);
    fill(&log, 121..141);
    let frames = |log: &Log, from| log.frames(lsn(from)..).map(Result::unwrap).collect::<Vec<_>>();
    for frame in frames(&log, 131) {
        follower.append_frame(&frame, &AppendOptions::default()).unwrap();
    }
    fill(&follower, 141..151);
    let (backup, clone) = (memory(), memory());
    assert_eq!(follower.backup(&backup).unwrap().next, lsn(151));
    fill(&follower, 151..161);
    assert_eq!(follower.clone_into(Arc::clone(&clone), Arc::new(SystemEntropy)).unwrap().next, lsn(161));
    check(&open(&backup, &packed()).unwrap(), 10, 151);
    check(&open(&clone, &packed()).unwrap(), 10, 161);
    let stats = log.stats();
    assert!(
        0 < stats.compression_stored_bytes && stats.compression_stored_bytes < stats.compression_raw_bytes
    );
    let before = log.stats();
    (61..71).for_each(|n| drop(log.get(lsn(n)).unwrap()));
    let after = log.stats();
    assert_eq!((after.cache_misses - before.cache_misses, after.cache_hits - before.cache_hits), (1, 9));
}

#[test]
fn dictionaries_go_to_other_logs_and_none_is_lost() {
    let compression =
        Compression { codec: CodecId::ZSTD, min_len: 32, pack_len: 0, ..Compression::default() };
    let options = Options { compression, ..packed() };
    let settings = DictionaryOptions { len: 1024, ..DictionaryOptions::default() };
    let trained = |word: &str| {
        let log = open(&memory(), &options).unwrap();
        let record = |n: u64| format!(r#"{{"{word}":{n},"{word}-{n:x}":"{}","{word}":true}}"#, n * 7919);
        let append = |range: std::ops::Range<u64>| {
            for n in range {
                log.append(record(n).as_bytes()).unwrap();
            }
        };
        append(0..600);
        log.train_dictionary(&settings).unwrap();
        append(600..650);
        log.train_dictionary(&settings).unwrap();
        append(650..700);
        log
    };
    let entries = |log: &Log| log.range(..).map(|entry| entry.unwrap().payload).collect::<Vec<_>>();
    let leader = trained("package");
    let clone = memory();
    leader.clone_into(Arc::clone(&clone), Arc::new(SystemEntropy)).unwrap();
    let clone = open(&clone, &options).unwrap();
    assert_eq!(entries(&clone), entries(&leader));
    assert_eq!(clone.metadata().unwrap(), leader.metadata().unwrap());
    let storage = memory();
    let follower = open(&storage, &options).unwrap();
    let mut missed = 0;
    for frame in leader.frames(..) {
        let frame = frame.unwrap();
        let mut appended = follower.append_frame(&frame, &AppendOptions::default());
        if matches!(&appended, Err(LogError::Compression { .. })) {
            missed += 1;
            follower.replace_metadata(&leader.metadata().unwrap()).unwrap();
            appended = follower.append_frame(&frame, &AppendOptions::default());
        }
        appended.unwrap();
    }
    assert_eq!((missed, entries(&follower) == entries(&leader)), (1, true));
    follower.replace_metadata(&Metadata::default()).unwrap();
    assert_eq!(follower.metadata().unwrap(), leader.metadata().unwrap(), "its frames need them");
    // Another one by the same id would make other bytes of the frames.
    let stranger = trained("section");
    let other = follower.replace_metadata(&stranger.metadata().unwrap());
    assert!(matches!(other, Err(LogError::Compression { .. })), "{other:?}");
    // Nor does a batch take one away.
    let mut removal = Vec::new();
    let record = MetadataRecord { namespace: Namespace::DICTIONARY, name: &[0; 4], value: None };
    record.encode(&mut removal).unwrap();
    let mut batch = EntriesBuilder::default();
    batch.push(&NewEntry::plain(b"x")).unwrap();
    batch.add_metadata(&removal);
    let refused = stranger.append_batch(&batch, &AppendOptions::default());
    assert!(matches!(refused, Err(LogError::Encoding { .. })), "{refused:?}");
    drop(follower);
    assert_eq!(entries(&open(&storage, &options).unwrap()), entries(&leader));
    // A dictionary whose record found no room is not known either: what needs it would be lost at the next opening.
    let small = Options { metadata_len_max: 100, ..options };
    let follower = open(&memory(), &small).unwrap();
    let frames: Vec<_> = leader.frames(..).map(Result::unwrap).collect();
    let needs =
        |frame: &wal_core::EncodedFrame| follower.append_frame(frame, &AppendOptions::default()).is_err();
    let at = frames.iter().position(needs).unwrap();
    let full = follower.replace_metadata(&leader.metadata().unwrap()).unwrap_err();
    assert!(matches!(full, LogError::MetadataFull { .. }), "{full:?}");
    let again = follower.append_frame(&frames[at], &AppendOptions::default());
    assert!(matches!(again, Err(LogError::Compression { .. })), "{again:?}");
}
