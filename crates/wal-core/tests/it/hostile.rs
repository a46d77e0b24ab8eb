//! Files that no log of ours would have written.

use std::sync::Arc;

use wal_core::{AppendOptions, Log, LogError, Options};
use wal_format::{ChecksumKind, EntriesBuilder, LogId, Lsn, NewEntry, SegmentHeader, SegmentId};
use wal_segment::{MemoryStorage, Storage};

use crate::support::{check, environment, open, payload, small};

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
