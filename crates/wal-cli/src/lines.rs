//! A log as JSON Lines: what `wal export` prints and `wal import --from jsonl` reads.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use wal::{Entry, Lsn, Metadata, MetadataRecord, Namespace};
use wal_format::{Checkpoint, CursorPosition};

use crate::base64;

/// The version of the lines that is written, and the only one that is read.
pub(crate) const VERSION: u32 = 1;

/// One line. The first one is `Log`, then come the entries, then the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Line {
    /// What is to come: the entries from `first` to the one before `next`.
    Log { version: u32, first: u64, next: u64 },
    /// One entry. The first of several that were appended together says how many they are.
    Entry {
        lsn: u64,
        kind: u8,
        time: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        term: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timestamp: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tx: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload_base64: Option<String>,
    },
    /// A named place before an entry.
    Checkpoint { name: String, lsn: u64, number: u64, time: u64, protected: bool },
    /// The position of a consumer.
    Cursor { name: String, next: u64, time: u64 },
    /// A value of the user's.
    Value {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload_base64: Option<String>,
    },
    /// Any other record of the metadata.
    Record { namespace: u8, name_base64: String, value_base64: String },
}

impl Line {
    pub(crate) fn entry(entry: &Entry, batch: Option<u32>) -> Self {
        let (payload, payload_base64) = text(&entry.payload);
        Self::Entry {
            lsn: entry.lsn.get(),
            kind: entry.kind,
            time: entry.time,
            term: entry.term,
            timestamp: entry.timestamp,
            tx: entry.transaction.map(|id| hex(&id)),
            batch,
            payload,
            payload_base64,
        }
    }

    /// A record of the metadata, in words if the same bytes come back from them.
    pub(crate) fn record(record: &MetadataRecord<'_>) -> Self {
        let value = record.value.unwrap_or_default();
        let plain = std::str::from_utf8(record.name).ok().and_then(|name| in_words(record, name, value));
        let exact = |line: &Self| {
            let mut metadata = Metadata::default();
            line.apply(&mut metadata).is_ok() && metadata.get(record.namespace, record.name) == Some(value)
        };
        plain.filter(exact).unwrap_or_else(|| Self::Record {
            namespace: record.namespace.0,
            name_base64: base64::encode(record.name),
            value_base64: base64::encode(value),
        })
    }

    /// Puts what the line says into the metadata, if it is about that.
    pub(crate) fn apply(&self, metadata: &mut Metadata) -> Result<(), String> {
        let lsn = |number: u64| Lsn::new(number).ok_or("LSNs begin with 1");
        let (namespace, name, value) = match self {
            Self::Checkpoint { name, lsn: before, number, time, protected } => {
                let (number, time, protected) = (*number, *time, *protected);
                let value = Checkpoint { lsn: lsn(*before)?, number, time, protected }.encode();
                (Namespace::CHECKPOINT, name.clone().into_bytes(), value)
            }
            Self::Cursor { name, next, time } => {
                let value = CursorPosition { next: lsn(*next)?, time: *time }.encode();
                (Namespace::CURSOR, name.clone().into_bytes(), value)
            }
            Self::Value { name, payload, payload_base64 } => (
                Namespace::USER,
                name.clone().into_bytes(),
                bytes(payload.as_deref(), payload_base64.as_deref())?,
            ),
            Self::Record { namespace, name_base64, value_base64 } => {
                let decode = |text: &str| bytes(None, Some(text));
                (Namespace(*namespace), decode(name_base64)?, decode(value_base64)?)
            }
            Self::Log { .. } | Self::Entry { .. } => return Err("it does not belong here".to_owned()),
        };
        metadata.apply(&MetadataRecord { namespace, name: &name, value: Some(&value) });
        Ok(())
    }
}

fn in_words(record: &MetadataRecord<'_>, name: &str, value: &[u8]) -> Option<Line> {
    let name = name.to_owned();
    match record.namespace {
        Namespace::CHECKPOINT => {
            let Checkpoint { lsn, number, time, protected } = Checkpoint::decode(value).ok()?;
            Some(Line::Checkpoint { name, lsn: lsn.get(), number, time, protected })
        }
        Namespace::CURSOR => {
            let CursorPosition { next, time } = CursorPosition::decode(value).ok()?;
            Some(Line::Cursor { name, next: next.get(), time })
        }
        Namespace::USER => {
            let (payload, payload_base64) = text(value);
            Some(Line::Value { name, payload, payload_base64 })
        }
        _ => None,
    }
}

/// Bytes as text if they are, as base64 otherwise.
fn text(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(base64::encode(bytes))),
    }
}

/// The way back.
pub(crate) fn bytes(text: Option<&str>, encoded: Option<&str>) -> Result<Vec<u8>, String> {
    match (text, encoded) {
        (Some(text), None) => Ok(text.as_bytes().to_vec()),
        (None, Some(encoded)) => base64::decode(encoded).ok_or_else(|| "it is not base64".to_owned()),
        _ => Err("it needs either payload or payload_base64".to_owned()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The id of a transaction from its hexadecimal digits.
pub(crate) fn transaction(digits: &str) -> Result<[u8; 16], String> {
    let is_hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let id = u128::from_str_radix(digits, 16).ok().filter(|_| is_hex);
    id.map(u128::to_be_bytes).ok_or_else(|| "tx is not 32 hexadecimal digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_comes_back_as_it_was() {
        let checkpoint = Checkpoint { lsn: Lsn::FIRST, number: 2, time: 3, protected: true }.encode();
        let longer = [&checkpoint[..], b"of a newer version"].concat();
        let records: [(Namespace, &[u8], &[u8], bool); 6] = [
            (Namespace::CHECKPOINT, b"nightly", &checkpoint, true),
            (Namespace::CHECKPOINT, b"\xff", &checkpoint, false),
            (Namespace::CHECKPOINT, b"newer", &longer, false),
            (Namespace::USER, b"vote", b"7 \xfe", true),
            (Namespace::USER, b"", "\u{0}\u{feff}\"\\".as_bytes(), true),
            (Namespace(77), b"x", b"y", false),
        ];
        for (namespace, name, value, in_words) in records {
            let line = Line::record(&MetadataRecord { namespace, name, value: Some(value) });
            assert_eq!(!matches!(line, Line::Record { .. }), in_words, "{line:?}");
            let line: Line = serde_json::from_str(&serde_json::to_string(&line).unwrap()).unwrap();
            let mut metadata = Metadata::default();
            line.apply(&mut metadata).unwrap();
            assert_eq!(metadata.get(namespace, name), Some(value));
        }
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in [
            "{}",
            r#"{"type":"entry","lsn":1,"kind":256,"time":0,"payload":""}"#,
            r#"{"type":"entry","lsn":1,"kind":0,"time":0,"payload":"","color":"red"}"#,
        ] {
            assert!(serde_json::from_str::<Line>(text).is_err(), "{text}");
        }
        assert!(bytes(None, None).is_err() && bytes(Some("a"), Some("YQ==")).is_err());
        assert!(transaction("+123456789abcdef0123456789abcdef").is_err());
    }
}
