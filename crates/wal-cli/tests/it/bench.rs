//! `wal bench`.

use serde_json::Value;

use crate::support::{bad, text, wal};

#[test]
fn every_row_is_measured_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let rows = text(&wal(&["bench", path, "--time", "5ms", "--threads", "2,3", "--format", "json"]));
    let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
    let whats: Vec<_> =
        rows.iter().map(|row| (row["what"].as_str().unwrap(), row["threads"].as_u64().unwrap())).collect();
    let want = [
        ("raw write + fdatasync", 1),
        ("durable append", 1),
        ("durable appends", 2),
        ("durable appends", 3),
        ("buffered append", 1),
        ("read, verified", 1),
    ];
    assert_eq!(whats, want);
    assert!(rows.iter().all(|row| row["per_second"].as_f64().unwrap() > 0.0), "{rows:#?}");
    assert!(rows[1]["p50_us"].as_f64().unwrap() <= rows[1]["p99_us"].as_f64().unwrap());
    let table = text(&wal(&["bench", path, "--time", "2ms", "--threads", "1", "--size", "4KiB"]));
    assert!(table.starts_with("4.0 KiB a record") && table.contains("durable append"), "{table}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");

    bad(&wal(&["bench", path, "--time", "1h"]), 2, &["1 ms to 60 s"]);
    bad(&wal(&["bench", path, "--threads", "0"]), 2, &["0 is not in 1..=512"]);
    bad(&wal(&["bench", "/nowhere/at/all"]), 1, &["/nowhere/at/all"]);
}
