//! Records of `github.com/fgrosse/wal`. Big-endian; the checksum is CRC-32 over the payload alone.
//!
//! ```text
//!  0        4      5        9
//!  | id     | kind | crc    | payload
//! ```
//!
//! No length is stored: the program asks the type of the entry how long it is. Without the types, a payload ends where
//! its checksum agrees and what follows is the next id, or the end of the file. Payload bytes that look like the next
//! id are passed over, because the checksum up to them does not agree.

use std::borrow::Cow;

use crc32fast::Hasher;

use crate::{
    Entry, Flaw,
    budget::Budget,
    field::{array, wide},
    record::{Bad, Record, Why},
};

const HEADER_LEN: usize = 9;
/// How far ids may be apart across damage, before any id is taken.
const NEAR: u64 = 64;
/// How far the checksum alone may say where a payload ends. One place in four thousand million does so by accident.
const ALONE_LEN_MAX: usize = 1 << 20;

pub(crate) fn read<'a>(bytes: &'a [u8], at: usize, why: Why, budget: &mut Budget) -> Result<Record<'a>, Bad> {
    let header = Header::of(bytes, at).ok_or(Bad::new(Flaw::Short))?;
    if header.id == 0 {
        return Err(Bad::new(Flaw::Layout));
    }
    let end = match why {
        Why::Search { near, is_last_resort } => header.found(bytes, near, is_last_resort, budget)?,
        Why::Follows { expected: Some(expected), begins: false } if expected != u64::from(header.id) => {
            header.out_of_sequence(bytes, expected, budget)?
        }
        Why::Follows { expected, .. } => match header.end_before(bytes, header.next(), budget) {
            Some(end) => end.at(),
            None => header.end_alone(bytes, expected, budget)?,
        },
    };
    let entry = Entry {
        offset: wide(at),
        id: Some(u64::from(header.id)),
        kind: header.kind,
        term: None,
        timestamp: None,
        transaction: None,
        operation: None,
        payload: Cow::Borrowed(bytes.get(header.payload..end).unwrap_or_default()),
    };
    Ok(Record { entry, end, blemish: None })
}

/// The id that the bytes at `at` show, as far as they show one.
pub(crate) fn id_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(|id| u64::from(u32::from_be_bytes(id)))
}

#[derive(Clone, Copy)]
struct Header {
    id: u32,
    kind: u8,
    crc: u32,
    /// Where the payload begins.
    payload: usize,
}

/// Where a payload ends, and what proves it.
#[derive(Clone, Copy)]
enum End {
    /// The id that follows.
    Next(usize),
    /// The file ends there, or within the id that follows.
    File(usize),
}

impl End {
    const fn at(self) -> usize {
        match self {
            Self::Next(at) | Self::File(at) => at,
        }
    }
}

impl Header {
    fn of(bytes: &[u8], at: usize) -> Option<Self> {
        Some(Self {
            id: u32::from_be_bytes(array(bytes, at)?),
            kind: *bytes.get(at.checked_add(4)?)?,
            crc: u32::from_be_bytes(array(bytes, at.checked_add(5)?)?),
            payload: at.checked_add(HEADER_LEN)?,
        })
    }

    const fn next(&self) -> u32 {
        self.id.wrapping_add(1)
    }

    /// A record in the middle of nowhere: its id must be believable, and something must follow.
    fn found(
        &self,
        bytes: &[u8],
        near: [Option<u64>; 2],
        is_last_resort: bool,
        budget: &mut Budget,
    ) -> Result<usize, Bad> {
        let id = u64::from(self.id);
        let is_believable = |near: u64| {
            let least = if is_last_resort { 1 } else { near.saturating_add(1) };
            (least..=near.saturating_add(NEAR)).contains(&id)
        };
        if !near.into_iter().flatten().any(is_believable) {
            return Err(Bad::new(Flaw::Sequence));
        }
        match self.end_before(bytes, self.next(), budget) {
            Some(End::Next(at)) => Ok(at),
            // Nothing follows, so that the checksum is all there is. Zeros are that of nothing, and four bytes of ones
            // that of themselves: neither is rare in payloads.
            Some(End::File(at)) if !is_last_resort && at > self.payload && self.crc != u32::MAX => Ok(at),
            _ => Err(Bad::new(Flaw::Checksum)),
        }
    }

    /// A record at the end of another that should have had the id `expected`. The one behind it tells whether the
    /// program counted like this (it overwrites its own files), or the id was changed since.
    fn out_of_sequence(&self, bytes: &[u8], expected: u64, budget: &mut Budget) -> Result<usize, Bad> {
        if let Some(End::Next(at)) = self.end_before(bytes, self.next(), budget) {
            return Ok(at);
        }
        let next = u32::try_from(expected).ok().map(|expected| expected.wrapping_add(1));
        let end = next.and_then(|next| self.end_before(bytes, next, budget));
        Err(Bad { flaw: Flaw::Sequence, end: end.map(End::at) })
    }

    /// The first place where the checksum agrees and the id `next` follows, or the file ends. All of the file is read
    /// for an id that is nowhere.
    fn end_before(&self, bytes: &[u8], next: u32, budget: &mut Budget) -> Option<End> {
        let next = next.to_be_bytes();
        let mut crc = Hasher::new();
        let mut at = self.payload;
        let mut from = at;
        loop {
            let rest = bytes.get(from..)?;
            let Some(distance) = rest.windows(next.len()).position(|window| window == next) else { break };
            let end = from + distance;
            if !budget.take(end - at + next.len()) {
                return None;
            }
            crc.update(bytes.get(at..end)?);
            if crc.clone().finalize() == self.crc {
                return Some(End::Next(end));
            }
            (at, from) = (end, end + 1);
        }
        if !budget.take(bytes.len() - at) {
            return None;
        }
        for cut in (0..next.len()).rev() {
            let Some(end) = bytes.len().checked_sub(cut).filter(|end| *end >= at) else { continue };
            crc.update(bytes.get(at..end)?);
            at = end;
            if next.starts_with(bytes.get(end..)?) && crc.clone().finalize() == self.crc {
                return Some(End::File(end));
            }
        }
        None
    }

    /// The first place where the checksum agrees, though not with the id that follows: one of the two ids is wrong,
    /// or a file was overwritten up to there.
    fn end_alone(&self, bytes: &[u8], expected: Option<u64>, budget: &mut Budget) -> Result<usize, Bad> {
        let end = self.first_end(bytes, budget).ok_or(Bad::new(Flaw::Checksum))?;
        let is_expected = expected == Some(u64::from(self.id));
        let next = Self::of(bytes, end).filter(|_| !is_expected);
        match next.and_then(|next| next.end_before(bytes, next.next(), budget)) {
            Some(_) => Err(Bad::until(Flaw::Sequence, end)),
            None => Ok(end),
        }
    }

    fn first_end(&self, bytes: &[u8], budget: &mut Budget) -> Option<usize> {
        let rest = bytes.get(self.payload..)?;
        let rest = rest.get(..ALONE_LEN_MAX).unwrap_or(rest);
        if self.crc == 0 {
            return Some(self.payload);
        }
        if !budget.take(rest.len()) {
            return None;
        }
        let mut crc = Hasher::new();
        let len = rest.iter().position(|byte| {
            crc.update(&[*byte]);
            crc.clone().finalize() == self.crc
        });
        Some(self.payload + len? + 1)
    }
}
