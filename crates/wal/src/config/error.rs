use std::{io, path::PathBuf};

use snafu::Snafu;
use wal_core::settings::SettingError;

/// Why settings could not be taken from a file or from the environment. The text names the place, the field and the
/// bound.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(super)))]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[snafu(display("could not read {}", path.display()))]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is too large to be one of settings.
    #[snafu(display("{} is longer than {max} bytes", path.display()))]
    TooLong {
        /// Which.
        path: PathBuf,
        /// The limit in bytes.
        max: u64,
    },
    /// The file's name does not say what is in it.
    #[snafu(display("{}: the name must end with .toml, .yaml, .yml or .json", path.display()))]
    UnknownFormat {
        /// Which.
        path: PathBuf,
    },
    /// The format needs a feature that this build lacks.
    #[snafu(display("{}: this build lacks the feature `{feature}`", path.display()))]
    FeatureDisabled {
        /// Which file.
        path: PathBuf,
        /// The feature.
        feature: &'static str,
    },
    /// The text is not of its format, or says something that cannot be: a name, a form or a range is wrong.
    #[snafu(display("{}{what}", place(path.as_ref(), *line)))]
    Wrong {
        /// The file; `None` for a text.
        path: Option<PathBuf>,
        /// The line, counted from 1, where it is known.
        line: Option<u64>,
        /// What is wrong.
        what: String,
    },
    /// An environment variable says something that cannot be.
    #[snafu(display("environment variable {name}: {source}"))]
    Variable {
        /// Which.
        name: String,
        /// Why. Part of the text.
        #[snafu(source(false))]
        source: SettingError,
    },
    /// An environment variable is not Unicode.
    #[snafu(display("environment variable {name} is not Unicode"))]
    NotUnicode {
        /// Which.
        name: String,
    },
}

fn place(path: Option<&PathBuf>, line: Option<u64>) -> String {
    match (path, line) {
        (Some(path), Some(line)) => format!("{}, line {line}: ", path.display()),
        (Some(path), None) => format!("{}: ", path.display()),
        (None, Some(line)) => format!("line {line}: "),
        (None, None) => String::new(),
    }
}
