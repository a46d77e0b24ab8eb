//! Records of `github.com/pantuza/xwal`: protobuf messages with their length before them.
//!
//! ```text
//!  | len varint | 0x08 | id varint | 0x12 | payload_len varint | payload | 0x18 | crc varint |
//! ```
//!
//! A field that is zero or empty is left out. The checksum is CRC-32 over the message without its last field. The
//! program writes fields in this order and numbers as short as they can be, and nothing else is read here: its own
//! checksum is over the message written anew.

use std::borrow::Cow;

use crate::{
    Entry, Flaw,
    budget::Budget,
    field::wide,
    record::{Bad, Record},
};

const ID: u8 = 0x08;
const PAYLOAD: u8 = 0x12;
const CRC: u8 = 0x18;
/// Length of the shortest record with an id and a checksum.
pub(crate) const RECORD_LEN_MIN: usize = 5;

pub(crate) fn read<'a>(bytes: &'a [u8], at: usize, budget: &mut Budget) -> Result<Record<'a>, Bad> {
    let rest = bytes.get(at..).unwrap_or_default();
    let (len, behind) = varint(rest)?;
    // A message without fields has the checksum zero, and so a file of zeros would be full of entries.
    if len == 0 {
        return Err(Bad::new(Flaw::Layout));
    }
    let message = usize::try_from(len).ok().and_then(|len| behind.get(..len));
    let message = message.ok_or(Bad::new(Flaw::Short))?;
    let end = at + (rest.len() - behind.len()) + message.len();
    let Some(Fields { id, payload, crc, covered }) = fields(message) else {
        return Err(Bad::new(Flaw::Layout));
    };
    if crc == 0 {
        return Err(Bad::until(Flaw::Unprotected, end));
    }
    if !budget.take(covered.len()) || u64::from(crc32fast::hash(covered)) != crc {
        return Err(Bad::until(Flaw::Checksum, end));
    }
    let entry = Entry {
        offset: wide(at),
        id: Some(id),
        kind: 0,
        term: None,
        timestamp: None,
        transaction: None,
        operation: None,
        payload: Cow::Borrowed(payload),
    };
    Ok(Record { entry, end, blemish: None })
}

struct Fields<'a> {
    id: u64,
    payload: &'a [u8],
    crc: u64,
    covered: &'a [u8],
}

fn fields(message: &[u8]) -> Option<Fields<'_>> {
    let (id, rest) = number(message, ID)?;
    let (payload, rest) = match rest.split_first() {
        Some((&PAYLOAD, rest)) => {
            let (len, rest) = varint(rest).ok().filter(|(len, _)| *len != 0)?;
            rest.split_at_checked(usize::try_from(len).ok()?)?
        }
        _ => (&[][..], rest),
    };
    let covered = message.get(..message.len() - rest.len())?;
    let (crc, rest) = number(rest, CRC)?;
    rest.is_empty().then_some(Fields { id, payload, crc, covered })
}

/// A field that is a number; zero when it is left out.
fn number(bytes: &[u8], tag: u8) -> Option<(u64, &[u8])> {
    match bytes.split_first() {
        Some((&first, rest)) if first == tag => varint(rest).ok().filter(|(value, _)| *value != 0),
        _ => Some((0, bytes)),
    }
}

/// A number in groups of seven bits, the lowest first, and what follows it.
fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), Bad> {
    let mut value = 0_u64;
    let mut rest = bytes;
    for shift in (0..64).step_by(7) {
        let Some((&byte, behind)) = rest.split_first() else { return Err(Bad::new(Flaw::Short)) };
        rest = behind;
        let group = u64::from(byte & 0x7f);
        let is_last = byte & 0x80 == 0;
        if (shift == 63 && byte > 1) || (is_last && byte == 0 && shift > 0) {
            break;
        }
        value |= group << shift;
        if is_last {
            return Ok((value, rest));
        }
    }
    Err(Bad::new(Flaw::Layout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let value = |bytes: &[u8]| varint(bytes).map(|(value, _)| value).map_err(|bad| bad.flaw);
        assert_eq!(value(&[0]), Ok(0));
        assert_eq!(value(&[0xac, 0x02]), Ok(300));
        assert_eq!(value(&[&[0xff; 9][..], &[1]].concat()), Ok(u64::MAX));
        assert_eq!(value(&[&[0xff; 9][..], &[2]].concat()), Err(Flaw::Layout));
        assert_eq!(value(&[0x80, 0]), Err(Flaw::Layout));
        assert_eq!(value(&[0x80]), Err(Flaw::Short));
        assert_eq!(value(&[]), Err(Flaw::Short));
    }
}
