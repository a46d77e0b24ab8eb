//! What a reader makes of marks that move while it looks, in every order.

use std::sync::Arc;

use loom::thread::spawn;

use super::*;
use crate::commit::model::{check, fails};

fn lsn(number: u64) -> Lsn {
    Lsn::new(number).unwrap()
}

/// The frame of this number, which holds the entry of this number, is written and synced.
fn commit(marks: &Marks, tick: Tick) {
    marks.set_next(lsn(tick + 1));
    marks.set_written(tick, lsn(tick + 1));
    marks.set_durable(tick, lsn(tick + 1));
}

/// One look: what is durable is written, and what is written is appended.
fn look(marks: &Marks) -> (Tick, Lsn) {
    let durable = marks.durable();
    let durable_next = marks.durable_next();
    let written = marks.written();
    assert!(durable_next >= lsn(durable + 1), "{durable_next} entries of {durable} frames");
    assert!(written >= durable, "durable before written");
    assert!(marks.next() >= lsn(written + 1), "written before appended");
    (durable, durable_next)
}

fn marks() -> Arc<Marks> {
    Arc::new(Marks::new(Lsn::FIRST, Lsn::FIRST))
}

#[test]
fn a_reader_sees_a_prefix_that_only_grows() {
    check(4, || {
        let marks = marks();
        let writer = Arc::clone(&marks);
        let writer = spawn(move || (1..=2).for_each(|tick| commit(&writer, tick)));
        let before = look(&marks);
        let after = look(&marks);
        assert!(after.0 >= before.0 && after.1 >= before.1, "{before:?}, then {after:?}");
        writer.join().unwrap();
    });
}

/// Of two syncs that overlap the later one may end first.
#[test]
fn overlapping_syncs_never_move_a_mark_back() {
    check(4, || {
        let marks = marks();
        marks.set_next(lsn(3));
        marks.set_written(2, lsn(3));
        let syncs = [1, 2].map(|tick| {
            let marks = Arc::clone(&marks);
            spawn(move || marks.set_durable(tick, lsn(tick + 1)))
        });
        let before = look(&marks);
        assert!(look(&marks).0 >= before.0);
        syncs.into_iter().for_each(|sync| sync.join().unwrap());
        assert_eq!(look(&marks), (2, lsn(3)));
    });
}

#[test]
fn a_mark_that_is_moved_too_early_is_caught() {
    fails(4, || {
        let marks = marks();
        let writer = Arc::clone(&marks);
        let writer = spawn(move || {
            writer.set_next(lsn(2));
            writer.set_durable(1, lsn(2));
            writer.set_written(1, lsn(2));
        });
        look(&marks);
        writer.join().unwrap();
    });
}
