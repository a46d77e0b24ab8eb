//! What retention tells of a trim that had to wait, and what it makes of a clock that others believe.

use super::*;

/// A plan changes nothing, whatever it takes for granted.
#[test]
fn a_plan_that_takes_the_clock_at_its_word_convinces_nobody() {
    let (storage, time, log) = on_memory();
    fill(&log, 12);
    drop(log);
    let log = told(&storage, &time);
    wait(&log, &time, 4);
    let right = time.wall_ns();
    time.set_wall(right + 36_500 * DAY.as_nanos() as u64);
    let word = Retention { clock_trial: Duration::ZERO, ..week() };
    assert!(!log.retention_plan(&word).unwrap().remove.is_empty());
    time.set_wall(right);
    wait(&log, &time, 1);
    assert_eq!(log.first_lsn(), Some(lsn(1)));
}
