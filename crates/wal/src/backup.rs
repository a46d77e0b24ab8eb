//! Copies of a log that is in use.

use std::{io, path::Path, sync::Arc};

use wal_core::{BackupReport, CloneReport, Log, LogError, SystemEntropy};
use wal_segment::{LocalOptions, SegmentError, Storage, WholeDirectory};

use crate::{Error, Wal, builder::url};

/// Copies: the same log elsewhere, and a new log with the same entries.
impl Wal {
    /// Copies the log into a directory while it is in use, and returns when the copy is durable. Restoring it is
    /// opening it, in place or wherever it is moved to: it is the same log, with the same [id](Self::id), as it was at
    /// some moment after the call, closed cleanly. Everything that was durable before the call is in it.
    ///
    /// Segments that will not change any more are hard links where `dir` is in the same file system, and take no space
    /// until the log lets go of them; otherwise they are copied. Links protect from what happens to the log, not from
    /// what happens to the disk. Appends, retention and truncation go on meanwhile, and do not disturb it. A log that
    /// is open for reading can be copied, too: as far as it was written when it was opened or
    /// [refreshed](Self::refresh).
    ///
    /// `dir` must be empty or missing. The copy is called `NAME.partial` until it is complete; one that is left was cut
    /// short, and can be removed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when `dir` is not empty or is being made;
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when nothing was ever written to the log;
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), [`ErrorKind::Full`](crate::ErrorKind::Full) and
    /// [`ErrorKind::Io`](crate::ErrorKind::Io). The log is as it was.
    ///
    /// ```
    /// use wal::Wal;
    /// # let dir = tempfile::tempdir()?;
    /// # let (dir, elsewhere) = (dir.path().join("wal"), dir.path().join("backup"));
    /// let wal = Wal::open(&dir)?;
    /// wal.append("kept twice")?;
    /// let report = wal.backup(&elsewhere)?;
    /// wal.append("kept once")?;
    ///
    /// let restored = Wal::open(&elsewhere)?;
    /// assert_eq!(restored.get(report.first)?.payload, "kept twice");
    /// assert_eq!((restored.next_lsn(), restored.id()), (report.next, wal.id()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup(&self, dir: impl AsRef<Path>) -> Result<BackupReport, Error> {
        whole(dir.as_ref(), LocalOptions::default(), |target| self.log.backup(target)).map_err(Error::new)
    }

    /// Makes a new log in a directory, with an identity of its own and the content of this one: entries with their
    /// LSNs, kinds, terms, timestamps, append times and transactions; checkpoints, cursors and values. Every frame is
    /// verified and decoded on the way. Durable on return. Unlike a [`backup`](Self::backup) it shares nothing with
    /// this log and can be written to beside it.
    ///
    /// # Errors
    ///
    /// Those of [`backup`](Self::backup); [`ErrorKind::Truncated`](crate::ErrorKind::Truncated) when entries were
    /// trimmed before they were copied, or cut off meanwhile: call it again.
    ///
    /// ```
    /// use wal::Wal;
    /// # let dir = tempfile::tempdir()?;
    /// # let (dir, elsewhere) = (dir.path().join("wal"), dir.path().join("clone"));
    /// let wal = Wal::open(&dir)?;
    /// let lsn = wal.append("the same")?;
    /// wal.clone_to(&elsewhere)?;
    ///
    /// let clone = Wal::open(&elsewhere)?;
    /// assert_eq!(clone.get(lsn)?, wal.get(lsn)?);
    /// assert_ne!(clone.id(), wal.id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clone_to(&self, dir: impl AsRef<Path>) -> Result<CloneReport, Error> {
        let entropy = Arc::new(SystemEntropy);
        let clone = |target: &Arc<dyn Storage>| Log::clone_into(&self.log, Arc::clone(target), entropy);
        whole(dir.as_ref(), LocalOptions::default(), clone).map_err(Error::new)
    }
}

/// Fills a directory that appears when it is complete.
pub(crate) fn whole<T>(
    dir: &Path,
    options: LocalOptions,
    fill: impl FnOnce(&Arc<dyn Storage>) -> Result<T, LogError>,
) -> Result<T, LogError> {
    let failed = |operation| {
        let path = dir.display().to_string();
        move |source: io::Error| match source.kind() {
            io::ErrorKind::DirectoryNotEmpty => LogError::NotEmpty { location: path },
            io::ErrorKind::AlreadyExists => LogError::NotEmpty { location: format!("{path}.partial") },
            io::ErrorKind::InvalidInput => {
                LogError::InvalidArgument { why: "the directory must end in a name, not in a dot" }
            }
            _ => LogError::Segment {
                operation: "make the directory of the copy",
                source: SegmentError::Io { operation, path, source },
            },
        }
    };
    if url(dir).is_some() {
        return Err(LogError::InvalidArgument { why: "this makes a directory: `copy` takes a URL" });
    }
    let directory = WholeDirectory::begin(dir, &options).map_err(failed("create"))?;
    let opened = directory.storage(options).map_err(failed("open"));
    let filled = opened.and_then(|storage| fill(&(Arc::new(storage) as Arc<dyn Storage>)));
    match filled {
        Ok(report) => directory.finish().map_err(failed("rename")).map(|()| report),
        Err(error) => {
            directory.discard();
            Err(error)
        }
    }
}
