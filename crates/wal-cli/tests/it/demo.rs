//! `wal demo`.

use std::process::Stdio;

use crate::support::{bad, command, text};

#[test]
fn the_demo_succeeds_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["demo", "--records", "2000", "--threads", "4"];
    let output = command(args).current_dir(&dir).stdin(Stdio::null()).output().unwrap();
    let said = text(&output);
    for row in ["fsyncs", "durable latency p99", "acknowledged before the kill", "cut", "recovery time"] {
        assert!(said.contains(row), "{row}: {said}");
    }
    assert!(said.contains("2000"), "{said}");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
}

#[test]
fn the_demo_takes_a_file_and_keeps_the_log_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lines.txt");
    std::fs::write(&file, "first\n\nthird \u{1f980}").unwrap();
    let args = ["demo", "--records", "100", "--threads", "3", "--keep", "--file", "lines.txt"];
    let output = command(args).current_dir(&dir).stdin(Stdio::null()).output().unwrap();
    let said = text(&output);
    let log = said.lines().last().unwrap().strip_prefix("left behind: ").unwrap();
    let log = dir.path().join(log);
    let wal = wal::Wal::open_read_only(log).unwrap();
    let payloads: Vec<_> = wal.iter().map(|entry| entry.unwrap().payload).collect();
    assert_eq!(payloads.len(), 100);
    assert_eq!(payloads.iter().filter(|payload| payload.is_empty()).count(), 33);
}

#[test]
fn a_demo_that_cannot_play_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["demo", "--records", "100", "--file", "missing.txt"];
    let output = command(args).current_dir(&dir).stdin(Stdio::null()).output().unwrap();
    bad(&output, 1, &["could not read missing.txt"]);
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
}
