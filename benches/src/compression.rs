//! What compression saves and what it costs, on text that this machine has.

#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use wal_compress::{Codec, CodecId, Codecs, Compression, WhenBehind, Zstd};
use wal_core::{DictionaryOptions, Options, SyncPolicy};

use crate::{
    sample::{median, payload},
    subject::open,
};

/// Records of about this length in bytes.
const RECORD: usize = 200;
/// What a pack holds by default in bytes.
const PACK: usize = 64 << 10;
const REPEATS: usize = 5;

type Records = Vec<Vec<u8>>;

/// Prints the table, from records made of the package database and of the source files below `sources`.
pub fn table(dir: &Path, sources: &Path, quick: bool) {
    let len_max = if quick { 4 << 20 } else { 16 << 20 };
    let corpora = [
        ("package fields, JSON", package_lines(len_max)),
        ("source lines, JSON", source_lines(sources, len_max)),
    ];
    println!("| what | figure | compared with | ratio | wanted |");
    println!("|---|---|---|---|---|");
    for (name, records) in corpora.iter().filter(|(_, records)| !records.is_empty()) {
        sizes(&dir.join("sizes"), name, records);
        dictionary(&dir.join("dictionary"), name, records);
    }
    if let Some((_, records)) = corpora.iter().rfind(|(_, records)| !records.is_empty()) {
        let text = records.concat();
        let times = (if quick { 16 << 20 } else { 128 << 20 } / text.len()).max(1);
        let text = text.repeat(times);
        throughput(&dir.join("throughput"), &text);
        threaded(&dir.join("threaded"), &text);
    }
    incompressible(&dir.join("noise"), if quick { 32 << 20 } else { 128 << 20 });
}

fn row(what: &str, ours: &str, theirs: &str, ratio: f64, wanted: &str) {
    println!("| {what} | {ours} | {theirs} | {ratio:.3} | {wanted} |");
}

fn json(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, character| {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            character if character.is_control() => drop(write!(escaped, "\\u{:04x}", u32::from(character))),
            character => escaped.push(character),
        }
        escaped
    })
}

/// The fields of every package that the system knows of, some to a record; long ones are texts, and left out.
fn package_lines(len_max: usize) -> Records {
    let status = fs::read("/var/lib/dpkg/status").unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mut records = Records::new();
    let mut len = 0;
    for stanza in status.split("\n\n").filter(|stanza| stanza.starts_with("Package: ")) {
        let fields = stanza.lines().filter(|line| !line.starts_with(' ') && line.len() < 100);
        let mut record = String::new();
        let name = json(stanza.lines().next().unwrap_or_default().trim_start_matches("Package: "));
        for (field, value) in fields.filter_map(|line| line.split_once(": ")) {
            if record.is_empty() {
                let _ = write!(record, r#"{{"package":"{name}""#);
            }
            let _ = write!(record, r#","{}":"{}""#, field.to_lowercase(), json(value));
            if record.len() > RECORD - 20 {
                record.push('}');
                len += record.len();
                if len > len_max {
                    return records;
                }
                records.push(std::mem::take(&mut record).into_bytes());
            }
        }
    }
    records
}

/// A record for every few lines of the source files.
fn source_lines(sources: &Path, len_max: usize) -> Records {
    let mut records = Records::new();
    let (mut len, mut left) = (0, vec![sources.to_owned()]);
    while let Some(path) = left.pop() {
        let Ok(text) = fs::read_to_string(&path) else {
            let mut inside: Vec<PathBuf> =
                fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            inside.retain(|path| path.is_dir() || path.extension().is_some_and(|ending| ending == "rs"));
            inside.sort();
            left.extend(inside);
            continue;
        };
        let name = path.strip_prefix(sources).unwrap_or(&path).display().to_string();
        let mut at = 1;
        let mut lines = text.lines().peekable();
        while lines.peek().is_some() {
            let head = format!(r#"{{"file":"{}","line":{at},"text":""#, json(&name));
            let mut some = String::new();
            while head.len() + some.len() < RECORD - 40
                && let Some(line) = lines.next()
            {
                at += 1;
                some.push_str(line);
                some.push('\n');
            }
            let record = format!(r#"{head}{}"}}"#, json(&some)).into_bytes();
            len += record.len();
            if len > len_max {
                return records;
            }
            records.push(record);
        }
    }
    records
}

/// A log that writes in the background.
fn options(compression: Compression) -> Options {
    Options {
        sync: SyncPolicy::Background { interval: Duration::from_millis(200) },
        first_segment_len: 64 << 20,
        compression,
        ..Options::default()
    }
}

fn with(codec: CodecId) -> Compression {
    Compression { codec, ..Compression::default() }
}

/// Bytes of the log that holds these records.
fn written<'a>(dir: &Path, compression: Compression, records: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let log = open(dir, options(compression));
    for record in records {
        log.append(record).unwrap();
    }
    log.sync().unwrap();
    let written = log.stats().written_bytes;
    drop(log);
    fs::remove_dir_all(dir).unwrap();
    written
}

fn sizes(dir: &Path, name: &str, records: &[Vec<u8>]) {
    let text = records.concat();
    let each = || records.iter().map(Vec::as_slice);
    let raw = format!("{} records of {} B", records.len(), text.len() / records.len());
    let plain = written(dir, with(CodecId::IDENTITY), each());
    let packed = written(dir, with(CodecId::ZSTD), each());
    let what = format!("{name}: packed, zstd");
    let ratio = plain as f64 / packed as f64;
    row(&what, &format!("{packed} B"), &format!("plain log {plain} B ({raw})"), ratio, ">= 5");
    let ratio = text.len() as f64 / packed as f64;
    row(&what, &format!("{packed} B"), &format!("payloads {} B", text.len()), ratio, ">= 5");
    let zstd = Zstd::default();
    let mut blocks = Vec::new();
    text.chunks(PACK).for_each(|block| zstd.compress(block, &mut blocks).unwrap());
    let ratio = packed as f64 / blocks.len() as f64;
    row(&what, &format!("{packed} B"), &format!("zstd, 64 KiB blocks {} B", blocks.len()), ratio, "<= 1.10");
    let packed = written(dir, with(CodecId::SNAPPY), each());
    let ratio = plain as f64 / packed as f64;
    row(&format!("{name}: packed, snappy"), &format!("{packed} B"), &format!("{plain} B"), ratio, "");
}

fn dictionary(dir: &Path, name: &str, records: &[Vec<u8>]) {
    let single = Compression { min_len: 32, pack_len: 0, ..with(CodecId::ZSTD) };
    // Trained from one half, measured on the other, so that nothing is learned by heart.
    let learned = || records.iter().step_by(2);
    let log = open(dir, options(single));
    learned().for_each(|record| drop(log.append(record)));
    let trained = log.train_dictionary(&DictionaryOptions { len: 32 << 10, ..Default::default() }).unwrap();
    log.sync().unwrap();
    let before = log.stats();
    let others = || records.iter().skip(1).step_by(2);
    others().for_each(|record| drop(log.append(record)));
    log.sync().unwrap();
    let after = log.stats();
    drop(log);
    fs::remove_dir_all(dir).unwrap();
    let (frames, packed) = (after.frames - before.frames, after.written_bytes - before.written_bytes);
    let payloads = after.payload_bytes - before.payload_bytes;
    let plain: u64 = others().map(|record| 40 + record.len().next_multiple_of(8) as u64).sum();
    let what = format!("{name}: unpacked, dictionary of {} B", trained.len);
    let ratio = plain as f64 / packed as f64;
    row(&what, &format!("{packed} B"), &format!("plain frames {plain} B"), ratio, "");
    let bodies = packed - frames * 40;
    let ratio = payloads as f64 / bodies as f64;
    row(&what, &format!("bodies {bodies} B"), &format!("payloads {payloads} B"), ratio, ">= 3");
}

/// Megabytes of payload a second, as the appends see it, or with the sync at the end.
fn speed(dir: &Path, compression: Compression, text: &[u8], synced: bool) -> f64 {
    let len = 1024;
    let log = open(dir, options(compression));
    let start = Instant::now();
    for record in text.chunks_exact(len) {
        log.append(record).unwrap();
    }
    let appended = start.elapsed();
    log.sync().unwrap();
    let took = if synced { start.elapsed() } else { appended };
    drop(log);
    fs::remove_dir_all(dir).unwrap();
    (text.len() / len * len) as f64 / took.as_secs_f64() / 1e6
}

/// With a thread that compresses, beside the one that appends: all, or what it has time for.
fn threaded(dir: &Path, text: &[u8]) {
    let with = |codec, when_behind| Compression { level: 1, threads: 1, when_behind, ..with(codec) };
    for (codec, name) in [(CodecId::SNAPPY, "snappy"), (CodecId::ZSTD, "zstd level 1")] {
        for (when_behind, what) in
            [(WhenBehind::Compress, "compress"), (WhenBehind::StorePlain, "store-plain")]
        {
            for synced in [false, true] {
                let (mut plain, mut threaded) = (Vec::new(), Vec::new());
                for _ in 0..REPEATS {
                    plain.push(speed(dir, self::with(CodecId::IDENTITY), text, synced));
                    threaded.push(speed(dir, with(codec, when_behind), text, synced));
                }
                let until = if synced { ", synced at the end" } else { "" };
                let row_name = format!("buffered append 1 KiB{until}, {name}, 1 thread, {what}");
                let (ours, theirs) = (median(&threaded), median(&plain));
                let wanted = if codec == CodecId::SNAPPY { ">= 0.75" } else { "" };
                row(
                    &row_name,
                    &format!("{ours:.0} MB/s"),
                    &format!("plain {theirs:.0} MB/s"),
                    ours / theirs,
                    wanted,
                );
            }
            let records = || text.chunks_exact(1024);
            let all = written(dir, self::with(codec), records());
            let some = written(dir, with(codec, when_behind), records());
            let plain = written(dir, self::with(CodecId::IDENTITY), records());
            let share = (plain - some) as f64 / (plain - all) as f64;
            let saved = format!("of the {} B that compressing all saves", plain - all);
            row(
                &format!("the same, {name}, {what}: saved"),
                &format!("{} B", plain - some),
                &saved,
                share,
                "",
            );
        }
    }
}

fn throughput(dir: &Path, text: &[u8]) {
    let level1 = Compression { level: 1, ..with(CodecId::ZSTD) };
    let (mut plain, mut snappy, mut zstd, mut codec) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut bare_snappy, mut stored) = (Vec::new(), Vec::new());
    let of = |codec: &dyn Codec, stored: &mut Vec<u8>| {
        let start = Instant::now();
        for block in text.chunks(PACK) {
            stored.clear();
            codec.compress(block, stored).unwrap();
        }
        text.len() as f64 / start.elapsed().as_secs_f64() / 1e6
    };
    let codecs = Codecs::with_level(1).unwrap();
    for synced in [false, true] {
        for rates in [&mut plain, &mut snappy, &mut zstd, &mut codec, &mut bare_snappy] {
            rates.clear();
        }
        for _ in 0..REPEATS {
            plain.push(speed(dir, with(CodecId::IDENTITY), text, synced));
            snappy.push(speed(dir, with(CodecId::SNAPPY), text, synced));
            zstd.push(speed(dir, level1.clone(), text, synced));
            codec.push(of(&**codecs.get(CodecId::ZSTD).unwrap(), &mut stored));
            bare_snappy.push(of(&**codecs.get(CodecId::SNAPPY).unwrap(), &mut stored));
        }
        let rate = |rates: &[f64]| format!("{:.0} MB/s", median(rates));
        let ratio = |ours: &[f64], theirs: &[f64]| median(ours) / median(theirs);
        let until = if synced { ", synced at the end" } else { "" };
        let what = format!("buffered append 1 KiB{until}, snappy");
        row(&what, &rate(&snappy), &format!("plain {}", rate(&plain)), ratio(&snappy, &plain), ">= 0.75");
        let alone = format!("codec alone {}", rate(&bare_snappy));
        row(&what, &rate(&snappy), &alone, ratio(&snappy, &bare_snappy), "");
        let what = format!("buffered append 1 KiB{until}, zstd level 1, packs of 64 KiB");
        let alone = format!("codec alone {}", rate(&codec));
        row(&what, &rate(&zstd), &alone, ratio(&zstd, &codec), ">= 0.60");
        row(&what, &rate(&zstd), &format!("plain {}", rate(&plain)), ratio(&zstd, &plain), "");
    }
}

/// Data in which nothing repeats.
fn incompressible(dir: &Path, len: usize) {
    let noise: Vec<u8> = (0..len as u64 / 4096).flat_map(|seed| payload(4096, seed)).collect();
    for (name, codec) in [("zstd", CodecId::ZSTD), ("snappy", CodecId::SNAPPY)] {
        let (mut plain, mut compressed) = (Vec::new(), Vec::new());
        for _ in 0..REPEATS {
            plain.push(speed(dir, with(CodecId::IDENTITY), &noise, false));
            compressed.push(speed(dir, with(codec), &noise, false));
        }
        let what = format!("buffered append 1 KiB of noise, {name}");
        let (ours, theirs) = (median(&compressed), median(&plain));
        row(&what, &format!("{ours:.0} MB/s"), &format!("plain {theirs:.0} MB/s"), ours / theirs, ">= 0.95");
        let records = || noise[..8 << 20].chunks_exact(1024);
        let plain = written(dir, with(CodecId::IDENTITY), records());
        let compressed = written(dir, with(codec), records());
        let ratio = compressed as f64 / plain as f64;
        row(&what, &format!("{compressed} B"), &format!("plain {plain} B"), ratio, "<= 1.00");
    }
}
