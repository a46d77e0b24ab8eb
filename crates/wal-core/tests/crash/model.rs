//! What a log promised, and whether what was found keeps it.

use bytes::Bytes;
use wal_core::{Log, LogError};
use wal_format::Lsn;
use wal_sim::Rng;

use crate::metadata::{self, Counter};

/// The content of an entry: no two entries of a run have the same. Of three, one is noise, one ends in zeros, as files
/// do, and one in something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) id: u64,
    pub(crate) len: usize,
}

impl Payload {
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; self.len.max(8)];
        Rng::new(self.id).fill(&mut bytes);
        let half = bytes.len() / 2;
        match self.id % 3 {
            0 => bytes[half..].fill(0),
            1 => bytes[half..].fill(0xab),
            _ => {}
        }
        bytes[..8].copy_from_slice(&self.id.to_le_bytes());
        bytes
    }
}

/// What ended the process that the log was last open in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Only the process: what was written is there.
    Process,
    /// The power: what was synced is there.
    Power,
}

/// One history that the log may have.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// LSN of the first of `entries`, some of which may be trimmed.
    base: u64,
    entries: Vec<Payload>,
    /// LSNs that a batch forbids as ends: those of its entries but the first.
    inside: Vec<u64>,
    /// Entries before this LSN survive a power cut.
    durable: u64,
    /// Entries before this LSN survive the process.
    written: u64,
    /// Entries before this LSN are gone.
    first: u64,
    /// Entries from this LSN on are not.
    first_max: u64,
    counter: Counter,
}

/// What a reader saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    next: u64,
    entries: Vec<(u64, Bytes)>,
    /// The counter, and the farthest place that the metadata names.
    metadata: Option<(u64, u64)>,
}

impl Seen {
    /// Reads everything, forwards and backwards.
    pub(crate) fn of(log: &Log) -> Result<Self, LogError> {
        let entries = log
            .range(..)
            .map(|entry| entry.map(|entry| (entry.lsn.get(), entry.payload)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { next: log.next_lsn().get(), entries, metadata: metadata::seen(log)? })
    }

    /// The same from a log that failed: it may know of more entries than it shows.
    pub(crate) fn without_claims(mut self, durable: u64) -> Self {
        self.next = self.entries.last().map_or(durable, |(lsn, _)| lsn + 1);
        self.metadata = None;
        self
    }

    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn entries(&self) -> &[(u64, Bytes)] {
        &self.entries
    }
}

impl State {
    pub(crate) fn next(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    /// Whether `seen` is a prefix of this history that is long enough, counted in entries and in changes.
    fn admits(&self, seen: &Seen, least: u64, changes: u64) -> Result<(), String> {
        if let Some((counter, farthest)) = seen.metadata {
            self.counter.admits(counter, seen.next, changes)?;
            if farthest > seen.next {
                return Err(format!("a name stands at {farthest}, beyond the next LSN {}", seen.next));
            }
        }
        if seen.next < least || seen.next > self.next() {
            return Err(format!("the next LSN is {}, not in {least}..={}", seen.next, self.next()));
        }
        if self.inside.contains(&seen.next) {
            return Err(format!("the log ends inside a batch, before {}", seen.next));
        }
        let begins = seen.entries.first().map_or(seen.next, |(lsn, _)| *lsn);
        let trimmed_all = seen.entries.is_empty() && seen.next <= self.first_max;
        if !(self.first..=self.first_max).contains(&begins) && !trimmed_all {
            let (from, to) = (self.first, self.first_max);
            return Err(format!("the first LSN is {begins}, not in {from}..={to}"));
        }
        let lsns = begins..seen.next;
        if seen.entries.len() as u64 != lsns.end - lsns.start {
            return Err(format!("{} entries for the LSNs {lsns:?}", seen.entries.len()));
        }
        for (lsn, (found, bytes)) in lsns.zip(&seen.entries) {
            let Some(expected) = lsn.checked_sub(self.base).and_then(|at| self.entries.get(at as usize))
            else {
                return Err(format!("entry {lsn} should not be there"));
            };
            if *found != lsn || *bytes != expected.bytes() {
                return Err(format!("entry {found} at {lsn} is not what was appended: {expected:?}"));
            }
        }
        Ok(())
    }

    /// What is known once a writer has reported `seen`: it is durable.
    fn settled(&self, seen: &Seen) -> Self {
        let mut state = self.clone();
        state.entries.truncate((seen.next - self.base) as usize);
        (state.durable, state.written) = (seen.next, seen.next);
        state.inside.retain(|lsn| *lsn < seen.next);
        if let Some((first, _)) = seen.entries.first() {
            (state.first, state.first_max) = (*first, *first);
        }
        if let Some((counter, _)) = seen.metadata {
            state.counter = Counter::certain(counter);
        }
        state
    }
}

/// The log as it should be, and as it may be instead when a change of history was interrupted.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    now: State,
    instead: Vec<State>,
    ids: u64,
}

impl Model {
    pub(crate) fn new() -> Self {
        let now = State {
            base: 1,
            entries: Vec::new(),
            inside: Vec::new(),
            durable: 1,
            written: 1,
            first: 1,
            first_max: 1,
            counter: Counter::default(),
        };
        Self { now, instead: Vec::new(), ids: 0 }
    }

    pub(crate) fn next(&self) -> u64 {
        self.now.next()
    }

    /// Where the log begins, if every trim that was tried took place.
    pub(crate) const fn trimmed_to(&self) -> u64 {
        self.now.first_max
    }

    pub(crate) const fn durable(&self) -> u64 {
        self.now.durable
    }

    pub(crate) const fn counter(&self) -> &Counter {
        &self.now.counter
    }

    pub(crate) const fn counter_mut(&mut self) -> &mut Counter {
        &mut self.now.counter
    }

    /// A payload that was never used.
    pub(crate) const fn payload(&mut self, len: usize) -> Payload {
        self.ids += 1;
        Payload { id: self.ids, len }
    }

    /// These entries have LSNs, and may or may not survive.
    pub(crate) fn appended(&mut self, payloads: &[Payload]) {
        let first = self.now.next();
        self.now.entries.extend_from_slice(payloads);
        self.now.inside.extend(first + 1..self.now.next());
    }

    /// Entries before `next` survive a power cut.
    pub(crate) fn acknowledged(&mut self, next: u64) {
        self.now.durable = self.now.durable.max(next);
        self.handed_on(next);
    }

    /// The log went on from what it has: a change that failed before can no more take effect.
    pub(crate) fn settled(&mut self, next: u64) {
        self.acknowledged(next);
        self.instead.clear();
    }

    /// Entries before `next` survive the process.
    pub(crate) fn handed_on(&mut self, next: u64) {
        self.now.written = self.now.written.max(next);
    }

    pub(crate) fn trimming(&mut self, first: u64) {
        self.now.first_max = self.now.first_max.max(first);
    }

    pub(crate) fn trimmed(&mut self, first: u64) {
        self.trimming(first);
        self.now.first = self.now.first.max(first);
    }

    /// The history with everything from `next` on gone.
    fn cut(&self, next: u64) -> State {
        let mut state = self.now.clone();
        state.entries.truncate((next - state.base) as usize);
        state.inside.retain(|lsn| *lsn < next);
        (state.durable, state.written) = (next, next);
        state.counter = Counter::certain(self.now.counter.value());
        state
    }

    fn cleared(&self) -> State {
        let next = self.now.next();
        State {
            base: next,
            entries: Vec::new(),
            inside: Vec::new(),
            durable: next,
            written: next,
            first: next,
            first_max: next,
            counter: Counter::certain(self.now.counter.value()),
        }
    }

    /// The log is to be cut off before `next`; cleared, if there is none.
    pub(crate) fn changing(&mut self, next: Option<u64>) {
        let changed = next.map_or_else(|| self.cleared(), |next| self.cut(next));
        self.instead.push(changed);
    }

    /// The change took place.
    pub(crate) fn changed(&mut self) {
        let changed = self.instead.pop().unwrap();
        // What removes nothing is only a barrier: an earlier change that failed may still take effect.
        if changed.next() != self.now.next() || changed.first > self.now.first {
            self.instead.clear();
        }
        self.now = changed;
    }

    /// The change failed, and the log goes on with this next LSN and perhaps without any entry.
    pub(crate) fn change_failed(&mut self, next: u64, is_empty: bool) {
        let believes = |state: &State| state.next() == next && (!is_empty || state.first_max >= next);
        if let Some(instead) = self.instead.last_mut().filter(|last| believes(last))
            && !believes(&self.now)
        {
            std::mem::swap(&mut self.now, instead);
        }
    }

    /// Whether what a reader found after `end` keeps what was promised.
    pub(crate) fn check(&self, seen: &Seen, end: End) -> Result<(), String> {
        self.matching(seen, end).map(drop)
    }

    /// The same for a writer, whose word counts from here on.
    pub(crate) fn adopt(&mut self, seen: &Seen, end: End) -> Result<(), String> {
        self.now = self.matching(seen, end)?.settled(seen);
        self.instead.clear();
        Ok(())
    }

    fn matching(&self, seen: &Seen, end: End) -> Result<&State, String> {
        let least = |state: &State| match end {
            End::Process => state.written.max(state.durable),
            End::Power => state.durable,
        };
        let admits = |state: &State| state.admits(seen, least(state), state.counter.least(end));
        let Err(why) = admits(&self.now) else { return Ok(&self.now) };
        let mut whys = vec![why];
        for instead in &self.instead {
            match admits(instead) {
                Ok(()) => return Ok(instead),
                Err(why) => whys.push(why),
            }
        }
        Err(whys.join("; and had it been changed: "))
    }

    /// Whether entries that were handed over, from `begins` on, are those that were appended.
    pub(crate) fn check_handed(&self, begins: u64, handed: &[Payload]) -> Result<(), String> {
        let skip = begins.checked_sub(self.now.base).ok_or_else(|| format!("entry {begins} was removed"))?;
        let known = self.now.entries.get(skip as usize..).unwrap_or_default();
        // A payload is never shorter than what tells it from others.
        let is_same = |(one, other): (&Payload, &Payload)| one.id == other.id && one.len == other.len.max(8);
        if handed.len() > known.len() || !handed.iter().zip(known).all(is_same) {
            return Err(format!("{handed:?} was handed over, not the first of {known:?}"));
        }
        Ok(())
    }

    /// Whether the log, as the process that writes it sees it, is exactly what was appended.
    pub(crate) fn check_live(&self, seen: &Seen) -> Result<(), String> {
        self.now.admits(seen, self.now.next(), self.now.counter.value())
    }
}

pub(crate) fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}
