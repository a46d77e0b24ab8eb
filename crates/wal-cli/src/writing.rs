//! Opening a log to change what it remembers or holds.

use std::path::Path;

use wal::Wal;

use crate::error::Failure;

/// Opens a log for writing. One that is not there is an error, and is not made.
pub(crate) fn existing(dir: &Path) -> Result<Wal, Failure> {
    drop(Wal::open_read_only(dir)?);
    Ok(Wal::open(dir)?)
}

/// Closes it, so that what fails then is heard.
pub(crate) fn close(wal: &Wal) -> Result<(), Failure> {
    Ok(wal.close()?)
}
