//! `wal import`, over the logs of the real programs.

use std::{fs, ops::ControlFlow, path::Path};

use serde_json::Value;
use wal::{Entry, Record, Wal, oplog::Operation};

use crate::support::{bad, bytes_of, good, place, text, wal};

/// The directory of a sample.
fn sample(seed: &str, case: &str) -> String {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wal-import/tests/golden");
    golden.join(seed).join(case).to_str().unwrap().to_owned()
}

fn manifest(seed: &str, case: &str) -> Vec<Value> {
    let manifest = fs::read(sample(seed, case) + ".manifest.json").unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    manifest["entries"].as_array().unwrap().clone()
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn entries(log: &str) -> Vec<Entry> {
    Wal::open_read_only(log).unwrap().iter().map(Result::unwrap).collect()
}

#[track_caller]
fn check(from: &str, seed: &str, case: &str) {
    let (_dir, log) = place();
    let source = sample(seed, case);
    let before = bytes_of(&source);
    let said = text(&wal(&["import", "--from", from, &source, &log]));
    let want = manifest(seed, case);
    assert!(said.contains(&format!("{} entries, ", want.len())), "{said}");
    let read = entries(&log);
    assert_eq!(read.len(), want.len());
    for (entry, want) in read.iter().zip(&want) {
        assert_eq!(Some(entry.lsn.get()), want["seq"].as_u64());
        assert_eq!(u64::from(entry.kind), want["type"].as_u64().unwrap_or(0));
        assert_eq!((entry.term, entry.timestamp), (want["term"].as_u64(), want["timestamp"].as_i64()));
        assert!(entry.payload == hex(&want["payload_hex"]), "{}", entry.lsn);
    }
    assert!(text(&wal(&["verify", "--deep", &log])).ends_with("intact\n"));
    assert!(bytes_of(&source) == before, "nothing was changed");
    assert!(!Path::new(&(log + ".partial")).exists());
}

#[test]
fn what_the_programs_wrote_is_read_with_its_ids() {
    check("xwal", "pantuza-xwal", "basic");
    check("xwal", "pantuza-xwal", "checkpoints");
    check("hungpdn", "hungpdn-wal", "basic");
    check("hungpdn", "hungpdn-wal", "multi");
    check("fgrosse", "fgrosse-wal", "basic");
    check("fgrosse", "fgrosse-wal", "multi");
    check("walrus", "l00pss-walrus", "basic");
    check("walrus", "l00pss-walrus", "json");
    check("walrus", "l00pss-walrus", "txn");
}

#[test]
fn an_operation_becomes_kind_time_and_payload() {
    let (_dir, log) = place();
    good(&wal(&["import", "--from", "filewal", &sample("colonyos-filewal", "basic"), &log]));
    let (read, want) = (entries(&log), manifest("colonyos-filewal", "basic"));
    assert_eq!(read.len(), want.len());
    for (entry, want) in read.iter().zip(&want) {
        assert_eq!(Some(u64::from(entry.kind)), want["op"].as_u64());
        assert_eq!(entry.timestamp, want["timestamp"].as_i64());
        let operation = Operation::decode(entry.kind, &entry.payload).unwrap().unwrap();
        assert_eq!(operation.kind(), entry.kind);
        assert_eq!(Some(operation.entity.as_str()), want["entity"].as_str());
        assert_eq!((operation.key, operation.data), (hex(&want["key_hex"]), hex(&want["data_hex"])));
        assert_eq!(Some(operation.timestamp), entry.timestamp);
    }
}

#[test]
fn checkpoints_keep_their_numbers_in_their_names() {
    let (_dir, log) = place();
    let said = text(&wal(&["import", "--from", "xwal", &sample("pantuza-xwal", "checkpoints"), &log]));
    let checkpoints = Wal::open_read_only(&log).unwrap().checkpoints().unwrap();
    assert!(!checkpoints.is_empty());
    for checkpoint in checkpoints {
        let number = checkpoint.name.strip_prefix("xwal-").unwrap();
        let line = format!("checkpoint {number}, before LSN {}: {}", checkpoint.lsn, checkpoint.name);
        assert!(said.contains(&line), "{line:?} is not in {said}");
    }
}

#[test]
fn a_transaction_is_one_batch() {
    let (_dir, log) = place();
    let said = text(&wal(&["import", "--from", "walrus", &sample("l00pss-walrus", "txn"), &log]));
    assert!(said.contains("3 transactions"), "{said}");
    let mut together = Vec::new();
    let each = |entries: &[Entry]| {
        together.push(entries.len());
        ControlFlow::Continue(())
    };
    Wal::builder(&log).salvage(each).unwrap();
    assert_eq!(together, [4, 1, 1, 1, 1, 4, 1, 1, 1, 1, 4, 1, 1, 1, 1]);
}

#[test]
fn checkpoints_are_told() {
    let (_dir, log) = place();
    let said = text(&wal(&["import", "--from", "xwal", &sample("pantuza-xwal", "checkpoints"), &log]));
    assert!(
        said.contains("checkpoint 0, before LSN 16:") && said.contains("checkpoint 1, before LSN 31:"),
        "{said}"
    );
}

#[test]
fn damage_stops_an_import_before_it_begins_unless_it_is_passed_over() {
    let (dir, log) = place();
    let source = sample("l00pss-walrus", "basic_bitflip");
    let import = ["import", "--from", "walrus", &source, &log];
    bad(&wal(&import), 3, &["segment_00000000000000000001.wal at offset 172", "one place is damaged"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let passed = wal(&[&import[..], &["--skip-damaged"]].concat());
    let said = text(&passed);
    assert!(said.contains("ids 1 to 4: LSN 1 to 4\nids 6 to 13: LSN 5 to 12\n"), "{said}");
    assert!(String::from_utf8_lossy(&passed.stderr).contains("passed over"));
    let want = manifest("l00pss-walrus", "basic");
    assert_eq!(entries(&log)[4].payload, hex(&want[5]["payload_hex"]));
    assert_eq!(entries(&log).len(), 12);
}

#[test]
fn a_torn_end_is_left_out_and_told() {
    let samples =
        [("xwal", "pantuza-xwal", 12), ("hungpdn", "hungpdn-wal", 12), ("filewal", "colonyos-filewal", 17)];
    for (from, seed, count) in samples {
        let (_dir, log) = place();
        let imported = wal(&["import", "--from", from, &sample(seed, "basic_torn"), &log]);
        assert!(text(&imported).contains(&format!("{count} entries, ")));
        assert!(String::from_utf8_lossy(&imported.stderr).contains("torn write"));
        assert_eq!(entries(&log).len(), count);
    }
}

#[test]
fn a_dry_run_says_the_same_and_writes_nothing() {
    let (dir, log) = place();
    let import = ["import", "--from", "hungpdn", &sample("hungpdn-wal", "multi"), &log];
    let planned = text(&wal(&[&import[..], &["--dry-run"]].concat()));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert_eq!(planned.replace("would be imported", "imported"), text(&wal(&import)));
}

#[test]
fn directories_that_do_not_fit_are_refused() {
    let (dir, log) = place();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let source = sample("hungpdn-wal", "multi");
    let import = |src: &str, dir: &str| wal(&["import", "--from", "hungpdn", src, dir]);
    bad(&import(&path("missing"), &log), 1, &["missing"]);
    bad(&import(&sample("fgrosse-wal", "multi"), &log), 1, &["none of the files", "hungpdn"]);
    bad(&import(&source, &format!("{log}/..")), 2, &["must end in a name"]);
    fs::create_dir(path("log.partial")).unwrap();
    bad(&import(&source, &log), 1, &["log.partial", "did not end"]);
    fs::remove_dir(path("log.partial")).unwrap();
    // Empty is fine, on both sides.
    fs::create_dir(path("empty")).unwrap();
    fs::create_dir(&log).unwrap();
    assert!(text(&import(&path("empty"), &log)).contains("0 entries"));
    bad(&import(&source, &log), 1, &["is not empty"]);
    bad(&wal(&["import", "--from", "xwal", &source, &path("new"), "--prefix", "wal"]), 2, &["--prefix"]);
}

#[test]
fn two_logs_in_one_directory_are_told_apart_by_their_prefix() {
    let (dir, log) = place();
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    for case in ["basic", "multi"] {
        for (path, bytes) in bytes_of(sample("hungpdn-wal", case)) {
            fs::write(source.join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
    let source = source.to_str().unwrap();
    bad(&wal(&["import", "--from", "hungpdn", source, &log]), 1, &["`segment`", "`wal`"]);
    let said = text(&wal(&["import", "--from", "hungpdn", source, &log, "--prefix", "wal"]));
    assert!(said.contains("40 entries") && said.contains("1 other files"), "{said}");
}
