//! `wal verify`, and what the other verbs make of damage.

use std::{fs, path::Path};

use crate::support::{bad, bytes_of, filled, numbers, place, text, wal, wal_with};

/// Turns one bit of the byte in the middle of `needle` around, in the only file that holds it.
fn damage(log: &str, needle: &[u8]) -> (String, usize) {
    for (path, mut bytes) in bytes_of(log) {
        if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
            bytes[at + needle.len() / 2] ^= 1;
            fs::write(&path, bytes).unwrap();
            return (path.to_str().unwrap().to_owned(), at);
        }
    }
    panic!("nothing holds it");
}

#[test]
fn an_intact_log_is_intact_and_stays_as_it_is() {
    let (_dir, log) = place();
    filled(&log, numbers(100).as_bytes());
    let before = bytes_of(&log);
    let said = text(&wal(&["verify", &log]));
    assert!(said.contains("100 entries") && said.ends_with("intact\n"), "{said}");
    assert!(bytes_of(&log) == before, "nothing was changed");
}

#[test]
fn damage_in_an_older_segment_is_named_and_the_rest_is_read() {
    let (_dir, log) = place();
    let record = |number: usize| format!("record number {number} {}\n", "x".repeat(1000));
    let records: String = (1..=500).map(record).collect();
    let args = ["append", &log, "--segment-len", "64KiB"];
    assert!(wal_with(&args, records.as_bytes()).status.success());
    let (path, at) = damage(&log, b"record number 77 x");
    let said = bad(&wal(&["verify", &log]), 3, &[&path, "entry 77", "at offset", "one place"]);
    let offset: usize =
        said.split("at offset ").nth(1).unwrap().split([',', ':']).next().unwrap().parse().unwrap();
    assert!(offset < at && at < offset + 100, "{said}: {at}");
    let totals = String::from_utf8(wal(&["verify", &log]).stdout).unwrap();
    assert!(totals.contains("499 entries"), "{totals}");
    bad(&wal(&["get", &log, "77"]), 3, &[&path, "77"]);
    let dump = wal(&["dump", &log]);
    bad(&dump, 3, &[&path, "77"]);
    assert_eq!(dump.stdout.split(|byte| *byte == b'\n').count(), 77, "what was read before is printed");
    assert!(wal(&["get", &log, "78"]).status.success());
}

#[test]
fn damage_to_what_a_close_proved_is_no_torn_tail() {
    let (_dir, log) = place();
    filled(&log, b"one\nthe second one\nthree\n");
    let (path, _) = damage(&log, b"the second one");
    let before = bytes_of(&log);
    for verb in ["verify", "dump", "info", "ls"] {
        bad(&wal(&[verb, &log]), 3, &[&path, "offset", "entry 2 is lost"]);
    }
    bad(&wal_with(&["append", &log], b"four\n"), 3, &[&path]);
    assert!(bytes_of(&log) == before, "nothing was changed");
}

#[test]
fn a_torn_tail_is_no_damage_and_is_mentioned() {
    let (_dir, log) = place();
    filled(&log, numbers(3).as_bytes());
    let wal_ = wal::Wal::open_read_only(&log).unwrap();
    let end = wal_.segments().unwrap().last().unwrap().clone();
    let path = Path::new(&end.path);
    let mut bytes = fs::read(path).unwrap();
    let at = usize::try_from(end.end).unwrap();
    bytes.resize(bytes.len().max(at + 64), 0);
    bytes[at..at + 64].fill(0xa5);
    fs::write(path, bytes).unwrap();
    let verified = wal(&["verify", &log]);
    assert!(text(&verified).contains("intact"));
    let place = format!("segment {} offset {}", end.id, end.end);
    bad(&verified, 0, &["torn", &place]);
    let info = text(&wal(&["info", &log]));
    assert!(info.contains(&format!("offset {}, before entry 4", end.end)), "{info}");
    let appended = wal_with(&["append", &log, "--ack"], b"4\n");
    assert_eq!(text(&appended), "4\n");
    bad(&appended, 0, &["cut off", &place]);
    assert_eq!(text(&wal(&["dump", &log, "--format", "raw"])), numbers(4));
}

#[test]
fn a_batch_is_lost_as_a_whole() {
    let (_dir, log) = place();
    let records: String = (1..=8).map(|number| format!("record number {number}\n")).collect();
    assert!(wal_with(&["append", &log, "--batch", "3"], records.as_bytes()).status.success());
    assert_eq!(text(&wal(&["dump", &log, "--format", "raw"])), records);
    let (path, _) = damage(&log, b"record number 5");
    bad(&wal(&["verify", &log]), 3, &[&path, "entries 4 to 6"]);
}
