#![expect(clippy::disallowed_methods, reason = "files of settings, not of a log")]

use std::time::Duration;

use wal_core::{
    SyncPolicy,
    settings::{Setting, Settings},
};

use super::*;

const TOML: &str = r#"
segment_len = "1MiB"
buffer_entries = 1_000
sync = { background = "100ms" }
compression = { codec = "zstd", level = 3 }
file_mode = "0640"
background_threads = false
"#;
const YAML: &str = r#"
segment_len: 1MiB
buffer_entries: 1_000
sync: { background: 100ms }
compression:
  codec: zstd
  level: 3
file_mode: "0640"
background_threads: false
"#;
const JSON: &str = r#"{
    "segment_len": 1048576,
    "buffer_entries": "1_000",
    "sync": { "background": "100ms" },
    "compression": { "codec": "zstd", "level": 3 },
    "file_mode": "0640",
    "background_threads": false
}"#;

#[test]
fn all_formats_say_the_same() {
    let config = Config::default().with_toml(TOML).unwrap();
    assert_eq!(config.options.segment_len, 1 << 20);
    assert_eq!(config.options.buffer_entries, 1000);
    assert_eq!(config.options.sync, SyncPolicy::Background { interval: Duration::from_millis(100) });
    assert_eq!((config.options.compression.level, config.file_mode), (3, 0o640));
    assert!(!config.options.background_threads);
    assert_eq!(Config::default().with_yaml(YAML).unwrap(), config);
    assert_eq!(Config::default().with_json(JSON).unwrap(), config);
    let vars = [
        ("WAL_SEGMENT_LEN", "1024 KiB"),
        ("WAL_BUFFER_ENTRIES", "1000"),
        ("WAL_SYNC", "background:100ms"),
        ("WAL_COMPRESSION", "zstd:3"),
        ("WAL_FILE_MODE", "640"),
        ("WAL_BACKGROUND_THREADS", "false"),
        ("WALRUS", "no variable of ours"),
    ];
    let vars = vars.map(|(name, value)| (name.into(), value.into()));
    assert_eq!(Config::default().with_vars("WAL_", vars).unwrap(), config);
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    assert_eq!(Config::default().with_yaml(&json).unwrap(), config, "JSON is YAML");
    for empty in ["", "# nothing"] {
        assert_eq!(config.clone().with_toml(empty).unwrap(), config, "what is not mentioned stays");
        assert_eq!(config.clone().with_yaml(empty).unwrap(), config);
    }
}

#[track_caller]
fn check(taken: Result<Config, ConfigError>, line: u64, what: &str) {
    let error = taken.unwrap_err();
    let ConfigError::Wrong { line: found, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*found, Some(line), "{error}");
    assert!(error.to_string().contains(what), "{error}");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let small = "`segment_len` cannot be \"1KiB\": it must be between 64 KiB and 16 GiB";
    check(Config::default().with_toml("\n\nsegment_len = '1KiB'"), 3, small);
    check(Config::default().with_yaml("prefix: a\nsegment_len: 1KiB\n"), 2, small);
    check(Config::default().with_json("{\n\"prefix\": \"a\",\n\"segment_len\": \"1KiB\"\n}"), 3, small);
    let unknown = "there is no setting `segment_length`; there are sync, segment_len";
    check(Config::default().with_toml("prefix = 'a'\nsegment_length = 1"), 2, unknown);
    check(Config::default().with_yaml("prefix: a\nsegment_length: 1\n"), 2, unknown);
    check(Config::default().with_json("{\n\"segment_length\": 1}"), 2, unknown);
    let mode = "write permission bits in octal and in quotes";
    check(Config::default().with_toml("file_mode = 600"), 1, mode);
    check(Config::default().with_yaml("dir_mode: 755"), 1, mode);
    check(Config::default().with_yaml("dir_mode: 0755"), 1, "for `dir_mode`");
    check(Config::default().with_json("{\"file_mode\": \"0888\"}"), 1, mode);
    check(Config::default().with_toml("prefix = 'a'\nprefix = 'b'"), 2, "duplicate key");
    check(Config::default().with_toml("a = 1\nnot toml"), 2, "");
    check(Config::default().with_yaml("\nprefix: [\n"), 2, "");
    check(Config::default().with_json("{} {}"), 1, "trailing");
    let bomb: String =
        (1..9).map(|n| format!("a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(9))).collect();
    Config::default().with_yaml(&format!("a0: &a0 x\n{bomb}")).unwrap_err();
}

#[test]
fn files_are_known_by_their_names_and_the_environment_overrides_them() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("a.toml", TOML), ("a.yaml", YAML), ("a.YML", YAML), ("a.json", JSON)] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let file = Config::default().with_file(&path).unwrap();
        assert_eq!(file.options.segment_len, 1 << 20);
        let var = ("X_SEGMENT_LEN".into(), "2MiB".into());
        let both = file.clone().with_vars("X_", [var]).unwrap();
        assert_eq!((both.options.segment_len, both.file_mode), (2 << 20, 0o640));
    }
    let wrong = dir.path().join("wrong.toml");
    std::fs::write(&wrong, "\nread_mode = 'cat'").unwrap();
    let error = Config::default().with_file(&wrong).unwrap_err().to_string();
    assert!(
        error.ends_with("wrong.toml, line 2: `read_mode` cannot be \"cat\": it must be mmap or pread"),
        "{error}"
    );
    let unknown = Config::default().with_file(dir.path().join("a.ini")).unwrap_err();
    assert!(matches!(unknown, ConfigError::UnknownFormat { .. }), "{unknown:?}");
    let missing = Config::default().with_file(dir.path().join("b.toml")).unwrap_err();
    assert!(matches!(missing, ConfigError::Read { .. }), "{missing:?}");
    std::fs::write(&wrong, " ".repeat(2 << 20)).unwrap();
    let long = Config::default().with_file(&wrong).unwrap_err();
    assert!(matches!(long, ConfigError::TooLong { .. }), "{long:?}");
}

#[test]
fn a_wrong_variable_is_named() {
    for (name, value, what) in [
        ("WAL_SEGMENT_LEN", "big", "environment variable WAL_SEGMENT_LEN: `segment_len` cannot be \"big\""),
        ("WAL_SEGMENT", "1", "environment variable WAL_SEGMENT: there is no setting `segment`"),
        ("WAL_sync", "always", "environment variable WAL_sync: there is no setting"),
    ] {
        let error = Config::default().with_vars("WAL_", [(name.into(), value.into())]).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn no_part_of_an_endpoint_is_shown_that_may_be_a_secret() {
    for endpoint in ["https://key:secret@host", "https://host/?token=secret", "https://host/#secret"] {
        for error in [
            Config::default().with_setting("s3_endpoint", endpoint),
            Config::default().with_toml(&format!("s3_endpoint = '{endpoint}'")),
            Config::default().with_vars("WAL_", [("WAL_S3_ENDPOINT".into(), endpoint.into())]),
        ] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("`s3_endpoint` cannot be") && !error.contains("secret"), "{error}");
        }
    }
}

/// The table of docs/CONFIGURATION.md: every setting in order, with its default and its variable.
#[test]
fn the_documentation_knows_every_setting() {
    let text = include_str!("../../../../docs/CONFIGURATION.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: Vec<(&str, &str)> = rows.filter_map(|row| row.split_once("` | `")).collect();
    let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, Config::names());
    for (name, rest) in rows {
        let (default, rest) = rest.split_once("` | ").unwrap();
        let value = Config::default().get(name).unwrap();
        let written = match &value {
            Setting::Text(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(default, written, "{name}");
        let variable = format!("`WAL_{}`", name.to_ascii_uppercase());
        assert!(rest.contains(&variable), "{name} lacks {variable}");
        // The default is accepted in its written form.
        Config::default().set(name, &value).unwrap();
    }
}
