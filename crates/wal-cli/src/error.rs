//! What can go wrong, how it is told, and the exit code that says so.

use std::{
    error::Error,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use snafu::Snafu;
use wal::ErrorKind;

const FAILED: u8 = 1;
/// The command line makes no sense.
pub(crate) const USAGE: u8 = 2;
const DAMAGED: u8 = 3;
const LOCKED: u8 = 4;

/// Why the program ends early.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(crate)))]
pub(crate) enum Failure {
    /// Names the place itself; there is nothing to add.
    #[snafu(transparent)]
    Log { source: wal::Error },
    /// Names the file or the variable, and the setting.
    #[snafu(transparent)]
    Config { source: wal::ConfigError },
    #[snafu(display("could not {operation} {}", path.display()))]
    File { operation: &'static str, path: PathBuf, source: io::Error },
    #[snafu(display("could not write the output"))]
    Output { source: io::Error },
    #[snafu(display("could not format as JSON"))]
    Json { source: serde_json::Error },
    #[snafu(display("record {number} of {} is longer than {limit} bytes", path.display()))]
    Record { number: u64, path: PathBuf, limit: u64 },
    #[snafu(display("line {number} of {}: {why}", path.display()))]
    Line { number: u64, path: PathBuf, why: String },
    #[snafu(display("{}: {places} damaged", dir.display()))]
    Damage { dir: PathBuf, places: String },
    /// The URL is not said: somebody may have put a key into it.
    #[snafu(display("a URL is no place for this: {why}"))]
    Url { why: &'static str },
    #[snafu(display("{} is not empty", dir.display()))]
    NotEmpty { dir: PathBuf },
    #[snafu(display("{} is left of an import that did not end: remove it", partial.display()))]
    Leftover { partial: PathBuf },
    #[snafu(display("none of the files in {} is one of {format}", dir.display()))]
    Foreign { dir: PathBuf, format: wal_import::Format },
    #[snafu(display("{} cannot be read as one log", dir.display()))]
    Plan { dir: PathBuf, source: wal_import::PlanError },
    #[snafu(display("{} changed while it was read: is it still written to?", dir.display()))]
    Changed { dir: PathBuf },
    #[snafu(display("could not {operation}"))]
    Process { operation: &'static str, source: io::Error },
    /// The demo found that the log broke a promise, or could not play.
    #[snafu(display("the demo failed: {what}"))]
    Demo { what: String },
    #[snafu(display("there is no {what} named {name:?}"))]
    NoName { what: &'static str, name: String },
    /// Not the end of a list of which somebody has read enough: what was not acknowledged yet may be missing.
    #[snafu(display(
        "nobody reads the acknowledgements any more: what follows the last one is in the log or not"
    ))]
    Unheard { source: io::Error },
    /// Arguments that contradict each other.
    #[snafu(display("{what}"))]
    Usage { what: &'static str },
}

impl Failure {
    /// The same, of output that acknowledges.
    pub(crate) fn of_acknowledging(self) -> Self {
        match self {
            Self::Output { source } if source.kind() == io::ErrorKind::BrokenPipe => Self::Unheard { source },
            other => other,
        }
    }

    /// Tells the user, unless nobody is interested any more.
    pub(crate) fn report(&self) -> ExitCode {
        if let Self::Output { source } = self
            && source.kind() == io::ErrorKind::BrokenPipe
        {
            return ExitCode::SUCCESS;
        }
        tell(&chain(self));
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Log { source } if source.kind() == ErrorKind::Corrupt => DAMAGED,
            Self::Log { source } if source.kind() == ErrorKind::Locked => LOCKED,
            Self::Damage { .. } => DAMAGED,
            Self::Usage { .. } | Self::Url { .. } => USAGE,
            _ => FAILED,
        }
    }
}

/// Prints a line on stderr. There is no way to complain when that fails.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "wal: {text}");
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
