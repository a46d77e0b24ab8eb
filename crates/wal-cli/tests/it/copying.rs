//! `wal backup`, `clone`, `export` and `import --from jsonl`.

use std::{fs, path::Path};

use wal::{AppendOptions, Batch, CheckpointOptions, Entry, Lsn, NewEntry, Options, TierOptions, Wal};

use crate::support::{bad, filled, good, numbers, place, text, wal, wal_with};

/// A log with everything that a log can hold.
fn rich(log: &str) -> Wal {
    let wal = Wal::open(log).unwrap();
    wal.append("text").unwrap();
    wal.append(b"\xff\xfe\x00 \x80").unwrap();
    wal.append("").unwrap();
    wal.append("\u{0}\u{feff}\"\\\n\u{2028}").unwrap();
    let full = NewEntry { kind: 255, term: Some(u64::MAX - 1), timestamp: Some(-1), ..NewEntry::plain(b"f") };
    wal.append_with(full, &AppendOptions::default()).unwrap();
    let mut batch = Batch::new();
    batch.push("one").unwrap();
    batch.push_entry(NewEntry { kind: 3, ..NewEntry::plain(b"\xf0") }).unwrap();
    wal.append_batch(&batch).unwrap();
    let transaction = wal.begin(std::time::Duration::from_secs(60)).unwrap();
    transaction.append("both").unwrap();
    transaction.append("of these").unwrap();
    transaction.commit().unwrap();
    wal.checkpoint_with("early", CheckpointOptions { lsn: Lsn::new(3), protect: true }).unwrap();
    wal.checkpoint("late").unwrap();
    wal.cursor("replica").unwrap().ack(Lsn::new(4).unwrap()).unwrap();
    wal.set_meta("vote", b"\x00\xff").unwrap();
    wal.set_meta("leader", b"a").unwrap();
    wal.truncate_before(Lsn::new(2).unwrap()).unwrap();
    wal
}

fn entries(log: &str) -> Vec<Entry> {
    Wal::open_read_only(log).unwrap().iter().map(Result::unwrap).collect()
}

#[test]
fn an_export_is_imported_byte_for_byte() {
    let (dir, log) = place();
    let other = dir.path().join("other").to_str().unwrap().to_owned();
    let writer = rich(&log);
    let exported = good(&wal(&["export", &log]));
    drop(writer);
    let said = text(&wal_with(&["import", "--from", "jsonl", "-", &other], &exported));
    assert!(said.starts_with("8 entries in 6 frames"), "{said}");
    assert_eq!(entries(&other), entries(&log));
    assert_eq!(String::from_utf8(good(&wal(&["export", &other]))), String::from_utf8(exported));
    let (one, two) = (Wal::open_read_only(&log).unwrap(), Wal::open_read_only(&other).unwrap());
    assert_eq!(one.metadata().unwrap(), two.metadata().unwrap());
    assert_ne!(one.id(), two.id());
    assert!(text(&wal(&["verify", "--deep", &other])).ends_with("intact\n"));
}

#[test]
fn a_lost_log_comes_back_from_its_tier() {
    let (dir, log) = place();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (tier, again) = (at("tier"), at("again"));
    bad(&wal(&["restore", &tier, &again]), 1, &["tier"]);
    drop(rich(&log));
    let writer = Wal::builder(&log).tier_url(&tier).open().unwrap();
    writer.append("the last that is shipped").unwrap();
    writer.ship().unwrap();
    let want = entries(&log);
    writer.append("lost").unwrap();
    drop(writer);
    fs::remove_dir_all(&log).unwrap();
    let said = text(&wal(&["restore", &tier, &again]));
    assert!(said.contains("from LSN 2, next 11; "), "{said}");
    assert_eq!(entries(&again), want);
    let (one, two) = (Wal::open_read_only(&again).unwrap(), Wal::open(&again).unwrap());
    assert_eq!(two.meta("vote").unwrap().unwrap(), b"\x00\xff".as_slice());
    assert_eq!(one.id(), two.id());
    bad(&wal(&["restore", &tier, &again]), 1, &["again"]);
    assert!(text(&wal(&["verify", "--deep", &again])).ends_with("intact\n"));
}

#[test]
fn a_log_that_has_partly_left_is_read_with_its_tier() {
    let (dir, log) = place();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (tier, copy) = (at("tier"), at("copy"));
    let options =
        Options { tier: TierOptions { local_len: Some(0), ..TierOptions::default() }, ..Options::default() };
    let writer = Wal::builder(&log).options(options).tier_url(&tier).open().unwrap();
    writer.append("far away").unwrap();
    writer.ship().unwrap();
    writer.append("at hand").unwrap();
    writer.close().unwrap();
    bad(&wal(&["dump", &log]), 3, &["segment 1 is missing", "left for the tier"]);
    assert_eq!(text(&wal(&["dump", &log, "--tier", &tier])), "1\tfar away\n2\tat hand\n");
    assert!(text(&wal(&["verify", "--deep", &log, "--tier", &tier])).ends_with("intact\n"));
    bad(&wal(&["copy", &log, &copy, "--tier", &tier]), 2, &["wal backup"]);
    good(&wal(&["backup", &log, &copy, "--tier", &tier]));
    assert_eq!(text(&wal(&["dump", &copy])), "1\tfar away\n2\tat hand\n");
    good(&wal_with(&["append", &log, "--tier", &tier, "--ack"], b"one more\n"));
    assert_eq!(text(&wal(&["get", &log, "3", "--tier", &tier])).trim_end(), "one more");
    let none = at("none");
    let restored = wal(&["restore", "s3://bucket/log", &none, "--profile", "none", "--endpoint", "http://h"]);
    bad(&restored, 1, &["s3://bucket/log"]);
}

#[test]
fn a_log_without_entries_keeps_its_place() {
    let (dir, log) = place();
    let other = dir.path().join("other").to_str().unwrap().to_owned();
    rich(&log).clear().unwrap();
    let exported = good(&wal(&["export", &log]));
    good(&wal_with(&["import", "--from", "jsonl", "-", &other], &exported));
    assert_eq!(good(&wal(&["export", &other])), exported);
    assert_eq!(Wal::open(&other).unwrap().append("next").unwrap().get(), 10);
}

#[test]
fn a_range_is_exported_as_a_log_of_its_own() {
    let (dir, log) = place();
    let file = dir.path().join("part.jsonl").to_str().unwrap().to_owned();
    let other = dir.path().join("other").to_str().unwrap().to_owned();
    filled(&log, numbers(20).as_bytes());
    fs::write(&file, good(&wal(&["export", &log, "--from", "5", "--to", "9"]))).unwrap();
    good(&wal(&["import", "--from", "jsonl", &file, &other]));
    assert_eq!(entries(&other), entries(&log)[4..9]);
    bad(&wal(&["export", &log, "--from", "9", "--to", "5"]), 2, &["--from lies behind --to"]);
}

#[test]
fn what_is_no_whole_export_leaves_nothing() {
    let (dir, log) = place();
    let other = dir.path().join("other").to_str().unwrap().to_owned();
    drop(rich(&log));
    let exported = text(&wal(&["export", &log]));
    let lines: Vec<&str> = exported.lines().collect();
    let refused = |lines: &[&str], why: &[&str]| {
        let input = lines.join("\n");
        bad(&wal_with(&["import", "--from", "jsonl", "-", &other], input.as_bytes()), 1, why);
        assert!(!Path::new(&other).exists() && !Path::new(&(other.clone() + ".partial")).exists());
    };
    refused(&[], &["there is no log in it"]);
    refused(&lines[1..], &["line 1 of", "the first line"]);
    // Within a batch, and between two.
    refused(&lines[..6], &["it ends before entry 7"]);
    refused(&lines[..4], &["it ends before entry 5"]);
    refused(&[&lines[..3], &lines[4..]].concat(), &["line 4 of", "it is entry 5, where 4 should be"]);
    refused(&[lines[0], "{\"type\":\"entry\""], &["line 2 of"]);
    let not_base64 = exported.replace("8A==", "8B==");
    refused(&not_base64.lines().collect::<Vec<_>>(), &["it is not base64"]);
    let huge = "{\"type\":\"log\",\"version\":1,\"first\":1,\"next\":2}";
    let zero = "{\"type\":\"entry\",\"lsn\":1,\"kind\":0,\"time\":0,\"batch\":0,\"payload\":\"\"}";
    refused(&[huge, zero], &["line 2 of", "at least one entry"]);
    refused(&["{\"type\":\"log\",\"version\":2,\"first\":1,\"next\":2}"], &["its version is 2"]);
}

#[test]
fn a_log_is_backed_up_and_cloned_beside_its_writer() {
    let (dir, log) = place();
    let [backup, clone] = ["backup", "clone"].map(|name| dir.path().join(name).to_str().unwrap().to_owned());
    let writer = rich(&log);
    assert!(text(&wal(&["backup", &log, &backup])).contains("from LSN 2, next 10"));
    assert!(text(&wal(&["clone", &log, &clone, "--new-id"])).contains("from LSN 2, next 10"));
    assert_eq!(entries(&backup), entries(&log));
    assert_eq!(entries(&clone), entries(&log));
    let id = |log: &str| Wal::open_read_only(log).unwrap().id();
    assert_eq!(id(&backup), writer.id());
    assert_ne!(id(&clone), writer.id());
    // Neither overwrites anything.
    bad(&wal(&["backup", &log, &backup]), 1, &["is not empty"]);
    bad(&wal(&["clone", &log, &clone, "--new-id"]), 1, &["is not empty"]);
    bad(&wal(&["clone", &log, "elsewhere"]), 2, &["--new-id"]);
    fs::create_dir(dir.path().join("third.partial")).unwrap();
    let third = dir.path().join("third").to_str().unwrap().to_owned();
    bad(&wal(&["backup", &log, &third]), 1, &["third.partial"]);
}
