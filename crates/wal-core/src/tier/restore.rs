//! A log from its tier, when its own place is lost.

use std::sync::Arc;

use wal_segment::{Shipped, Storage};

use crate::{BackupReport, Environment, Log, LogError, Options};

/// Writes the log that was shipped to `tier` to an empty storage, up to the end of the last segment that was shipped,
/// durably. It is the same log, with the same id; opened with the same tier it goes on shipping to it, and a writer
/// that is still there elsewhere is found out when one of the two ships what the other has.
///
/// `prefix` is what the names of the log's files start with ([`Options::prefix`]). The tier is only read.
///
/// # Errors
///
/// [`LogError::MissingLog`] when there is none; [`LogError::NotEmpty`] when there are files in `target`; damage of what
/// is in the tier, and errors of either storage. What is in `target` then is no log and can be removed.
pub fn restore(
    tier: Arc<dyn Storage>,
    prefix: &str,
    target: &Arc<dyn Storage>,
) -> Result<BackupReport, LogError> {
    let options = Options { prefix: prefix.to_owned(), background_threads: false, ..Options::default() };
    Log::open_read_only(Environment::new(Arc::new(Shipped(tier))), options)?.backup(target)
}
