//! Copies of a log: backups, clones, and frames that go from one log to another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use wal_compress::{CodecId, Codecs, Compression};
use wal_core::{
    AppendOptions, CheckpointOptions, EncodedFrame, Entropy, Entry, Environment, Log, LogError, Options,
    SyncPolicy, SystemEntropy, WhenFull,
};
use wal_format::{ChecksumKind, EntriesBuilder, Lsn, NewEntry};
use wal_segment::{LocalOptions, LocalStorage, MemoryStorage, Storage};

use crate::{
    damage,
    hooked::Hooked,
    support::{check, environment, fill, on_all, open, payload, small},
};

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new())
}

/// The first `len` numbers as one batch.
fn batch(log: &Log, len: u64) {
    let mut batch = EntriesBuilder::default();
    let first = log.next_lsn().get();
    (first..first + len).for_each(|n| batch.push(&NewEntry::plain(&payload(n))).unwrap());
    log.append_batch(&batch, &AppendOptions::default()).unwrap();
}

fn entries(log: &Log) -> Vec<Entry> {
    log.range(..).map(Result::unwrap).collect()
}

#[test]
fn a_backup_is_the_log_as_it_was() {
    on_all(|storage| {
        let log = open(&storage, &small()).unwrap();
        fill(&log, 1..2000);
        log.set_meta("vote", Some(b"7"), None).unwrap();
        log.truncate_before(lsn(100)).unwrap();
        for target in [memory(), memory()] {
            let report = log.backup(&target).unwrap();
            assert_eq!((report.first.get(), report.next, report.linked), (100, log.next_lsn(), 0));
            assert_eq!(report.segments, log.segments().unwrap().len());
            let next = log.next_lsn().get();
            fill(&log, next..next + 10);
            let copy = open(&target, &small()).unwrap();
            assert!(copy.recovery_report().clean);
            check(&copy, 100, next);
            assert_eq!((copy.meta("vote").unwrap(), copy.id()), (Some(b"7".to_vec()), log.id()));
            fill(&copy, next..next + 3);
            check(&copy, 100, next + 3);
            assert!(matches!(log.backup(&target), Err(LogError::NotEmpty { .. })));
        }
        // Of a log that is only read, closed or not; and of a log that was opened and not written to.
        let copy = memory();
        let reader = Log::open_read_only(environment(Arc::clone(&storage)), small()).unwrap();
        reader.backup(&copy).unwrap();
        assert_eq!(entries(&open(&copy, &small()).unwrap()), entries(&log));
        log.close().unwrap();
        drop(log);
        for log in [
            open(&storage, &small()).unwrap(),
            Log::open_read_only(environment(Arc::clone(&storage)), small()).unwrap(),
        ] {
            let copy = memory();
            log.backup(&copy).unwrap();
            let copy = open(&copy, &small()).unwrap();
            assert!(copy.recovery_report().clean);
            assert_eq!(entries(&copy), entries(&log));
        }
    });
}

#[test]
fn segments_that_are_complete_are_linked_and_outlive_the_log() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let local = |dir: &tempfile::TempDir| -> Arc<dyn Storage> {
        Arc::new(LocalStorage::open(dir.path(), LocalOptions::default()).unwrap())
    };
    let prefixed = Options { prefix: "jobs-".to_owned(), ..small() };
    let log = open(&local(&from), &prefixed).unwrap();
    fill(&log, 1..2000);
    let report = log.backup(&local(&to)).unwrap();
    assert_eq!(report.linked, report.segments - 1);
    assert!(report.linked > 2 && report.copied_bytes <= 64 << 10, "{report:?}");
    log.clear().unwrap();
    log.close().unwrap();
    drop((log, from));
    check(&open(&local(&to), &prefixed).unwrap(), 1, 2000);
}

#[test]
fn a_log_without_a_segment_has_no_backup() {
    let log = open(&memory(), &small()).unwrap();
    assert!(matches!(log.backup(&memory()), Err(LogError::MissingLog { .. })));
    let clone = log.clone_into(memory(), Arc::new(SystemEntropy));
    assert!(matches!(clone, Err(LogError::MissingLog { .. })));
}

#[test]
fn backups_are_whole_while_the_log_is_written_trimmed_and_cut() {
    let dir = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> =
        Arc::new(LocalStorage::open(dir.path(), LocalOptions::default()).unwrap());
    let log = open(&storage, &small()).unwrap();
    fill(&log, 1..100);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..40 {
                let next = log.next_lsn().get();
                fill(&log, next..next + 60);
                match round % 4 {
                    0 => drop(log.truncate_before(lsn(next)).unwrap()),
                    2 => drop(log.truncate_from(lsn(next + 30)).unwrap()),
                    _ => {}
                }
            }
        });
        let reader = Log::open_read_only(environment(Arc::clone(&storage)), small()).unwrap();
        let mut backups = 0;
        while !writer.is_finished() || backups < 3 {
            let durable = log.first_lsn();
            for of in [&log, &reader] {
                let target = memory();
                let report = of.backup(&target).unwrap();
                check(&open(&target, &small()).unwrap(), report.first.get(), report.next.get());
            }
            assert!(durable.is_some());
            reader.refresh().unwrap();
            backups += 1;
        }
    });
}

/// A leader with every kind of frame.
fn leader(options: Options) -> Log {
    let mut codecs = Codecs::default();
    assert!(codecs.get(CodecId::ZSTD).is_ok() && codecs.get(CodecId::SNAPPY).is_ok());
    codecs = Codecs::with_level(3).unwrap();
    let log = Log::open(Environment { codecs, ..environment(memory()) }, options).unwrap();
    fill(&log, 1..20);
    batch(&log, 30);
    let transaction = log.begin(&Default::default()).unwrap();
    transaction.append(&NewEntry { term: Some(3), timestamp: Some(-4), ..NewEntry::plain(b"x") }).unwrap();
    transaction.append(&NewEntry { kind: 9, ..NewEntry::plain(b"y") }).unwrap();
    transaction.commit(&AppendOptions::default()).unwrap();
    let mut with_metadata = EntriesBuilder::default();
    with_metadata.push(&NewEntry::plain(b"applied")).unwrap();
    with_metadata.add_metadata(&wal_core::user_value("applied", Some(b"52")).unwrap());
    log.append_batch(&with_metadata, &AppendOptions::default()).unwrap();
    log
}

#[test]
fn a_follower_has_what_the_leader_has() {
    let compression = Compression { codec: CodecId::ZSTD, min_len: 100, ..Compression::default() };
    for options in
        [small(), Options { compression, ..small() }, Options { checksum: ChecksumKind::Crc32, ..small() }]
    {
        let leader = leader(options);
        let follower = open(&memory(), &small()).unwrap();
        for frame in leader.frames(..) {
            let frame = frame.unwrap();
            let mut sent = frame.to_bytes();
            assert_eq!(EncodedFrame::parse(&mut sent).unwrap(), Some(frame.clone()));
            follower.append_frame(&frame, &AppendOptions::default()).unwrap();
        }
        assert_eq!(entries(&follower), entries(&leader));
        assert_eq!(follower.meta("applied").unwrap(), Some(b"52".to_vec()));
        let shapes = |log: &Log| -> Vec<(Lsn, u32, u32, CodecId)> {
            let headers = log.headers(Lsn::FIRST, log.next_lsn()).map(Result::unwrap);
            headers.map(|info| (info.first, info.count, info.body_len, info.codec)).collect()
        };
        assert_eq!(shapes(&follower), shapes(&leader), "stored as they were, batches whole");
    }
}

/// However long a frame says that it is: nobody makes room for more than he asked for.
#[test]
fn what_is_longer_than_compressed_entries_may_be_is_not_decompressed() {
    let with = |raw_len_max| {
        let compression = Compression {
            codec: CodecId::ZSTD,
            min_len: 100,
            pack_len: 0,
            raw_len_max,
            ..Compression::default()
        };
        Options { compression, ..small() }
    };
    let storage = memory();
    let log = open(&storage, &with(1 << 20)).unwrap();
    log.append(&[7; 8193]).unwrap();
    log.append(&[7; 8192]).unwrap();
    let codecs: Vec<_> = log.headers(lsn(1), lsn(3)).map(|info| info.unwrap().codec).collect();
    assert_eq!(codecs, [CodecId::ZSTD; 2]);
    log.close().unwrap();
    let log = Log::open_read_only(environment(Arc::clone(&storage)), with(8192)).unwrap();
    let refused = log.get(lsn(1)).map(|entry| entry.payload.len());
    assert!(matches!(refused, Err(LogError::Undecodable { .. })), "{refused:?}");
    assert_eq!(log.get(lsn(2)).unwrap().payload, [7; 8192][..]);
}

#[test]
fn a_range_begins_within_a_batch_and_ends_behind_one() {
    let log = open(&memory(), &small()).unwrap();
    batch(&log, 10);
    batch(&log, 10);
    let frames: Vec<EncodedFrame> = log.frames(lsn(4)..lsn(12)).map(Result::unwrap).collect();
    let ranges: Vec<(u64, u64)> =
        frames.iter().map(|frame| (frame.first_lsn.get(), frame.last_lsn().get())).collect();
    assert_eq!(ranges, [(4, 10), (11, 20)]);
    let follower = open(&memory(), &Options { first_lsn: lsn(4), ..small() }).unwrap();
    for frame in &frames {
        follower.append_frame(frame, &AppendOptions::default()).unwrap();
    }
    check(&follower, 4, 21);
    assert_eq!(log.frames(lsn(21)..).count() + log.frames(lsn(5)..lsn(5)).count(), 0);
}

#[test]
fn what_was_received_is_not_believed() {
    let leader = leader(small());
    let follower = open(&memory(), &small()).unwrap();
    let frames: Vec<EncodedFrame> = leader.frames(..).map(Result::unwrap).collect();
    let plain = &frames[0];
    let batch = frames.iter().find(|frame| frame.count == 30).unwrap();
    let refused = |frame: &EncodedFrame| {
        let options = AppendOptions { expected: Some(Lsn::FIRST), ..AppendOptions::default() };
        follower.append_frame(frame, &options).unwrap_err()
    };
    // Not the next one.
    let conflict = follower.append_frame(&frames[1], &AppendOptions::default());
    assert!(matches!(conflict, Err(LogError::Conflict { .. })));
    // Bytes that changed, and checksums that hold over bytes that never were a body.
    let torn = EncodedFrame { body: Bytes::from_static(b"other"), ..plain.clone() };
    assert!(matches!(refused(&torn), LogError::InvalidFrame { .. }));
    let mut ends = batch.body.to_vec();
    ends[0..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let body_crc = batch.checksum.of(&ends);
    let forged = EncodedFrame { body: ends.into(), body_crc, ..batch.clone() };
    assert!(matches!(refused(&forged), LogError::InvalidFrame { .. }));
    for forged in [
        EncodedFrame { count: 0, ..plain.clone() },
        EncodedFrame { count: 2, ..plain.clone() },
        EncodedFrame { columns: 128, ..plain.clone() },
        EncodedFrame { first_lsn: Lsn::MAX, ..plain.clone() },
    ] {
        assert!(matches!(refused(&forged), LogError::InvalidFrame { .. }), "{forged:?}");
    }
    // A codec that is not here, and bytes that are none of its.
    let unknown = EncodedFrame { codec: 200, body: Bytes::from_static(b"\x05\0\0\0hello"), ..plain.clone() };
    let unknown = EncodedFrame { body_crc: unknown.checksum.of(&unknown.body), ..unknown };
    assert!(matches!(refused(&unknown), LogError::Compression { .. }));
    let damaged = EncodedFrame { codec: CodecId::ZSTD.0, ..unknown };
    assert!(matches!(refused(&damaged), LogError::Compression { .. }));
    assert_eq!((follower.next_lsn(), follower.stats().frames), (Lsn::FIRST, 0), "nothing was appended");
}

#[test]
fn times_come_along_and_never_run_backwards() {
    let follower = open(&memory(), &small()).unwrap();
    let frame = |n: u64, time| EncodedFrame::new(lsn(n), time, None, &[NewEntry::plain(b"x")]).unwrap();
    for (n, time) in [(1, 500), (2, 700), (3, 600), (4, 800)] {
        follower.append_frame(&frame(n, time), &AppendOptions::default()).unwrap();
    }
    let times: Vec<u64> = entries(&follower).iter().map(|entry| entry.time).collect();
    assert_eq!(times, [500, 700, 700, 800]);
}

/// What stands behind a cut was not there at the moment of the call, however many entries there are.
#[test]
fn a_clone_is_no_clone_of_two_histories() {
    for is_beside in [false, true] {
        let storage = memory();
        let log = open(&storage, &small()).unwrap();
        fill(&log, 1..=100);
        let reader = Log::open_read_only(environment(storage), small()).unwrap();
        let target = Hooked::new(memory());
        let (writer, again, done) = (log.clone(), reader.clone(), AtomicBool::new(false));
        target.set(move |_, _| {
            if !done.swap(true, Ordering::SeqCst) {
                writer.truncate_after(lsn(50)).unwrap();
                fill(&writer, 151..=200);
                again.refresh().unwrap();
            }
            Ok(())
        });
        let source = if is_beside { &reader } else { &log };
        let cloned = Log::clone_into(source, Arc::new(target), Arc::new(SystemEntropy));
        assert!(matches!(cloned, Err(LogError::CutOff { next, .. }) if next == lsn(51)), "{cloned:?}");
    }
}

/// Trims a log when somebody draws a number.
#[derive(Debug)]
struct Trims(Log, Lsn);

impl Entropy for Trims {
    fn next(&self) -> u64 {
        self.0.truncate_before(self.1).unwrap();
        SystemEntropy.next()
    }
}

/// Not even where so much was trimmed that the copy finds nothing that it could miss.
#[test]
fn a_clone_is_no_clone_of_what_was_trimmed_meanwhile() {
    for kept in [0, 40] {
        let log = open(&memory(), &small()).unwrap();
        fill(&log, 1..=100);
        // The clone has its id before it has anything else.
        let trims = Trims(log.clone(), lsn(101 - kept));
        let cloned = log.clone_into(memory(), Arc::new(trims));
        assert!(matches!(cloned, Err(LogError::Truncated { lsn: from, .. }) if from == lsn(1)), "{cloned:?}");
    }
}

/// What the log does when its buffer is full is for those who append to it.
#[test]
fn a_clone_finds_room_in_a_small_buffer() {
    let options = Options { when_full: WhenFull::Fail, buffer_entries: 7, ..small() };
    let log = open(&memory(), &options).unwrap();
    fill(&log, 1..=100);
    let target = memory();
    log.clone_into(Arc::clone(&target), Arc::new(SystemEntropy)).unwrap();
    check(&open(&target, &small()).unwrap(), 1, 101);
}

#[test]
fn a_clone_has_another_id_and_the_same_content() {
    let log = leader(small());
    log.checkpoint("middle", CheckpointOptions { lsn: Some(lsn(30)), protect: true }).unwrap();
    log.set_meta("vote", Some(b"8"), None).unwrap();
    log.set_meta("applied", None, None).unwrap();
    // Within the batch.
    log.truncate_before(lsn(25)).unwrap();
    let target = memory();
    let report = log.clone_into(Arc::clone(&target), Arc::new(SystemEntropy)).unwrap();
    assert_eq!((report.first.get(), report.next), (25, log.next_lsn()));
    let clone = open(&target, &small()).unwrap();
    assert_eq!(clone.id(), Some(report.id));
    assert_ne!(clone.id(), log.id());
    assert_eq!(entries(&clone), entries(&log));
    assert_eq!(clone.checkpoints().unwrap(), log.checkpoints().unwrap());
    assert_eq!(clone.metadata().unwrap(), log.metadata().unwrap());
    // What is empty keeps its place.
    log.clear().unwrap();
    let target = memory();
    log.clone_into(Arc::clone(&target), Arc::new(SystemEntropy)).unwrap();
    assert_eq!(open(&target, &small()).unwrap().next_lsn(), log.next_lsn());
}

/// Nothing of a first segment but its opening was proven when its writer was killed, and it is too long to be replaced
/// by the one that goes on from it.
#[test]
fn a_log_whose_first_writer_was_killed_is_copied() {
    let options = Options {
        sync: SyncPolicy::OsCache { interval: Duration::from_secs(60) },
        segment_len: 1 << 20,
        first_segment_len: 1 << 20,
        background_threads: false,
        ..small()
    };
    let storage = memory();
    let log = open(&storage, &options).unwrap();
    fill(&log, 1..=1000);
    let killed: Arc<dyn Storage> = damage::storage(&damage::files(&*storage));
    let log = open(&killed, &options).unwrap();
    let target = memory();
    let report = log.backup(&target).unwrap();
    assert_eq!((report.first, report.next, report.segments), (lsn(1), lsn(1001), 1));
    check(&open(&target, &options).unwrap(), 1, 1001);
    assert_eq!(log.copy_to(&memory()).unwrap().segments, 1);
    assert_eq!(log.segments().unwrap().len(), 1);
    check(&log, 1, 1001);
}

/// Everything was trimmed, and the log goes on in a segment that begins with the first entry to come.
#[test]
fn a_log_that_was_trimmed_to_its_end_is_copied() {
    let log = open(&memory(), &small()).unwrap();
    fill(&log, 1..=10);
    log.truncate_before(lsn(11)).unwrap();
    // Does not fit into the first one.
    log.append(&vec![1; 64 << 10]).unwrap();
    let report = log.backup(&memory()).unwrap();
    assert_eq!((report.first, report.next, report.segments), (lsn(11), lsn(12), 1));
    assert_eq!(log.copy_to(&memory()).unwrap().segments, 1);
}
