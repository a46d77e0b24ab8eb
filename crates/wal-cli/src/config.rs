//! Settings of a log that is opened for writing: the defaults, then a file, then the environment; what the command line
//! says overrides them all.

use std::path::PathBuf;

use wal::Config;

use crate::error::Failure;

/// What the variables begin with.
const PREFIX: &str = "WAL_";

/// Where settings come from.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// Take settings from this file (.toml, .yaml or .json), then from variables such as WAL_SEGMENT_LEN
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        let config = Config::default();
        let config = match &self.config {
            Some(path) => config.with_file(path)?.with_env(PREFIX)?,
            None => config,
        };
        Ok(config)
    }
}
