//! Appends that may not wait as long as it takes.
//!
//! A call of the operating system cannot be cut short, and a lock under which somebody makes one is as bad. So an
//! append with a deadline does no I/O itself: it leaves an errand for a thread of the log, and goes when its time is
//! up, whatever became of the errand. Doing it all the same harms nobody: an errand makes room or writes what is
//! queued, and never appends.

use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use wal_format::{EntriesBuilder, Lsn, NewEntry};

use crate::{
    AppendOptions, Durability, Log, LogError, Ticket, WhenFull,
    append::segment_len_for,
    appender::{Appender, Reserve, Room},
    chunk::Amount,
    commit::Commit,
    engine::Engine,
    error::{BusySnafu, TimedOutSnafu},
    marks::Tick,
    outcome::Outcome,
    stats::add,
};

/// How long an append that may not wait does wait for others that are in the middle of theirs.
const MOMENT: Duration = Duration::from_millis(1);

/// How long an append may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As long as it takes. The caller does what I/O there is to be done.
    Endless,
    /// Until this moment of the monotonic clock.
    Until(Duration),
    /// It may not wait at all.
    None,
}

impl Patience {
    pub(crate) fn run_out(self, operation: &'static str) -> LogError {
        match self {
            Self::None => BusySnafu { operation }.build(),
            Self::Endless | Self::Until(_) => TimedOutSnafu { operation }.build(),
        }
    }

    fn at_most(self, until: Duration) -> Self {
        match self {
            Self::Endless => Self::Until(until),
            Self::Until(sooner) => Self::Until(sooner.min(until)),
            Self::None => Self::None,
        }
    }
}

/// What an append asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) expected: Option<Lsn>,
    pub(crate) durability: Durability,
    pub(crate) patience: Patience,
    pub(crate) when_full: WhenFull,
}

impl Terms {
    /// Those of the log's own frames.
    pub(crate) const PLAIN: Self = Self {
        expected: None,
        durability: Durability::Buffered,
        patience: Patience::Endless,
        when_full: WhenFull::Block,
    };
}

/// What somebody without time has a thread of the log do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Errand {
    /// See to it that a frame like this finds room.
    Room { body_len: usize, count: u32 },
    /// Make frames of packs that take no more entries, if too many wait.
    Settle,
    /// Write what is queued.
    Write,
    /// Write at least up to this frame.
    WriteUpTo(Tick),
}

/// Errands that are still to be run, and who waits for them.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    errands: Vec<(Errand, Option<Arc<Outcome>>)>,
    /// The thread that ran them has ended.
    closed: bool,
}

impl List {
    /// Nobody waits for this one, so one of a kind is enough.
    fn leave(&mut self, errand: Errand) {
        let alike = |other: &Errand| mem::discriminant(other) == mem::discriminant(&errand);
        if !self.closed && !self.errands.iter().any(|(other, reply)| reply.is_none() && alike(other)) {
            self.errands.push((errand, None));
        }
    }
}

impl Errands {
    /// Adds one that somebody waits for, unless there is nobody any more to run it.
    fn ask(&self, errand: Errand, reply: &Arc<Outcome>) -> Result<(), LogError> {
        let mut list = self.list.lock();
        if list.closed {
            return Err(LogError::Closed);
        }
        list.errands.push((errand, Some(Arc::clone(reply))));
        Ok(())
    }

    /// Whether some append has no room before one of them is run.
    pub(crate) fn want_room(&self) -> bool {
        self.list.lock().errands.iter().any(|(errand, _)| matches!(errand, Errand::Room { .. }))
    }

    /// Nobody waits for this reply any more. What was to be written is written all the same.
    fn forget(&self, reply: &Arc<Outcome>) {
        let mut list = self.list.lock();
        let is_it =
            |other: &Option<Arc<Outcome>>| other.as_ref().is_some_and(|other| Arc::ptr_eq(other, reply));
        let Some(at) = list.errands.iter().position(|(_, other)| is_it(other)) else { return };
        match list.errands.remove(at).0 {
            Errand::Room { .. } => {}
            Errand::Settle => list.leave(Errand::Settle),
            Errand::Write | Errand::WriteUpTo(_) => list.leave(Errand::Write),
        }
    }
}

fn panicked() -> LogError {
    LogError::Thread { source: io::Error::other("the thread that writes for others panicked") }
}

impl Engine {
    /// Runs what was left to be done.
    pub(crate) fn run_errands(&self) {
        let errands = mem::take(&mut self.errands.list.lock().errands);
        for (errand, reply) in errands {
            // One that the storage panics in fails alone.
            let run = || self.run_errand(errand);
            let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(panicked()));
            // Whoever waited may have gone.
            if let Some(reply) = reply {
                reply.tell(result);
            }
        }
    }

    /// Whoever still waits when the threads end learns that the log was closed, and so does whoever comes later.
    pub(crate) fn close_errands(&self) {
        let errands = {
            let mut list = self.errands.list.lock();
            list.closed = true;
            mem::take(&mut list.errands)
        };
        let replies = errands.into_iter().filter_map(|(_, reply)| reply);
        replies.for_each(|reply| reply.tell(Err(LogError::Closed)));
    }

    fn run_errand(&self, errand: Errand) -> Result<(), LogError> {
        match errand {
            Errand::Room { body_len, count } => self.make_room(body_len, count),
            Errand::Settle => {
                self.settle_closed();
                Ok(())
            }
            Errand::Write => self.write_pending(),
            Errand::WriteUpTo(tick) => self.write_up_to(tick),
        }
    }

    fn make_room(&self, body_len: usize, count: u32) -> Result<(), LogError> {
        let mut appender = self.appender.lock();
        self.check_writable(&appender)?;
        match appender.room(body_len, count, Reserve::Keep) {
            Room::Here => Ok(()),
            Room::None => self.begin_first(&mut appender, body_len),
            Room::Next => {
                let len = segment_len_for(&appender, body_len);
                drop(appender);
                // Without threads nobody fills but whoever is here.
                if self.has_threads() { self.hasten(len) } else { self.prepare(len) }
            }
        }
    }

    /// Has it done, by the caller if there is time without end.
    pub(crate) fn have_done(
        &self,
        errand: Errand,
        patience: Patience,
        operation: &'static str,
    ) -> Result<(), LogError> {
        let deadline = match patience {
            Patience::Endless => return self.run_errand(errand),
            Patience::None => {
                self.leave_errand(errand);
                return Err(patience.run_out(operation));
            }
            Patience::Until(deadline) => deadline,
        };
        if !self.has_threads() {
            return self.run_errand(errand);
        }
        let reply = Arc::new(Outcome::default());
        self.errands.ask(errand, &reply)?;
        self.ask_for_chores();
        let left = deadline.saturating_sub(self.clock.monotonic());
        reply.wait(left).unwrap_or_else(|| {
            self.errands.forget(&reply);
            Err(patience.run_out(operation))
        })
    }

    /// Has it done some time. A log without threads does it when it is maintained.
    pub(crate) fn leave_errand(&self, errand: Errand) {
        self.errands.list.lock().leave(errand);
        self.ask_for_chores();
    }

    /// The short lock, unless somebody does I/O under it for too long.
    #[inline]
    pub(crate) fn lock_appender(&self, patience: Patience) -> Result<MutexGuard<'_, Appender>, LogError> {
        self.lock_for(&self.appender, patience)
    }

    /// A lock under which nobody does I/O for long.
    #[inline]
    pub(crate) fn lock_for<'a, T>(
        &self,
        lock: &'a Mutex<T>,
        patience: Patience,
    ) -> Result<MutexGuard<'a, T>, LogError> {
        let left = match patience {
            Patience::Endless => return Ok(lock.lock()),
            Patience::Until(deadline) => deadline.saturating_sub(self.clock.monotonic()),
            Patience::None => MOMENT,
        };
        let locked = lock.try_lock_for(left);
        locked.ok_or_else(|| patience.run_out("take a place in the log"))
    }

    /// Whether as much is queued as may be.
    pub(crate) fn is_full(&self, appender: &Appender) -> bool {
        let Amount { bytes, entries } = appender.waiting();
        bytes > self.options.buffer_len || entries > self.options.buffer_entries
    }

    /// Waits, or does not, until less is queued. `until` is when this append gives up waiting for that.
    pub(crate) fn make_way(&self, terms: &Terms, until: &mut Option<Duration>) -> Result<(), LogError> {
        add(&self.stats.append_stalls, 1);
        let operation = "find space in the buffer";
        let patience = match terms.when_full {
            WhenFull::Block => terms.patience,
            WhenFull::Fail => Patience::None,
            WhenFull::BlockFor(time) => {
                let now = || self.clock.monotonic().saturating_add(time);
                terms.patience.at_most(*until.get_or_insert_with(now))
            }
        };
        self.have_done(Errand::Write, patience, operation)
    }

    /// For appends that do not wait at their end: what no sync has covered may not grow too old before they begin.
    ///
    /// Returns the frame to wait for.
    pub(crate) fn overdue(&self, appender: &Appender) -> Option<Tick> {
        self.options.sync.interval()?;
        let since = Duration::from_nanos(appender.oldest_unsynced()?);
        let age = self.clock.monotonic().saturating_sub(since);
        (age > self.options.unsynced_age_max).then_some(appender.tick)
    }

    /// Returns when `tick` is durable. A thread of the log does the sync, if there are threads.
    pub(crate) fn wait_durable(&self, tick: Tick, patience: Patience) -> Result<(), LogError> {
        let operation = "sync";
        let deadline = match patience {
            Patience::Endless => return self.commit.wait(self, tick),
            Patience::None => {
                if self.has_threads() {
                    self.ask_for_sync();
                }
                return Err(patience.run_out(operation));
            }
            Patience::Until(deadline) => deadline,
        };
        let left = deadline.saturating_sub(self.clock.monotonic());
        if !self.commit.wait_timeout(self, tick, left, || self.ask_for_sync()) {
            return Err(patience.run_out(operation));
        }
        if self.marks.durable() >= tick { Ok(()) } else { Err(self.failure().unwrap_or(LogError::Closed)) }
    }
}

impl Log {
    pub(crate) fn terms(&self, options: &AppendOptions) -> Terms {
        let engine = self.engine();
        let until = |timeout| Patience::Until(engine.clock.monotonic().saturating_add(timeout));
        Terms {
            expected: options.expected,
            durability: options.durability.unwrap_or_else(|| engine.options.sync.into()),
            patience: options.timeout.map_or(Patience::Endless, until),
            when_full: options.when_full.unwrap_or(engine.options.when_full),
        }
    }

    /// Those of an append that is not waited for.
    pub(crate) fn submitted(&self, expected: Option<Lsn>) -> Terms {
        Terms { expected, when_full: self.engine().options.when_full, ..Terms::PLAIN }
    }

    fn without_waiting(&self, expected: Option<Lsn>) -> Terms {
        Terms { patience: Patience::None, ..self.submitted(expected) }
    }

    /// Appends one entry if that can be done in memory, at once, and returns a ticket for its durability.
    ///
    /// # Errors
    ///
    /// [`LogError::Busy`] when it would have to wait: for space in the buffer, a segment, a sync that is overdue. What
    /// it would have waited for is seen to, so it is worth trying again. Those of [`submit`](Self::submit).
    pub fn try_append(&self, entry: &NewEntry<'_>, expected: Option<Lsn>) -> Result<Ticket, LogError> {
        self.start_threads()?;
        let stamped = self.engine().append(entry, &self.without_waiting(expected))?;
        Ok(self.ticket(stamped))
    }

    /// Appends a batch if that can be done in memory, at once, and returns a ticket for its durability.
    ///
    /// # Errors
    ///
    /// Those of [`try_append`](Self::try_append) and [`submit_batch`](Self::submit_batch).
    pub fn try_append_batch(
        &self,
        batch: &EntriesBuilder,
        expected: Option<Lsn>,
    ) -> Result<Ticket, LogError> {
        self.start_threads()?;
        let stamped = self.engine().append_batch(batch, &self.without_waiting(expected))?;
        Ok(self.ticket(stamped))
    }
}
