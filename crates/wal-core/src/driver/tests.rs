use wal_format::NewEntry;
use wal_segment::MemoryStorage;
use wal_sim::{DiskOptions, Faults, Shots, SimDisk};

use super::*;
use crate::{AppendOptions, Durability, Environment, Log, Options};

/// Asked for, the sync thread would wait with those who append, and count as one of them.
#[test]
fn only_what_no_sync_is_about_to_cover_is_synced_early() {
    let options = Options {
        segment_len: 64 << 20,
        first_segment_len: 64 << 20,
        background_threads: false,
        ..Options::default()
    };
    let log = Log::open(Environment::new(Arc::new(MemoryStorage::new())), options).unwrap();
    let driver = Arc::new(Driver::new(false));
    assert!(log.engine().driver.set(Arc::clone(&driver)).is_ok());
    let is_asked = |durability| {
        let options = AppendOptions { durability: Some(durability), ..AppendOptions::default() };
        log.append_entry(&NewEntry::plain(&vec![7; 9 << 20]), &options).unwrap();
        driver.sync_asked.swap(false, Ordering::SeqCst)
    };
    assert!(!is_asked(Durability::Durable));
    assert!(is_asked(Durability::Written));
    assert!(!is_asked(Durability::Durable), "which covers the one before it, too");
    assert!(is_asked(Durability::Written));
}

/// A sync that met a full disk covers nothing any more: whoever writes what it left asks for an early sync of it.
#[test]
fn what_a_sync_had_no_space_for_is_synced_early_once_it_is_written() {
    let disk = SimDisk::with_options(1, DiskOptions { traced: false, ..DiskOptions::default() });
    let options = Options {
        segment_len: 64 << 20,
        first_segment_len: 64 << 20,
        background_threads: false,
        ..Options::default()
    };
    let log = Log::open(Environment::new(disk.storage()), options).unwrap();
    log.append(b"first").unwrap();
    let (engine, driver) = (log.engine(), Arc::new(Driver::new(false)));
    assert!(engine.driver.set(Arc::clone(&driver)).is_ok());
    disk.set_faults(Faults { write: Shots::from(0), ..Faults::default() });
    log.append(&vec![7; 9 << 20]).unwrap_err();
    assert!(!driver.sync_asked.load(Ordering::SeqCst));
    disk.set_faults(Faults::default());
    engine.write_pending().unwrap();
    assert!(driver.sync_asked.load(Ordering::SeqCst));
}
