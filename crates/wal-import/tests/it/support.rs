//! Reading whole directories, and samples with what they should hold.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use wal_import::{Event, Format, Plan, Reader};

/// A directory in memory: names and bytes.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// An entry without its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) id: Option<u64>,
    pub(crate) kind: u8,
    pub(crate) term: Option<u64>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) transaction: Vec<u8>,
    pub(crate) entity: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// What was read: entries, and everything else with the file it is in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) items: Vec<Item>,
    /// File and offset of each.
    pub(crate) places: Vec<(String, u64)>,
    pub(crate) rest: Vec<(String, Event<'static>)>,
}

impl Read {
    /// The file, offset and length of every damaged place.
    pub(crate) fn damage(&self) -> Vec<(&str, u64, u64)> {
        let places = self.rest.iter().filter_map(|(file, event)| match event {
            Event::Damage { offset, len, .. } => Some((file.as_str(), *offset, *len)),
            _ => None,
        });
        places.collect()
    }

    /// Those of the torn end.
    pub(crate) fn torn(&self) -> Option<(&str, u64, u64)> {
        self.rest.iter().find_map(|(file, event)| match event {
            Event::TornTail { offset, len } => Some((file.as_str(), *offset, *len)),
            _ => None,
        })
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.items.iter().filter_map(|item| item.id).collect()
    }
}

pub(crate) fn read(format: Format, files: &Files) -> Read {
    let names = files.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64));
    let plan = Plan::new(format, None, names).unwrap();
    let mut reader = Reader::new(format);
    let mut read = Read::default();
    for file in plan.files() {
        let bytes = &files.iter().find(|(name, _)| name == file.name()).unwrap().1;
        let mut end = 0;
        for event in reader.events(file, bytes) {
            check_places(&event, &mut end, bytes.len() as u64);
            note(event, file.name(), &mut read);
        }
        assert!(bytes.is_empty() || end > 0, "something was said about {}", file.name());
    }
    read
}

/// Nothing overlaps, and nothing lies outside of the file.
fn check_places(event: &Event<'_>, end: &mut u64, file_len: u64) {
    match event {
        Event::Entry(entry) => {
            assert!(entry.offset >= *end && entry.offset < file_len);
            *end = entry.offset + 1;
        }
        Event::Damage { offset, len, .. } | Event::TornTail { offset, len } => {
            assert!(*offset >= *end && *len > 0 && offset + len <= file_len);
            *end = offset + len;
        }
        _ => {}
    }
}

fn note(event: Event<'_>, file: &str, read: &mut Read) {
    let owned = match event {
        Event::Entry(entry) => {
            read.places.push((file.to_owned(), entry.offset));
            read.items.push(Item {
                id: entry.id,
                kind: entry.kind,
                term: entry.term,
                timestamp: entry.timestamp,
                transaction: entry.transaction.map(|name| name.into_owned()).unwrap_or_default(),
                entity: entry.operation.map(|operation| operation.entity.to_vec()).unwrap_or_default(),
                key: entry.operation.map(|operation| operation.key.to_vec()).unwrap_or_default(),
                payload: entry.payload.into_owned(),
            });
            return;
        }
        Event::DoubtfulTransaction { transaction, offset } => {
            Event::DoubtfulTransaction { transaction: transaction.into_owned().into(), offset }
        }
        Event::Gap { offset, previous, next } => Event::Gap { offset, previous, next },
        Event::Damage { offset, len, flaw } => Event::Damage { offset, len, flaw },
        Event::TornTail { offset, len } => Event::TornTail { offset, len },
        Event::Checkpoint { number } => Event::Checkpoint { number },
        other => panic!("{other:?}"),
    };
    read.rest.push((file.to_owned(), owned));
}

pub(crate) fn samples(seed: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(seed)
}

pub(crate) fn files(seed: &str, case: &str) -> Files {
    let entries = fs::read_dir(samples(seed).join(case)).unwrap().map(Result::unwrap);
    let file =
        |path: PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap());
    entries.map(|entry| file(entry.path())).collect()
}

pub(crate) fn manifest(seed: &str, case: &str) -> Value {
    let path = samples(seed).join(format!("{case}.manifest.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The entries of a manifest, and where they are.
pub(crate) fn entries(manifest: &Value) -> (Vec<Item>, Vec<(String, u64)>) {
    let entries = manifest["entries"].as_array().unwrap().iter();
    entries.map(|entry| (item(entry), (text(&entry["file"]), entry["offset"].as_u64().unwrap()))).unzip()
}

fn item(entry: &Value) -> Item {
    let kind = entry["type"].as_u64().or(entry["op"].as_u64()).unwrap_or(0);
    let payload = if entry["op"].is_null() { &entry["payload_hex"] } else { &entry["data_hex"] };
    Item {
        id: entry["seq"].as_u64(),
        kind: kind.try_into().unwrap(),
        term: entry["term"].as_u64(),
        timestamp: entry["timestamp"].as_i64(),
        transaction: text(&entry["tx"]).into_bytes(),
        entity: text(&entry["entity"]).into_bytes(),
        key: hex(&entry["key_hex"]),
        payload: hex(payload),
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = text(value);
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
