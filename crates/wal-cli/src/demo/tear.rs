//! A torn write: what a power failure leaves behind the end of a log, and a kill never does.

use std::{
    fs::OpenOptions,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

use snafu::ResultExt;
use wal::Wal;

use crate::error::{DemoSnafu, Failure, FileSnafu};

/// A sector.
const TORN_LEN: u64 = 512;

/// Writes the last bytes of the log once more behind its end: whole frames, in a place where they were never written.
/// Returns how many bytes.
pub(crate) fn run(log: &Path) -> Result<u64, Failure> {
    let wal = Wal::open_read_only(log)?;
    let segments = wal.segments()?;
    let Some(newest) = segments.last() else {
        return DemoSnafu { what: "the log has no segment" }.fail();
    };
    let path = Path::new(&newest.path);
    let len = TORN_LEN.min(newest.end);
    let copy = || {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(newest.end - len))?;
        (&file).take(len).read_to_end(&mut bytes)?;
        file.seek(SeekFrom::Start(newest.end))?;
        file.write_all(&bytes)
    };
    copy().context(FileSnafu { operation: "tear", path })?;
    Ok(len)
}
