//! `wal retain`, `truncate`, `checkpoint` and `cursors`.

use serde_json::Value;

use crate::support::{bad, bytes_of, filled, good, numbers, place, text, wal, wal_with};

/// A closed log of several segments.
fn segments(log: &str) {
    let records = format!("{}\n", "x".repeat(1000)).repeat(300);
    good(&wal_with(&["append", log, "--segment-len", "64KiB"], records.as_bytes()));
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&text(&wal(&[args, &["--format", "json"]].concat()))).unwrap()
}

#[test]
fn retain_says_first_and_does_it_then() {
    let (_dir, log) = place();
    segments(&log);
    let before = bytes_of(&log);
    let limits = ["retain", &log, "--max-segments", "2"];
    let plan = json(&limits);
    assert_eq!(plan, json(&[&limits[..], &["--dry-run"]].concat()));
    assert!(bytes_of(&log) == before, "nothing was changed");
    let removals = plan["remove"].as_array().unwrap();
    assert!(removals.len() > 2 && removals.iter().all(|removal| removal["reason"] == "segments"), "{plan}");
    let said = text(&wal(&limits));
    assert!(
        said.contains("remove segment 1: entries from 1 before") && said.contains("too many segments"),
        "{said}"
    );

    let done = json(&[&limits[..], &["--apply"]].concat());
    assert_eq!(done["first_retained"], plan["first_retained"]);
    assert_eq!(done["freed_bytes"], plan["freed_bytes"]);
    let info = json(&["info", &log]);
    assert_eq!(info["first"], plan["first_retained"]);
    assert_eq!(info["last"], 300);
    assert!(text(&wal(&["verify", "--deep", &log])).ends_with("intact\n"));
}

#[test]
fn what_holds_a_prune_back_is_a_part_of_its_json() {
    let (_dir, log) = place();
    segments(&log);
    assert_eq!(json(&["cursors", &log, "create", "slow"])[0]["next"], 1);
    let done = json(&["prune", &log, "--keep-bytes", "1"]);
    assert_eq!((&done["entries"], &done["held_back_by"][0]["name"]), (&0.into(), &"slow".into()), "{done}");
    assert!(text(&wal(&["prune", &log, "--keep-bytes", "1"])).starts_with("held back by "));
}

#[test]
fn retain_by_age_takes_the_clock_at_its_word() {
    let (_dir, log) = place();
    segments(&log);
    assert!(json(&["retain", &log, "--max-age", "1h"])["remove"].as_array().unwrap().is_empty());
    let said = text(&wal(&["retain", &log, "--max-age", "1ns", "--apply"]));
    assert!(said.contains("removed 300 entries") && said.contains("closed the active segment"), "{said}");
    assert_eq!(json(&["info", &log])["next"], 301);
}

#[test]
fn cursors_and_checkpoints_are_made_listed_and_deleted_and_hold_entries() {
    let (_dir, log) = place();
    segments(&log);
    assert_eq!(json(&["cursors", &log, "create", "slow"])[0]["next"], 1);
    assert_eq!(json(&["cursors", &log, "ack", "slow", "99"])[0]["lag"], 201);
    bad(&wal(&["cursors", &log, "ack", "nobody", "99"]), 1, &["no cursor named \"nobody\""]);
    bad(&wal(&["cursors", &log, "ack", "slow", "301"]), 1, &["entry 301 is not in the log"]);
    assert!(text(&wal(&["cursors", &log, "list"])).contains("slow   100  201"));
    assert_eq!(
        text(&wal(&["checkpoint", &log, "create", "base", "--at", "150", "--protect"])),
        "base at entry 150\n"
    );
    good(&wal(&["checkpoint", &log, "create", "early", "--at", "3"]));
    assert_eq!(json(&["checkpoint", &log, "list"])[1]["protected"], true);

    let held = json(&["retain", &log, "--max-segments", "1", "--apply"]);
    let first = held["first_retained"].as_u64().unwrap();
    assert!((2..=100).contains(&first), "{held}");
    assert_eq!((&held["held_back_by"][0]["name"], &held["dropped"][0]), (&"slow".into(), &"early".into()));
    let cap = ["retain", &log, "--max-segments", "1", "--cursor-max-bytes", "1B", "--apply"];
    let said = text(&wal(&cap));
    assert!(
        said.contains("passed cursor \"slow\"") && said.contains("protected checkpoint \"base\""),
        "{said}"
    );
    good(&wal(&["cursors", &log, "delete", "slow"]));
    good(&wal(&["checkpoint", &log, "delete", "base"]));
    assert!(json(&["cursors", &log, "list"]).as_array().unwrap().is_empty());
    bad(&wal(&["checkpoint", &log, "delete", "base"]), 1, &["no checkpoint named"]);
}

#[test]
fn truncate_takes_entries_from_either_end() {
    let (_dir, log) = place();
    filled(&log, numbers(9).as_bytes());
    good(&wal(&["checkpoint", &log, "create", "end"]));
    assert!(text(&wal(&["truncate", &log, "--before", "3"])).starts_with("removed 2 entries;"));
    let cut = json(&["truncate", &log, "--after", "7"]);
    assert_eq!((&cut["entries"], &cut["checkpoints"][0]), (&2.into(), &"end".into()));
    assert_eq!(text(&wal(&["dump", &log, "--format", "raw"])), "3\n4\n5\n6\n7\n");
    bad(&wal(&["truncate", &log, "--after", "8"]), 1, &["entry 9 is not in the log"]);
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let (dir, log) = place();
    filled(&log, b"one\n");
    let before = bytes_of(&log);
    bad(&wal(&["retain", &log]), 2, &["--max-age"]);
    bad(&wal(&["retain", &log, "--max-segments", "0", "--apply"]), 1, &["max_segments"]);
    bad(&wal(&["retain", &log, "--max-age", "7d", "--apply", "--dry-run"]), 2, &["--apply"]);
    bad(&wal(&["truncate", &log]), 2, &["--before"]);
    bad(&wal(&["truncate", &log, "--before", "1", "--after", "1"]), 2, &["--after"]);
    assert!(bytes_of(&log) == before);
    let nowhere = dir.path().join("nowhere").to_str().unwrap().to_owned();
    for args in [
        vec!["truncate", &nowhere, "--before", "1"],
        vec!["cursors", &nowhere, "create", "c"],
        vec!["checkpoint", &nowhere, "create", "c"],
        vec!["retain", &nowhere, "--max-segments", "1", "--apply"],
    ] {
        bad(&wal(&args), 1, &["there is no log"]);
    }
    assert!(!dir.path().join("nowhere").exists(), "nothing was made");
    let writer = wal::Wal::open(&log).unwrap();
    bad(&wal(&["retain", &log, "--max-segments", "1", "--apply"]), 4, &[]);
    good(&wal(&["retain", &log, "--max-segments", "1"]));
    drop(writer);
}
