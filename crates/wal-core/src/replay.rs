//! Replaying: every entry of a range goes through a callback, in batches; what it accepted can be removed as it goes.
//!
//! No lock is held while the callback runs: it may append, read, sync or trim.

mod options;

use std::{error, fmt};

use wal_format::Lsn;

pub use options::{Direction, ReplayOptions, ReplayPoint};

use crate::{
    Entry, Iter, LogError,
    error::InvalidArgumentSnafu,
    events::{Span, Start},
    log::Log,
    reading::Batches,
    stats::add,
};

/// How far a replay came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Entries that the callback accepted.
    pub entries: u64,
    /// How often it was called and accepted.
    pub batches: u64,
    /// Bytes of payload in those entries.
    pub bytes: u64,
    /// The first entry accepted: the lowest going forward, the highest going backward.
    pub first: Option<Lsn>,
    /// The last entry accepted.
    pub last: Option<Lsn>,
    /// Where to go on. Going forward: the first entry not accepted. Going backward: the LSN after it; all entries
    /// before this one are left. [`ReplayOptions::resume`] takes it from here. Means nothing when the replay could not
    /// begin: then all of it is left.
    pub next: Lsn,
    /// Entries of the range that are left.
    pub left: u64,
    /// Entries that were removed: durably, and never before the callback had accepted them.
    pub drained: u64,
    /// Its range was found.
    began: bool,
}

/// Why a replay ended early. Everything that the callback accepted before counts, and is in the report.
#[derive(Debug)]
pub enum ReplayError<E, L = LogError> {
    /// The callback did not accept a batch. Nothing of it was removed.
    Rejected {
        /// What the callback returned.
        error: E,
        /// The first entry of the batch, in the order of the replay.
        first: Lsn,
        /// The last entry of the batch.
        last: Lsn,
        /// How far the replay came.
        report: Box<ReplayReport>,
    },
    /// The log could not be read, or not be drained.
    Log {
        /// Why.
        error: L,
        /// How far the replay came.
        report: Box<ReplayReport>,
    },
}

impl<E, L> ReplayError<E, L> {
    /// How far the replay came.
    #[must_use]
    pub fn report(&self) -> &ReplayReport {
        match self {
            Self::Rejected { report, .. } | Self::Log { report, .. } => report,
        }
    }

    /// The same with another error of the log.
    pub fn map_log<M>(self, map: impl FnOnce(L) -> M) -> ReplayError<E, M> {
        match self {
            Self::Rejected { error, first, last, report } => {
                ReplayError::Rejected { error, first, last, report }
            }
            Self::Log { error, report } => ReplayError::Log { error: map(error), report },
        }
    }
}

impl<E, L> fmt::Display for ReplayError<E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected { first, last, .. } => {
                write!(f, "the entries {first} to {last} were not accepted")
            }
            Self::Log { report, .. } if !report.began => f.write_str("the replay could not begin"),
            Self::Log { report, .. } => write!(f, "the replay could not go on at entry {}", report.next),
        }
    }
}

impl<E: error::Error + 'static, L: error::Error + 'static> error::Error for ReplayError<E, L> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Rejected { error, .. } => Some(error),
            Self::Log { error, .. } => Some(error),
        }
    }
}

impl Log {
    /// Calls `each` with the entries of a range, a batch at a time, as they are when the replay begins; entries
    /// appended later are not part of it.
    ///
    /// With [`drain`](ReplayOptions::drain) entries that were accepted are removed, durably, whenever that frees a
    /// segment, and at the end: also when the callback refuses a batch or the log cannot be read further. After a crash
    /// those come again that were accepted and not yet removed, at most about a segment of them and a batch; none is
    /// removed that was not accepted. Draining is a truncation that the caller asks for: unlike retention it waits
    /// neither for cursors nor for protected checkpoints.
    ///
    /// # Errors
    ///
    /// [`ReplayError::Rejected`] with what `each` returned. [`ReplayError::Log`] otherwise: with
    /// [`LogError::InvalidArgument`] before anything is read when the options contradict each other,
    /// [`LogError::NoSuchName`] when there is no such checkpoint, with [`LogError::Truncated`] when the range begins
    /// at an LSN, a checkpoint or a report whose entries were removed, with
    /// [`LogError::CutOff`] or [`LogError::Truncated`] when the entries were removed meanwhile, and as reading and
    /// [`truncate_before`](Self::truncate_before).
    pub fn replay<E>(
        &self,
        options: &ReplayOptions<'_>,
        each: impl FnMut(&[Entry]) -> Result<(), E>,
    ) -> Result<ReplayReport, ReplayError<E>> {
        let engine = self.engine();
        let _span = Span::replay(&engine.directory);
        let start = Start::now(&*engine.clock);
        let result = self.run_replay(options, each);
        let stats = &engine.stats;
        add(&stats.replays, 1);
        add(&stats.replay_entries, result.as_ref().unwrap_or_else(ReplayError::report).entries);
        add(&stats.replay_callback_errors, u64::from(matches!(result, Err(ReplayError::Rejected { .. }))));
        stats.replay_duration.record(start.elapsed_ns(&*engine.clock));
        result
    }

    fn run_replay<E>(
        &self,
        options: &ReplayOptions<'_>,
        mut each: impl FnMut(&[Entry]) -> Result<(), E>,
    ) -> Result<ReplayReport, ReplayError<E>> {
        let mut replay = Replay::new(self, options)
            .map_err(|error| ReplayError::Log { error, report: Box::new(ReplayReport::NOT_BEGUN) })?;
        let mut batch = Vec::new();
        loop {
            // What was read before an error is worth handing over first.
            let read = replay.batches.fill(&mut batch);
            if let (Some(first), Some(last)) = (batch.first(), batch.last()) {
                if let Err(error) = each(&batch) {
                    let (first, last) = (first.lsn, last.lsn);
                    return Err(ReplayError::Rejected { error, first, last, report: replay.give_up() });
                }
                let removed = replay.accept(&batch);
                if let Some(progress) = options.progress {
                    progress(&replay.report);
                }
                removed.map_err(|error| ReplayError::Log { error, report: Box::new(replay.report) })?;
            }
            match read {
                Err(error) => return Err(ReplayError::Log { error, report: replay.give_up() }),
                Ok(()) if batch.is_empty() => break,
                Ok(()) => {}
            }
        }
        let drained = replay.drain();
        drained.map_err(|error| ReplayError::Log { error, report: Box::new(replay.report) })?;
        Ok(replay.report)
    }
}

impl ReplayReport {
    const NOT_BEGUN: Self = Self {
        entries: 0,
        batches: 0,
        bytes: 0,
        first: None,
        last: None,
        next: Lsn::FIRST,
        left: 0,
        drained: 0,
        began: false,
    };

    const fn at(next: Lsn) -> Self {
        Self { next, began: true, ..Self::NOT_BEGUN }
    }
}

/// A replay under way.
struct Replay<'a> {
    log: &'a Log,
    options: &'a ReplayOptions<'a>,
    batches: Batches,
    /// Where history stood when it began: what was cut since is not drained.
    generation: u64,
    /// Entries before this one are not there any more.
    drained: Lsn,
    report: ReplayReport,
}

impl<'a> Replay<'a> {
    fn new(log: &'a Log, options: &'a ReplayOptions<'_>) -> Result<Self, LogError> {
        options.batch.check()?;
        let engine = log.engine();
        if options.drain {
            engine.check_writable(&engine.appender.lock())?;
            if options.direction == Direction::Backward {
                return InvalidArgumentSnafu { why: "a log is drained from the front, not backward" }.fail();
            }
        }
        // A time and a checkpoint are other places in another history.
        let (generation, entries) = engine.in_one_history(|| {
            let generation = engine.cuts.generation();
            Ok((generation, Self::entries(log, options)?))
        })?;
        let drained = entries.front();
        let backwards = options.direction == Direction::Backward;
        let mut report = ReplayReport::at(if backwards { entries.back() } else { entries.front() });
        report.left = entries.back().since(entries.front()).unwrap_or(0);
        let batches = Batches::new(entries, backwards, options.batch);
        Ok(Self { log, options, batches, generation, drained, report })
    }

    fn entries(log: &Log, options: &ReplayOptions<'_>) -> Result<Iter, LogError> {
        let (from, to) = options.resolve(log)?;
        if options.drain && from.is_some_and(|from| from > log.engine().first_retained()) {
            return InvalidArgumentSnafu {
                why: "draining would remove entries before the range, which are not replayed",
            }
            .fail();
        }
        // What was asked for by its place must not be passed over in silence.
        from.map_or_else(|| Ok(log.range(..to)), |from| log.range_from(from, to))
    }

    fn accept(&mut self, batch: &[Entry]) -> Result<(), LogError> {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(()) };
        let report = &mut self.report;
        report.batches += 1;
        report.entries += batch.len() as u64;
        report.left = report.left.saturating_sub(batch.len() as u64);
        report.bytes += batch.iter().map(|entry| entry.payload.len() as u64).sum::<u64>();
        report.first.get_or_insert(first.lsn);
        report.last = Some(last.lsn);
        report.next = if self.options.direction == Direction::Backward { last.lsn } else { last.lsn.next() };
        if self.options.drain && self.frees_a_segment() { self.drain() } else { Ok(()) }
    }

    /// Whether a whole segment holds only entries that were accepted.
    fn frees_a_segment(&self) -> bool {
        self.log.engine().view().position(self.report.next).is_some_and(|position| position > 0)
    }

    /// Removes what was accepted.
    fn drain(&mut self) -> Result<(), LogError> {
        let next = self.report.next;
        if !self.options.drain || next <= self.drained {
            return Ok(());
        }
        self.log.start_threads()?;
        let removed = self.log.engine().truncate_seen(next, self.generation);
        self.log.tell();
        removed?;
        self.report.drained += next.since(self.drained).unwrap_or(0);
        self.drained = next;
        Ok(())
    }

    /// The end, for another reason. What cannot be removed now is still there, and the report says so.
    fn give_up(&mut self) -> Box<ReplayReport> {
        let _ = self.drain();
        Box::new(self.report)
    }
}
