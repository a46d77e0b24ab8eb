//! A log from one kind of storage to another.

use std::path::Path;

use wal_core::{CopyReport, LogError};

use crate::{Config, Error, Wal, builder::storage_at};

/// Makes a copy of a log somewhere else, completes one that was begun, or brings one up to date. Both places are
/// directories or URLs. It is the same log, with the same [id](Wal::id) and the same segments, byte for byte up to
/// where they are valid; every frame is verified while it is copied, and everything is read once more in its new place.
/// The log may be in use meanwhile: what is copied is what was there when the call began. Durable on return.
///
/// `config` holds for both places: how object storage is reached, and the prefix of the files. The place of the copy
/// must be empty, or hold a part of the same copy. For a copy in a directory that shares its files with the log, see
/// [`Wal::backup`].
///
/// # Errors
///
/// - [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when there is something else in the place of the copy, which
///   then stays as it is. So is the newest file of an earlier copy of a log in a directory, when that has grown.
/// - [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no log to copy.
/// - [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) for damage that was found in either place.
/// - [`ErrorKind::Locked`](crate::ErrorKind::Locked), [`ErrorKind::Full`](crate::ErrorKind::Full) and
///   [`ErrorKind::Io`](crate::ErrorKind::Io). What was copied stays, is no log, and is where the next attempt goes on.
///
/// ```
/// use wal::{Config, Wal};
/// # let dir = tempfile::tempdir()?;
/// # let (dir, elsewhere) = (dir.path().join("wal"), dir.path().join("copy"));
/// let wal = Wal::open(&dir)?;
/// wal.append("in both places")?;
/// wal.close()?;
/// let report = wal::copy(&dir, &elsewhere, &Config::default())?;
/// assert_eq!(Wal::open_read_only(&elsewhere)?.get(report.first)?.payload, "in both places");
/// assert_eq!(wal::copy(&dir, &elsewhere, &Config::default())?.copied, 0, "nothing was left to do");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>, config: &Config) -> Result<CopyReport, Error> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let source = Wal::builder(from).config(config.clone()).open_read_only()?;
    let (_, files, _) = config.clone().into_parts();
    let target = storage_at(to, files, &config.objects, true).map_err(Error::new)?;
    let report = source.log().copy_to(&target).map_err(Error::new)?;
    drop(target);
    // Through a storage that remembers nothing of what was written.
    let found = Wal::builder(to).config(config.clone()).examine()?;
    let entries = report.next.since(report.first).unwrap_or(0);
    if found.damage.is_empty() && found.entries == entries {
        return Ok(report);
    }
    let why = "it was copied, and what is read there now is not the same";
    Err(Error::new(LogError::Inconsistent { path: to.display().to_string(), why }))
}
