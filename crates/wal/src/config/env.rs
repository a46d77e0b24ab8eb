//! Settings from environment variables.

use std::ffi::OsString;

use wal_core::settings::{Setting, SettingError, Settings};

use super::{
    Config, ConfigError,
    error::{NotUnicodeSnafu, VariableSnafu},
};

impl Config {
    /// Takes what the environment says: a prefix of your choice and the name of the setting in capitals, such as
    /// `WAL_SEGMENT_LEN=64MiB`, `WAL_SYNC=background:100ms`, `WAL_COMPRESSION=zstd:3`. The prefix is for these settings
    /// alone: a variable that begins with it and names none is an error, so that no misspelt one is passed over.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Variable`] and [`ConfigError::NotUnicode`] name the variable.
    pub fn with_env(self, prefix: &str) -> Result<Self, ConfigError> {
        self.with_vars(prefix, std::env::vars_os())
    }

    /// As [`with_env`](Self::with_env), from other variables than those of the process.
    ///
    /// # Errors
    ///
    /// Those of [`with_env`](Self::with_env).
    ///
    /// ```
    /// use wal::Config;
    /// let vars = [("LOG_SEGMENT_LEN", "64MiB"), ("LOG_FILE_MODE", "0640"), ("PATH", "/bin")];
    /// let vars = vars.map(|(name, value)| (name.into(), value.into()));
    /// let config = Config::default().with_vars("LOG_", vars)?;
    /// assert_eq!((config.options.segment_len, config.file_mode), (64 << 20, 0o640));
    /// # Ok::<(), wal::ConfigError>(())
    /// ```
    pub fn with_vars(
        mut self,
        prefix: &str,
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        for (name, value) in vars {
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(prefix)) else { continue };
            let names = Self::names();
            let known = names.iter().find(|known| known.to_ascii_uppercase() == rest);
            let name = name.to_string_lossy();
            let Some(setting) = known else {
                let source = SettingError::Unknown { name: rest.to_ascii_lowercase(), known: names };
                return VariableSnafu { name, source }.fail();
            };
            let Some(value) = value.to_str() else { return NotUnicodeSnafu { name }.fail() };
            let set = self.set(setting, &Setting::text(value));
            set.map_err(|source| VariableSnafu { name, source }.build())?;
        }
        Ok(self)
    }

    /// Sets one setting by its name, from a text as a variable has it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Wrong`] names the setting and the bound.
    ///
    /// ```
    /// let config = wal::Config::default().with_setting("segment_len", "16MiB")?;
    /// assert_eq!(config.options.segment_len, 16 << 20);
    /// # Ok::<(), wal::ConfigError>(())
    /// ```
    pub fn with_setting(mut self, name: &str, value: &str) -> Result<Self, ConfigError> {
        let wrong =
            |error: SettingError| ConfigError::Wrong { path: None, line: None, what: error.to_string() };
        self.set(name, &Setting::text(value)).map_err(wrong)?;
        Ok(self)
    }
}
