//! Settings from files and variables, and what helps at the prompt.

use std::{fs, io::Write, process::Stdio};

use crate::support::{bad, command, good, place, text, wal, wal_with};

#[test]
fn settings_come_from_a_file_the_environment_and_the_command_line() {
    let (dir, log) = place();
    let config = dir.path().join("wal.toml");
    fs::write(&config, "segment_len = '128KiB'\nfirst_segment_len = '128KiB'\nentry_len_max = 5\n").unwrap();
    let config = config.to_str().unwrap();
    let append = ["append", &*log, "--config", config];
    bad(&wal_with(&append, b"sixsix\n"), 1, &["record 1", "longer than 5 bytes"]);
    let mut child = command(append).env("WAL_ENTRY_LEN_MAX", "6 B").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"sixsix\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(text(&wal(&["get", &*log, "1"])).trim_end(), "sixsix");
    let json = text(&wal(&["ls", &*log, "--format", "json"]));
    assert!(json.contains("131072"), "{json}");
    let last_word = [&append[..], &["--segment-len", "64KiB"]].concat();
    good(&wal_with(&last_word, b"more\n"));
    let json = text(&wal(&["ls", &*log, "--format", "json"]));
    assert!(json.contains("65536"), "{json}");
}

#[test]
fn a_wrong_setting_is_named_and_leaves_no_log_behind() {
    let (dir, log) = place();
    let config = dir.path().join("wal.yaml");
    fs::write(&config, "prefix: x\nsegment_len: 1KiB\n").unwrap();
    let config = config.to_str().unwrap();
    let output = wal_with(&["append", &*log, "--config", config], b"one\n");
    bad(&output, 1, &["wal.yaml, line 2: `segment_len` cannot be", "between 64 KiB and 16 GiB"]);
    assert!(!fs::exists(&log).unwrap());
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&wal(&["completions", shell]));
        for verb in ["append", "verify", "salvage-to"] {
            assert!(script.contains(verb), "{shell}: {verb}");
        }
    }
}
