use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).unwrap()
}

/// Five segments of ten entries and a hundred bytes each, 5 to 1 days old.
fn facts() -> Facts {
    let segment = |n: u64| SegmentFacts {
        id: SegmentId(n),
        base: lsn(10 * n - 9),
        next: lsn(10 * n + 1),
        bytes: 100,
        age: Some(DAY * (6 - n as u32)),
    };
    Facts {
        segments: (1..=5).map(segment).collect(),
        active_age: Some(DAY * 2),
        first_retained: lsn(1),
        shown: lsn(1),
        pins: Vec::new(),
        unprotected: Vec::new(),
    }
}

fn pin(kind: PinKind, name: &str, at: u64) -> Pin {
    Pin { kind, name: name.to_owned(), lsn: lsn(at) }
}

/// So many segments go, for these reasons.
#[track_caller]
fn check(facts: &Facts, policy: &Retention, reasons: &[RetentionReason]) -> RetentionPlan {
    let plan = plan(facts, policy);
    let got: Vec<_> = plan.remove.iter().map(|removal| removal.reason).collect();
    assert_eq!(got, reasons, "{plan}");
    assert_eq!(plan.first_retained, lsn(10 * reasons.len() as u64 + 1), "{plan}");
    assert_eq!(plan.freed_bytes, 100 * reasons.len() as u64);
    plan
}

#[test]
fn every_limit_removes_the_oldest_whole_segments() {
    use RetentionReason::*;
    let base = Retention::default();
    check(&facts(), &base, &[]);
    check(&facts(), &Retention { max_age: Some(DAY * 3), ..base.clone() }, &[Age, Age]);
    check(&facts(), &Retention { max_bytes: Some(350), ..base.clone() }, &[Bytes, Bytes]);
    check(&facts(), &Retention { max_bytes: Some(500), ..base.clone() }, &[]);
    check(&facts(), &Retention { max_segments: Some(4), ..base.clone() }, &[Segments]);
    check(&facts(), &Retention { keep_from: Some(lsn(20)), ..base.clone() }, &[KeepFrom]);
    check(&facts(), &Retention { keep_from: Some(lsn(21)), ..base }, &[KeepFrom, KeepFrom]);
}

#[test]
fn any_limit_is_enough() {
    use RetentionReason::*;
    let all = Retention {
        max_age: Some(DAY * 4),
        max_bytes: Some(350),
        max_segments: Some(2),
        keep_from: Some(lsn(3)),
        ..Retention::default()
    };
    check(&facts(), &all, &[Age, Bytes, Segments]);
}

#[test]
fn the_active_segment_goes_by_age_alone() {
    use RetentionReason::*;
    let tight = Retention {
        max_bytes: Some(0),
        max_segments: Some(1),
        keep_from: Some(Lsn::MAX),
        ..Retention::default()
    };
    let four = check(&facts(), &tight, &[KeepFrom; 4]);
    assert!(!four.rolls_active);
    // Its first entry is two days old, its last one day: it is closed and stays, or goes.
    let three = check(&facts(), &Retention { max_age: Some(DAY * 3 / 2), ..Retention::default() }, &[Age; 4]);
    assert!(three.rolls_active);
    let gone = check(&facts(), &Retention { max_age: Some(DAY / 2), ..Retention::default() }, &[Age; 5]);
    assert!(gone.rolls_active);
    let mut empty = facts();
    empty.active_age = None;
    check(&empty, &Retention { max_age: Some(DAY / 2), ..Retention::default() }, &[Age; 4]);
}

#[test]
fn a_cursor_holds_back_up_to_its_caps() {
    use RetentionReason::*;
    let mut facts = facts();
    facts.pins = vec![pin(PinKind::Cursor, "slow", 15), pin(PinKind::Cursor, "quick", 51)];
    let policy = Retention { max_segments: Some(1), ..Retention::default() };
    let held = check(&facts, &policy, &[Segments]);
    assert_eq!(held.held_back_by, [facts.pins[0].clone()]);
    assert!(held.passes.is_empty());
    assert!(held.to_string().contains("held back by cursor \"slow\" at entry 15"), "{held}");

    for caps in [
        Retention { cursor_max_bytes: Some(300), ..policy.clone() },
        Retention { cursor_max_age: Some(DAY * 3), ..policy.clone() },
    ] {
        // The second segment goes although it is needed; the third is within the cap again.
        let passed = check(&facts, &caps, &[Segments, Segments]);
        assert_eq!((passed.passes, passed.held_back_by.len()), (vec!["slow".to_owned()], 1));
    }
    // A cap that is not exceeded, and one without a limit that asks for anything.
    check(&facts, &Retention { cursor_max_bytes: Some(400), ..policy }, &[Segments]);
    check(&facts, &Retention { cursor_max_bytes: Some(0), ..Retention::default() }, &[]);
    // A cursor that was left behind by a truncation holds the rest all the same.
    facts.pins = vec![pin(PinKind::Cursor, "behind", 1)];
    facts.segments.remove(0);
    (facts.first_retained, facts.shown) = (lsn(11), lsn(11));
    let held = plan(&facts, &Retention { max_segments: Some(1), ..Retention::default() });
    assert!(held.remove.is_empty() && held.passes.is_empty() && !held.held_back_by.is_empty(), "{held}");
}

#[test]
fn protected_checkpoints_hold_for_ever_and_others_fall() {
    use RetentionReason::*;
    let mut facts = facts();
    facts.pins = vec![pin(PinKind::Checkpoint, "kept", 21)];
    facts.unprotected =
        vec![("early".to_owned(), lsn(20)), ("at".to_owned(), lsn(21)), ("late".to_owned(), lsn(30))];
    let policy = Retention {
        max_segments: Some(1),
        cursor_max_bytes: Some(0),
        cursor_max_age: Some(Duration::ZERO),
        ..Retention::default()
    };
    let held = check(&facts, &policy, &[Segments, Segments]);
    assert_eq!(held.drops, ["early"]);
    assert_eq!(held.held_back_by, facts.pins);
}

#[test]
fn an_age_that_is_not_known_removes_nothing() {
    let mut facts = facts();
    facts.segments[0].age = None;
    check(&facts, &Retention { max_age: Some(DAY), ..Retention::default() }, &[]);
}
