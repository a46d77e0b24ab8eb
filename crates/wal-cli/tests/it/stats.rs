//! `wal stats` and `wal top`.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::Value;
use wal::Wal;

use crate::support::{bad, bytes_of, command, filled, numbers, place, text, wal};

#[test]
fn numbers_of_a_log_are_printed_for_everybody() {
    let (_dir, log) = place();
    filled(&log, numbers(25).as_bytes());
    Wal::open(&log).unwrap().cursor("slow").unwrap();
    let before = bytes_of(&log);

    let table = text(&wal(&["stats", &log]));
    let row = |name: &str| table.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert!(row("wal_last_lsn").starts_with("25 "), "{table}");
    assert!(row("wal_cursor_lag{cursor=\"slow\"}").starts_with("25 "), "{table}");
    assert!(!table.contains("wal_appends_total"), "only the writer knows");

    let json: Value = serde_json::from_str(&text(&wal(&["stats", &log, "--json"]))).unwrap();
    assert_eq!((&json["next_lsn"], &json["read_only"]), (&Value::from(26), &Value::from(true)));
    assert_eq!(json["cursors"][0]["cursor"], "slow");

    let page = text(&wal(&["stats", &log, "--openmetrics"]));
    assert!(page.contains("\nwal_last_lsn 25\n") && page.ends_with("# EOF\n"), "{page}");
    assert_eq!(bytes_of(&log), before, "looking changes nothing");

    bad(&wal(&["stats", &log, "--openmetrics", "--json"]), 2, &["cannot be used with"]);
    bad(&wal(&["stats", &log, "--watch", "--interval", "1ms"]), 2, &["at least 50 ms"]);
    bad(&wal(&["stats", "/nowhere/at/all"]), 1, &["/nowhere/at/all"]);
}

#[test]
fn a_log_is_watched_while_it_grows() {
    let (_dir, log) = place();
    let writer = Wal::open(&log).unwrap();
    writer.append("1").unwrap();
    let mut watcher = command(["stats", &log, "--watch", "--interval", "50ms", "--openmetrics"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    let mut wait_for = |line: &str| assert!(lines.any(|found| found.unwrap() == line));
    wait_for("wal_last_lsn 1");
    writer.append("2").unwrap();
    wait_for("wal_last_lsn 2");
    watcher.kill().unwrap();
    watcher.wait().unwrap();
}

#[test]
fn top_prints_lines_where_there_is_no_terminal() {
    let (_dir, log) = place();
    let writer = Wal::open(&log).unwrap();
    writer.append("1").unwrap();
    writer.cursor("slow").unwrap();
    let mut top = command(["top", &log, "--interval", "50ms"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(top.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains(" entries=1 last=1 "));
    (2..=10).for_each(|n| drop(writer.submit(n.to_string()).unwrap()));
    writer.sync().unwrap();
    let grown = lines.find(|line| line.as_ref().unwrap().contains(" last=10 ")).unwrap().unwrap();
    assert!(grown.contains("slowest=\"slow\" lag=10"), "{grown}");
    top.kill().unwrap();
    top.wait().unwrap();
    drop(writer);
    let ended = text(&wal(&["top", &log, "-n", "2", "--interval", "50ms"]));
    assert_eq!(ended.lines().count(), 2);
    assert!(ended.contains(" rate=0/s written=0B/s "), "{ended}");
}
