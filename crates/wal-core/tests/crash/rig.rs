//! A log on a simulated disk, driven beside its model.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use wal_core::{AppendOptions, DictionaryOptions, Durability, Log, LogError, Options, Retention, Ticket};
use wal_format::{EntriesBuilder, NewEntry};
use wal_segment::Storage;
use wal_sim::{DiskOptions, SimDisk, VirtualTime};

use crate::{
    model::{End, Model, Payload, Seen, lsn},
    planted::{Bug, plant},
    surroundings::{environment, options},
    tally,
    transactions::{Open, Step},
};

/// Some day in 2026, in nanoseconds since 1970: no clock is believed that was never set.
const BOOT: u64 = 20_500 * 86_400 * 1_000_000_000;

/// One step of a workload.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// One entry of this length, as durable as the policy says.
    Append(usize),
    /// One entry of this length and durability.
    AppendAs(usize, Durability),
    /// Entries of these lengths.
    Batch(Vec<usize>),
    /// One entry with a ticket.
    Submit(usize),
    /// Waits for the oldest ticket.
    Wait,
    Sync,
    /// Does what is due, so that idleness is marked.
    Maintain,
    /// Keeps the last so many entries.
    KeepLast(u64),
    /// Replays, accepts so many entries, and drains those.
    Drain(u64),
    /// Cuts the last so many entries off.
    CutLast(u64),
    Clear,
    /// A cursor that stands before the last so many entries; made or moved.
    Cursor(u64),
    /// A pass of retention: see `retention`.
    Retain(Retention),
    /// Closes the log and opens it again.
    Reopen,
    /// Drops the log and opens it again without a power cut in between.
    Kill,
    /// Reads everything here and beside the writer.
    Read,
    /// Trains a dictionary.
    Train,
    Transact(Step),
    /// Entries of these lengths in a frame of another log.
    Receive(Vec<usize>),
    /// Raises the counter in the metadata.
    Raise,
    /// The same, together with a batch of entries of these lengths.
    RaiseWith(Vec<usize>),
    /// A checkpoint at the end.
    Checkpoint,
}

/// What a log runs with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) options: Options,
    /// What is planted between the log and the disk.
    pub(crate) bug: Bug,
}

impl Default for Setup {
    fn default() -> Self {
        Self { options: options(), bug: Bug::None }
    }
}

impl Setup {
    pub(crate) fn of(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    pub(crate) fn open(&self, disk: &SimDisk) -> Result<Log, LogError> {
        let time = Arc::new(VirtualTime::new(BOOT + (disk.operations() << 20)));
        self.open_at(disk, &time).map(|(log, _)| log)
    }

    fn storage(&self, disk: &SimDisk) -> Arc<dyn Storage> {
        match self.bug {
            Bug::None
            | Bug::DrainsRefused
            | Bug::CommitInParts
            | Bug::PackAcknowledged
            | Bug::ValueApart
            | Bug::ReceivedUnchecked => disk.storage(),
            bug => plant(disk.storage(), bug),
        }
    }

    fn open_at(&self, disk: &SimDisk, time: &Arc<VirtualTime>) -> Result<(Log, Arc<dyn Storage>), LogError> {
        let storage = self.storage(disk);
        // Another process draws other salts.
        let chance = disk.operations().wrapping_mul(0x9e37_79b9) ^ 0x5eed;
        let log = Log::open(environment(Arc::clone(&storage), time, chance), self.options.clone())?;
        Ok((log, storage))
    }

    pub(crate) fn open_read_only(&self, disk: &SimDisk) -> Result<Log, LogError> {
        let time = Arc::new(VirtualTime::new(0));
        Log::open_read_only(environment(self.storage(disk), &time, 0), self.options.clone())
    }
}

#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) setup: Setup,
    pub(crate) disk: SimDisk,
    pub(crate) model: Model,
    /// Whether what a failed sync loses is lost to readers at once: then only what was synced survives a process.
    pub(crate) reverts: bool,
    /// What failed without ending the process.
    pub(crate) errors: Vec<LogError>,
    pub(crate) time: Arc<VirtualTime>,
    process: Option<Process>,
    /// Faults that fired before this process.
    fired: u64,
    /// Faults that fired before this rig.
    fired_before: u64,
}

#[derive(Debug)]
struct Process {
    log: Log,
    storage: Arc<dyn Storage>,
    tickets: VecDeque<(Ticket, u64)>,
    transactions: Open,
}

impl Drop for Rig {
    fn drop(&mut self) {
        // A log that is dropped is closed: that would be one more thing to happen to a disk that others look at.
        self.disk.kill();
        tally::faults(self.disk.faults_fired() - self.fired_before);
    }
}

impl Rig {
    pub(crate) fn new(setup: &Setup, seed: u64, disk: DiskOptions) -> Self {
        Self::on(setup, SimDisk::with_options(seed, disk), Model::new())
    }

    /// Goes on with a disk that no process uses.
    pub(crate) fn on(setup: &Setup, disk: SimDisk, model: Model) -> Self {
        let time = Arc::new(VirtualTime::new(BOOT + (disk.operations() << 20)));
        let fired_before = disk.faults_fired();
        Self {
            setup: setup.clone(),
            disk,
            model,
            reverts: false,
            errors: Vec::new(),
            time,
            process: None,
            fired: 0,
            fired_before,
        }
    }

    /// The disk and the model after the process ended, as it now has.
    pub(crate) fn into_parts(self) -> (SimDisk, Model) {
        (self.disk.snapshot(), self.model.clone())
    }

    pub(crate) fn log(&self) -> &Log {
        &self.process.as_ref().unwrap().log
    }

    pub(crate) fn open_transactions(&mut self) -> &mut Open {
        &mut self.process.as_mut().unwrap().transactions
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.time.advance(by);
    }

    /// Opens the log after the process ended by `end`, and holds it to its promises.
    pub(crate) fn open(&mut self, end: End) -> Result<(), String> {
        self.try_open(end)?.map_err(|error| format!("open failed: {}", chain(&error)))
    }

    /// The same, where opening may fail.
    pub(crate) fn try_open(&mut self, end: End) -> Result<Result<(), LogError>, String> {
        let end = if self.reverts { End::Power } else { end };
        if !self.disk.names().is_empty() {
            tally::state();
        }
        let (log, storage) = match self.setup.open_at(&self.disk, &self.time) {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        self.process = Some(Process { log, storage, tickets: VecDeque::new(), transactions: Open::new() });
        self.errors.clear();
        self.fired = self.disk.faults_fired();
        let seen = match Seen::of(self.log()) {
            Ok(seen) => seen,
            Err(error) => return Ok(Err(error)),
        };
        self.model.adopt(&seen, end)?;
        // What fails at the end of opening, when the log is there, is not reported: the process may be dead by now.
        if self.is_dead() {
            return Ok(Ok(()));
        }
        match self.setup.open(&self.disk) {
            Err(LogError::Locked { .. }) => Ok(Ok(())),
            Err(_) if self.is_dead() => Ok(Ok(())),
            other => Err(format!("a second writer was not turned away: {other:?}")),
        }
    }

    /// Cuts the power.
    pub(crate) fn cut_power(&self, seed: u64) {
        tally::faults(1);
        self.disk.crash(seed);
    }

    /// Ends the process as a signal would.
    pub(crate) fn kill(&mut self) {
        self.disk.kill();
        self.process = None;
    }

    pub(crate) fn is_dead(&self) -> bool {
        let list = self.process.as_ref().map(|process| process.storage.list());
        list.is_none_or(|list| list.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
    }

    /// Whether nothing has failed since the log was opened.
    pub(crate) fn is_sound(&self) -> bool {
        self.errors.is_empty() && self.disk.faults_fired() == self.fired
    }

    /// Does the steps in order, until the process dies or something is wrong.
    pub(crate) fn run(&mut self, ops: &[Op]) -> Result<(), String> {
        for (at, op) in ops.iter().enumerate() {
            self.step(op).map_err(|why| format!("step {at}, {op:?}: {why}"))?;
            if self.is_dead() {
                break;
            }
        }
        Ok(())
    }

    /// Does one step; what the log says of it becomes part of the model.
    pub(crate) fn step(&mut self, op: &Op) -> Result<(), String> {
        self.time.advance(Duration::from_millis(1));
        match op {
            Op::Append(len) => self.append(*len, None),
            Op::AppendAs(len, durability) => self.append(*len, Some(*durability)),
            Op::Batch(lens) => self.batch(lens),
            Op::Submit(len) => self.submit(*len),
            Op::Wait => self.wait(),
            Op::Sync => {
                let next = self.model.next();
                let synced = self.log().sync();
                self.note(synced, |model| {
                    model.acknowledged(next);
                    model.counter_mut().acknowledged();
                });
                Ok(())
            }
            Op::Maintain => {
                self.time.advance(Duration::from_millis(50));
                let done = self.log().maintain();
                // Under a policy with an interval everything is synced now, entries or not.
                let (next, is_due) = (self.model.next(), self.setup.options.sync.interval().is_some());
                self.note(done, |model| {
                    if is_due {
                        model.acknowledged(next);
                        model.counter_mut().acknowledged();
                    }
                });
                Ok(())
            }
            Op::KeepLast(count) => {
                let first = self.model.next().saturating_sub(*count).max(self.model.trimmed_to());
                self.model.trimming(first);
                let trimmed = self.log().truncate_before(lsn(first));
                self.note(trimmed.map(drop), |model| model.trimmed(first));
                Ok(())
            }
            Op::Drain(accept) => self.drain(*accept),
            Op::CutLast(count) => {
                let next = self.model.next().saturating_sub(*count).max(self.model.trimmed_to());
                self.change(Some(next), |log| log.truncate_from(lsn(next)).map(drop));
                Ok(())
            }
            Op::Clear => {
                self.change(None, |log| log.clear().map(drop));
                Ok(())
            }
            Op::Cursor(back) => self.cursor(*back),
            Op::Retain(policy) => self.retain(policy),
            Op::Reopen => self.reopen(),
            Op::Kill => {
                self.kill();
                self.reopened(End::Process)
            }
            Op::Read => self.read(),
            Op::Train => {
                let next = self.model.next();
                let options = DictionaryOptions { len: 256, ..DictionaryOptions::default() };
                let trained = self.log().train_dictionary(&options);
                self.note(trained.map(drop), |model| model.acknowledged(next));
                Ok(())
            }
            Op::Transact(step) => self.transact(step),
            Op::Receive(lens) => self.receive(lens),
            Op::Raise => self.raise(),
            Op::RaiseWith(lens) => self.raise_with(lens),
            Op::Checkpoint => self.checkpoint(),
        }
    }

    pub(crate) fn note(&mut self, result: Result<(), LogError>, acknowledge: impl FnOnce(&mut Model)) {
        match result {
            Ok(()) => acknowledge(&mut self.model),
            Err(error) => self.errors.push(error),
        }
    }

    fn change(&mut self, next: Option<u64>, change: impl FnOnce(&Log) -> Result<(), LogError>) {
        self.model.changing(next);
        match change(self.log()) {
            Ok(()) => {
                self.model.changed();
                // Their LSNs may be given to others.
                self.process.as_mut().unwrap().tickets.clear();
            }
            Err(error) => {
                let next = self.log().next_lsn().get();
                let is_empty = self.log().first_lsn().is_none();
                self.model.change_failed(next, is_empty);
                self.errors.push(error);
            }
        }
    }

    fn append(&mut self, len: usize, durability: Option<Durability>) -> Result<(), String> {
        let payload = self.model.payload(len);
        let early = self.setup.bug == Bug::PackAcknowledged;
        let options = AppendOptions {
            durability: if early { Some(Durability::Buffered) } else { durability },
            ..AppendOptions::default()
        };
        let result = self.log().append_entry(&NewEntry::plain(&payload.bytes()), &options);
        self.appended(&[payload], result.map(|first| (first.get(), first.get())), durability)
    }

    fn batch(&mut self, lens: &[usize]) -> Result<(), String> {
        let payloads: Vec<Payload> = lens.iter().map(|len| self.model.payload(*len)).collect();
        let mut batch = EntriesBuilder::default();
        payloads.iter().for_each(|payload| batch.push(&NewEntry::plain(&payload.bytes())).unwrap());
        let result = self.log().append_batch(&batch, &AppendOptions::default());
        self.appended(&payloads, result.map(|(first, last)| (first.get(), last.get())), None)
    }

    fn submit(&mut self, len: usize) -> Result<(), String> {
        let payload = self.model.payload(len);
        let result = self.log().submit(&NewEntry::plain(&payload.bytes()), None);
        let lsn = result.as_ref().map(|ticket| ticket.lsn().get()).unwrap_or_default();
        match result {
            Ok(ticket) => {
                let process = self.process.as_mut().unwrap();
                process.tickets.push_back((ticket, lsn + 1));
                self.appended(&[payload], Ok((lsn, lsn)), Some(Durability::Buffered))
            }
            Err(error) => self.appended(&[payload], Err(error), None),
        }
    }

    /// An append that fails with anything but `Unconfirmed` has changed nothing.
    pub(crate) fn appended(
        &mut self,
        payloads: &[Payload],
        result: Result<(u64, u64), LogError>,
        durability: Option<Durability>,
    ) -> Result<(), String> {
        let expected = (self.model.next(), self.model.next() + payloads.len() as u64 - 1);
        let given = match &result {
            Ok(given) => *given,
            Err(LogError::Unconfirmed { first, last, .. }) => (first.get(), last.get()),
            Err(_) => expected,
        };
        if given != expected {
            return Err(format!("the LSNs are {given:?}, not {expected:?}"));
        }
        match result {
            Ok((_, last)) => {
                self.model.appended(payloads);
                match durability.unwrap_or_else(|| self.setup.options.sync.into()) {
                    Durability::Durable => self.model.settled(last + 1),
                    Durability::Written => self.model.handed_on(last + 1),
                    Durability::Buffered => {}
                }
            }
            Err(error) => {
                if matches!(error, LogError::Unconfirmed { .. }) {
                    self.model.appended(payloads);
                }
                self.errors.push(error);
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), String> {
        let Some((ticket, next)) = self.process.as_mut().unwrap().tickets.pop_front() else { return Ok(()) };
        // What was cut off since is none of the model's any more.
        let next = next.min(self.model.next());
        self.note(ticket.wait(), |model| model.acknowledged(next));
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), String> {
        let next = self.model.next();
        let closed = self.log().close();
        // A process that wrote nothing leaves what was torn before it, and one that failed leaves what it tried.
        let was_closed = self.errors.is_empty() && closed.is_ok() && self.log().stats().segments_started > 0;
        self.note(closed, |model| {
            model.acknowledged(next);
            model.counter_mut().acknowledged();
        });
        if self.is_dead() {
            return Ok(());
        }
        self.process = None;
        self.reopened(End::Process)?;
        let is_dirty = matches!(self.setup.bug, Bug::StrayBlocks | Bug::SaltIgnored);
        if was_closed && !is_dirty && !self.is_dead() && self.process.is_some() {
            let report = self.log().recovery_report();
            if report.cut.is_some() || report.rewritten > 0 {
                return Err(format!("not clean after a close: {report:?}"));
            }
        }
        Ok(())
    }

    /// Opens the log where the disk may fail meanwhile.
    fn reopened(&mut self, end: End) -> Result<(), String> {
        if let Err(error) = self.try_open(end)? {
            if error.is_damage() {
                return Err(format!("damage without damage: {}", chain(&error)));
            }
            self.errors.push(error);
            self.process = None;
        }
        Ok(())
    }

    fn read(&self) -> Result<(), String> {
        let is_sound = self.is_sound();
        match Seen::of(self.log()) {
            // After a failure the log may show only what is durable.
            Ok(seen) if is_sound => self.model.check_live(&seen)?,
            Ok(seen) => self.model.check(&seen.without_claims(self.model.durable()), End::Power)?,
            Err(_) if self.is_dead() => return Ok(()),
            Err(error) => return Err(format!("read failed: {}", chain(&error))),
        }
        let reader = match self.setup.open_read_only(&self.disk) {
            Err(LogError::MissingLog { .. }) => return Ok(()),
            opened => opened.map_err(|error| format!("open for reading failed: {}", chain(&error)))?,
        };
        let seen = Seen::of(&reader).map_err(|error| format!("reading failed: {}", chain(&error)))?;
        let end = if is_sound { End::Process } else { End::Power };
        self.model.check(&seen, end)
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
