//! Entries of walrus as JSON. The checksum is CRC-32 over the same text with a checksum of zero.

use std::borrow::Cow;

use serde::Deserialize;

use super::base64;
use crate::Entry;

const CHECKSUM: &[u8] = b"\"checksum\":";

#[derive(Deserialize)]
struct Fields<'a> {
    index: u64,
    term: u64,
    /// Go writes `null` for bytes that were never set.
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
    checksum: u32,
    timestamp: i64,
    #[serde(borrow, default)]
    transaction_id: Cow<'a, str>,
}

pub(super) fn read(text: &[u8], offset: u64) -> Option<Entry<'_>> {
    let fields: Fields<'_> = serde_json::from_slice(text).ok()?;
    if sum(text)? != fields.checksum {
        return None;
    }
    let payload = match fields.data {
        Some(data) => base64::decode(data.as_bytes())?,
        None => Vec::new(),
    };
    Some(Entry {
        offset,
        id: Some(fields.index),
        kind: 0,
        term: Some(fields.term),
        timestamp: Some(fields.timestamp),
        transaction: match fields.transaction_id {
            Cow::Borrowed(name) => (!name.is_empty()).then_some(Cow::Borrowed(name.as_bytes())),
            Cow::Owned(name) => (!name.is_empty()).then(|| Cow::Owned(name.into_bytes())),
        },
        operation: None,
        payload: Cow::Owned(payload),
    })
}

/// The checksum of the text. In a string the name of the field would have its quotes escaped, so it is found once.
fn sum(text: &[u8]) -> Option<u32> {
    let name = text.windows(CHECKSUM.len()).position(|window| window == CHECKSUM)?;
    let (before, rest) = text.split_at_checked(name + CHECKSUM.len())?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut crc = crc32fast::Hasher::new();
    crc.update(before);
    crc.update(b"0");
    crc.update(rest.get(digits..)?);
    Some(crc.finalize())
}
