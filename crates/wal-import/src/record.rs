//! One record, whatever its format.

use crate::{Entry, Flaw, Format, budget::Budget, fgrosse, filewal, hungpdn, walrus, xwal};

/// A record that verifies.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) entry: Entry<'a>,
    /// Where the next one begins.
    pub(crate) end: usize,
    /// Something outside of what the checksum covers is wrong: where, and what.
    pub(crate) blemish: Option<(usize, Flaw)>,
}

/// Why there is no record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bad {
    pub(crate) flaw: Flaw,
    /// Where it ends by what it says itself, if that is within the file and all of its lengths agree.
    pub(crate) end: Option<usize>,
}

impl Bad {
    pub(crate) const fn new(flaw: Flaw) -> Self {
        Self { flaw, end: None }
    }

    pub(crate) const fn until(flaw: Flaw, end: usize) -> Self {
        Self { flaw, end: Some(end) }
    }
}

/// Why a record is looked for at a place, which decides what is believed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Why {
    /// The record before ends there.
    Follows {
        /// The id after the one before it, in this file or the file before.
        expected: Option<u64>,
        /// Whether it is the first of its file, where ids may begin anew.
        begins: bool,
    },
    /// One before it is damaged, and it may be anywhere.
    Search {
        /// The id before the damage, and the one that the damaged record shows.
        near: [Option<u64>; 2],
        /// Whether any id will do.
        is_last_resort: bool,
    },
}

impl Why {
    pub(crate) const fn is_search(self) -> bool {
        matches!(self, Self::Search { .. })
    }
}

pub(crate) fn read<'a>(
    format: Format,
    bytes: &'a [u8],
    at: usize,
    why: Why,
    budget: &mut Budget,
) -> Result<Record<'a>, Bad> {
    match format {
        Format::Xwal => xwal::read(bytes, at, budget),
        Format::Hungpdn => hungpdn::read(bytes, at, why, budget),
        Format::Filewal => filewal::read(bytes, at, budget),
        Format::Fgrosse => fgrosse::read(bytes, at, why, budget),
        Format::Walrus => walrus::read(bytes, at, budget),
    }
}
