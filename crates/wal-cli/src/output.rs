//! Standard output, buffered. That somebody closes it is no failure of ours: see [`Failure::report`].

use std::{
    fmt,
    io::{self, BufWriter, Stdout, Write},
};

use serde::Serialize;
use snafu::ResultExt;

use crate::error::{Failure, JsonSnafu, OutputSnafu};

const BUFFER_LEN: usize = 64 << 10;

/// Where results go.
pub(crate) struct Output {
    writer: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self { writer: BufWriter::with_capacity(BUFFER_LEN, io::stdout()) }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.writer.write_all(bytes).context(OutputSnafu)
    }

    pub(crate) fn line(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.writer, "{text}").context(OutputSnafu)
    }

    /// One JSON value, for people who look at it too.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).context(JsonSnafu)?;
        self.line(text)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.writer.flush().context(OutputSnafu)
    }
}
