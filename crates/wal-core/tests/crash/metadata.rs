//! Metadata among the operations: a counter that every change raises by one, alone or together with entries, so that
//! its value says which changes are there.

use wal_core::{AppendOptions, CheckpointOptions, Durability, Log, LogError, user_value};
use wal_format::{EntriesBuilder, NewEntry};

use crate::{
    model::{End, Payload},
    planted::Bug,
    rig::{Op, Rig},
};

const NAME: &str = "counter";

/// What the counter may be, depending on which entries are there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter {
    /// Its value before `changes`.
    before: u64,
    /// For each change the LSN that came next, and whether it came together with that entry.
    changes: Vec<(u64, bool)>,
    /// The value that survives a power cut.
    durable: u64,
    /// The value that survives the process.
    written: u64,
}

impl Counter {
    pub(crate) fn value(&self) -> u64 {
        self.before + self.changes.len() as u64
    }

    /// A counter that everybody knows the value of.
    pub(crate) const fn certain(value: u64) -> Self {
        Self { before: value, changes: Vec::new(), durable: value, written: value }
    }

    pub(crate) fn change(&mut self, next: u64, with_entry: bool) {
        self.changes.push((next, with_entry));
    }

    pub(crate) fn acknowledged(&mut self) {
        (self.durable, self.written) = (self.value(), self.value());
    }

    pub(crate) fn handed_on(&mut self) {
        self.written = self.value();
    }

    pub(crate) fn least(&self, end: End) -> u64 {
        match end {
            End::Process => self.written.max(self.durable),
            End::Power => self.durable,
        }
    }

    /// Changes and entries survive in the order in which they were made: those before an entry that is there are there,
    /// and those behind one that is not are not.
    pub(crate) fn admits(&self, found: u64, next: u64, least: u64) -> Result<(), String> {
        let certain = self.changes.iter().filter(|(at, _)| next > *at).count() as u64;
        let possible = |(at, with): &&(u64, bool)| next > *at || (next == *at && !with);
        let most = self.before + self.changes.iter().filter(possible).count() as u64;
        let least = least.max(self.before + certain);
        if (least..=most).contains(&found) {
            return Ok(());
        }
        Err(format!("the counter is {found}, not in {least}..={most}, and the next LSN is {next}"))
    }
}

/// The counter of a log, and the farthest place that a checkpoint or a cursor names. `None` after a failure that leaves
/// it uncertain.
pub(crate) fn seen(log: &Log) -> Result<Option<(u64, u64)>, LogError> {
    let value = match log.meta(NAME) {
        Err(LogError::Poisoned { .. }) => return Ok(None),
        value => value?.and_then(|value| Some(u64::from_le_bytes(value.try_into().ok()?))).unwrap_or(0),
    };
    let checkpoints = log.checkpoints()?.into_iter().map(|checkpoint| checkpoint.lsn.get());
    let cursors = log.cursors()?.into_iter().map(|cursor| cursor.next.get());
    Ok(Some((value, checkpoints.chain(cursors).max().unwrap_or(0))))
}

impl Rig {
    /// Raises the counter, as durable as the policy says.
    pub(crate) fn raise(&mut self) -> Result<(), String> {
        let value = (self.model.counter().value() + 1).to_le_bytes();
        let result = self.log().set_meta(NAME, Some(&value), None);
        if matches!(result, Ok(()) | Err(LogError::MetadataUnconfirmed { .. })) {
            let next = self.model.next();
            self.model.counter_mut().change(next, false);
        }
        let durability = self.setup.options.sync.into();
        self.note(result, |model| match durability {
            Durability::Durable => {
                // What came before is durable with it, and a change that failed can no more take effect.
                model.settled(model.next());
                model.counter_mut().acknowledged();
            }
            Durability::Written => {
                model.handed_on(model.next());
                model.counter_mut().handed_on();
            }
            Durability::Buffered => {}
        });
        Ok(())
    }

    /// Raises the counter together with entries.
    pub(crate) fn raise_with(&mut self, lens: &[usize]) -> Result<(), String> {
        let value = (self.model.counter().value() + 1).to_le_bytes();
        let payloads: Vec<Payload> = lens.iter().map(|len| self.model.payload(*len)).collect();
        let mut batch = EntriesBuilder::default();
        payloads.iter().for_each(|payload| batch.push(&NewEntry::plain(&payload.bytes())).unwrap());
        let apart = self.setup.bug == Bug::ValueApart;
        if !apart {
            batch.add_metadata(&user_value(NAME, Some(&value)).unwrap());
        }
        let next = self.model.next();
        let mut result = self.log().append_batch(&batch, &AppendOptions::default());
        if let Ok((first, last)) = result
            && apart
        {
            let unconfirmed = |source| LogError::Unconfirmed { first, last, source: Box::new(source) };
            result =
                self.log().set_meta(NAME, Some(&value), None).map(|()| (first, last)).map_err(unconfirmed);
        }
        if matches!(result, Ok(_) | Err(LogError::Unconfirmed { .. })) {
            self.model.counter_mut().change(next, true);
        }
        self.appended(&payloads, result.map(|(first, last)| (first.get(), last.get())), None)
    }

    /// A checkpoint at the end, which is durable, and so is what comes before.
    pub(crate) fn checkpoint(&mut self) -> Result<(), String> {
        let made = self.log().checkpoint("here", CheckpointOptions::default());
        self.note(made.map(drop), |model| {
            model.settled(model.next());
            model.counter_mut().acknowledged();
        });
        Ok(())
    }
}

/// Values alone and with entries, over rotation, cuts and reopening. Three entries of this length fill a segment.
pub(crate) fn ops(len: usize) -> Vec<Op> {
    vec![
        Op::Raise,
        Op::Append(10),
        Op::RaiseWith(vec![20, 30, 40]),
        Op::Raise,
        Op::Raise,
        Op::Checkpoint,
        Op::Append(len),
        Op::Append(len),
        Op::RaiseWith(vec![50]),
        Op::Append(len),
        Op::Cursor(0),
        Op::Raise,
        Op::CutLast(2),
        Op::Raise,
        Op::Reopen,
        Op::RaiseWith(vec![60, 70]),
        Op::CutLast(1),
        Op::Kill,
        Op::Raise,
        Op::Clear,
        Op::Checkpoint,
        Op::RaiseWith(vec![len, 80]),
        Op::Raise,
    ]
}
