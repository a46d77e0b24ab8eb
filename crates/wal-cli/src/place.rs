//! Which log a command is about, and opening it.

use std::path::{Path, PathBuf};

use wal::{Config, Wal, WalBuilder};

use crate::{
    config::ConfigArgs,
    error::{Failure, tell},
};

/// Which log, and how to get there.
#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// The directory of the log, or its URL: s3://bucket/prefix, file:///directory
    #[arg(value_name = "LOG")]
    log: PathBuf,
    /// The tier of the log, from which segments are read that have left the directory: a URL or a directory
    #[arg(long, value_name = "URL")]
    tier: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

impl LogArgs {
    /// What was said, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.log
    }

    /// With the settings that were asked for.
    pub(crate) fn builder(&self) -> Result<WalBuilder, Failure> {
        Ok(self.with(self.config.config()?))
    }

    /// With these settings.
    pub(crate) fn with(&self, config: Config) -> WalBuilder {
        let builder = Wal::builder(&self.log).config(config);
        match &self.tier {
            Some(tier) => builder.tier_url(tier),
            None => builder,
        }
    }

    /// Whether a tier was named.
    pub(crate) const fn has_tier(&self) -> bool {
        self.tier.is_some()
    }

    pub(crate) fn read_only(&self) -> Result<Wal, Failure> {
        Ok(self.builder()?.open_read_only()?)
    }

    /// Opens a log for writing, to change what it remembers or holds. One that is not there is an error, and is not
    /// made.
    pub(crate) fn existing(&self) -> Result<Wal, Failure> {
        drop(self.read_only()?);
        self.announce();
        Ok(self.builder()?.open()?)
    }

    /// Says what opening a log for writing does to others.
    pub(crate) fn announce(&self) {
        if is_url(&self.log) {
            tell("note: this takes the log over; a program that writes to it is stopped");
        }
    }
}

/// Whether this is the URL of a log on object storage, and no directory.
pub(crate) fn is_url(place: &Path) -> bool {
    place.to_str().is_some_and(|place| place.contains("://"))
}

/// Closes a log, so that what fails then is heard.
pub(crate) fn close(wal: &Wal) -> Result<(), Failure> {
    Ok(wal.close()?)
}
