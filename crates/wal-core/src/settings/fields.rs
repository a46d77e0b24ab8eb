//! Each field of the options: how it is read, how it is written.

mod retention;
mod tier;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wal_compress::{CodecId, Compression, WhenBehind};
use wal_format::{ChecksumKind, Lsn};

use super::{Setting, SettingError, Settings, deserialize, serialize};
use crate::{LogError, Options, RecoveryMode, SyncPolicy, WhenFull};

type Set = fn(&mut Options, &Setting) -> Result<(), &'static str>;

struct Field {
    name: &'static str,
    get: fn(&Options) -> Setting,
    set: Set,
}

const fn field(name: &'static str, get: fn(&Options) -> Setting, set: Set) -> Field {
    Field { name, get, set }
}

fn count(number: impl TryInto<i128>) -> Setting {
    Setting::Number(number.try_into().unwrap_or(i128::MAX))
}

/// A size or count of some width.
fn fit<T: TryFrom<u64>>(value: &Setting, into: &mut T) -> Result<(), &'static str> {
    *into = T::try_from(value.as_size()?).map_err(|_| "it is too large")?;
    Ok(())
}

macro_rules! plain {
    ($name:ident, $get:expr, $read:ident) => {
        field(
            stringify!($name),
            |options| $get(options.$name.clone()),
            |options, value| value.$read().map(|value| options.$name = value.into()),
        )
    };
}

macro_rules! fitting {
    ($name:ident, $get:expr) => {
        field(
            stringify!($name),
            |options| $get(options.$name),
            |options, value| fit(value, &mut options.$name),
        )
    };
}

const FIELDS: &[Field] = &[
    field(
        "sync",
        |options| sync_setting(options.sync),
        |options, value| sync(value).map(|value| options.sync = value),
    ),
    plain!(segment_len, Setting::size, as_size),
    plain!(first_segment_len, Setting::size, as_size),
    fitting!(entry_len_max, |len: u32| Setting::size(len.into())),
    fitting!(buffer_len, |len| Setting::size(len as u64)),
    fitting!(buffer_entries, count),
    fitting!(uploads, count),
    field(
        "when_full",
        |options| when_full_setting(options.when_full),
        |options, value| when_full(value).map(|value| options.when_full = value),
    ),
    plain!(group_window, Setting::duration, as_duration),
    plain!(unsynced_age_max, Setting::duration, as_duration),
    field(
        "checksum",
        |options| Setting::text(name_of(CHECKSUMS, &options.checksum)),
        |options, value| {
            one_of(value, CHECKSUMS, "it must be crc32 or crc32c").map(|value| options.checksum = value)
        },
    ),
    field(
        "compression",
        |options| compression_setting(&options.compression),
        |options, value| compression(value).map(|value| options.compression = value),
    ),
    fitting!(frame_cache_len, |len| Setting::size(len as u64)),
    field(
        "recovery",
        |options| Setting::text(name_of(RECOVERIES, &options.recovery)),
        |options, value| {
            let bound = "it must be refuse, cut_torn_tail or read_to_damage";
            one_of(value, RECOVERIES, bound).map(|value| options.recovery = value)
        },
    ),
    field(
        "first_lsn",
        |options| count(options.first_lsn.get()),
        |options, value| {
            let lsn = Lsn::new(value.as_size()?).ok_or("LSNs begin with 1")?;
            options.first_lsn = lsn;
            Ok(())
        },
    ),
    plain!(prefix, Setting::Text, as_text),
    fitting!(metadata_len_max, |len| Setting::size(len as u64)),
    field(
        "retention",
        |options| retention::write(&options.retention),
        |options, value| retention::read(value).map(|value| options.retention = value),
    ),
    field(
        "tier",
        |options| tier::write(&options.tier),
        |options, value| tier::read(value).map(|value| options.tier = value),
    ),
    plain!(idle_mark, Setting::duration, as_duration),
    plain!(background_threads, Setting::Flag, as_flag),
];

const CHECKSUMS: &[(&str, ChecksumKind)] =
    &[("crc32", ChecksumKind::Crc32), ("crc32c", ChecksumKind::Crc32c)];
const RECOVERIES: &[(&str, RecoveryMode)] = &[
    ("refuse", RecoveryMode::Refuse),
    ("cut_torn_tail", RecoveryMode::CutTornTail),
    ("read_to_damage", RecoveryMode::ReadToDamage),
];
const CODECS: &[(&str, CodecId)] =
    &[("none", CodecId::IDENTITY), ("zstd", CodecId::ZSTD), ("snappy", CodecId::SNAPPY)];

fn name_of<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> &'static str {
    table.iter().find(|(_, other)| other == value).map_or("", |(name, _)| name)
}

fn one_of<T: Copy>(value: &Setting, table: &[(&str, T)], bound: &'static str) -> Result<T, &'static str> {
    let (name, argument) = value.as_choice()?;
    let found = table.iter().find(|(other, _)| *other == name && argument.is_none());
    found.map(|(_, value)| *value).ok_or(bound)
}

fn sync(value: &Setting) -> Result<SyncPolicy, &'static str> {
    let (name, argument) = value.as_choice()?;
    let interval = argument.as_ref().map(Setting::as_duration).transpose()?;
    match (name.as_str(), interval) {
        ("always", None) => Ok(SyncPolicy::Always),
        ("os_cache", Some(interval)) => Ok(SyncPolicy::OsCache { interval }),
        ("background", Some(interval)) => Ok(SyncPolicy::Background { interval }),
        _ => Err("it must be always, or os_cache or background with an interval, such as background:100ms"),
    }
}

fn sync_setting(policy: SyncPolicy) -> Setting {
    let with = |name: &str, interval| Setting::Table(vec![(name.to_owned(), Setting::duration(interval))]);
    match policy {
        SyncPolicy::Always => Setting::text("always"),
        SyncPolicy::OsCache { interval } => with("os_cache", interval),
        SyncPolicy::Background { interval } => with("background", interval),
    }
}

fn when_full(value: &Setting) -> Result<WhenFull, &'static str> {
    let (name, argument) = value.as_choice()?;
    let time = argument.as_ref().map(Setting::as_duration).transpose()?;
    match (name.as_str(), time) {
        ("block", None) => Ok(WhenFull::Block),
        ("fail", None) => Ok(WhenFull::Fail),
        ("block_for", Some(time)) => Ok(WhenFull::BlockFor(time)),
        _ => Err("it must be block, fail, or block_for with a duration, such as block_for:1s"),
    }
}

fn when_full_setting(choice: WhenFull) -> Setting {
    match choice {
        WhenFull::Block => Setting::text("block"),
        WhenFull::Fail => Setting::text("fail"),
        WhenFull::BlockFor(time) => Setting::Table(vec![("block_for".to_owned(), Setting::duration(time))]),
    }
}

/// The names and values of a text such as `max_age=7d,max_bytes=1GiB`, each name once.
fn pairs<'a>(text: &'a str, bound: &'static str) -> Result<Vec<(&'a str, &'a str)>, &'static str> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(bound)?;
        if pairs.iter().any(|(other, _)| *other == name.trim()) {
            return Err("each of its parts may be given only once");
        }
        pairs.push((name.trim(), value.trim()));
    }
    Ok(pairs)
}

const COMPRESSION_FIELDS: &str =
    "a table holds codec, level, min_len, min_gain_percent, pack_len, raw_len_max, threads and when_behind";

const WHEN_BEHIND: &[(&str, WhenBehind)] =
    &[("compress", WhenBehind::Compress), ("store_plain", WhenBehind::StorePlain)];
const BEHIND: &str = "when_behind must be compress or store-plain";

/// `zstd`, `zstd:19`, or a table with `codec` and the rest.
fn compression(value: &Setting) -> Result<Compression, &'static str> {
    let mut compression = Compression::default();
    match value {
        Setting::Table(entries) => {
            for (name, value) in entries {
                match name.as_str() {
                    "codec" => compression.codec = codec(value)?,
                    "level" => compression.level = level(value)?,
                    "min_len" => fit(value, &mut compression.min_len)?,
                    "min_gain_percent" => fit(value, &mut compression.min_gain_percent)?,
                    "pack_len" => fit(value, &mut compression.pack_len)?,
                    "raw_len_max" => fit(value, &mut compression.raw_len_max)?,
                    "threads" => fit(value, &mut compression.threads)?,
                    "when_behind" => compression.when_behind = one_of(value, WHEN_BEHIND, BEHIND)?,
                    _ => return Err(COMPRESSION_FIELDS),
                }
            }
        }
        Setting::Text(text) => {
            let (name, number) = text.split_once(':').unwrap_or((text, "0"));
            compression.codec = codec(&Setting::text(name))?;
            compression.level = level(&Setting::text(number))?;
        }
        other => compression.codec = codec(other)?,
    }
    Ok(compression)
}

fn codec(value: &Setting) -> Result<CodecId, &'static str> {
    let bound = "a codec is none, zstd, snappy, or the number of your own from 128 to 255";
    let number = match value {
        Setting::Number(number) => u8::try_from(*number).ok(),
        Setting::Text(text) => match CODECS.iter().find(|(name, _)| name == text) {
            Some((_, codec)) => return Ok(*codec),
            None => text.parse().ok(),
        },
        Setting::Flag(_) | Setting::Table(_) => None,
    };
    number.map(CodecId).filter(|codec| codec.is_user()).ok_or(bound)
}

fn level(value: &Setting) -> Result<i32, &'static str> {
    let level = match value {
        Setting::Number(number) => i32::try_from(*number).ok(),
        Setting::Text(text) => text.trim().parse().ok(),
        Setting::Flag(_) | Setting::Table(_) => None,
    };
    level.ok_or("a level is a whole number")
}

fn compression_setting(compression: &Compression) -> Setting {
    let Compression { codec, level, min_len, min_gain_percent, pack_len, raw_len_max, .. } = *compression;
    let codec = match CODECS.iter().find(|(_, other)| *other == codec) {
        Some((name, _)) => Setting::text(*name),
        None => count(codec.0),
    };
    let entries = [
        ("codec", codec),
        ("level", count(level)),
        ("min_len", Setting::size(min_len as u64)),
        ("min_gain_percent", count(min_gain_percent)),
        ("pack_len", Setting::size(pack_len as u64)),
        ("raw_len_max", Setting::size(raw_len_max.into())),
        ("threads", count(compression.threads)),
        ("when_behind", Setting::text(name_of(WHEN_BEHIND, &compression.when_behind))),
    ];
    Setting::Table(entries.map(|(name, value)| (name.to_owned(), value)).into())
}

impl Settings for Options {
    fn names() -> Vec<&'static str> {
        FIELDS.iter().map(|field| field.name).collect()
    }

    fn get(&self, name: &str) -> Option<Setting> {
        FIELDS.iter().find(|field| field.name == name).map(|field| (field.get)(self))
    }

    fn set(&mut self, name: &str, value: &Setting) -> Result<(), SettingError> {
        let Some(field) = FIELDS.iter().find(|field| field.name == name) else {
            return Err(SettingError::Unknown { name: name.to_owned(), known: Self::names() });
        };
        let invalid = |why| SettingError::Invalid { name: field.name, value: value.to_string(), why };
        let mut changed = self.clone();
        (field.set)(&mut changed, value).map_err(invalid)?;
        match changed.validate() {
            Err(LogError::InvalidOption { option, why }) if option.split('.').next() == Some(name) => {
                return Err(invalid(why));
            }
            Err(LogError::Compression { .. }) if name == "compression" => {
                return Err(invalid("the level is -7 to 22, min_gain_percent 0 to 100, threads 0 to 16"));
            }
            // Another field is for whoever sets that one.
            _ => *self = changed,
        }
        Ok(())
    }
}

impl Serialize for Options {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests;
