//! What a pass of retention would do: decided from facts alone, so that it can be shown before it is done.

use std::{fmt, ops::Range, time::Duration};

use wal_format::{Lsn, SegmentId};

use super::policy::Retention;

/// What retention would do now. Nothing has been done yet; printed, it says so in words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionPlan {
    /// The segments that would go, oldest first. The newest of all is among them only when
    /// [`rolls_active`](Self::rolls_active) is set, too.
    pub remove: Vec<PlannedRemoval>,
    /// The first entry of the log afterwards.
    pub first_retained: Lsn,
    /// Whether the active segment would be closed because its first entry is too old, so that it can go later.
    pub rolls_active: bool,
    /// What keeps the next segment although a limit is exceeded; empty when no limit is.
    pub held_back_by: Vec<Pin>,
    /// The cursors that would lose entries that they have not acknowledged, because they hold back more than they may.
    pub passes: Vec<String>,
    /// The checkpoints that would be deleted because the entries there are gone. Protected ones never are.
    pub drops: Vec<String>,
    /// Space that the files take that would go, in bytes.
    pub freed_bytes: u64,
}

/// A segment that retention would remove.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedRemoval {
    /// Its number.
    pub segment: SegmentId,
    /// Its entries.
    pub lsns: Range<Lsn>,
    /// Space that its file takes, in bytes.
    pub bytes: u64,
    /// The limit that it exceeds; the first, in the order in which they are named here.
    pub reason: RetentionReason,
}

/// Why a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetentionReason {
    /// All its entries lie before [`Retention::keep_from`].
    KeepFrom,
    /// Its last entry is older than [`Retention::max_age`].
    Age,
    /// The files take more space than [`Retention::max_bytes`].
    Bytes,
    /// There are more segments than [`Retention::max_segments`].
    Segments,
}

/// What keeps entries from being removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pin {
    /// What it is.
    pub kind: PinKind,
    /// Its name.
    pub name: String,
    /// The first entry that it needs.
    pub lsn: Lsn,
}

/// What can hold retention back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinKind {
    /// A cursor, up to [`Retention::cursor_max_bytes`] and [`Retention::cursor_max_age`].
    Cursor,
    /// A protected checkpoint, whatever it costs, until it is deleted or made anew without protection.
    Checkpoint,
}

/// What a plan is made from.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The segments of the log, oldest first; the last is the active one.
    pub(super) segments: Vec<SegmentFacts>,
    /// How old the first entry of the active segment is; `None` when it has none, or no limit of age is set.
    pub(super) active_age: Option<Duration>,
    pub(super) first_retained: Lsn,
    /// The first entry that readers see: before that one as long as a trim waits for space.
    pub(super) shown: Lsn,
    pub(super) pins: Vec<Pin>,
    /// The checkpoints that are not protected.
    pub(super) unprotected: Vec<(String, Lsn)>,
}

#[derive(Clone, Debug)]
pub(super) struct SegmentFacts {
    pub(super) id: SegmentId,
    pub(super) base: Lsn,
    pub(super) next: Lsn,
    pub(super) bytes: u64,
    /// Time since its last entry was appended; `None` when it is younger than every limit.
    pub(super) age: Option<Duration>,
}

/// What is left of the log from some segment on.
struct Rest {
    segments: u64,
    bytes: u64,
}

/// Decides what goes: from the oldest segment on, until one is not due or is needed.
pub(super) fn plan(facts: &Facts, policy: &Retention) -> RetentionPlan {
    let mut plan = RetentionPlan {
        remove: Vec::new(),
        first_retained: facts.first_retained,
        rolls_active: exceeds(facts.active_age, policy.max_age),
        held_back_by: Vec::new(),
        passes: Vec::new(),
        drops: Vec::new(),
        freed_bytes: 0,
    };
    if !policy.has_limits() {
        return plan;
    }
    let mut rest = Rest {
        segments: facts.segments.len() as u64,
        bytes: facts.segments.iter().map(|segment| segment.bytes).fold(0, u64::saturating_add),
    };
    for segment in &facts.segments {
        let due = due(segment, &rest, policy);
        // The active segment is needed as long as it is the active one.
        let goes = rest.segments > 1 || (plan.rolls_active && due == Some(RetentionReason::Age));
        let Some(reason) = due.filter(|_| goes) else { break };
        plan.held_back_by = pins(facts, segment, &rest, policy);
        if !plan.held_back_by.is_empty() {
            break;
        }
        rest.segments -= 1;
        rest.bytes = rest.bytes.saturating_sub(segment.bytes);
        plan.freed_bytes = plan.freed_bytes.saturating_add(segment.bytes);
        plan.first_retained = plan.first_retained.max(segment.next);
        let lsns = segment.base..segment.next;
        plan.remove.push(PlannedRemoval { segment: segment.id, lsns, bytes: segment.bytes, reason });
    }
    let first = plan.first_retained;
    let cursors = facts.pins.iter().filter(|pin| pin.kind == PinKind::Cursor);
    let passed = cursors.filter(|pin| pin.lsn < first && facts.shown < first);
    plan.passes = passed.map(|pin| pin.name.clone()).collect();
    let dropped = facts.unprotected.iter().filter(|(_, lsn)| *lsn < first);
    plan.drops = dropped.map(|(name, _)| name.clone()).collect();
    plan
}

fn due(segment: &SegmentFacts, rest: &Rest, policy: &Retention) -> Option<RetentionReason> {
    if policy.keep_from.is_some_and(|keep| segment.next <= keep) {
        Some(RetentionReason::KeepFrom)
    } else if exceeds(segment.age, policy.max_age) {
        Some(RetentionReason::Age)
    } else if policy.max_bytes.is_some_and(|max| rest.bytes > max) {
        Some(RetentionReason::Bytes)
    } else if policy.max_segments.is_some_and(|max| rest.segments > max) {
        Some(RetentionReason::Segments)
    } else {
        None
    }
}

/// What needs an entry of this segment and may keep it.
fn pins(facts: &Facts, segment: &SegmentFacts, rest: &Rest, policy: &Retention) -> Vec<Pin> {
    let gives_way = policy.cursor_max_bytes.is_some_and(|max| rest.bytes > max)
        || exceeds(segment.age, policy.cursor_max_age);
    let needs = |pin: &&Pin| pin.lsn < segment.next && !(pin.kind == PinKind::Cursor && gives_way);
    facts.pins.iter().filter(needs).cloned().collect()
}

fn exceeds(age: Option<Duration>, max: Option<Duration>) -> bool {
    age.zip(max).is_some_and(|(age, max)| age > max)
}

impl fmt::Display for RetentionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeepFrom => "before the first entry to keep",
            Self::Age => "too old",
            Self::Bytes => "too many bytes",
            Self::Segments => "too many segments",
        })
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            PinKind::Cursor => "cursor",
            PinKind::Checkpoint => "protected checkpoint",
        };
        write!(f, "{kind} {:?} at entry {}", self.name, self.lsn)
    }
}

impl fmt::Display for RetentionPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rolls_active {
            writeln!(f, "close the active segment")?;
        }
        for PlannedRemoval { segment, lsns, bytes, reason } in &self.remove {
            let Range { start, end } = lsns;
            writeln!(
                f,
                "remove segment {segment}: entries from {start} before {end}, {bytes} bytes, {reason}"
            )?;
        }
        self.passes.iter().try_for_each(|name| writeln!(f, "pass cursor {name:?}"))?;
        self.drops.iter().try_for_each(|name| writeln!(f, "delete checkpoint {name:?}"))?;
        self.held_back_by.iter().try_for_each(|pin| writeln!(f, "held back by {pin}"))?;
        write!(f, "first entry {}, {} bytes freed", self.first_retained, self.freed_bytes)
    }
}

#[cfg(test)]
mod tests;
