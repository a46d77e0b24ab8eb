//! Records of `github.com/hungpdn/wal`. Big-endian; the checksum is CRC-32C over length, id and payload.
//!
//! ```text
//!  0        4                 12                20          20+len            28+len
//!  | crc    | len             | id              | payload   | len             |
//! ```

use std::borrow::Cow;

use crate::{
    Entry, Flaw,
    budget::Budget,
    field::{array, wide},
    record::{Bad, Record, Why},
};

const HEADER_LEN: usize = 20;
const FOOTER_LEN: usize = 8;
/// Length of a record without payload.
pub(crate) const RECORD_LEN_MIN: usize = HEADER_LEN + FOOTER_LEN;

pub(crate) fn read<'a>(bytes: &'a [u8], at: usize, why: Why, budget: &mut Budget) -> Result<Record<'a>, Bad> {
    let layout = Layout::of(bytes, at).ok_or(Bad::new(Flaw::Short))?;
    let Layout { id, payload, end, footer_holds, .. } = layout;
    // The footer is no part of what is checked, but two equal lengths at the right distance are rarely an accident.
    if why.is_search() && !footer_holds {
        return Err(Bad::new(Flaw::Footer));
    }
    if !layout.verifies(budget) {
        return Err(Bad { flaw: Flaw::Checksum, end: footer_holds.then_some(end) });
    }
    // Where the footer is torn, what was appended behind it begins within. That is for the search to find.
    if !footer_holds && end < bytes.len() && !Layout::of(bytes, end).is_some_and(|next| next.verifies(budget))
    {
        return Err(Bad::new(Flaw::Footer));
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
    let blemish = (!footer_holds).then_some((end - FOOTER_LEN, Flaw::Footer));
    Ok(Record { entry, end, blemish })
}

struct Layout<'a> {
    crc: u32,
    id: u64,
    payload: &'a [u8],
    covered: &'a [u8],
    end: usize,
    footer_holds: bool,
}

impl<'a> Layout<'a> {
    fn verifies(&self, budget: &mut Budget) -> bool {
        budget.take(self.covered.len()) && crc_fast::crc32_iscsi(self.covered) == self.crc
    }

    fn of(bytes: &'a [u8], at: usize) -> Option<Self> {
        let crc = u32::from_be_bytes(array(bytes, at)?);
        let len = u64::from_be_bytes(array(bytes, at.checked_add(4)?)?);
        let id = u64::from_be_bytes(array(bytes, at.checked_add(12)?)?);
        let begin = at.checked_add(HEADER_LEN)?;
        let footer_at = begin.checked_add(usize::try_from(len).ok()?)?;
        let footer = u64::from_be_bytes(array(bytes, footer_at)?);
        Some(Self {
            crc,
            id,
            payload: bytes.get(begin..footer_at)?,
            covered: bytes.get(at.checked_add(4)?..footer_at)?,
            end: footer_at.checked_add(FOOTER_LEN)?,
            footer_holds: footer == len,
        })
    }
}
