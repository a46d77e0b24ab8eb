//! What every [`Storage`] must keep, as a test that any implementer can run.
//!
//! ```
//! use std::sync::Arc;
//! use wal_segment::{MemoryStorage, conformance};
//!
//! conformance::check(&|| Arc::new(MemoryStorage::new()));
//! ```
//!
//! Durability is not among the promises checked: that takes a disk which loses what was not synced.

mod files;
mod names;

use std::{io, sync::Arc};

use crate::{Storage, StorageFile};

/// Runs every check, each on a storage of its own from `make`, which returns a new and empty one at every call.
///
/// Only what the [capabilities](Storage::capabilities) promise is asked for: a storage that publishes a file whole at
/// its first sync is never written to after it.
///
/// # Panics
///
/// At the first promise that is broken, with a message that names it.
pub fn check(make: &dyn Fn() -> Arc<dyn Storage>) {
    for one in names::CHECKS.iter().chain(files::CHECKS) {
        one(&*make());
    }
}

/// One check, on an empty storage.
type Check = fn(&dyn Storage);

/// The value of a call that must succeed.
#[track_caller]
#[expect(clippy::panic, reason = "a broken promise ends the test that called the suite")]
fn kept<T>(promise: &str, result: io::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("broken: {promise}: {error} ({:?})", error.kind()),
    }
}

/// Checks that a call fails, and how.
#[track_caller]
fn refused<T>(promise: &str, result: io::Result<T>, kinds: &[io::ErrorKind]) {
    let kind = result.err().map(|error| error.kind());
    assert!(
        kind.is_some_and(|kind| kinds.contains(&kind)),
        "broken: {promise}: expected an error of {kinds:?}, got {kind:?}"
    );
}

/// Creates a file with this content, durable and with a durable name, so that every storage shows it to others.
#[track_caller]
fn published(storage: &dyn Storage, name: &str, content: &[u8]) -> Arc<dyn StorageFile> {
    let file = kept("create makes a file under a free name", storage.create(name));
    kept("write_at writes to a created file", file.write_at(0, content));
    kept("sync syncs a written file", file.sync());
    kept("sync_names syncs names", storage.sync_names());
    file
}

/// The whole content of a file, and a check that its length and its reads agree.
#[track_caller]
fn content(file: &dyn StorageFile) -> Vec<u8> {
    let len = kept("len tells the length", file.len());
    let mut buf = vec![0xee; usize::try_from(len).unwrap_or(usize::MAX).saturating_add(8)];
    let n = kept("read_at reads across the end", file.read_at(0, &mut buf));
    assert!(n as u64 == len, "broken: read_at is short only at the end of the file: {n} of {len} bytes");
    buf.truncate(n);
    buf
}
