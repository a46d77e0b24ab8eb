use wal_format::NewEntry;
use wal_segment::MemoryStorage;

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
