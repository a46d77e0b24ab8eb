//! Every command on a log by its URL.

use std::{fs, path::Path, process::Stdio};

use wal::{Config, ErrorKind, Lsn, SyncPolicy, Wal};

use crate::support::{bad, bytes_of, command, filled, good, numbers, place, text, wal, wal_with};

/// A directory to work in, and the URL of a log in it that does not exist.
fn bucket() -> (tempfile::TempDir, String, String) {
    let (dir, log) = place();
    let url = format!("file://{}/bucket", dir.path().to_str().unwrap());
    (dir, url, log)
}

fn entries(log: &str) -> Vec<wal::Entry> {
    Wal::open_read_only(log).unwrap().iter().map(Result::unwrap).collect()
}

#[test]
fn reading_commands_work_on_a_url() {
    let (_dir, url, _) = bucket();
    bad(&wal(&["dump", &url]), 1, &["there is no log in file://"]);
    filled(&url, numbers(20).as_bytes());
    filled(&url, b"21\n");
    assert_eq!(text(&wal(&["dump", &url, "--format", "raw"])), numbers(21));
    assert_eq!(text(&wal(&["dump", &url, "--format", "raw", "--reverse", "--limit", "1"])), "21\n");
    assert_eq!(text(&wal(&["get", &url, "7"])), "7");
    assert_eq!(text(&wal(&["tail", &url, "-n", "2", "--format", "raw"])), "20\n21\n");
    assert_eq!(text(&wal(&["replay", &url, "--from", "20", "--format", "raw"])), "20\n21\n");
    let info = text(&wal(&["info", &url]));
    assert!(info.contains(&url) && info.contains("21"), "{info}");
    assert!(text(&wal(&["ls", &url])).lines().count() > 2);
    let said = text(&wal(&["verify", &url]));
    assert!(said.contains("21 entries") && said.ends_with("intact\n"), "{said}");
    let said = text(&wal(&["verify", "--deep", &url]));
    assert!(said.contains("21 entries") && said.ends_with("intact\n"), "{said}");
    let stats = text(&wal(&["stats", &url, "--openmetrics"]));
    assert!(
        stats.contains("wal_last_lsn 21") && stats.contains("wal_object_requests_total{kind=\"list\"} "),
        "{stats}"
    );
    let top = text(&wal(&["top", &url, "-n", "1"]));
    assert!(top.contains("21"), "{top}");
    assert_eq!(text(&wal(&["export", &url])).lines().count(), 22);
    good(&wal(&["checkpoint", &url, "create", "here"]));
    assert!(text(&wal(&["checkpoint", &url, "list"])).contains("here"));
    good(&wal(&["cursors", &url, "create", "replica"]));
    assert!(text(&wal(&["cursors", &url, "list"])).contains("replica"));
}

#[test]
fn a_log_is_backed_up_from_a_url_and_never_into_one() {
    let (dir, url, log) = bucket();
    filled(&url, numbers(9).as_bytes());
    let clone = dir.path().join("clone").to_str().unwrap().to_owned();
    good(&wal(&["backup", &url, &log]));
    good(&wal(&["clone", &url, &clone, "--new-id"]));
    for copy in [&log, &clone] {
        assert_eq!(entries(copy), entries(&url));
    }
    bad(&wal(&["backup", &log, "file:///x/y"]), 1, &["takes a URL"]);
    bad(&wal(&["clone", &log, "file:///x/y", "--new-id"]), 1, &["takes a URL"]);
    bad(&wal(&["import", "--from", "xwal", &log, "s3://a/b"]), 2, &["into a directory"]);
    assert!(!Path::new("s3:").exists() && !Path::new("file:").exists());
}

#[test]
fn a_log_is_copied_up_and_down_and_across_byte_for_byte() {
    let (dir, url, log) = bucket();
    let records: String = (0..300).map(|n| format!("{n} {}\n", "x".repeat(1000))).collect();
    good(&wal_with(&["append", &log, "--segment-len", "64KiB"], records.as_bytes()));
    let id = |log: &str| Wal::open_read_only(log).unwrap().id();
    let back = dir.path().join("back").to_str().unwrap().to_owned();
    let other = url.replace("bucket", "other");
    for (from, to) in [(&log, &url), (&url, &other), (&other, &back)] {
        let said = text(&wal(&["copy", from, to]));
        assert!(said.contains("from LSN 1, next 301") && said.ends_with("verified\n"), "{said}");
        assert_eq!((entries(to), id(to)), (entries(&log), id(&log)));
        let said = text(&wal(&["copy", from, to]));
        assert!(said.contains(" 0 of them copied now"), "{said}");
    }
    // What is in a bucket is in the directory that was copied from it.
    for (path, bytes) in bytes_of(&back) {
        let object = dir.path().join("bucket").join(path.file_name().unwrap());
        assert_eq!(fs::read(object).unwrap(), bytes, "{}", path.display());
    }
    // All of them are logs to go on with.
    for log in [&url, &other, &back] {
        filled(log, b"more\n");
        assert_eq!(text(&wal(&["get", log, "301"])), "more");
    }
}

#[test]
fn a_copy_is_completed_brought_up_to_date_and_never_overwritten() {
    let (dir, url, log) = bucket();
    let other = url.replace("bucket", "other");
    for round in 0..3 {
        filled(&url, format!("{round}\n").as_bytes());
        good(&wal(&["copy", &url, &other]));
        assert_eq!(entries(&other), entries(&url));
    }
    // An attempt that was cut short has the newest objects and no log.
    let objects = bytes_of(dir.path().join("other"));
    for path in objects.keys().take(objects.len() - 1) {
        fs::remove_file(path).unwrap();
    }
    bad(&wal(&["dump", &other]), 3, &["missing"]);
    good(&wal(&["copy", &url, &other]));
    assert_eq!(bytes_of(dir.path().join("other")), objects);
    // Something else is there.
    filled(&log, b"mine\n");
    let before = bytes_of(&log);
    bad(&wal(&["copy", &url, &log]), 1, &["is not the segment that would be copied there"]);
    assert_eq!(bytes_of(&log), before);
    filled(&other, b"gone on\n");
    filled(&url, b"also\n");
    bad(&wal(&["copy", &url, &other]), 1, &["is not the segment that would be copied there"]);
    assert_eq!(text(&wal(&["get", &other, "4"])), "gone on");
}

#[test]
fn what_is_damaged_is_not_copied() {
    let (dir, url, log) = bucket();
    filled(&log, numbers(50).as_bytes());
    let (path, mut bytes) =
        bytes_of(&log).into_iter().find(|(path, _)| path.ends_with("00000000000000000001.wal")).unwrap();
    let at = bytes.windows(2).position(|window| window == b"25").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    bad(&wal(&["copy", &log, &url]), 3, &["lost"]);
    assert!(!dir.path().join("bucket").exists(), "nothing was published");
}

#[test]
fn a_fence_stops_the_writer() {
    let (_dir, url, log) = bucket();
    let sync = SyncPolicy::Always;
    let mut config = Config::default();
    config.options.sync = sync;
    let writer = Wal::builder(&url).config(config).open().unwrap();
    writer.append("mine").unwrap();
    let said = text(&wal(&["fence", &url]));
    assert_eq!(said, "epoch 1 is over, 2 begins; next 2\n");
    assert_eq!(writer.append("late").unwrap_err().kind(), ErrorKind::Fenced);
    assert!(writer.stats().fenced);
    assert_eq!(text(&wal(&["dump", &url, "--format", "raw"])), "mine\n");
    let json = text(&wal(&["fence", &url, "--format", "json"]));
    assert!(json.contains("\"old_epoch\": 2") && json.contains("\"new_epoch\": 3"), "{json}");
    let appended = wal_with(&["append", &url], b"one\n");
    assert!(
        String::from_utf8_lossy(&appended.stderr).contains("takes the log over"),
        "a writer is stopped, and told"
    );
    bad(&wal(&["fence", &log]), 2, &["only a log at a URL"]);
    bad(&wal(&["fence", &url.replace("bucket", "none")]), 1, &["there is no log"]);
}

#[test]
fn a_prune_takes_the_oldest_and_leaves_the_fences() {
    let (dir, url, log) = bucket();
    let count = || bytes_of(dir.path().join("bucket")).len();
    for round in 0..4 {
        let records: String = (0..3).map(|n| format!("{round} {n} {}\n", "x".repeat(300_000))).collect();
        good(&wal_with(&["append", &url, "--segment-len", "64KiB"], records.as_bytes()));
    }
    assert_eq!(count(), 4 + 12, "a fence for each time it was opened, and an object for each large entry");
    let said = text(&wal(&["prune", &url, "--before", "7"]));
    assert!(said.contains("removed 6 entries") && said.ends_with("first entry 7\n"), "{said}");
    assert_eq!(Wal::open_read_only(&url).unwrap().first_lsn(), Lsn::new(7));
    let said = text(&wal(&["prune", &url, "--keep-bytes", "1MiB", "--format", "json"]));
    assert!(said.contains("\"first\": 10"), "{said}");
    assert_eq!(entries(&url).len(), 3);
    let epochs: Vec<u8> = (1..=6).collect();
    assert!(count() >= epochs.len() + 3, "six fences stay");
    assert!(text(&wal(&["verify", "--deep", &url])).ends_with("intact\n"));
    bad(&wal(&["prune", &url]), 2, &["required"]);
    filled(&log, numbers(5).as_bytes());
    assert!(text(&wal(&["prune", &log, "--before", "4"])).ends_with("first entry 4\n"));
}

#[test]
fn damage_among_objects_is_found_salvaged_and_not_repaired() {
    let (dir, url, log) = bucket();
    for n in 0..3 {
        let record = format!("record {n}\n");
        filled(&url, record.as_bytes());
    }
    let damaged = bytes_of(dir.path().join("bucket"))
        .into_iter()
        .find(|(_, bytes)| bytes.windows(8).any(|window| window == b"record 1"));
    let (path, mut bytes) = damaged.unwrap();
    let at = bytes.windows(8).position(|window| window == b"record 1").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    bad(&wal(&["verify", "--deep", &url]), 3, &["entry 2 is lost", "one place is damaged"]);
    bad(&wal(&["verify", &url]), 3, &["entry 2"]);
    let before = bytes_of(dir.path().join("bucket"));
    bad(&wal(&["repair", &url, "--apply", "--cut-at-damage"]), 1, &["not repaired in place", "salvage"]);
    assert_eq!(bytes_of(dir.path().join("bucket")), before);
    let salvaged = wal(&["repair", &url, "--salvage-to", &log]);
    bad(&salvaged, 3, &["entry 2 is lost"]);
    assert!(String::from_utf8_lossy(&salvaged.stdout).contains("2 entries salvaged"));
    // An object that is gone.
    fs::remove_file(&path).unwrap();
    bad(&wal(&["verify", "--deep", &url]), 3, &["missing", "entry 2 is lost"]);
}

#[test]
fn places_that_make_no_sense_are_refused() {
    let (dir, url, log) = bucket();
    bad(&wal(&["ls", "gs://bucket/log"]), 1, &["only s3:// and file://"]);
    bad(&wal(&["ls", "file://relative"]), 1, &["file:///directory"]);
    for place in ["s3://key:SECRET@bucket/log", "s3://bucket/log?sig=SECRET", "s3://bucket/log#a@SECRET"] {
        let shown = bad(&wal(&["ls", place]), 1, &["bucket/log"]);
        assert!(!shown.contains("SECRET"), "{shown}");
        let shown = bad(&wal(&["import", "--from", "jsonl", &log, place]), 2, &["import into a directory"]);
        assert!(!shown.contains("SECRET"), "{shown}");
    }
    // A directory of files is not one of objects.
    filled(&log, b"one\n");
    bad(&wal(&["dump", &format!("file://{log}")]), 1, &["ordinary log"]);
    // A directory of objects can be read as one of files.
    filled(&url, b"one\n");
    let bucket = dir.path().join("bucket").to_str().unwrap().to_owned();
    assert_eq!(text(&wal(&["dump", &bucket, "--format", "raw"])), "one\n");
}

#[test]
fn settings_of_object_storage_come_from_files_variables_and_flags() {
    let (dir, url, _) = bucket();
    let config = dir.path().join("wal.toml");
    fs::write(&config, "object_requests_per_second = 1000\nobject_request_timeout = '5s'\nprefix = 'a-'\n")
        .unwrap();
    let config = config.to_str().unwrap();
    good(&wal_with(&["append", &url, "--config", config], b"one\n"));
    bad(&wal(&["dump", &url]), 1, &["there is no log"]);
    assert_eq!(text(&wal(&["dump", &url, "--config", config, "--format", "raw"])), "one\n");
    let wrong = command(["dump", &*url, "--config", config])
        .env("WAL_S3_ENDPOINT", "http://key:SECRET@host")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = bad(&wrong, 1, &["WAL_S3_ENDPOINT", "without keys in it"]);
    assert!(!said.contains("SECRET"), "{said}");
    bad(&wal(&["dump", &url, "--endpoint", "host"]), 1, &["`s3_endpoint` cannot be"]);
}
