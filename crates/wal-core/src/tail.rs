//! Following a log: its entries in order, and then those that come.

mod history;
mod wake;

use std::{sync::Arc, time::Duration};

use wal_format::Lsn;

use crate::{
    Entry, Iter, LogError,
    commit::{Commit, TaskSlot, Until},
    engine::Engine,
    log::Log,
};

/// How often a log of another process is looked at while nothing comes: soon at first, then ever less often.
const POLL_MIN: Duration = Duration::from_millis(1);
const POLL_MAX: Duration = Duration::from_millis(100);
/// What so many looks take lies between two of them, in the end: a two-hundredth of a processor.
const POLL_LOOKS: u32 = 200;
/// And no less than this.
const POLL_OFTEN: Duration = Duration::from_millis(10);
/// Where each look is a request that costs.
const POLL_OBJECTS: Duration = Duration::from_secs(1);

/// Which entries a tail shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Those that are with the operating system: they survive the process, and a power loss may take them back.
    Written,
    /// Those that are durable: they are never taken back but by a truncation.
    #[default]
    Durable,
}

/// Where a tail begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TailFrom {
    /// At the first entry that is there.
    #[default]
    Start,
    /// Behind the last entry that is visible: with the next to come. When the log is cut before one was given, with the
    /// first behind the cut; in a log of another process, where the place of a cut is not known, that is
    /// [`LogError::CutOff`].
    End,
    /// At this entry, which may be one to come.
    Lsn(Lsn),
}

/// What a tail shows. The default: everything, once it is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailOptions {
    /// Where it begins.
    pub from: TailFrom,
    /// Which entries it shows.
    pub visibility: Visibility,
}

impl From<TailFrom> for TailOptions {
    fn from(from: TailFrom) -> Self {
        Self { from, ..Self::default() }
    }
}

impl From<Lsn> for TailOptions {
    fn from(lsn: Lsn) -> Self {
        TailFrom::Lsn(lsn).into()
    }
}

/// Follows a log: gives its entries in order, and waits for those to come.
///
/// In the process that writes the log it sleeps until an entry is there. A log that is open for reading is looked at
/// again and again while nothing comes, at intervals that grow from 1 millisecond to 10, or, where it takes long, to as
/// much as costs half a percent of a processor, and 100 at most.
///
/// What ends it is an error, the same each time until [`seek`](Self::seek): [`LogError::Closed`] and
/// [`LogError::Poisoned`] once all visible entries were given; [`LogError::CutOff`] when an entry that it has given was
/// cut off; [`LogError::Truncated`] when the next one was trimmed away before it was given. Like a clone of the log it
/// keeps it open. As an iterator it waits for each entry, and ends when the log is closed, or after an error.
///
/// All that it gives is of one history of the log, as with [`Iter`]: what was appended behind a cut never follows an
/// entry that the cut removed. To go on after [`LogError::CutOff`] is for the caller to decide: what it did with the
/// entries from `next` on is about entries that are not there any more. A new tail, or `seek`, begins in the log as it
/// is then. In a log of another process it is also what is said when nobody can tell: where that process replaced the
/// files, and the last entry that was given is not in them because it was trimmed away. (Trimming alone does not do
/// that.)
#[derive(Debug)]
pub struct Tail {
    log: Log,
    visibility: Visibility,
    entries: Iter,
    next: Lsn,
    /// Nobody named the entry to begin with: until one is given, the place moves with the end of the log.
    floats: bool,
    /// The entry before the next one was given.
    gave: bool,
    generation: u64,
    /// An entry that was given was cut off, from this LSN on.
    cut: Option<Lsn>,
    /// Who is to be woken at the next change, when somebody asked to be.
    task: TaskSlot,
    /// As an iterator it is over.
    over: bool,
}

impl Log {
    /// Follows the log.
    #[must_use]
    pub fn tail(&self, options: TailOptions) -> Tail {
        let engine = self.engine();
        let generation = engine.cuts.generation();
        let look = engine.steady();
        let next = match options.from {
            TailFrom::Start => engine.first_retained(),
            TailFrom::End => engine.visible_next(options.visibility).max(engine.first_retained()),
            TailFrom::Lsn(lsn) => lsn,
        };
        let mut entries = Iter::new(Arc::clone(engine), next, next);
        drop(look);
        if options.from == TailFrom::End {
            // Where another process cuts its log is not known here, but that it did shows in the entry before.
            entries.begin_behind();
        }
        Tail {
            log: self.clone(),
            visibility: options.visibility,
            entries,
            next,
            floats: !matches!(options.from, TailFrom::Lsn(_)),
            gave: false,
            generation,
            cut: None,
            task: TaskSlot::default(),
            over: false,
        }
    }
}

impl Engine {
    /// Entries before this one may be shown.
    fn visible_next(&self, visibility: Visibility) -> Lsn {
        match visibility {
            // After a failure only what is durable is certain.
            Visibility::Written if self.poisoned().is_none() => self.marks.written_next(),
            Visibility::Written | Visibility::Durable => self.marks.durable_next(),
        }
    }

    const fn is_live(&self) -> bool {
        self.preparer.is_some()
    }
}

impl Tail {
    /// LSN of the next entry.
    #[must_use]
    pub const fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// Goes on at `lsn`, forward or back, whatever has ended it before: in the log as it is known to be now, as a new
    /// tail would, also where that is not the history of the entries before.
    pub fn seek(&mut self, lsn: Lsn) {
        (self.next, self.floats, self.gave) = (lsn, false, false);
        (self.cut, self.over) = (None, false);
        self.generation = self.engine().cuts.generation();
        self.entries = Iter::new(Arc::clone(self.engine()), lsn, lsn);
        if let Some(task) = self.unwatch() {
            task.wake();
        }
    }

    /// The next entry if it is there; does not wait. On a log that is open for reading this looks at the files when
    /// nothing is known to be there.
    ///
    /// # Errors
    ///
    /// What ends the tail, as described above; otherwise as reading the entry.
    pub fn try_next(&mut self) -> Result<Option<Entry>, LogError> {
        self.look().map(|(entry, _)| entry)
    }

    /// The same, and how long it took to look at the files.
    fn look(&mut self) -> Result<(Option<Entry>, Duration), LogError> {
        let entry = self.step()?;
        if entry.is_some() || self.engine().is_live() {
            return Ok((entry, Duration::ZERO));
        }
        let now = || self.engine().clock.monotonic();
        let began = now();
        self.engine().look_again()?;
        let cost = now().saturating_sub(began);
        Ok((self.step()?, cost))
    }

    /// The next entry, waiting for it so long; `None` when it did not come.
    ///
    /// # Errors
    ///
    /// Those of [`try_next`](Self::try_next).
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Entry>, LogError> {
        let deadline = self.engine().clock.monotonic().checked_add(timeout);
        self.wait_until(deadline)
    }

    /// The next entry, however long it takes to come.
    ///
    /// # Errors
    ///
    /// Those of [`try_next`](Self::try_next).
    pub fn wait(&mut self) -> Result<Entry, LogError> {
        loop {
            if let Some(entry) = self.wait_until(None)? {
                return Ok(entry);
            }
        }
    }

    fn engine(&self) -> &Arc<Engine> {
        self.log.engine()
    }

    fn wait_until(&mut self, deadline: Option<Duration>) -> Result<Option<Entry>, LogError> {
        let mut pause = POLL_MIN;
        loop {
            let (entry, cost) = self.look()?;
            if entry.is_some() {
                return Ok(entry);
            }
            let engine = self.engine();
            let now = || engine.clock.monotonic();
            if deadline.is_some_and(|deadline| now() >= deadline) {
                return Ok(None);
            }
            if engine.is_live() {
                engine.watch.wait(self.until(), || self.has_news(), deadline, now);
            } else {
                let look = now().saturating_add(pause);
                let until = deadline.map_or(look, |deadline| deadline.min(look));
                engine.watch.wait(Until::Change, || engine.failure().is_some(), Some(until), now);
                pause = (pause * 2).min(if engine.objects { POLL_OBJECTS } else { longest(cost) });
            }
        }
    }

    /// What to wait for.
    const fn until(&self) -> Until {
        match self.visibility {
            Visibility::Written => Until::Change,
            Visibility::Durable => Until::Durable(self.next),
        }
    }

    /// Whether another step may lead further than the last one did.
    fn has_news(&self) -> bool {
        let engine = self.engine();
        engine.visible_next(self.visibility) > self.next
            || engine.cuts.generation() != self.generation
            || engine.failure().is_some()
    }

    fn step(&mut self) -> Result<Option<Entry>, LogError> {
        loop {
            self.check_cuts()?;
            match self.entries.next() {
                Some(Ok(entry)) => {
                    self.next = entry.lsn.next();
                    (self.floats, self.gave) = (false, true);
                    return Ok(Some(entry));
                }
                Some(Err(error)) => self.stopped(error)?,
                None => {}
            }
            // In this order: what became visible before the end is given before it.
            let failure = self.engine().failure();
            let visible = self.take_in()?;
            if self.next < visible {
                self.entries.stretch(self.next, visible);
            } else {
                return failure.map_or(Ok(None), Err);
            }
        }
    }
}

/// How long a tail waits at most between two looks that take so long.
fn longest(look: Duration) -> Duration {
    look.saturating_mul(POLL_LOOKS).clamp(POLL_OFTEN, POLL_MAX)
}

impl Iterator for Tail {
    type Item = Result<Entry, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let item = self.wait();
        self.item(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_done_less_often() {
        let of = |micros| longest(Duration::from_micros(micros)).as_millis();
        assert_eq!([0, 20, 50, 100, 400, 500, 10_000].map(of), [10, 10, 10, 20, 80, 100, 100]);
        assert_eq!(longest(Duration::MAX), POLL_MAX);
    }
}
