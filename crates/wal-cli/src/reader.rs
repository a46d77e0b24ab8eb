//! Reading beside a live writer, which replaces and removes files while somebody looks at them.

use std::{error::Error, io};

use wal::{ErrorKind, Wal, WalBuilder};

use crate::error::Failure;

/// A writer that removes a file every time somebody looks is not worth waiting for.
const ATTEMPTS: usize = 20;

/// Opens a log for reading and does something with it; from the start when a file has gone meanwhile. What `read` has
/// done before, it must not do again.
pub(crate) fn with_log<T>(
    log: &WalBuilder,
    mut read: impl FnMut(&Wal) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut attempts = 1;
    loop {
        let result = log.clone().open_read_only().map_err(Failure::from).and_then(|wal| read(&wal));
        match result {
            Err(failure) if attempts < ATTEMPTS && is_gone(&failure) => attempts += 1,
            result => return result,
        }
    }
}

/// Whether a file of the log was not there any more when it was needed.
fn is_gone(failure: &Failure) -> bool {
    let Failure::Log { source: error } = failure else { return false };
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    error.kind() == ErrorKind::Io && cause.is_some_and(|cause| cause.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::UsageSnafu;

    #[test]
    fn a_log_whose_file_goes_away_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let log = Wal::builder(dir.path());
        // Each of these short runs replaces the only segment of the one before.
        log.clone().open().unwrap().append("one").unwrap();
        let mut runs = 0;
        let count = with_log(&log, |reader| {
            runs += 1;
            if runs == 1 {
                log.clone().open().unwrap().append("two").unwrap();
            }
            let entries: Result<Vec<_>, _> = reader.iter().collect();
            Ok(entries?.len())
        });
        assert_eq!((count.unwrap(), runs), (2, 2));
    }

    #[test]
    fn other_failures_are_final() {
        let dir = tempfile::tempdir().unwrap();
        Wal::open(dir.path()).unwrap().append("one").unwrap();
        let mut runs = 0;
        let result = with_log(&Wal::builder(dir.path()), |_| {
            runs += 1;
            UsageSnafu { what: "no" }.fail::<()>()
        });
        assert!(result.is_err());
        assert_eq!(runs, 1);
    }
}
