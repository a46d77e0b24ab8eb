//! `wal replay`.

use wal::{CheckpointOptions, Lsn, Wal};

use crate::support::{bad, filled, numbers, place, text, wal};

#[track_caller]
fn replayed(log: &str, args: &[&str], want: &str) {
    let args = [&["replay", log, "--format", "raw"], args].concat();
    assert_eq!(text(&wal(&args)).replace('\n', " ").trim_end(), want, "{args:?}");
}

#[test]
fn ranges_are_named_by_number_time_and_checkpoint() {
    let (_dir, log) = place();
    filled(&log, numbers(9).as_bytes());
    let writer = Wal::open(&log).unwrap();
    let at = CheckpointOptions { lsn: Lsn::new(4), ..CheckpointOptions::default() };
    writer.checkpoint_with("early", at).unwrap();
    drop(writer);
    replayed(&log, &[], "1 2 3 4 5 6 7 8 9");
    replayed(&log, &["--from", "3", "--to", "5", "--batch", "2"], "3 4 5");
    replayed(&log, &["--from", "3", "--to", "5", "--reverse"], "5 4 3");
    replayed(&log, &["--since", "2001-01-01T00:00:00Z", "--to", "2"], "1 2");
    replayed(&log, &["--until", "2001-01-01T00:00:00Z"], "");
    replayed(&log, &["--from-checkpoint", "early"], "4 5 6 7 8 9");
    replayed(&log, &["--to-checkpoint", "early"], "1 2 3");
    bad(&wal(&["replay", &log, "--from-checkpoint", "late"]), 1, &["late"]);
    bad(&wal(&["replay", &log, "--from", "2", "--since", "2001-01-01T00:00:00Z"]), 2, &["--since"]);
    bad(&wal(&["replay", &log, "--drain", "--from", "2"]), 2, &["--drain"]);
    bad(&wal(&["replay", &log, "--batch", "0"]), 2, &["--batch"]);
}

#[test]
fn draining_removes_what_was_printed() {
    let (_dir, log) = place();
    bad(&wal(&["replay", &log, "--drain"]), 1, &[]);
    assert!(!std::path::Path::new(&log).exists(), "nothing is created");
    filled(&log, numbers(9).as_bytes());
    replayed(&log, &["--drain", "--to", "4", "--batch", "3"], "1 2 3 4");
    replayed(&log, &[], "5 6 7 8 9");
    let writer = Wal::open(&log).unwrap();
    bad(&wal(&["replay", &log, "--drain"]), 4, &[]);
    drop(writer);
    replayed(&log, &["--drain"], "5 6 7 8 9");
    replayed(&log, &[], "");
}
