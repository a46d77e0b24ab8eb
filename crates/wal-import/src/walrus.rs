//! Records of `github.com/l00pss/walrus`. Little-endian; the checksum is CRC-32 over what lies between it and the
//! length of the whole.
//!
//! ```text
//!  0     4          12        20               28         32
//!  | len | id       | term    | timestamp i64  | data_len | data | name_len u32 | name | crc |
//! ```
//!
//! `len` counts what follows it; the name is that of a transaction. Nothing in a file says whether its entries are in
//! this form or JSON, so each is tried as both.

mod base64;
mod json;

use std::borrow::Cow;

use crate::{
    Entry, Flaw,
    budget::Budget,
    field::{array, len, wide},
    record::{Bad, Record},
};

/// Length of a record without data and transaction.
pub(crate) const RECORD_LEN_MIN: usize = 44;

pub(crate) fn read<'a>(bytes: &'a [u8], at: usize, budget: &mut Budget) -> Result<Record<'a>, Bad> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some((head, behind)) = rest.split_first_chunk() else { return Err(Bad::new(Flaw::Short)) };
    let len = len(u32::from_le_bytes(*head)).filter(|len| *len > 0).ok_or(Bad::new(Flaw::Layout))?;
    let body = behind.get(..len).ok_or(Bad::new(Flaw::Short))?;
    let end = at + head.len() + len;
    let offset = wide(at);
    let is_json = body.first() == Some(&b'{') && body.last() == Some(&b'}');
    let bad = match binary(body, offset) {
        Some((entry, covered, crc)) => {
            if budget.take(covered.len()) && crc32fast::hash(covered) == crc {
                return Ok(Record { entry, end, blemish: None });
            }
            Bad::until(Flaw::Checksum, end)
        }
        None if is_json => Bad::new(Flaw::Checksum),
        None => Bad::new(Flaw::Layout),
    };
    if is_json
        && budget.take(len)
        && let Some(entry) = json::read(body, offset)
    {
        return Ok(Record { entry, end, blemish: None });
    }
    Err(bad)
}

/// The entry, what its checksum is over, and the checksum.
fn binary(body: &[u8], offset: u64) -> Option<(Entry<'_>, &[u8], u32)> {
    let id = u64::from_le_bytes(array(body, 0)?);
    let term = u64::from_le_bytes(array(body, 8)?);
    let timestamp = i64::from_le_bytes(array(body, 16)?);
    let (data, rest) = long(body.get(24..)?)?;
    let (name, rest) = long(rest)?;
    let crc: [u8; 4] = rest.try_into().ok()?;
    let covered = body.get(..body.len() - crc.len())?;
    let entry = Entry {
        offset,
        id: Some(id),
        kind: 0,
        term: Some(term),
        timestamp: Some(timestamp),
        transaction: (!name.is_empty()).then_some(Cow::Borrowed(name)),
        operation: None,
        payload: Cow::Borrowed(data),
    };
    Some((entry, covered, u32::from_le_bytes(crc)))
}

/// Bytes with their length of 32 bits before them.
fn long(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(len(u32::from_le_bytes(*head))?)
}
