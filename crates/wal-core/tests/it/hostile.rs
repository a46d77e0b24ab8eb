//! Files that no log of ours would have written.

use std::{fs, io::Write as _, ops::ControlFlow, sync::Arc};

use wal_compress::Codecs;
use wal_core::{
    AppendOptions, Entry, Log, LogError, Options, RecoveryMode, RepairOptions, TailFrom, TailOptions,
    Visibility, examine, repair, salvage,
};
use wal_format::{
    ChecksumKind, EntriesBuilder, FrameHeader, FrameKind, LogId, Lsn, NewEntry, Opening, SegmentHeader,
    SegmentId, SegmentIndex,
};
use wal_segment::{LocalOptions, LocalStorage, MemoryStorage, Storage};

use crate::{
    damage::{Files, files, storage},
    support::{check, environment, fill, open, payload, small},
};

const FIRST: &str = "00000000000000000001.wal";

pub(crate) fn quiet() -> Options {
    Options { background_threads: false, ..small() }
}

fn header(log_id: LogId, segment: u64, epoch: u64) -> SegmentHeader {
    SegmentHeader {
        checksum: ChecksumKind::Crc32,
        ignorable_flags: 0,
        log_id,
        segment: SegmentId(segment),
        epoch,
        salt: 5,
        created: 0,
    }
}

#[test]
fn numbers_at_their_end_are_refused_before_anything_is_acknowledged() {
    for (id, epoch) in [(u64::MAX, 1), (u64::MAX - 1, 1), (7, u64::MAX)] {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let log = open(&storage, &small()).unwrap();
        log.append(b"one").unwrap();
        let file = storage.create(&format!("{id:020}.wal")).unwrap();
        file.write_at(0, &header(log.id().unwrap(), id, epoch).encode()).unwrap();
        drop(log);
        assert!(matches!(open(&storage, &small()), Err(LogError::Exhausted { .. })), "{id} {epoch}");
        let reader = Log::open_read_only(environment(storage), small()).unwrap();
        assert_eq!(reader.get(Lsn::FIRST).unwrap().payload, "one", "reading needs no greater number");
    }
}

#[test]
fn a_sidecar_longer_than_the_index_can_be_is_not_read() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&storage, &small()).unwrap();
    for n in 1..200 {
        log.append(&payload(n)).unwrap();
    }
    drop(log);
    for name in storage.list().unwrap().iter().filter(|name| name.ends_with(".idx")) {
        storage.remove(name).unwrap();
        // All zeros, 64 MiB of them: cheap here, and what a sparse file of any length looks like.
        storage.create(name).unwrap().reserve(64 << 20).unwrap();
    }
    check(&open(&storage, &small()).unwrap(), 1, 200);
}

#[test]
fn a_superseded_segment_that_comes_back_is_dead() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&storage, &small()).unwrap();
    (1..20).for_each(|n| drop(log.append(&payload(n))));
    drop(log);
    let names = storage.list().unwrap();
    let old = names.iter().find(|name| name.ends_with(".wal")).unwrap();
    let mut bytes = vec![0; 64 << 10];
    storage.open(old).unwrap().read_at(0, &mut bytes).unwrap();
    let log = open(&storage, &small()).unwrap();
    log.append(&payload(20)).unwrap();
    drop(log);
    // Both segments now begin with entry 1. The newer one counts, whatever else lies there.
    storage.create(old).unwrap().write_at(0, &bytes).unwrap();
    let log = open(&storage, &small()).unwrap();
    assert_eq!(log.recovery_report().dead, [SegmentId(1)]);
    check(&log, 1, 21);
}

#[test]
fn records_in_a_batch_that_cannot_be_read_are_refused() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&storage, &Options { background_threads: false, ..small() }).unwrap();
    let mut batch = EntriesBuilder::default();
    batch.push(&NewEntry::plain(b"e")).unwrap();
    batch.add_metadata(b"no record");
    let refused = log.append_batch(&batch, &AppendOptions::default());
    assert!(matches!(refused, Err(LogError::Encoding { .. })));
    assert_eq!(log.next_lsn(), Lsn::FIRST, "nothing was appended");
}

#[test]
fn an_index_file_that_a_repair_replaces_is_put_into_quarantine_too() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let options = quiet();
    let log = open(&storage, &options).unwrap();
    (1..20).for_each(|n| drop(log.append(&payload(n))));
    log.close().unwrap();
    drop(log);
    let newest = storage.list().unwrap().into_iter().rfind(|name| name.ends_with(".wal")).unwrap();
    let mut bytes = vec![0; 8192];
    storage.open(&newest).unwrap().read_at(0, &mut bytes).unwrap();
    // Behind the opening, where later frames prove that something was there.
    bytes[800] ^= 1;
    let damaged: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    damaged.create(&newest).unwrap().write_at(0, &bytes).unwrap();
    let index = newest.replace(".wal", ".idx");
    damaged.create(&index).unwrap().write_at(0, b"an index").unwrap();
    let quarantine: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let how = RepairOptions { cut_at_damage: true, quarantine: Some(Arc::clone(&quarantine)) };
    let report = repair(environment(Arc::clone(&damaged)), &options, &how).unwrap();
    assert!(report.cut.is_some(), "{report:?}");
    for (name, bytes) in [(&index, &b"an index"[..]), (&newest, &bytes)] {
        let mut kept = vec![0; bytes.len()];
        assert_eq!(quarantine.open(name).unwrap().read_at(0, &mut kept).unwrap(), bytes.len(), "{name}");
        assert!(kept == bytes, "{name}");
    }
}

/// A closed log of several segments.
fn rotated(entry: impl Fn(u64) -> Vec<u8>) -> Files {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&memory, &Options { background_threads: false, ..small() }).unwrap();
    for n in 1..=1200 {
        log.append(&entry(n)).unwrap();
        if n == 10 {
            log.set_meta("name", Some(b"value"), None).unwrap();
        }
    }
    drop(log);
    files(&*memory)
}

/// The same without index files.
fn segments(entry: impl Fn(u64) -> Vec<u8>) -> Files {
    let mut files = rotated(entry);
    files.retain(|name, _| name.ends_with(".wal"));
    assert!(files.len() > 1);
    files
}

pub(crate) fn read(files: &Files, recovery: RecoveryMode) -> Result<Log, LogError> {
    Log::open_read_only(environment(storage(files)), Options { recovery, ..small() })
}

/// Where the frames of a segment are, as they follow each other.
pub(crate) fn frames(bytes: &[u8]) -> Vec<(usize, FrameHeader)> {
    let key = SegmentHeader::decode(bytes).unwrap().key();
    let mut frames = vec![];
    let mut at = 512;
    let frame_at = |at: usize| FrameHeader::decode(bytes.get(at..)?.first_chunk()?, key, at as u64).ok();
    while let Some(frame) = frame_at(at) {
        frames.push((at, frame));
        at += usize::try_from(frame.frame_len()).unwrap();
    }
    frames
}

/// Changes a frame, and makes it verify again.
pub(crate) fn forge(bytes: &mut [u8], at: usize, change: impl FnOnce(&mut FrameHeader, &mut [u8])) {
    let key = SegmentHeader::decode(bytes).unwrap().key();
    let mut frame = FrameHeader::decode(bytes[at..].first_chunk().unwrap(), key, at as u64).unwrap();
    let body = &mut bytes[at + 40..][..frame.body_len as usize];
    change(&mut frame, body);
    frame.body_crc = key.checksum.of(body);
    bytes[at..at + 40].copy_from_slice(&frame.encode(key, at as u64));
}

#[test]
fn a_damaged_length_that_leads_to_the_very_end_is_damage_and_no_cut() {
    // Each frame is 72 bytes long, and the seal 56: a bit of the last but one's length stands for both of what follows.
    let good = rotated(|_| vec![7; 32]);
    let (name, bytes) = good.iter().find(|(name, _)| name.ends_with(".wal")).unwrap();
    let frames = frames(bytes);
    let [.., (before, _), (_, last), (seal, end)] = frames[..] else { panic!("{} frames", frames.len()) };
    assert!(end.kind == FrameKind::Seal && last.kind == FrameKind::Entries);
    let lsn = Lsn::new(1 + u64::from(last.lsn_delta)).unwrap();
    for bit in 0..30 {
        let mut files = good.clone();
        files.get_mut(name).unwrap()[before + 8 + bit / 8] ^= 1 << (bit % 8);
        let log = read(&files, RecoveryMode::Refuse).unwrap();
        let damaged = lsn.previous().unwrap();
        let found = log.get(damaged);
        assert!(found.as_ref().is_err_and(LogError::is_damage), "bit {bit} {seal}: {found:?}");
        let found = log.headers(damaged, Lsn::MAX).next();
        assert!(found.is_some_and(|found| found.is_err_and(|error| error.is_damage())), "bit {bit}");
        // What stands behind it is there, whether it is looked for before or after.
        let log = if bit % 2 == 0 { log } else { read(&files, RecoveryMode::Refuse).unwrap() };
        assert_eq!(log.get(lsn).unwrap().payload, [7; 32][..], "bit {bit}");
        assert_eq!(log.headers(lsn, Lsn::MAX).next().unwrap().unwrap().first, lsn, "bit {bit}");
    }
}

#[test]
fn a_length_of_the_frame_before_that_leads_out_of_the_frames_is_an_error() {
    let mut files = segments(payload);
    let bytes = files.first_entry().unwrap().into_mut();
    let (at, _) = frames(bytes)[5];
    forge(bytes, at, |frame, _| frame.prev_units = u32::try_from((at - 256) / 8).unwrap());
    let log = read(&files, RecoveryMode::Refuse).unwrap();
    assert_eq!(
        log.range(..).filter(Result::is_ok).count(),
        1200,
        "whoever goes forwards does not look at it"
    );
    let last = log.range(..).rev().last().unwrap();
    assert!(last.is_err_and(|error| error.is_damage()));
}

#[test]
fn an_index_file_that_names_an_impossible_end_is_not_believed() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let options = Options { segment_len: 1 << 20, first_segment_len: 1 << 20, ..small() };
    let log = open(&storage, &options).unwrap();
    fill(&log, 1..=1000);
    log.close().unwrap();
    let name = storage.list().unwrap().into_iter().rfind(|name| name.ends_with(".idx")).unwrap();
    let mut bytes = vec![0; 64 << 10];
    let len = storage.open(&name).unwrap().read_at(0, &mut bytes).unwrap();
    let index = SegmentIndex::decode(&bytes[..len]).unwrap();
    assert!(index.end > 64 << 10, "a shorter one is not asked");
    for (last_frame, end) in
        [(0, u64::MAX), (u64::MAX - 1, u64::MAX), (u64::MAX - 48, u64::MAX), (8, 1 << 40)]
    {
        storage.remove(&name).unwrap();
        let lie = SegmentIndex { last_frame, end, ..index.clone() };
        storage.create(&name).unwrap().write_at(0, &lie.encode()).unwrap();
        check(&Log::open_read_only(environment(Arc::clone(&storage)), options.clone()).unwrap(), 1, 1001);
    }
}

#[test]
fn a_last_frame_of_another_length_than_the_successor_says_is_damage() {
    let mut files = segments(payload);
    let bytes = files.values_mut().nth(1).unwrap();
    forge(bytes, 512, |_, body| {
        let named = Opening::decode(body).unwrap().predecessor.unwrap();
        // The same frame, at the same place, and a zero more behind it.
        body[32..40].copy_from_slice(&(named.end + 8).to_le_bytes());
        body[44..48].copy_from_slice(&(named.last_units + 1).to_le_bytes());
        let forged = Opening::decode(body).unwrap().predecessor.unwrap();
        assert_eq!(forged.last_frame(), named.last_frame());
    });
    let refused = read(&files, RecoveryMode::Refuse);
    assert!(refused.is_err_and(|error| error.is_damage()));
}

#[test]
fn what_a_newer_version_wrote_is_neither_passed_over_nor_cut() {
    let refused = |what: &str, error: Option<LogError>| {
        assert!(error.as_ref().is_some_and(|error| !error.is_damage()), "{what}: {error:?}");
    };
    let good = segments(payload);
    let newer = |nth: usize, frame: usize, change: fn(&mut FrameHeader, &mut [u8])| {
        let mut files = good.clone();
        let bytes = files.values_mut().nth(nth).unwrap();
        let (at, _) = frames(bytes)[frame];
        forge(bytes, at, change);
        let all = |_: &[Entry]| ControlFlow::Continue(());
        refused("salvage", salvage(storage(&files), Codecs::default(), &small(), all).err());
        refused("examine", examine(storage(&files), Codecs::default(), &small()).err());
        files
    };
    // A flag of the newest opening.
    let newest = good.len() - 1;
    let files = newer(newest, 0, |_, body| body[8] |= 2);
    for mode in [RecoveryMode::Refuse, RecoveryMode::CutTornTail, RecoveryMode::ReadToDamage] {
        refused("open", read(&files, mode).err());
    }
    let how = RepairOptions { cut_at_damage: true, quarantine: None };
    refused("repair", repair(environment(storage(&files)), &small(), &how).err());
    // A column of an entry.
    for nth in [0, newest] {
        let log = read(&newer(nth, 3, |frame, _| frame.columns |= 0x80), RecoveryMode::ReadToDamage).unwrap();
        refused("range", log.range(..).find_map(Result::err));
        refused("back", log.range(..).rev().find_map(Result::err));
    }
    // A frame, where there was one with a value.
    let log =
        read(&newer(0, 11, |frame, _| frame.kind = FrameKind::Unknown(127)), RecoveryMode::Refuse).unwrap();
    refused("range", log.range(..).find_map(Result::err));
    refused("back", log.range(..).rev().find_map(Result::err));
    refused("headers", log.headers(Lsn::FIRST, Lsn::MAX).find_map(Result::err));
    refused("frames", log.frames(..).find_map(Result::err));
    let log = read(&good, RecoveryMode::Refuse).unwrap();
    assert!(log.headers(Lsn::FIRST, Lsn::MAX).all(|info| info.is_ok()));
}

/// Reading in every way ends with an error that is no damage.
fn all_refuse(what: &str, files: &Files) {
    let log = read(files, RecoveryMode::Refuse).unwrap();
    let refused = |how: &str, error: Option<LogError>| {
        assert!(error.as_ref().is_some_and(|error| !error.is_damage()), "{what}, {how}: {error:?}");
    };
    refused("range", log.range(..).find_map(Result::err));
    refused("back", log.range(..).rev().find_map(Result::err));
    refused("headers", log.headers(Lsn::FIRST, Lsn::MAX).find_map(Result::err));
    refused("frames", log.frames(..).find_map(Result::err));
}

#[test]
fn what_a_newer_version_wrote_is_not_passed_over_between_two_segments() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let options = Options { background_threads: false, ..small() };
    let log = open(&memory, &options).unwrap();
    for n in 1..=1500 {
        log.append(&payload(n)).unwrap();
        log.set_meta("name", Some(&payload(n)), None).unwrap();
    }
    drop(log);
    // Some without entries, too many for the next to take them over, and two more with some.
    let log = open(&memory, &options).unwrap();
    (0..200).for_each(|_| log.set_meta("name", Some(&[7; 1000]), None).unwrap());
    drop(log);
    let log = open(&memory, &options).unwrap();
    log.set_meta("name", Some(b"value"), None).unwrap();
    fill(&log, 1501..=2000);
    drop(log);
    let good = files(&*memory);
    check(&read(&good, RecoveryMode::Refuse).unwrap(), 1, 2001);
    let (mut behind_opening, mut before_seal, mut alone) = (0, 0, 0);
    let names: Vec<&String> = good.keys().filter(|name| name.ends_with(".wal")).collect();
    for (nth, name) in names.iter().enumerate().take(names.len() - 1) {
        let frames = frames(&good[*name]);
        let entries = frames.iter().filter(|(_, frame)| frame.count > 0).count();
        let newer = |(at, frame): (usize, FrameHeader)| {
            if frame.kind != FrameKind::Metadata {
                return 0;
            }
            let mut files = good.clone();
            let unknown = |frame: &mut FrameHeader, _: &mut [u8]| frame.kind = FrameKind::Unknown(8);
            forge(files.get_mut(*name).unwrap(), at, unknown);
            all_refuse(&format!("{name}:{at}"), &files);
            files.retain(|name, _| name.ends_with(".wal"));
            all_refuse(&format!("{name}:{at} without an index"), &files);
            // A kind that says that it may be passed over is.
            let mut files = good.clone();
            let ignorable = |frame: &mut FrameHeader, _: &mut [u8]| frame.kind = FrameKind::Unknown(128);
            forge(files.get_mut(*name).unwrap(), at, ignorable);
            check(&read(&files, RecoveryMode::Refuse).unwrap(), 1, 2001);
            1
        };
        if entries == 0 {
            alone += newer(frames[frames.len() / 2]);
        } else {
            // Who comes from behind does not pass over what stands before the first entry of all.
            behind_opening += if nth > 0 { newer(frames[1]) } else { 0 };
            before_seal += newer(frames[frames.len() - 2]);
        }
    }
    let found = (behind_opening, before_seal, alone);
    assert!(behind_opening > 0 && before_seal > 0 && alone > 0, "{found:?} of {}", names.len());
}

#[test]
fn what_a_newer_version_wrote_before_the_first_entry_is_not_passed_over() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&memory, &Options { background_threads: false, ..small() }).unwrap();
    log.set_meta("name", Some(b"value"), None).unwrap();
    fill(&log, 1..=1000);
    drop(log);
    let good = files(&*memory);
    for with_index in [true, false] {
        let mut files = good.clone();
        let bytes = files.iter_mut().find(|(name, _)| name.ends_with(".wal")).unwrap().1;
        let (at, frame) = frames(bytes)[1];
        assert_eq!(frame.kind, FrameKind::Metadata);
        forge(bytes, at, |frame, _| frame.kind = FrameKind::Unknown(127));
        if !with_index {
            files.retain(|name, _| name.ends_with(".wal"));
        }
        let log = read(&files, RecoveryMode::Refuse).unwrap();
        // Whether or not somebody has loaded the index.
        for _ in 0..2 {
            let refused = |error: Option<LogError>| error.is_some_and(|error| !error.is_damage());
            assert!(refused(log.range(..).next().and_then(Result::err)));
            assert!(refused(log.headers(Lsn::FIRST, Lsn::MAX).next().and_then(Result::err)));
            assert!(refused(log.frames(..).next().and_then(Result::err)));
            log.get(Lsn::FIRST).unwrap();
            log.get(Lsn::new(2).unwrap()).unwrap();
        }
    }
}

/// A closed log of one segment that is long enough for its end to be found through its index, and where its frames are.
fn long() -> (Files, Vec<(usize, FrameHeader)>) {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log =
        open(&memory, &Options { segment_len: 1 << 20, first_segment_len: 1 << 20, ..quiet() }).unwrap();
    fill(&log, 1..=1000);
    log.close().unwrap();
    let files = files(&*memory);
    let frames = frames(&files[FIRST]);
    let (at, close) = *frames.last().unwrap();
    assert!(close.kind == FrameKind::Close && at > 64 << 10 && files.len() == 2, "{at} {:?}", files.keys());
    (files, frames)
}

#[test]
fn what_stands_behind_a_close_is_not_passed_over() {
    let (mut files, frames) = long();
    let (at, close) = *frames.last().unwrap();
    let end = at + usize::try_from(close.frame_len()).unwrap();
    files.get_mut(FIRST).unwrap()[end + 4] = 1;
    assert!(read(&files, RecoveryMode::Refuse).is_err());
}

#[test]
fn a_close_that_proves_nothing_is_not_taken_for_proof() {
    let (mut files, frames) = long();
    let bytes = files.get_mut(FIRST).unwrap();
    bytes[frames[500].0 + 50] ^= 1;
    assert_eq!(read(&files, RecoveryMode::Refuse).unwrap().next_lsn().get(), 1001, "nobody looked");
    let bytes = files.get_mut(FIRST).unwrap();
    forge(bytes, frames.last().unwrap().0, |close, _| close.proof_lag = None);
    assert!(read(&files, RecoveryMode::Refuse).is_err());
}

#[test]
fn what_was_cut_off_does_not_come_back_with_a_repair() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&memory, &quiet()).unwrap();
    fill(&log, 1..=1000);
    log.truncate_after(Lsn::new(500).unwrap()).unwrap();
    fill(&log, 501..=520);
    log.close().unwrap();
    let mut files = files(&*memory);
    // What the newest segment follows is not what stands there, and no frame is damaged.
    forge(files.iter_mut().rfind(|(name, _)| name.ends_with(".wal")).unwrap().1, 512, |_, body| {
        body[40] ^= 1
    });
    let cut = RepairOptions { cut_at_damage: true, quarantine: None };
    let refused = repair(environment(storage(&files)), &quiet(), &cut);
    assert!(matches!(refused, Err(LogError::InvalidArgument { .. })), "{refused:?}");
}

#[test]
fn a_close_without_the_state_leads_to_what_a_newer_version_wrote_before_it() {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let options = Options { segment_len: 1 << 20, first_segment_len: 1 << 20, ..small() };
    let log = open(&memory, &options).unwrap();
    log.set_meta("name", Some(b"value"), None).unwrap();
    fill(&log, 1..=1000);
    log.close().unwrap();
    let mut files = files(&*memory);
    let name = files.keys().rfind(|name| name.ends_with(".wal")).unwrap().clone();
    let bytes = files.get_mut(&name).unwrap();
    let (frames, key) = (frames(bytes), SegmentHeader::decode(bytes).unwrap().key());
    let (at, close) = *frames.last().unwrap();
    assert!(close.kind == FrameKind::Close && at > 64 << 10, "{at}");
    let body = at + 40..at + 48;
    let short = FrameHeader { body_len: 8, body_crc: key.checksum.of(&bytes[body.clone()]), ..close };
    bytes[at..body.start].copy_from_slice(&short.encode(key, at as u64));
    bytes[body.end..].fill(0);
    forge(bytes, frames[1].0, |frame, _| frame.kind = FrameKind::Unknown(8));
    let index = files.get_mut(&name.replace(".wal", ".idx")).unwrap();
    let shorter = SegmentIndex { end: body.end as u64, ..SegmentIndex::decode(index).unwrap() };
    *index = shorter.encode();
    let storage: Arc<dyn Storage> = storage(&files);
    assert!(open(&storage, &options).is_err_and(|error| !error.is_damage()));
}

/// Has a tail of another process give ten entries, then the log be changed, and the frame behind the tenth, one without
/// entries, become one of a newer version: the tail does not pass over it.
#[expect(clippy::disallowed_methods, reason = "bytes change behind the back of the storage")]
fn tail_refuses(change: impl FnOnce(Log, &Arc<dyn Storage>)) {
    let dir = tempfile::tempdir().unwrap();
    let local: Arc<dyn Storage> = Arc::new(LocalStorage::open(dir.path(), LocalOptions::default()).unwrap());
    let log = open(&local, &quiet()).unwrap();
    fill(&log, 1..=10);
    log.sync().unwrap();
    let reader = Log::open_read_only(environment(Arc::clone(&local)), quiet()).unwrap();
    let mut tail = reader.tail(TailOptions { from: TailFrom::Start, visibility: Visibility::Written });
    (1..=10).for_each(|_| drop(tail.try_next().unwrap().unwrap()));
    change(log, &local);
    let name = local.list().unwrap().into_iter().filter(|name| name.ends_with(".wal")).min().unwrap();
    let path = dir.path().join(name);
    let mut bytes = fs::read(&path).unwrap();
    let (at, frame) = frames(&bytes)[11];
    assert_eq!(frame.kind, FrameKind::Metadata);
    forge(&mut bytes, at, |frame, _| frame.kind = FrameKind::Unknown(8));
    fs::File::options().write(true).open(&path).unwrap().write_all(&bytes).unwrap();
    for _ in 0..3 {
        let next = tail.try_next().map(|entry| entry.map(|entry| entry.lsn));
        assert!(next.as_ref().is_err_and(|error| !error.is_damage()), "{next:?}");
    }
}

#[test]
fn a_tail_that_looks_again_does_not_pass_over_what_a_newer_version_wrote_meanwhile() {
    // Behind what it has given, in a segment that is not the newest any more when it looks.
    tail_refuses(|log, _| {
        log.set_meta("name", Some(b"value"), None).unwrap();
        fill(&log, 11..=1000);
        log.sync().unwrap();
    });
    // In a segment of another writer, who has written anew what there was.
    tail_refuses(|log, local| {
        log.set_meta("name", Some(b"value"), None).unwrap();
        drop(log);
        let log = open(local, &quiet()).unwrap();
        fill(&log, 11..=1000);
        log.sync().unwrap();
    });
}

/// A closed log of 1200 entries, the first three in one frame, with a change of the metadata behind each frame: the one
/// in this place of the first segment is a frame of a newer version now. With the last entry before that. A log of
/// several segments can be opened for writing all the same.
fn newer_at(place: impl Fn(usize) -> usize) -> (Arc<dyn Storage>, Lsn) {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let log = open(&memory, &quiet()).unwrap();
    let mut batch = EntriesBuilder::default();
    (1..=3).for_each(|n| batch.push(&NewEntry::plain(&payload(n))).unwrap());
    log.append_batch(&batch, &AppendOptions::default()).unwrap();
    log.set_meta("name", Some(b"value"), None).unwrap();
    for n in 4..=1200 {
        fill(&log, [n]);
        log.set_meta("name", Some(&payload(n)), None).unwrap();
    }
    drop(log);
    let mut files = files(&*memory);
    let bytes = files.iter_mut().find(|(name, _)| name.ends_with(".wal")).unwrap().1;
    let frames = frames(bytes);
    let (at, frame) = frames[place(frames.len())];
    assert_eq!(frame.kind, FrameKind::Metadata);
    forge(bytes, at, |frame, _| frame.kind = FrameKind::Unknown(8));
    (storage(&files), Lsn::new(frame.lsn_delta.into()).unwrap())
}

#[test]
fn what_a_newer_version_wrote_is_in_nobodys_way_once_it_was_cut_off() {
    let (storage, last) = newer_at(|_| 20);
    let log = open(&storage, &quiet()).unwrap();
    assert!(log.range(..).any(|entry| entry.is_err()));
    log.truncate_after(last).unwrap();
    let next = last.get() + 21;
    fill(&log, last.get() + 1..next);
    // In this process as in the next one.
    for log in [log.clone(), Log::open_read_only(environment(storage), quiet()).unwrap()] {
        check(&log, 1, next);
        assert!(log.headers(Lsn::FIRST, Lsn::MAX).all(|header| header.is_ok()));
        assert!(log.frames(..).all(|frame| frame.is_ok()));
    }
}

#[test]
fn what_a_newer_version_wrote_is_not_passed_over_after_a_cut_far_behind_it() {
    let good = |items: &mut dyn Iterator<Item = bool>, n: usize| {
        assert_eq!(items.take(n).filter(|is_ok| *is_ok).count(), n);
    };
    let refused = |how: &str, error: Option<LogError>| {
        let is_refused = matches!(error, Some(LogError::Segment { .. }));
        assert!(is_refused && error.as_ref().is_some_and(|error| !error.is_damage()), "{how}: {error:?}");
    };
    // Behind a frame of several entries, between two others, and at the end of a segment.
    for place in [|_| 2, |_| 20, |frames| frames - 2] {
        let (storage, last) = newer_at(place);
        let log = open(&storage, &quiet()).unwrap();
        let n = usize::try_from(last.get()).unwrap();
        let (mut entries, mut back) = (log.range(..), log.range(..=last.plus(3)).rev());
        let (mut headers, mut frames) = (log.headers(Lsn::FIRST, Lsn::MAX), log.frames(..));
        let mut within = log.range(..);
        good(&mut entries.by_ref().map(|entry| entry.is_ok()), n);
        good(&mut back.by_ref().map(|entry| entry.is_ok()), 3);
        good(&mut headers.by_ref().map(|header| header.is_ok()), n - 2);
        good(&mut frames.by_ref().map(|frame| frame.is_ok()), n - 2);
        good(&mut within.by_ref().map(|entry| entry.is_ok()), 2);
        log.truncate_after(last.plus(100)).unwrap();
        refused("range", entries.next().and_then(Result::err));
        refused("back", back.next().and_then(Result::err));
        refused("headers", headers.next().and_then(Result::err));
        refused("frames", frames.next().and_then(Result::err));
        // What comes before it in a frame that was begun is given.
        good(&mut within.by_ref().map(|entry| entry.is_ok()), n - 2);
        refused("within a frame", within.next().and_then(Result::err));
    }
}
