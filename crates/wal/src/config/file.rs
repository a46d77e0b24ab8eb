//! Settings from files and texts. Each format tells where it found something wrong in its own way.

use std::{
    io::{self, Read},
    path::Path,
};

use snafu::{ResultExt, ensure};

use super::{
    Config, ConfigError,
    error::{FeatureDisabledSnafu, ReadSnafu, TooLongSnafu, UnknownFormatSnafu},
};

/// No file of settings is longer.
const LEN_MAX: u64 = 1 << 20;

impl Config {
    /// Takes what a file says, whose name ends with `.toml`, `.yaml`, `.yml` or `.json`. What it does not mention stays
    /// as it is.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Wrong`] names the file, the line, the setting and the bound; others say why the file cannot be
    /// read at all.
    pub fn with_file(self, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let taken: Result<Self, ConfigError> = match (format(path)?, read(path)?) {
            #[cfg(feature = "toml")]
            ("toml", text) => self.with_toml(&text),
            #[cfg(feature = "yaml")]
            ("yaml", text) => self.with_yaml(&text),
            #[cfg(feature = "json")]
            ("json", text) => self.with_json(&text),
            _ => UnknownFormatSnafu { path }.fail(),
        };
        taken.map_err(|error| match error {
            ConfigError::Wrong { line, what, .. } => {
                ConfigError::Wrong { path: Some(path.into()), line, what }
            }
            other => other,
        })
    }

    /// Takes what a TOML text says, at its top level.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Wrong`] names the line, the setting and the bound.
    #[cfg(feature = "toml")]
    pub fn with_toml(mut self, text: &str) -> Result<Self, ConfigError> {
        use serde::de::DeserializeSeed;
        let parsed = toml::Deserializer::parse(text);
        let taken = parsed.and_then(|toml| wal_core::settings::Overlay(&mut self).deserialize(toml));
        taken.map(|()| self).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map(|before| before.matches('\n').count() as u64 + 1);
            ConfigError::Wrong { path: None, line, what: error.message().trim_end().replace('\n', "; ") }
        })
    }

    /// Takes what a YAML text says, at its top level: one document.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Wrong`] names the line, the setting and the bound.
    #[cfg(feature = "yaml")]
    pub fn with_yaml(mut self, text: &str) -> Result<Self, ConfigError> {
        use serde::de::DeserializeSeed;
        let taken = serde_saphyr::with_deserializer_from_str(text, |yaml| {
            wal_core::settings::Overlay(&mut self).deserialize(yaml)
        });
        taken.map(|()| self).map_err(|error| {
            let line = error.location().map(|location| location.line());
            let what = error.without_snippet().to_string();
            // The place is told once.
            let what = what.rsplit_once(" at line ").map_or(&*what, |(what, _)| what).to_owned();
            ConfigError::Wrong { path: None, line, what }
        })
    }

    /// Takes what a JSON text says, an object.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Wrong`] names the line, the setting and the bound.
    #[cfg(feature = "json")]
    pub fn with_json(mut self, text: &str) -> Result<Self, ConfigError> {
        use serde::de::DeserializeSeed;
        let mut json = serde_json::Deserializer::from_str(text);
        let taken = wal_core::settings::Overlay(&mut self).deserialize(&mut json).and_then(|()| json.end());
        taken.map(|()| self).map_err(|error| {
            let (line, column) = (error.line() as u64, error.column());
            let (what, place) = (error.to_string(), format!(" at line {line} column {column}"));
            let what = what.strip_suffix(&place).unwrap_or(&what).to_owned();
            ConfigError::Wrong { path: None, line: (line > 0).then_some(line), what }
        })
    }
}

/// What is in a file of this name, if this build can read it.
fn format(path: &Path) -> Result<&'static str, ConfigError> {
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    let (format, enabled) = match extension.as_ref().and_then(|extension| extension.to_str()) {
        Some("toml") => ("toml", cfg!(feature = "toml")),
        Some("yaml" | "yml") => ("yaml", cfg!(feature = "yaml")),
        Some("json") => ("json", cfg!(feature = "json")),
        _ => return UnknownFormatSnafu { path }.fail(),
    };
    ensure!(enabled, FeatureDisabledSnafu { path, feature: format });
    Ok(format)
}

#[expect(clippy::disallowed_methods, reason = "a file of the program, not of the log")]
fn read(path: &Path) -> Result<String, ConfigError> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        std::fs::File::open(path)?.take(LEN_MAX + 1).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().context(ReadSnafu { path })?;
    ensure!(text.len() as u64 <= LEN_MAX, TooLongSnafu { path, max: LEN_MAX });
    Ok(text)
}
