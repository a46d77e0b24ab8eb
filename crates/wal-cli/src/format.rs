//! How entries are printed.

use std::fmt::Write;

use clap::ValueEnum;
use serde::Serialize;
use snafu::ResultExt;
use wal::Entry;

use crate::{
    base64,
    error::{Failure, JsonSnafu},
    output::Output,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// LSN, tab, payload; what is no printable text is escaped, so that an entry is a line.
    Text,
    /// One JSON object a line: lsn, kind, time (nanoseconds since 1970), term, timestamp and tx when there are any,
    /// and payload, or payload_base64 when it is not UTF-8.
    Jsonl,
    /// The bytes of the payload and nothing else; `dump`, `tail` and `replay` put a newline behind each.
    Raw,
    /// LSN, tab, the payload in hexadecimal digits.
    Hex,
}

/// The schema of `jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    lsn: u64,
    kind: u8,
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tx: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

impl Format {
    /// Prints one entry; in every format but `raw` as a line of its own.
    pub(crate) fn print(self, entry: &Entry, out: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Text => out.line(format_args!("{}\t{}", entry.lsn, escaped(&entry.payload))),
            Self::Jsonl => out.line(json(entry)?),
            Self::Raw => out.bytes(&entry.payload),
            Self::Hex => out.line(format_args!("{}\t{}", entry.lsn, hex(&entry.payload))),
        }
    }
}

impl Format {
    /// The same with a newline behind it in every format.
    pub(crate) fn print_line(self, entry: &Entry, out: &mut Output) -> Result<(), Failure> {
        self.print(entry, out)?;
        if self == Self::Raw { out.bytes(b"\n") } else { Ok(()) }
    }
}

fn json(entry: &Entry) -> Result<String, Failure> {
    let payload = std::str::from_utf8(&entry.payload).ok();
    let line = Line {
        lsn: entry.lsn.get(),
        kind: entry.kind,
        time: entry.time,
        term: entry.term,
        timestamp: entry.timestamp,
        tx: entry.transaction.map(|id| hex(&id)),
        payload,
        payload_base64: payload.is_none().then(|| base64::encode(&entry.payload)),
    };
    serde_json::to_string(&line).context(JsonSnafu)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Text as it is, but for backslashes, control characters and bytes that are no UTF-8.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' || character.is_control() {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use wal::{Bytes, Lsn};

    use super::*;

    fn entry(payload: &'static [u8]) -> Entry {
        Entry {
            lsn: Lsn::new(7).unwrap(),
            kind: 2,
            term: None,
            timestamp: None,
            time: 1_700_000_000_123_456_789,
            transaction: None,
            payload: Bytes::from_static(payload),
        }
    }

    #[test]
    fn text_is_one_line_whatever_the_payload() {
        assert_eq!(escaped("grüß\tdich\n\\\u{1b}".as_bytes()), "grüß\\tdich\\n\\\\\\u{1b}");
        assert_eq!(escaped(b"a\xff\xfeb\0"), "a\\xff\\xfeb\\u{0}");
        assert_eq!(escaped(b""), "");
    }

    #[test]
    fn json_says_what_there_is_and_nothing_else() {
        assert_eq!(
            json(&entry(b"say \"hi\"")).unwrap(),
            r#"{"lsn":7,"kind":2,"time":1700000000123456789,"payload":"say \"hi\""}"#
        );
        assert_eq!(
            json(&entry(b"\xff\xfe\xfd")).unwrap(),
            r#"{"lsn":7,"kind":2,"time":1700000000123456789,"payload_base64":"//79"}"#
        );
        let full = Entry { term: Some(3), timestamp: Some(-4), transaction: Some([171; 16]), ..entry(b"") };
        let want = [
            r#"{"lsn":7,"kind":2,"time":1700000000123456789,"term":3,"timestamp":-4,"#,
            r#""tx":"abababababababababababababababab","payload":""}"#,
        ];
        assert_eq!(json(&full).unwrap(), want.concat());
    }
}
