//! `wal dump`, `get`, `ls` and `info`.

use serde_json::Value;
use wal::{NewEntry, Wal};

use crate::support::{bad, bytes_of, filled, good, numbers, place, text, wal};

#[track_caller]
fn dumped(log: &str, args: &[&str], want: &str) {
    let args = [&["dump", log, "--format", "raw"], args].concat();
    assert_eq!(text(&wal(&args)).replace('\n', " ").trim_end(), want, "{args:?}");
}

#[test]
fn ranges_limits_and_both_directions() {
    let (_dir, log) = place();
    filled(&log, numbers(9).as_bytes());
    dumped(&log, &[], "1 2 3 4 5 6 7 8 9");
    dumped(&log, &["--reverse"], "9 8 7 6 5 4 3 2 1");
    dumped(&log, &["--from", "3", "--to", "5"], "3 4 5");
    dumped(&log, &["--from", "3", "--to", "5", "--reverse"], "5 4 3");
    dumped(&log, &["--from", "8"], "8 9");
    dumped(&log, &["--to", "2"], "1 2");
    dumped(&log, &["--limit", "2"], "1 2");
    dumped(&log, &["--limit", "2", "--reverse"], "9 8");
    dumped(&log, &["--limit", "2", "--from", "5", "--reverse"], "9 8");
    dumped(&log, &["--limit", "0"], "");
    dumped(&log, &["--from", "100"], "");
    dumped(&log, &["--from", "9", "--to", "100"], "9");
}

#[test]
fn every_format_shows_the_same_entry() {
    let (_dir, log) = place();
    let writer = Wal::open(&log).unwrap();
    let vote = NewEntry { kind: 3, term: Some(7), timestamp: Some(-1), ..NewEntry::plain(b"a\tb") };
    writer.append_with(vote, &wal::AppendOptions::default()).unwrap();
    writer.append(b"\xff\xfe\xfd").unwrap();
    drop(writer);
    let shown = |format: &str| text(&wal(&["dump", &log, "--format", format]));
    assert_eq!(shown("text"), "1\ta\\tb\n2\t\\xff\\xfe\\xfd\n");
    assert_eq!(shown("hex"), "1\t610962\n2\tfffefd\n");
    let lines: Vec<Value> = shown("jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["lsn"], 1);
    assert_eq!(lines[0]["kind"], 3);
    assert_eq!(lines[0]["term"], 7);
    assert_eq!(lines[0]["timestamp"], -1);
    assert_eq!(lines[0]["payload"], "a\tb");
    assert!(lines[0]["time"].as_u64().unwrap() > 1_700_000_000_000_000_000);
    assert_eq!(lines[1]["payload_base64"], "//79");
    assert!(lines[1].get("payload").is_none() && lines[1].get("term").is_none());
    assert_eq!(text(&wal(&["get", &log, "1", "--format", "hex"])), "1\t610962\n");
}

#[test]
fn what_is_not_in_the_log_is_named() {
    let (dir, log) = place();
    filled(&log, b"one\n");
    bad(&wal(&["get", &log, "2"]), 1, &["entry 2 is not in the log"]);
    let nowhere = dir.path().join("nowhere");
    for verb in [&["dump"][..], &["ls"], &["info"], &["verify"]] {
        let args = [verb, &[nowhere.to_str().unwrap()]].concat();
        bad(&wal(&args), 1, &["there is no log in", "nowhere"]);
    }
    assert!(!nowhere.exists(), "reading creates nothing");
    std::fs::create_dir(&nowhere).unwrap();
    bad(&wal(&["dump", nowhere.to_str().unwrap()]), 1, &["there is no log in"]);
    assert!(bytes_of(&nowhere).is_empty(), "reading creates nothing");
}

#[test]
fn segments_are_listed_as_table_and_json() {
    let (_dir, log) = place();
    filled(&log, numbers(5).as_bytes());
    let rows: Value = serde_json::from_slice(&good(&wal(&["ls", &log, "--format", "json"]))).unwrap();
    let row = &rows.as_array().unwrap()[0];
    assert_eq!((&row["base"], &row["next"], &row["entries"]), (&1.into(), &6.into(), &5.into()));
    assert_eq!(row["checksum"], "crc32");
    let path = row["path"].as_str().unwrap();
    assert_eq!(std::fs::metadata(path).unwrap().len(), row["file_len"].as_u64().unwrap());
    let table = text(&wal(&["ls", &log]));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[0].trim_start().starts_with("id") && lines[1].ends_with(path), "{table}");
}

#[test]
fn info_tells_closed_from_not_closed() {
    let (_dir, log) = place();
    let writer = Wal::open(&log).unwrap();
    writer.append("one").unwrap();
    let info = |log: &str| -> Value {
        serde_json::from_slice(&good(&wal(&["info", log, "--format", "json"]))).unwrap()
    };
    let live = info(&log);
    assert_eq!((&live["first"], &live["last"], &live["next"]), (&1.into(), &1.into(), &2.into()));
    assert_eq!((&live["clean"], &live["cut"]), (&false.into(), &Value::Null));
    let id = writer.id().unwrap().to_string();
    assert_eq!(live["log_id"], id.as_str());
    drop(writer);
    std::fs::write(std::path::Path::new(&log).join("notes.txt"), "mine").unwrap();
    let closed = info(&log);
    assert_eq!((&closed["clean"], &closed["durable"]), (&true.into(), &1.into()));
    assert_eq!(closed["strangers"], serde_json::json!(["notes.txt"]));
    let table = text(&wal(&["info", &log]));
    assert!(table.contains(&id) && table.contains("notes.txt") && table.contains("closed"), "{table}");
}

#[test]
fn help_explains_itself() {
    for verb in ["append", "dump", "get", "ls", "info", "verify", "demo"] {
        let help = text(&wal(&[verb, "--help"]));
        assert!(help.lines().count() > 10, "{help}");
    }
    let help = text(&wal(&["--help"]));
    assert!(
        help.contains("Examples:") && help.contains("Exit codes:") && !help.contains("demo-writer"),
        "{help}"
    );
}
