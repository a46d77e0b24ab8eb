//! Payloads that say which entry they are, so that a wrong one is noticed.

use wal::{Lsn, Options};

pub(crate) fn lsn(number: u64) -> Lsn {
    Lsn::new(number).unwrap()
}

pub(crate) fn small() -> Options {
    Options { segment_len: 256 << 10, first_segment_len: 64 << 10, ..Options::default() }
}

/// The payload of an entry: who it is, over and over.
pub(crate) fn payload(lsn: u64, edition: u64, len: usize) -> Vec<u8> {
    format!("{lsn}.{edition};").into_bytes().into_iter().cycle().take(len.max(48)).collect()
}

/// The bytes are the payload of this entry, in some edition. Returns which.
#[track_caller]
pub(crate) fn check(lsn: u64, bytes: &[u8]) -> u64 {
    let unit = bytes.split(|byte| *byte == b';').next().unwrap();
    let text = String::from_utf8_lossy(unit);
    let edition = text.strip_prefix(&format!("{lsn}.")).and_then(|edition| edition.parse().ok());
    let edition = edition.unwrap_or_else(|| panic!("not entry {lsn}: {text:.40}"));
    assert!(payload(lsn, edition, bytes.len()) == bytes, "entry {lsn} is damaged");
    edition
}
