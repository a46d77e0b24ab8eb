//! Reading a file: records one after the other, and the way on behind those that are none.

use std::{borrow::Cow, collections::VecDeque, iter::FusedIterator};

use crate::{
    Event, Flaw, Format, SourceFile,
    budget::Budget,
    fgrosse,
    field::wide,
    hungpdn,
    record::{self, Bad, Record, Why},
    walrus, xwal,
};

/// How far ids may be apart across damage, beyond what its length explains: programs leave ids out, too.
const ID_GAP_MAX: u64 = 1000;

/// Reads the files of one log, in the order of its [`Plan`](crate::Plan).
#[derive(Clone, Debug)]
pub struct Reader {
    format: Format,
    /// The id before, over all files.
    last: Option<u64>,
}

impl Reader {
    /// A reader that has seen nothing yet.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        Self { format, last: None }
    }

    /// What is in a file. Entries are read as the iterator goes; nothing is allocated but JSON payloads and names.
    ///
    /// The next file goes on where the iterator was left, so it should be read to its end first.
    pub fn events<'r, 'a>(&'r mut self, file: &SourceFile, bytes: &'a [u8]) -> Events<'r, 'a> {
        Events {
            budget: Budget::of_file(bytes.len()),
            reserve: Budget::of_intact(bytes.len()),
            reader: self,
            bytes,
            is_newest: file.is_newest,
            checkpoint: file.checkpoint,
            at: 0,
            expected: None,
            transaction: None,
            found: VecDeque::new(),
        }
    }
}

/// What is in a file, from [`Reader::events`].
#[derive(Debug)]
pub struct Events<'r, 'a> {
    reader: &'r mut Reader,
    bytes: &'a [u8],
    is_newest: bool,
    /// To be told at the end.
    checkpoint: Option<u64>,
    at: usize,
    /// The id that should come next in this file.
    expected: Option<u64>,
    /// That of the last entry.
    transaction: Option<Cow<'a, [u8]>>,
    budget: Budget,
    /// For records that follow each other, when a search has used all of the other.
    reserve: Budget,
    /// Not told yet.
    found: VecDeque<Event<'a>>,
}

impl<'a> Iterator for Events<'_, 'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.found.pop_front() {
                return Some(event);
            }
            if self.at >= self.bytes.len() {
                return self.checkpoint.take().map(|number| Event::Checkpoint { number });
            }
            let begins = self.at == 0;
            let expected =
                if begins { self.reader.last.and_then(|last| last.checked_add(1)) } else { self.expected };
            match self.follow(Why::Follows { expected, begins }) {
                Ok(record) => self.take(record),
                Err(bad) => self.pass_over(bad),
            }
        }
    }
}

impl FusedIterator for Events<'_, '_> {}

impl<'a> Events<'_, 'a> {
    fn read(&mut self, at: usize, why: Why) -> Result<Record<'a>, Bad> {
        record::read(self.reader.format, self.bytes, at, why, &mut self.budget)
    }

    /// The record where the one before ends.
    fn follow(&mut self, why: Why) -> Result<Record<'a>, Bad> {
        if !self.budget.is_spent() {
            let read = self.read(self.at, why);
            if !self.budget.is_spent() {
                return read;
            }
        }
        record::read(self.reader.format, self.bytes, self.at, why, &mut self.reserve)
    }

    fn take(&mut self, record: Record<'a>) {
        let Record { entry, end, blemish } = record;
        if let Some(next) = entry.id {
            if let Some(previous) = self.reader.last
                && previous.checked_add(1) != Some(next)
            {
                self.found.push_back(Event::Gap { offset: entry.offset, previous, next });
            }
            self.reader.last = Some(next);
            self.expected = next.checked_add(1);
        }
        self.transaction.clone_from(&entry.transaction);
        self.found.push_back(Event::Entry(entry));
        if let Some((at, flaw)) = blemish {
            self.found.push_back(Event::Damage { offset: wide(at), len: wide(end - at), flaw });
        }
        self.at = end;
    }

    /// Tells what lies between here and the next record, and takes that.
    fn pass_over(&mut self, bad: Bad) {
        let from = self.at;
        let next = self.record_behind(from, bad);
        let to = next.as_ref().map_or(self.bytes.len(), |(at, _)| *at);
        let (offset, len) = (wide(from), wide(to - from));
        let doubt = |transaction| Event::DoubtfulTransaction { transaction, offset };
        let before = self.transaction.take();
        self.found.extend(before.clone().map(doubt));
        // Behind a search that was given up there may be good records.
        let is_end = next.is_none() && !self.budget.is_spent();
        let is_torn = is_end && self.is_newest && self.just_stops(bad);
        self.found.push_back(if is_torn {
            Event::TornTail { offset, len }
        } else {
            Event::Damage { offset, len, flaw: bad.flaw }
        });
        self.at = to;
        let Some((_, record)) = next else { return };
        let behind = record.entry.transaction.clone().filter(|behind| before.as_ref() != Some(behind));
        self.found.extend(behind.map(doubt));
        self.take(record);
    }

    /// Whether what is left may be the beginning of a record that was never finished, or space that was never filled.
    /// In the format that stores no length, everything may be.
    fn just_stops(&self, bad: Bad) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        bad.flaw == Flaw::Short
            || rest.iter().all(|byte| *byte == 0)
            || (self.reader.format == Format::Fgrosse && bad.flaw == Flaw::Checksum)
    }

    /// The next record behind a bad one, and where it is.
    fn record_behind(&mut self, bad_at: usize, bad: Bad) -> Option<(usize, Record<'a>)> {
        // If only its contents are damaged, the next one is where it says. Nothing is looked for inside: what it
        // holds may be a log itself.
        if let Some(end) = bad.end {
            if end >= self.bytes.len() {
                return None;
            }
            let next = self.read(end, Why::Follows { expected: None, begins: true });
            if let Some(record) = next.ok().filter(|record| self.fits(record, end - bad_at)) {
                return Some((end, record));
            }
        }
        let shown = match self.reader.format {
            Format::Fgrosse => fgrosse::id_at(self.bytes, bad_at),
            _ => None,
        };
        let near = [self.reader.last, shown];
        let found = self.search(bad_at, Why::Search { near, is_last_resort: false });
        // Its program overwrites its own files, so that older ids follow newer ones. In the newest file that would be
        // mistaken for a log inside of a torn payload.
        if found.is_none() && self.reader.format == Format::Fgrosse && !self.is_newest {
            return self.search(bad_at, Why::Search { near, is_last_resort: true });
        }
        found
    }

    fn search(&mut self, bad_at: usize, why: Why) -> Option<(usize, Record<'a>)> {
        for at in bad_at + 1..self.bytes.len() {
            if self.budget.is_spent() {
                return None;
            }
            let record = self.read(at, why).ok().filter(|record| self.fits(record, at - bad_at));
            if let Some(record) = record {
                return Some((at, record));
            }
        }
        None
    }

    /// Whether the id of a record behind damage goes on from the ones before. An older one belongs to a log inside of
    /// a payload; only at the beginning of a file a program may have begun to count anew.
    fn fits(&self, record: &Record<'a>, distance: usize) -> bool {
        let least = match self.reader.format {
            Format::Xwal => xwal::RECORD_LEN_MIN,
            Format::Hungpdn => hungpdn::RECORD_LEN_MIN,
            Format::Walrus => walrus::RECORD_LEN_MIN,
            // The one has no ids, the other looked at them while it searched.
            Format::Filewal | Format::Fgrosse => return true,
        };
        let (Some(last), Some(id)) = (self.reader.last, record.entry.id) else { return true };
        let gap_max = wide(distance / least).saturating_add(ID_GAP_MAX);
        let follows = id.checked_sub(last).is_some_and(|gap| (1..=gap_max).contains(&gap));
        follows || (self.expected.is_none() && self.at == 0 && id <= gap_max)
    }
}
