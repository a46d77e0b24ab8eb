//! Settings of a log in a directory, from code, files and environment variables.

#[cfg(feature = "serde")]
mod env;
#[cfg(feature = "serde")]
mod error;
#[cfg(feature = "serde")]
mod file;
#[cfg(feature = "serde")]
mod named;
mod objects;
#[cfg(feature = "serde")]
mod objects_named;

#[cfg(feature = "serde")]
pub use error::ConfigError;
pub use objects::ObjectSettings;
#[cfg(feature = "serde")]
pub use wal_core::settings::SettingError;

use wal_core::Options;
use wal_segment::{LocalOptions, ReadMode, WriteMode};

/// All settings of a log: the [`Options`] of any log, how its files are kept, and how object storage is reached.
///
/// Plain data, given to [`WalBuilder::config`](crate::WalBuilder::config). With the feature `serde` it is read from and
/// written to whatever serde can, alone or as a part of a program's own configuration; with `toml`, `yaml` and `json`
/// from files; with any of them from environment variables. Each layer overrides those before it:
///
/// ```
/// # #[cfg(feature = "toml")] {
/// use wal::{Config, SyncPolicy, Wal};
/// # let dir = tempfile::tempdir()?;
/// # let file = dir.path().join("wal.toml");
/// std::fs::write(&file, "segment_len = '16MiB'\nsync = { background = '100ms' }")?;
///
/// let config = Config::default().with_file(&file)?.with_env("WAL_")?;
/// assert_eq!(config.options.segment_len, 16 << 20);
/// let wal = Wal::builder(dir.path().join("wal")).config(config).open()?;
///
/// let error = Config::default().with_toml("segment_len = '1KiB'").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"line 1: `segment_len` cannot be "1KiB": it must be between 64 KiB and 16 GiB"#
/// );
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The settings of any log.
    pub options: Options,
    /// Permission bits of new files, less the process's umask, at most `0o777`. More bits let others read, or write,
    /// what the log holds. No effect outside Unix. Default: `0o600`.
    pub file_mode: u32,
    /// Permission bits of directories that are created, less the process's umask, at most `0o777`. No effect outside
    /// Unix. Default: `0o700`.
    pub dir_mode: u32,
    /// How files are read: by memory map, which is faster, or by system calls, which turn a failing medium into an
    /// error. Default: [`ReadMode::Mmap`].
    pub read_mode: ReadMode,
    /// How files are written where an append returns once its bytes are with the operating system: by system calls, or
    /// through a memory map, which is two to three times as fast, and turns a failing medium into a signal. Default:
    /// [`WriteMode::Pwrite`].
    pub write_mode: WriteMode,
    /// How a log on object storage is reached.
    pub objects: ObjectSettings,
}

impl Default for Config {
    fn default() -> Self {
        let LocalOptions { read_mode, write_mode, file_mode, dir_mode } = LocalOptions::default();
        let (options, objects) = (Options::default(), ObjectSettings::default());
        Self { options, file_mode, dir_mode, read_mode, write_mode, objects }
    }
}

impl From<Options> for Config {
    fn from(options: Options) -> Self {
        Self { options, ..Self::default() }
    }
}

impl Config {
    pub(crate) fn into_parts(self) -> (Options, LocalOptions, ObjectSettings) {
        let Self { options, file_mode, dir_mode, read_mode, write_mode, objects } = self;
        (options, LocalOptions { read_mode, write_mode, file_mode, dir_mode }, objects)
    }
}

#[cfg(test)]
#[cfg(all(feature = "toml", feature = "yaml", feature = "json"))]
mod tests;
