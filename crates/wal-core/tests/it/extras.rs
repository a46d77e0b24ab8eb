//! Logs that are opened without what their options and codecs need.

use std::sync::Arc;

use wal_core::{Environment, Extras, Log, LogError, Options, Retention};
use wal_segment::{MemoryStorage, Storage};

use crate::support::{environment, open};

#[track_caller]
fn refused(opened: Result<Log, LogError>) -> &'static str {
    match opened {
        Err(LogError::InvalidOption { option, .. }) => option,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_log_never_does_less_than_it_was_asked_for() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    open(&storage, &Options::default()).unwrap().append(b"hello").unwrap();
    let plain = || Environment { extras: Extras::NONE, ..environment(Arc::clone(&storage)) };
    let retention = Retention { max_segments: Some(3), ..Retention::default() };
    let retaining = Options { retention, ..Options::default() };
    assert_eq!(refused(Log::open(plain(), retaining.clone())), "retention");
    // This build has codecs.
    assert_eq!(refused(Log::open(plain(), Options::default())), "compression");
    assert_eq!(refused(Log::open_read_only(plain(), Options::default())), "compression");
    Log::open(environment(storage), retaining).unwrap();
}
