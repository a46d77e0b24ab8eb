//! Records of FileWAL, of `github.com/colonyos/colonies`. Little-endian; the checksum is CRC-32 over everything behind
//! it.
//!
//! ```text
//!  0        4        8    9            11
//!  | len    | crc    | op | entity_len | entity | key_len u16 | key | timestamp i64 | data_len u32 | data |
//! ```
//!
//! `len` counts what follows it.

use std::borrow::Cow;

use crate::{
    Entry, Flaw, Operation,
    budget::Budget,
    field::{array, len, wide},
    record::{Bad, Record},
};

/// What the program itself reads.
const LENS: std::ops::RangeInclusive<usize> = 21..=64 << 20;

pub(crate) fn read<'a>(bytes: &'a [u8], at: usize, budget: &mut Budget) -> Result<Record<'a>, Bad> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some((head, behind)) = rest.split_first_chunk() else { return Err(Bad::new(Flaw::Short)) };
    let Some(len) = len(u32::from_le_bytes(*head)).filter(|len| LENS.contains(len)) else {
        return Err(Bad::new(Flaw::Layout));
    };
    let Some((body, _)) = behind.split_at_checked(len) else { return Err(Bad::new(Flaw::Short)) };
    let end = at + head.len() + len;
    let Some((crc, covered)) = body.split_first_chunk() else { return Err(Bad::new(Flaw::Layout)) };
    // What an entity or a key of more than 64 KiB leaves behind has a checksum that holds, and lengths that do not.
    let Some(entry) = fields(covered, wide(at)) else { return Err(Bad::new(Flaw::Layout)) };
    if !budget.take(covered.len()) || crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
        return Err(Bad::until(Flaw::Checksum, end));
    }
    Ok(Record { entry, end, blemish: None })
}

fn fields(covered: &[u8], offset: u64) -> Option<Entry<'_>> {
    let (&kind, rest) = covered.split_first()?;
    let (entity, rest) = short(rest)?;
    let (key, rest) = short(rest)?;
    let (timestamp, rest) = rest.split_first_chunk()?;
    let data_len = len(u32::from_le_bytes(array(rest, 0)?))?;
    let data = rest.get(4..).filter(|data| data.len() == data_len)?;
    Some(Entry {
        offset,
        id: None,
        kind,
        term: None,
        timestamp: Some(i64::from_le_bytes(*timestamp)),
        transaction: None,
        operation: Some(Operation { entity, key }),
        payload: Cow::Borrowed(data),
    })
}

/// Bytes with their length of 16 bits before them.
fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))
}
