//! Retention among the operations: what a pass may remove is computed here once more, from the outside.

use std::time::Duration;

use wal_core::{LogError, Retention};
use wal_sim::Rng;

use crate::{
    exhaustive::Search,
    model::lsn,
    rig::{Op, Rig},
    surroundings::{bare, scale, seed},
    workloads::Workload,
};

const CURSOR: &str = "consumer";

impl Rig {
    /// Puts the cursor before the last so many entries.
    pub(crate) fn cursor(&mut self, back: u64) -> Result<(), String> {
        let at = self.model.next().saturating_sub(back).max(1);
        let made = self.log().create_cursor(CURSOR, Some(lsn(at)));
        let moved = made.and_then(|_| self.log().move_cursor(CURSOR, lsn(at), None));
        self.note(moved, |_| ());
        Ok(())
    }

    /// A pass of retention, held to what segments and cursors there were.
    pub(crate) fn retain(&mut self, policy: &Retention) -> Result<(), String> {
        if let Some(age) = policy.max_age {
            // So that everything is due.
            self.time.advance(age * 2);
        }
        let Some(due) = self.due(policy) else { return Ok(()) };
        // An earlier trim that failed may still take place.
        let allowed = due.max(self.model.trimmed_to());
        self.model.trimming(allowed);
        let mut began = self.model.trimmed_to();
        let retained = self.log().retain_with(policy);
        if let Ok(done) = &retained {
            began = done.first_retained.get();
            if began > allowed {
                return Err(format!("removed up to {began}, and {allowed} is allowed"));
            }
            // On a full disk the active segment stays.
            let whole = policy.max_age.is_none() || done.rolled_active;
            if whole && began < due && self.is_sound() && !self.is_dead() {
                return Err(format!("removed up to {began} only, and {due} is due"));
            }
        }
        self.note(retained.map(drop), |model| model.trimmed(began));
        Ok(())
    }

    /// The first entry that is to stay.
    fn due(&self, policy: &Retention) -> Option<u64> {
        let segments = self.log().segments().ok()?;
        let cursors = self.log().cursors().ok()?;
        let count = segments.len() as u64;
        let excess = policy.max_segments.map_or(0, |max| count.saturating_sub(max)) as usize;
        let due = if policy.max_age.is_some() {
            segments.len()
        } else {
            excess.min(segments.len().saturating_sub(1))
        };
        let pinned = |next: u64| cursors.iter().any(|cursor| cursor.next.get() < next);
        let free = segments.iter().take(due).take_while(|segment| !pinned(segment.next.get()));
        let first = self.log().first_lsn().unwrap_or_else(|| self.log().next_lsn()).get();
        Some(free.last().map_or(first, |segment| segment.next.get()))
    }
}

fn segments(keep: u64) -> Op {
    Op::Retain(Retention { max_segments: Some(keep), ..Retention::default() })
}

fn age() -> Op {
    let max_age = Some(Duration::from_secs(100));
    Op::Retain(Retention { max_age, clock_trial: Duration::ZERO, ..Retention::default() })
}

/// Three entries of this length fill a segment.
pub(crate) fn held_by_a_cursor(len: usize) -> Vec<Op> {
    let mut ops = vec![Op::Append(len); 10];
    ops.extend([Op::Cursor(7), segments(1), Op::Append(10), Op::Cursor(4), segments(1), Op::Append(20)]);
    ops.extend([Op::Reopen, Op::Append(30), Op::Cursor(0), segments(2), segments(1), Op::Append(40)]);
    ops
}

pub(crate) fn by_age(len: usize) -> Vec<Op> {
    let mut ops = vec![Op::Append(len); 4];
    ops.extend([Op::Sync, Op::Cursor(2), age(), Op::Append(10), Op::Cursor(0), age(), Op::Append(len)]);
    ops.extend([Op::Kill, Op::Append(50), Op::Cursor(0), age(), age(), Op::Append(60)]);
    ops
}

/// The check itself: a log whose cursor holds everything gives up nothing, however little may stay.
#[test]
fn a_cursor_before_everything_holds_everything() {
    let mut rig = Rig::new(&Default::default(), 1, bare());
    rig.open(crate::model::End::Process).unwrap();
    rig.run(&vec![Op::Append(20_000); 10]).unwrap();
    rig.run(&[Op::Cursor(10), segments(1), age()]).unwrap();
    assert_eq!((rig.log().first_lsn(), rig.errors.len()), (Some(lsn(1)), 0));
    assert!(matches!(rig.log().get(lsn(11)), Err(LogError::OutOfRange { .. })));
}

/// Passes among all that may come between them, dying at each operation.
#[test]
fn passes_of_retention_in_any_order_lose_nothing() {
    let search = Search::new(1, 1, 100);
    for number in 0..6 * scale() {
        let mut rng = Rng::new(seed() ^ number ^ 0x2e7a);
        let mut ops = vec![Op::Append(20_000); 5];
        ops.extend((0..12).map(|_| match rng.below(12) {
            0..=2 => Op::Append(20_000),
            3 => Op::Append(60),
            4 | 5 => Op::Cursor(rng.below(6)),
            6 | 7 => segments(1 + rng.below(2)),
            8 => age(),
            9 => Op::CutLast(rng.below(3)),
            10 => Op::Kill,
            _ => Op::Reopen,
        }));
        let workload = Workload { name: "random retention", setup: Default::default(), ops };
        let found = search.workload(&workload, &bare());
        found.unwrap_or_else(|why| panic!("{number}, {:?}: {why}", workload.ops));
    }
    println!("{} states", search.states.get());
}
