//! What a reader finds.

use std::{borrow::Cow, fmt};

/// One thing found in a file. Offsets and lengths are bytes of that file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An entry whose checksum holds.
    Entry(Entry<'a>),
    /// The ids do not go on where they stopped: entries are missing, or the program counted anew. Comes before the
    /// entry that has the id `next`.
    Gap {
        /// Where that entry is.
        offset: u64,
        /// The id before.
        previous: u64,
        /// The id that follows it.
        next: u64,
    },
    /// Bytes that are no valid record, where there should be one.
    Damage {
        /// Where they begin.
        offset: u64,
        /// How many there are.
        len: u64,
        /// What is wrong with the first record in them.
        flaw: Flaw,
    },
    /// The newest file ends in the middle of a record: a write that was never finished, and so never acknowledged.
    TornTail {
        /// Where the record begins.
        offset: u64,
        /// How many bytes of it are there.
        len: u64,
    },
    /// Entries of this transaction lie right before or behind a damaged or torn place, where more of them may have
    /// been.
    DoubtfulTransaction {
        /// Its name, as on its entries.
        transaction: Cow<'a, [u8]>,
        /// Where the damaged or torn place begins.
        offset: u64,
    },
    /// A checkpoint lies here, between the entries before and behind.
    Checkpoint {
        /// Its number.
        number: u64,
    },
}

/// An entry, with what the format stores about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where its record begins.
    pub offset: u64,
    /// Its number, in the formats that have numbers. Not necessarily unique.
    pub id: Option<u64>,
    /// What kind of entry it is: the type of fgrosse, the operation of filewal (1 puts, 2 deletes), zero otherwise.
    pub kind: u8,
    /// The term of walrus.
    pub term: Option<u64>,
    /// Nanoseconds since 1970, in the formats that have times.
    pub timestamp: Option<i64>,
    /// The name of the transaction that it was committed in, by walrus. Entries of one transaction follow each other
    /// in one file.
    pub transaction: Option<Cow<'a, [u8]>>,
    /// What the operation of filewal concerns.
    pub operation: Option<Operation<'a>>,
    /// The bytes of the user.
    pub payload: Cow<'a, [u8]>,
}

/// What an operation of filewal concerns. The data is the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// The name of the table or the like. Text, if the program kept to its intent.
    pub entity: &'a [u8],
    /// The key in it.
    pub key: &'a [u8],
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// The bytes that it claims to have are not there.
    Short,
    /// Its lengths contradict each other, or its fields are not those of the format.
    Layout,
    /// Its checksum does not hold.
    Checksum,
    /// It has no checksum, so that nothing says whether it is as it was written.
    Unprotected,
    /// Its id is not the next one although its neighbours' are.
    Sequence,
    /// Its checksum holds, but its length at the end is not the one at the beginning. The entry itself is shown.
    Footer,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "the record claims more bytes than there are",
            Self::Layout => "the bytes are no record of this format",
            Self::Checksum => "the checksum does not hold",
            Self::Unprotected => "the record has no checksum",
            Self::Sequence => "the id is not the next one",
            Self::Footer => "the length at the end is not the one at the beginning",
        })
    }
}
