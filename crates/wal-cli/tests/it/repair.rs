//! `wal verify --deep` and `wal repair`.

use std::{fs, path::Path};

use crate::support::{bad, bytes_of, filled, good, numbers, place, text, wal, wal_with};

/// A log of several segments; returns the paths of them.
fn segments(log: &str) -> Vec<String> {
    let record = |number: usize| format!("record number {number} {}\n", "x".repeat(1000));
    let records: String = (1..=300).map(record).collect();
    good(&wal_with(&["append", log, "--segment-len", "64KiB"], records.as_bytes()));
    let paths = bytes_of(log).into_keys().map(|path| path.to_str().unwrap().to_owned());
    let paths: Vec<String> = paths.filter(|path| path.ends_with(".wal")).collect();
    assert!(paths.len() > 3, "{paths:?}");
    paths
}

fn damage(path: &str, needle: &str) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_whole_log_is_whole_all_the_way_down_and_has_nothing_to_repair() {
    let (_dir, log) = place();
    filled(&log, numbers(100).as_bytes());
    let before = bytes_of(&log);
    let said = text(&wal(&["verify", "--deep", &log]));
    assert!(said.contains("100 entries") && said.ends_with("intact\n"), "{said}");
    assert_eq!(text(&wal(&["repair", &log])), "nothing to do\n");
    assert_eq!(text(&wal(&["repair", &log, "--apply"])), "nothing to do\n");
    assert!(bytes_of(&log) == before, "nothing was changed");
}

#[test]
fn deep_goes_on_where_the_log_cannot_be_opened() {
    let (_dir, log) = place();
    let paths = segments(&log);
    damage(&paths[0], "record number 7 ");
    fs::remove_file(&paths[2]).unwrap();
    bad(&wal(&["verify", &log]), 3, &["missing"]);
    let deep = wal(&["verify", "--deep", &log]);
    bad(&deep, 3, &[&paths[0], "entry 7 is lost", &paths[2], "is missing", "2 places"]);
    let last = paths.last().unwrap();
    let bytes = fs::read(last).unwrap();
    fs::write(last, &bytes[..100]).unwrap();
    bad(&wal(&["verify", "--deep", &log]), 3, &[&paths[0], &paths[2], last, "on are lost"]);
}

#[test]
fn salvage_copies_every_run_and_names_what_is_gone() {
    let (dir, log) = place();
    let paths = segments(&log);
    damage(&paths[0], "record number 7 ");
    let before = bytes_of(&log);
    let rescued = dir.path().join("rescued").to_str().unwrap().to_owned();
    let salvaged = wal(&["repair", &log, "--salvage-to", &rescued]);
    bad(&salvaged, 3, &[&paths[0], "entry 7 is lost"]);
    let said = String::from_utf8(salvaged.stdout).unwrap();
    assert!(said.contains("entries 1 to 6\n") && said.contains("entries 8 to 300\n"), "{said}");
    let second = Path::new(&rescued).join("from-00000000000000000008").to_str().unwrap().to_owned();
    assert!(text(&wal(&["get", &second, "8"])).starts_with("record number 8 x"));
    assert!(text(&wal(&["verify", "--deep", &second])).ends_with("intact\n"));
    assert!(bytes_of(&log) == before, "nothing was changed");
    bad(&wal(&["repair", &log, "--salvage-to", &rescued]), 1, &["not empty"]);
}

#[test]
fn repair_says_first_and_does_it_then() {
    let (_dir, log) = place();
    let paths = segments(&log);
    let index = paths[0].replace(".wal", ".idx");
    fs::remove_file(&index).unwrap();
    let left = Path::new(&log).join("00000000000000000099.wal.tmp");
    fs::write(&left, b"half").unwrap();
    let before = bytes_of(&log);
    let said = text(&wal(&["repair", &log]));
    assert!(said.contains(&format!("would remove {}", left.display())), "{said}");
    assert!(said.contains(&format!("would write {index}")), "{said}");
    assert!(bytes_of(&log) == before, "nothing was changed");
    let said = text(&wal(&["repair", &log, "--apply"]));
    assert!(said.contains("quarantine-1"), "{said}");
    assert!(!left.exists() && Path::new(&index).exists());
    let kept = Path::new(&log).join("quarantine-1").join(left.file_name().unwrap());
    assert_eq!(fs::read(kept).unwrap(), b"half");
    assert_eq!(text(&wal(&["repair", &log])), "nothing to do\n");
    assert!(text(&wal(&["verify", "--deep", &log])).ends_with("intact\n"));
}

#[test]
fn cutting_at_damage_keeps_what_lies_before() {
    let (_dir, log) = place();
    let paths = segments(&log);
    damage(&paths[1], "record number");
    let before = bytes_of(&log);
    bad(&wal(&["repair", &log, "--apply"]), 3, &[&paths[1]]);
    let plan = wal(&["repair", &log, "--cut-at-damage"]);
    bad(&plan, 3, &[&paths[1]]);
    let said = String::from_utf8(plan.stdout).unwrap();
    assert!(said.contains("would cut") && said.contains("to 300 are lost"), "{said}");
    let now = bytes_of(&log);
    assert!(before.iter().all(|(path, bytes)| now.get(path) == Some(bytes)), "nothing was changed");
    let said = text(&wal(&["repair", &log, "--cut-at-damage", "--apply"]));
    let quarantine = said.lines().last().unwrap().rsplit(' ').next().unwrap();
    for path in &paths[1..] {
        let kept = Path::new(quarantine).join(Path::new(path).file_name().unwrap());
        assert!(fs::read(kept).unwrap() == before[Path::new(path)], "{path}");
    }
    let info = text(&wal(&["verify", "--deep", &log]));
    assert!(info.ends_with("intact\n"), "{info}");
    let dump = text(&wal(&["dump", &log, "--format", "raw"]));
    let entries = dump.lines().count();
    assert!(entries > 20 && entries < 300, "{entries}");
    assert_eq!(text(&wal_with(&["append", &log, "--ack"], b"on\n")), format!("{}\n", entries + 1));
}

#[test]
fn a_log_that_is_being_written_is_not_repaired() {
    let (_dir, log) = place();
    segments(&log);
    let left = Path::new(&log).join("00000000000000000099.wal.tmp");
    let writer = wal::Wal::open(&log).unwrap();
    fs::write(left, b"half").unwrap();
    bad(&wal(&["repair", &log, "--apply"]), 4, &[]);
    drop(writer);
}
