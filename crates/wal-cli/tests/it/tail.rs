//! `wal tail`.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use wal::Wal;

use crate::support::{command, filled, numbers, place, text, wal};

#[test]
fn the_last_entries_are_printed() {
    let (_dir, log) = place();
    filled(&log, numbers(25).as_bytes());
    let last =
        |args: &[&str]| text(&wal(&[&["tail", &log, "--format", "raw"], args].concat())).replace('\n', " ");
    assert_eq!(last(&[]), "16 17 18 19 20 21 22 23 24 25 ");
    assert_eq!(last(&["-n", "2"]), "24 25 ");
    assert_eq!(last(&["-n", "0"]), "");
    assert_eq!(last(&["-n", "100", "--durable"]).split_whitespace().count(), 25);
}

#[test]
fn a_live_log_is_followed() {
    let (_dir, log) = place();
    let writer = Wal::open(&log).unwrap();
    writer.append("1").unwrap();
    let mut follower =
        command(["tail", &log, "-f", "--format", "raw"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    for n in 2..=20 {
        writer.append(n.to_string()).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), n.to_string());
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
}
