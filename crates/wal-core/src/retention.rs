//! Retention: removing the oldest segments by age, size, number or LSN, as far as nobody needs them.
//!
//! What is to go is decided by a pure function (`plan`), of facts (`facts`) whose ages allow for clocks that are wrong
//! (`age`, `belief`). It goes the way of every trim: a frame says where the log begins now, and once that is durable
//! the files are removed. A crash in between leaves files that the next writer removes.

mod age;
mod belief;
mod facts;
mod plan;
mod policy;

use std::{cell::RefCell, time::Duration};

use wal_format::{Lsn, SegmentId};

pub(crate) use facts::Keeper;
pub use plan::{Pin, PinKind, PlannedRemoval, RetentionPlan, RetentionReason};
pub use policy::Retention;

use crate::{
    DeletionReason, Durability, Log, LogError, LogEvent,
    appender::{Appender, Tail},
    checkpoint,
    engine::Engine,
    events,
    metadata::{SMALL, encode},
    patience::Patience,
};

/// What a pass of retention did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retained {
    /// Entries that were removed.
    pub entries: u64,
    /// Segments whose files were removed.
    pub segments: u64,
    /// Space that these files took, in bytes. A reader that still has one open keeps it.
    pub freed_bytes: u64,
    /// The first entry of the log now.
    pub first_retained: Lsn,
    /// Whether the active segment was closed because its first entry was too old.
    pub rolled_active: bool,
    /// What kept the next segment although a limit is exceeded.
    pub held_back_by: Vec<Pin>,
    /// The cursors that lost entries that they had not acknowledged.
    pub passed: Vec<String>,
    /// The checkpoints that were deleted because the entries there are gone.
    pub dropped: Vec<String>,
}

impl Retained {
    const fn nothing(first_retained: Lsn) -> Self {
        Self {
            entries: 0,
            segments: 0,
            freed_bytes: 0,
            first_retained,
            rolled_active: false,
            held_back_by: Vec::new(),
            passed: Vec::new(),
            dropped: Vec::new(),
        }
    }
}

impl Engine {
    fn retention_plan(&self, policy: &Retention) -> Result<RetentionPlan, LogError> {
        policy.validate()?;
        Ok(plan::plan(&self.retention_facts(policy)?, policy))
    }

    /// One pass.
    fn retain(&self, policy: &Retention) -> Result<Retained, LogError> {
        policy.validate()?;
        self.check_writable(&self.appender.lock())?;
        let mut done = Retained::nothing(self.first_retained());
        if !policy.has_limits() {
            return Ok(done);
        }
        let passed = self.pass(policy, &mut done);
        // What was removed is told even if the rest of the pass failed.
        for cursor in &done.passed {
            events::passed(&self.directory, cursor, done.first_retained);
            self.tell_hooks(|| LogEvent::Passed { cursor: cursor.clone(), first: done.first_retained });
        }
        if done.segments > 0 || done.entries > 0 {
            self.keeper.lock().last = Some(done.clone());
        }
        passed.map(|()| done)
    }

    fn pass(&self, policy: &Retention, done: &mut Retained) -> Result<(), LogError> {
        {
            let _admin = self.admin.lock();
            // Old segments first: on a full disk that makes the room that closing the active one takes.
            let active = self.trim_by(policy, done)?;
            done.rolled_active = match active.map_or(Ok(false), |active| self.close_active(active)) {
                // It can wait for the next pass.
                Err(LogError::Full { .. }) => false,
                closed => closed?,
            };
            if done.rolled_active {
                self.trim_by(policy, done)?;
            }
        }
        match self.drop_checkpoints(&mut done.dropped) {
            // So can this, and a buffer that is full is for those who append.
            Err(LogError::Full { .. } | LogError::Busy { .. } | LogError::TimedOut { .. }) => Ok(()),
            dropped => dropped,
        }
    }

    /// Removes what is due of the segments before the active one. Returns where that one begins if it is to be closed.
    /// The lock `admin` is held.
    fn trim_by(&self, policy: &Retention, done: &mut Retained) -> Result<Option<Lsn>, LogError> {
        let facts = self.retention_facts(policy)?;
        let decided: RefCell<Option<RetentionPlan>> = RefCell::new(None);
        let decide = &mut |appender: &Appender| {
            // Cursors and checkpoints count as they are at the trim's place in the log.
            let plan = plan::plan(&facts.renewed(appender)?, policy);
            let view = self.view();
            let active = view.segments.last().map_or(appender.next, |active| active.base());
            let first = plan.first_retained.min(active);
            decided.replace(Some(plan));
            Ok(first)
        };
        let trimmed = self.trim(decide, &|id| reason(decided.borrow().as_ref(), id))?;
        done.entries += trimmed.entries;
        done.segments += trimmed.segments;
        done.freed_bytes += trimmed.bytes;
        done.first_retained = self.first_retained();
        let Some(plan) = decided.into_inner() else { return Ok(None) };
        done.held_back_by = plan.held_back_by;
        for name in plan.passes.into_iter().filter(|_| trimmed.entries > 0) {
            if !done.passed.contains(&name) {
                done.passed.push(name);
            }
        }
        let active = facts.segments.last().map(|active| active.base);
        Ok(active.filter(|_| plan.rolls_active))
    }

    /// Goes on in a new segment, unless the active one begins behind `base` by now. The lock `admin` is held.
    fn close_active(&self, base: Lsn) -> Result<bool, LogError> {
        self.go_on(&|tail, next| tail.segment.base() > base || tail.segment.base() == next)
    }

    /// Goes on in a new segment, unless the active one will do. The lock `admin` is held.
    pub(crate) fn go_on(&self, will_do: &dyn Fn(&Tail, Lsn) -> bool) -> Result<bool, LogError> {
        let now = self.clock.now();
        loop {
            let mut appender = self.lock_settled(Patience::Endless)?;
            self.check_writable(&appender)?;
            if self.objects {
                // The next frame begins another one.
                appender.end();
                return Ok(true);
            }
            match &appender.tail {
                // The active segment is another process's. What it holds may be carried over.
                None => self.begin_first(&mut appender, 0)?,
                Some(tail) if will_do(tail, appender.next) => return Ok(true),
                Some(_) => {
                    if let Some(len) = self.next_segment(appender, 0, now)? {
                        self.prepare_beside(len)?;
                    }
                }
            }
        }
    }

    /// Deletes the checkpoints before the first entry that are not protected, and names those that are gone.
    fn drop_checkpoints(&self, dropped: &mut Vec<String>) -> Result<(), LogError> {
        loop {
            let mut names = Vec::new();
            self.change_metadata(Durability::Durable, &mut |appender| {
                names.clear();
                fallen(appender, &mut names)
            })?;
            if names.is_empty() {
                return Ok(());
            }
            dropped.append(&mut names);
        }
    }

    /// A pass by the policy of the log, on behalf of nobody.
    pub(crate) fn retain_by_policy(&self) {
        let _ = self.retain(&self.options.retention);
        self.tell();
    }

    /// How long the log's threads may sleep before retention is due.
    pub(crate) fn retention_interval(&self) -> Option<Duration> {
        self.options.retention.has_limits().then_some(self.options.retention.interval)
    }
}

/// Why a segment goes. What was dead before the plan was made is removed with the rest.
fn reason(plan: Option<&RetentionPlan>, id: SegmentId) -> DeletionReason {
    let planned = plan.and_then(|plan| plan.remove.iter().find(|planned| planned.segment == id));
    match planned.map(|planned| planned.reason) {
        Some(RetentionReason::KeepFrom) => DeletionReason::KeepFrom,
        Some(RetentionReason::Age) => DeletionReason::Age,
        Some(RetentionReason::Bytes) => DeletionReason::Size,
        Some(RetentionReason::Segments) => DeletionReason::Count,
        None => DeletionReason::Superseded,
    }
}

/// Records that delete such checkpoints, as many as a small frame holds, which finds room even on a full disk.
fn fallen(appender: &Appender, names: &mut Vec<String>) -> Result<Vec<u8>, LogError> {
    let mut records = Vec::new();
    for (name, known) in checkpoint::named(&appender.metadata) {
        let known = known?;
        if known.protected || known.lsn >= appender.first_retained {
            continue;
        }
        // By the bytes of its name, which another writer may have chosen.
        let record = encode(&checkpoint::record(name, None))?;
        if records.len() + record.len() > SMALL && !records.is_empty() {
            break;
        }
        records.extend_from_slice(&record);
        names.push(known.name);
    }
    Ok(records)
}

impl Log {
    /// What [`retain_with`](Self::retain_with) would do now. Changes nothing, and works on a log that is open for
    /// reading.
    ///
    /// # Errors
    ///
    /// [`LogError::InvalidOption`]; [`LogError::Poisoned`] when cursors and checkpoints are not certain after a
    /// failure.
    pub fn retention_plan(&self, policy: &Retention) -> Result<RetentionPlan, LogError> {
        self.engine().retention_plan(policy)
    }

    /// Removes what the policy lets go. What is gone is durably gone on return; a crash meanwhile leaves the log as it
    /// was or as it is to be. Iterators keep what they hold. Works on a full disk.
    ///
    /// # Errors
    ///
    /// [`LogError::InvalidOption`]; those of [`truncate_before`](Self::truncate_before).
    pub fn retain_with(&self, policy: &Retention) -> Result<Retained, LogError> {
        self.start_threads()?;
        let result = self.engine().retain(policy);
        self.tell();
        result
    }

    /// The same by the policy that the log was opened with.
    ///
    /// # Errors
    ///
    /// Those of [`retain_with`](Self::retain_with).
    pub fn retain(&self) -> Result<Retained, LogError> {
        self.retain_with(&self.engine().options.retention)
    }

    /// The settings that the log was opened with.
    #[must_use]
    pub fn options(&self) -> &crate::Options {
        &self.engine().options
    }

    /// What the last pass of retention did that removed something since the log was opened, whoever asked for it.
    #[must_use]
    pub fn last_retained(&self) -> Option<Retained> {
        self.engine().keeper.lock().last.clone()
    }
}
