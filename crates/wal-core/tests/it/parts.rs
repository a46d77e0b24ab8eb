//! Long entries, of which the medium is asked to begin with a part while the rest is copied.
#![expect(clippy::disallowed_methods, reason = "a test of what overlaps has a thread of its own")]

use std::{
    io::ErrorKind,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use wal_core::{AppendOptions, Durability, Log, LogError, Options};
use wal_format::{Lsn, NewEntry};
use wal_segment::{MemoryStorage, Storage};
use wal_sim::{DiskOptions, Faults, Shots, SimDisk};

use crate::{
    hooked::Hooked,
    support::{on_all, open},
};

const LONG: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options {
        segment_len: 16 << 20,
        first_segment_len: 16 << 20,
        background_threads: false,
        ..Options::default()
    }
}

/// A sync goes as far as there is space, and has entry 2 written when `meanwhile` writes more beside it. Should the
/// medium be asked to begin with that, and fail, it would lose what the sync is about to call durable.
fn nothing_is_begun_beside_a_sync(full_at: Option<u64>, meanwhile: impl FnOnce(&Log) + Send) {
    let disk = SimDisk::with_options(7, DiskOptions { traced: false, ..DiskOptions::default() });
    let hooked = Hooked::new(disk.storage());
    let storage: Arc<dyn Storage> = Arc::new(hooked.clone());
    let log = open(&storage, &options()).unwrap();
    log.append(b"first").unwrap();
    append_hastily(&log, 300 << 10);
    if full_at.is_some() {
        append_hastily(&log, 2 << 20);
    }
    let (is_syncing, syncing) = mpsc::channel();
    let (go_on, going_on) = mpsc::channel::<()>();
    let (calls, gates) = (AtomicU64::new(0), Mutex::new(Some((is_syncing, going_on))));
    hooked.set(move |called, _| {
        if called == "write" && Some(calls.fetch_add(1, Ordering::SeqCst)) == full_at {
            return Err(ErrorKind::StorageFull.into());
        }
        let gate = if called == "sync" { gates.lock().unwrap().take() } else { None };
        if let Some((is_syncing, going_on)) = gate {
            is_syncing.send(()).unwrap();
            going_on.recv_timeout(LONG).unwrap();
        }
        Ok(())
    });
    thread::scope(|scope| {
        let sync = scope.spawn(|| log.sync());
        syncing.recv_timeout(LONG).unwrap();
        disk.set_faults(Faults { write_back: Shots::from(0), ..Faults::default() });
        let other = scope.spawn(|| meanwhile(&log));
        // One that syncs, too, waits for this sync.
        for _ in 0..100 {
            if !other.is_finished() {
                thread::sleep(Duration::from_millis(3));
            }
        }
        go_on.send(()).unwrap();
        assert_eq!(sync.join().unwrap().is_err(), full_at.is_some());
    });
    let durable = log.durable_lsn().unwrap();
    disk.kill();
    drop(log);
    disk.set_faults(Faults::default());
    disk.crash(1);
    let next = open(&disk.storage(), &options()).unwrap().next_lsn();
    assert!(durable.get() >= 2 && durable < next, "{durable} was durable, and the log goes on with {next}");
}

/// Who may not wait leaves the writing to others.
fn append_hastily(log: &Log, len: usize) {
    let durability = Some(Durability::Buffered);
    let hasty = AppendOptions { durability, timeout: Some(LONG), ..AppendOptions::default() };
    log.append_entry(&NewEntry::plain(&vec![7; len]), &hasty).unwrap();
}

/// What there was no space for in the second part is written again by somebody who does not sync.
#[test]
fn what_no_sync_follows_is_not_begun() {
    nothing_is_begun_beside_a_sync(Some(2), |log| log.maintain().unwrap());
}

/// A cut syncs what it writes, and may come while others sync.
#[test]
fn what_a_cut_has_written_is_not_begun() {
    nothing_is_begun_beside_a_sync(None, |log| {
        append_hastily(log, 2 << 20);
        let _ = log.truncate_from(log.next_lsn());
    });
}

/// Of the frames before the long entry some are stored where that is possible: it begins in the middle of a run.
#[test]
fn a_disk_that_is_full_in_the_second_part_has_it_written_later() {
    on_all(|storage| {
        let hooked = Hooked::new(Arc::clone(&storage));
        let log = open(&(Arc::new(hooked.clone()) as Arc<dyn Storage>), &options()).unwrap();
        let written = AppendOptions { durability: Some(Durability::Written), ..AppendOptions::default() };
        log.append(b"1").unwrap();
        for n in 2..=4_u64 {
            log.append_entry(&NewEntry::plain(n.to_string().as_bytes()), &written).unwrap();
        }
        let long: Vec<u8> = (0..2_000_000_u32).map(|n| (n / 7) as u8).collect();
        let calls = AtomicU64::new(0);
        hooked.set(move |called, _| {
            let is_full = called == "write" && calls.fetch_add(1, Ordering::SeqCst) == 1;
            if is_full { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
        });
        let error = log.append(&long).unwrap_err();
        assert!(matches!(&error, LogError::Unconfirmed { .. }), "{error:?}");
        assert_eq!(log.get(Lsn::new(5).unwrap()).unwrap().payload, long);
        assert_eq!(log.append(b"6").unwrap().get(), 6);
        drop(log);
        let log = open(&storage, &options()).unwrap();
        let found: Vec<_> = log.range(..).map(|entry| entry.unwrap().payload).collect();
        assert_eq!(found, [b"1", b"2", b"3", b"4", &long[..], b"6"]);
    });
}

/// What the medium says of a part is what it would say of a sync.
#[test]
fn a_disk_that_is_full_when_a_part_is_begun_is_a_failed_sync() {
    let hooked = Hooked::new(Arc::new(MemoryStorage::new()));
    let log = open(&(Arc::new(hooked.clone()) as Arc<dyn Storage>), &options()).unwrap();
    log.append(b"first").unwrap();
    hooked.set(|called, _| if called == "write_back" { Err(ErrorKind::StorageFull.into()) } else { Ok(()) });
    log.append(&vec![7; 2 << 20]).unwrap_err();
    hooked.set(|_, _| Ok(()));
    assert!(matches!(log.append(b"late"), Err(LogError::Poisoned { .. })));
    assert_eq!((log.stats().sync_errors, log.stats().write_errors), (1, 0));
    assert_eq!(log.durable_lsn(), Some(Lsn::FIRST));
}
