//! The tier of a log: sealed segments in another place.

mod away;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use away::Away;
use wal_core::{BackupReport, Environment, LogError, Shipment};
use wal_segment::{LocalOptions, Storage};

use crate::{Error, ObjectSettings, Wal, builder::storage_at};

/// A tier, which [`WalBuilder::tier`](crate::WalBuilder::tier) puts behind the log.
impl Wal {
    /// Ships everything that is not in the tier yet, as fast as it goes, the active segment included, which is closed
    /// for that unless it says nothing that the one before it does not. When this returns, the log as it was at the
    /// call is in the tier and was read back: everything appended before, and no entry that was removed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when the log has no tier;
    /// [`ErrorKind::Fenced`](crate::ErrorKind::Fenced) when somebody else ships to its place, which ends the shipping
    /// and not the log; [`ErrorKind::Io`](crate::ErrorKind::Io) when the tier cannot be reached; those of
    /// [`sync`](Self::sync).
    pub fn ship(&self) -> Result<Shipment, Error> {
        self.log.ship().map_err(Error::new)
    }
}

/// Writes the log that was shipped to `tier`, `s3://bucket/prefix` or a directory, to the directory `dir`:
/// [`WalBuilder::restore`](crate::WalBuilder::restore).
///
/// # Errors
///
/// Those of [`WalBuilder::restore`](crate::WalBuilder::restore).
///
/// ```
/// use wal::Wal;
/// # let dir = tempfile::tempdir()?;
/// # let place = |name: &str| dir.path().join(name);
/// let wal = Wal::builder(place("log")).tier_url(place("tier")).open()?;
/// wal.append("hello")?;
/// wal.ship()?;
///
/// wal::restore(place("tier"), place("again"))?;
/// assert_eq!(Wal::open(place("again"))?.last_lsn(), wal.last_lsn());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn restore(tier: impl AsRef<Path>, dir: impl AsRef<Path>) -> Result<BackupReport, Error> {
    Wal::builder(dir).tier_url(tier).restore()
}

/// A tier that was named. How it is put behind a log comes with it: a program that names none does not link that.
#[derive(Clone, Debug)]
pub(crate) struct Tier {
    pub(crate) place: TierPlace,
    pub(crate) put_behind: fn(Environment, Arc<dyn Storage>) -> Environment,
}

impl Tier {
    pub(crate) fn at(place: TierPlace) -> Self {
        Self { place, put_behind: Environment::with_tier }
    }
}

/// Where it is.
#[derive(Clone, Debug)]
pub(crate) enum TierPlace {
    Storage(Arc<dyn Storage>),
    Url(PathBuf),
}

impl TierPlace {
    pub(crate) fn open(
        self,
        files: &LocalOptions,
        objects: &ObjectSettings,
        create: bool,
    ) -> Result<Arc<dyn Storage>, LogError> {
        match self {
            Self::Storage(storage) => Ok(storage),
            Self::Url(url) => storage_at(&url, files.clone(), objects, create),
        }
    }

    /// The same behind a log, which is opened also while its tier is out of reach.
    pub(crate) fn open_behind(
        self,
        files: &LocalOptions,
        objects: &ObjectSettings,
        create: bool,
    ) -> Result<Arc<dyn Storage>, LogError> {
        match (self.clone().open(files, objects, create), self) {
            (Err(LogError::MissingLog { .. }), Self::Url(dir)) => Ok(Arc::new(Away::new(dir, files.clone()))),
            (opened, _) => opened,
        }
    }
}
