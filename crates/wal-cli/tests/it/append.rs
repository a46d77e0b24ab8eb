//! `wal append`.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use crate::support::{bad, command, good, numbers, place, text, wal, wal_with};

#[test]
fn records_come_back_as_they_were_whatever_their_bytes() {
    let (_dir, log) = place();
    let records = b"plain\n\nbinary \x00\xff\xfe\r\ngr\xc3\xbc\xc3\x9f\nlast without newline";
    assert_eq!(good(&wal_with(&["append", &log], records)), b"");
    let raw = good(&wal(&["dump", &log, "--format", "raw"]));
    assert_eq!(raw, [&records[..], b"\n"].concat());
    assert_eq!(good(&wal(&["get", &log, "3"])), b"binary \x00\xff\xfe\r");
    assert_eq!(good(&wal(&["get", &log, "2"])), b"");
}

#[test]
fn files_are_read_in_order_and_each_last_line_counts() {
    let (dir, log) = place();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::write(&a, "one\ntwo").unwrap();
    fs::write(&b, "four\n").unwrap();
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    good(&wal_with(&["append", &log, a, "-", b], b"three"));
    assert_eq!(text(&wal(&["dump", &log])), "1\tone\n2\ttwo\n3\tthree\n4\tfour\n");
}

#[test]
fn a_file_that_is_not_there_leaves_no_log_behind() {
    let (dir, log) = place();
    let missing = dir.path().join("missing");
    let missing = missing.to_str().unwrap();
    bad(&wal(&["append", &log, missing]), 1, &["could not open", missing, "No such file"]);
    assert!(!dir.path().join("log").exists());
}

#[test]
fn acknowledgements_come_in_order_under_every_policy() {
    for policy in ["always", "os-cache", "background"] {
        let (_dir, log) = place();
        let acks = wal_with(&["append", &log, "--ack", "--sync", policy], numbers(3000).as_bytes());
        assert_eq!(text(&acks), numbers(3000), "{policy}");
        let again = wal_with(&["append", &log, "--ack", "--sync", policy, "--batch", "7"], b"a\nb\nc");
        assert_eq!(text(&again), "3001\n3002\n3003\n", "{policy}");
        assert_eq!(text(&wal(&["dump", &log, "--format", "raw"])), numbers(3000) + "a\nb\nc\n");
    }
}

#[test]
fn a_record_that_arrives_alone_is_acknowledged_at_once() {
    let (_dir, log) = place();
    let mut child =
        command(["append", &log, "--ack"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut acks = BufReader::new(child.stdout.take().unwrap());
    for number in 1..=5 {
        // The input stays open: only an acknowledgement lets this go on.
        input.write_all(b"hello\n").unwrap();
        let mut ack = String::new();
        acks.read_line(&mut ack).unwrap();
        assert_eq!(ack, format!("{number}\n"));
        let seen = text(&wal(&["get", &log, &number.to_string()]));
        assert_eq!(seen, "hello");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

fn wal_dump(log: &str) -> std::process::Output {
    wal(&["dump", log, "--format", "raw"])
}

#[test]
fn kind_compression_and_segment_length_are_obeyed() {
    for codec in ["none", "zstd", "snappy"] {
        let (_dir, log) = place();
        let line = "the same words again and again ".repeat(40) + "\n";
        let args =
            ["append", &log, "--kind", "9", "--compress", codec, "--segment-len", "64KiB", "--batch", "4"];
        good(&wal_with(&args, line.repeat(400).as_bytes()));
        assert_eq!(text(&wal_dump(&log)), line.repeat(400), "{codec}");
        let segments: serde_json::Value =
            serde_json::from_slice(&good(&wal(&["ls", &log, "--format", "json"]))).unwrap();
        let segments = segments.as_array().unwrap();
        let bytes: u64 = segments.iter().map(|segment| segment["bytes"].as_u64().unwrap()).sum();
        assert_eq!(codec == "none", bytes > 400_000, "{codec}: {bytes}");
        assert_eq!(codec == "none", segments.len() > 1, "{codec}: {}", segments.len());
        let entry = text(&wal(&["get", &log, "1", "--format", "jsonl"]));
        assert!(entry.contains(r#""kind":9"#), "{entry}");
    }
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    let (_dir, log) = place();
    let wrong: &[&[&str]] = &[
        &[],
        &["append"],
        &["no-such-verb", &log],
        &["append", &log, "--sync", "sometimes"],
        &["append", &log, "--interval", "1s"],
        &["append", &log, "--sync", "os-cache", "--interval", "soon"],
        &["append", &log, "--batch", "0"],
        &["append", &log, "--segment-len", "huge"],
        &["get", &log],
        &["get", &log, "0"],
        &["dump", &log, "--from", "x"],
        &["dump", &log, "--from", "3", "--to", "2"],
        &["demo", "--threads", "0"],
    ];
    for args in wrong {
        bad(&wal(args), 2, &[]);
    }
    assert!(!std::path::Path::new(&log).exists());
}
