//! Settings of a log: the defaults, then a file, then the environment; what the command line says overrides them all.

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
    /// Of a log in S3: another server than that of AWS
    #[arg(long, value_name = "URL", help_heading = "Object storage")]
    endpoint: Option<String>,
    /// Of a log in S3: the region of the bucket
    #[arg(long, value_name = "NAME", help_heading = "Object storage")]
    region: Option<String>,
    /// Of a log in S3: the profile in ~/.aws whose keys are used
    #[arg(long, value_name = "NAME", help_heading = "Object storage")]
    profile: Option<String>,
}

impl ConfigArgs {
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        let config = Config::default();
        let mut config = match &self.config {
            Some(path) => config.with_file(path)?.with_env(PREFIX)?,
            None => config,
        };
        let said =
            [("s3_endpoint", &self.endpoint), ("s3_region", &self.region), ("s3_profile", &self.profile)];
        for (name, value) in said.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))) {
            config = config.with_setting(name, value)?;
        }
        Ok(config)
    }
}
