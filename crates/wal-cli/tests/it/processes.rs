//! Beside other processes: live writers, and readers that have enough.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    sync::mpsc::sync_channel,
    thread,
};

use wal::{Options, SyncPolicy, Wal};

use crate::support::{bad, bytes_of, command, filled, numbers, place, text, wal, wal_with};

#[test]
fn a_second_writer_is_refused_with_its_own_exit_code() {
    let (_dir, log) = place();
    let writer = Wal::open(&log).unwrap();
    writer.append("mine").unwrap();
    bad(&wal_with(&["append", &log], b"yours\n"), 4, &[&log, "open for writing"]);
    assert_eq!(text(&wal(&["dump", &log, "--format", "raw"])), "mine\n");
    drop(writer);
    assert_eq!(text(&wal_with(&["append", &log, "--ack"], b"yours\n")), "2\n");
}

#[test]
fn reading_works_beside_a_live_writer() {
    let (_dir, log) = place();
    let sync = SyncPolicy::OsCache { interval: std::time::Duration::from_millis(10) };
    let options = Options { sync, segment_len: 256 << 10, first_segment_len: 64 << 10, ..Options::default() };
    let writer = Wal::builder(&log).options(options).open().unwrap();
    writer.append("entry 1").unwrap();
    let (go, rounds) = sync_channel(0);
    thread::scope(|scope| {
        // So much in every round that segments come and go while the readers look.
        scope.spawn(move || {
            for (round, ()) in rounds.into_iter().enumerate() {
                for number in round * 3000 + 2..(round + 1) * 3000 + 2 {
                    writer.append(format!("entry {number}")).unwrap();
                }
            }
        });
        let mut seen = 0;
        for _ in 0..8 {
            go.send(()).unwrap();
            let dump = text(&wal(&["dump", &log]));
            let lines = dump.lines().enumerate();
            lines.for_each(|(at, line)| assert_eq!(line, format!("{0}\tentry {0}", at + 1)));
            let count = dump.lines().count();
            assert!(count >= seen);
            seen = count;
            for verb in ["verify", "info", "ls"] {
                text(&wal(&[verb, &log]));
            }
        }
        drop(go);
    });
}

#[test]
fn reading_changes_no_byte() {
    let (_dir, log) = place();
    filled(&log, numbers(50).as_bytes());
    let before = bytes_of(&log);
    for verb in [&["dump"][..], &["dump", "--reverse"], &["ls"], &["info"], &["verify"]] {
        text(&wal(&[&[verb[0], log.as_str()], &verb[1..]].concat()));
    }
    text(&wal(&["get", &log, "50"]));
    assert!(bytes_of(&log) == before, "nothing was changed");
}

#[test]
fn a_reader_that_has_enough_ends_the_program_quietly() {
    let (_dir, log) = place();
    filled(&log, numbers(100_000).as_bytes());
    let mut child = command(["dump", &log]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "1\t1\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn acknowledgements_that_nobody_reads_are_an_error() {
    let (_dir, log) = place();
    let mut child = command(["append", &log, "--ack"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    // The input stays open: the program must not wait for it.
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"one\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("nobody reads the acknowledgements"), "{words}");
    assert_eq!(text(&wal(&["dump", &log])), "1\tone\n");
}

#[test]
fn last_acknowledgements_that_nobody_reads_are_an_error_too() {
    let (_dir, log) = place();
    let (file, records) = (format!("{log}.records"), numbers(10));
    std::fs::write(&file, &records).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(["append", &log, &file, "--ack"]).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text(&wal(&["dump", &log, "--format", "raw"])), records);
}
