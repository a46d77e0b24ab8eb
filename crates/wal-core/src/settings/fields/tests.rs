use std::time::Duration;

use super::*;
use crate::{Retention, TierOptions, WhenUnshipped};

fn set(name: &str, value: Setting) -> Result<Options, SettingError> {
    let mut options = Options::default();
    options.set(name, &value).map(|()| options)
}

/// Every field differs from its default.
fn unusual() -> Options {
    Options {
        sync: SyncPolicy::Background { interval: Duration::from_millis(100) },
        segment_len: 1 << 20,
        first_segment_len: 65537,
        entry_len_max: 1000,
        buffer_len: 4097,
        buffer_entries: 7,
        uploads: 9,
        when_full: WhenFull::BlockFor(Duration::from_micros(1_000_001)),
        group_window: Duration::from_micros(250),
        unsynced_age_max: Duration::from_secs(90),
        checksum: if ChecksumKind::Crc32c.is_available() {
            ChecksumKind::Crc32c
        } else {
            ChecksumKind::Crc32
        },
        compression: Compression {
            codec: CodecId(200),
            level: -3,
            min_len: 1 << 10,
            min_gain_percent: 55,
            pack_len: 4 << 10,
            raw_len_max: 1 << 20,
            threads: 3,
            when_behind: WhenBehind::StorePlain,
        },
        frame_cache_len: 0,
        recovery: RecoveryMode::Refuse,
        first_lsn: Lsn::new(1 << 63).unwrap(),
        prefix: "orders-".to_owned(),
        metadata_len_max: 100,
        retention: Retention {
            max_age: Some(Duration::from_secs(7 * 86_400)),
            max_bytes: Some(1 << 30),
            max_segments: Some(9),
            keep_from: Lsn::new(77),
            cursor_max_bytes: Some(1 << 31),
            cursor_max_age: Some(Duration::from_secs(90)),
            interval: Duration::from_millis(1500),
            clock_trial: Duration::ZERO,
        },
        tier: TierOptions {
            local_len: None,
            rate: Some(10 << 20),
            unshipped_max: Some(1 << 40),
            when_unshipped: WhenUnshipped::Drop,
            retry: Duration::from_millis(1),
            keep_removed: true,
        },
        idle_mark: Duration::MAX,
        background_threads: false,
    }
}

#[test]
fn what_is_written_reads_back() {
    for options in [Options::default(), unusual()] {
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<Options>(&text).unwrap(), options, "{text}");
    }
    let (unusual, usual) = (unusual(), Options::default());
    let same = |name: &&str| unusual.get(name) == usual.get(name);
    let forgotten: Vec<_> = Options::names().into_iter().filter(same).collect();
    assert!(forgotten.iter().all(|name| *name == "checksum"), "not tested: {forgotten:?}");
    // A field that the table of this file forgot would keep its default.
    let debug = format!("{:#?}", Options::default());
    let fields = debug.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    let fields: Vec<_> = fields.filter_map(|line| Some(line.trim().split_once(':')?.0)).collect();
    assert_eq!(fields, Options::names());
}

#[test]
fn retention_is_a_table_or_a_list() {
    let day = Some(Duration::from_secs(86_400));
    let retention = set("retention", Setting::text("max_age=1d, max_bytes=1MiB")).unwrap().retention;
    assert_eq!(retention, Retention { max_age: day, max_bytes: Some(1 << 20), ..Retention::default() });
    for bad in
        ["max_age", "max_age=0s", "min_age=1d", "keep_from=0", "max_bytes=many", "max_age=1d, max_age=2d"]
    {
        assert!(matches!(set("retention", Setting::text(bad)), Err(SettingError::Invalid { .. })), "{bad}");
    }
    assert!(matches!(set("tier", Setting::text("rate=1,rate=2")), Err(SettingError::Invalid { .. })));
}

#[test]
fn policies_have_friendly_forms() {
    let interval = Duration::from_millis(100);
    let table = |name: &str| Setting::Table(vec![(name.to_owned(), Setting::text("100ms"))]);
    for (value, policy) in [
        (Setting::text("always"), SyncPolicy::Always),
        (Setting::text("Os-Cache:100ms"), SyncPolicy::OsCache { interval }),
        (table("background"), SyncPolicy::Background { interval }),
    ] {
        assert_eq!(set("sync", value).unwrap().sync, policy);
    }
    let zstd = Compression { codec: CodecId::ZSTD, level: 19, ..Compression::default() };
    assert_eq!(set("compression", Setting::text("zstd:19")).unwrap().compression, zstd);
    assert_eq!(set("compression", Setting::text("none")).unwrap().compression, Compression::default());
    assert_eq!(set("recovery", Setting::text("refuse")).unwrap().recovery, RecoveryMode::Refuse);
    assert_eq!(set("when_full", Setting::text("fail")).unwrap().when_full, WhenFull::Fail);
    assert!(!set("background_threads", Setting::text("false")).unwrap().background_threads);
    assert_eq!(set("buffer_entries", Setting::text("1_000")).unwrap().buffer_entries, 1000);
}

#[test]
fn refusals_name_the_field_the_value_and_the_bound() {
    for (name, value, text) in [
        ("segment_len", "1KiB", "`segment_len` cannot be \"1KiB\": it must be between 64 KiB and 16 GiB"),
        ("group_window", "1h", "`group_window` cannot be \"1h\": it must be at most 10 s"),
        ("recovery", "hope", "it must be refuse, cut_torn_tail or read_to_damage"),
        ("sync", "background", "such as background:100ms"),
        ("sync", "always:1s", "it must be always, or"),
        ("sync", "background:0", "the interval must not be zero"),
        ("entry_len_max", "8GiB", "`entry_len_max` cannot be \"8GiB\": it is too large"),
        ("compression", "lz77", "a codec is none, zstd, snappy"),
        ("compression", "zstd:99", "the level is -7 to 22"),
        ("first_lsn", "0", "LSNs begin with 1"),
        ("background_threads", "yes", "it must be true or false"),
        ("buffer_length", "1", "there is no setting `buffer_length`; there are sync, segment_len"),
    ] {
        let error = set(name, Setting::text(value)).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn no_field_accepts_what_makes_no_sense() {
    for name in Options::names() {
        for value in [Setting::Number(-1), Setting::Table(Vec::new())] {
            let has_table = ["compression", "retention", "tier"].contains(&name);
            let empty_table = matches!(value, Setting::Table(_)) && has_table;
            assert!(set(name, value).is_err() || empty_table, "{name}");
        }
    }
    for text in ["[]", "7", r#"{"segment_len": 1.5}"#, r#"{"segment_len": null}"#, r#"{"prefix": 7}"#] {
        assert!(serde_json::from_str::<Options>(text).is_err(), "{text}");
    }
    let twice = r#"{"buffer_len": 1, "buffer_len": 2}"#;
    assert!(serde_json::from_str::<Options>(twice).unwrap_err().to_string().contains("given twice"));
    let deep = format!("{{\"sync\": {}1{}}}", "{\"a\":".repeat(50), "}".repeat(50));
    assert!(serde_json::from_str::<Options>(&deep).is_err());
}
