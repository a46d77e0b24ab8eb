//! Entries of batches beside single ones, and entries with a term beside those without.

use std::{fs, hint::black_box, path::Path, time::Instant};

use wal_core::{AppendOptions, Log, Options, SyncPolicy};
use wal_format::{EntriesBuilder, Lsn, NewEntry};

use crate::{
    sample::{median, payload, row},
    subject::open,
};

/// Repetitions of each row, the rivals of a row in turn.
const REPEATS: usize = 5;
/// Entries of a log: they fit into the caches.
const ENTRIES: usize = 20_000;
/// How many entries a batch holds.
const SIZES: [usize; 3] = [1, 10, 100];

/// Prints the rows.
pub fn table(dir: &Path) {
    let mut figures: [[Vec<f64>; 4]; SIZES.len()] = Default::default();
    let mut with_term = Vec::new();
    for _ in 0..REPEATS {
        for (size, figures) in SIZES.into_iter().zip(&mut figures) {
            let (log, appended) = filled(&dir.join("batches"), size);
            figures[0].push(appended);
            figures[1].push(per_entry(|| scan(&log)));
            figures[2].push(per_entry(|| scan_back(&log)));
            figures[3].push(per_entry(|| gets(&log)));
            drop(log);
            fs::remove_dir_all(dir.join("batches")).unwrap();
        }
        with_term.push(terms(&dir.join("terms")));
        fs::remove_dir_all(dir.join("terms")).unwrap();
    }
    let [single, batches @ ..] = figures.map(|figures| figures.map(|figures| median(&figures)));
    for (size, figures) in SIZES.into_iter().skip(1).zip(batches) {
        let what = ["buffered append", "sequential read, lent,", "reverse read, lent,", "random get, lent,"];
        for (what, (ours, single)) in what.into_iter().zip(figures.into_iter().zip(single)) {
            let what = format!("{what} 128 B in batches of {size}");
            row(&what, &format!("{ours:.1} ns"), &format!("single entries {single:.1} ns"), ours / single);
        }
    }
    let (ours, plain) = (median(&with_term), single[0]);
    let theirs = format!("without {plain:.1} ns");
    row("buffered append 128 B with a term", &format!("{ours:.1} ns"), &theirs, ours / plain);
}

fn per_entry(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / ENTRIES as f64
}

fn empty(dir: &Path) -> Log {
    let interval = std::time::Duration::from_secs(60);
    let sync = SyncPolicy::Background { interval };
    let log = open(dir, Options { sync, first_segment_len: 64 << 20, ..Options::default() });
    log.append(b"the first entry begins the segment").unwrap();
    log
}

/// A durable log of batches, and what appending an entry took.
fn filled(dir: &Path, size: usize) -> (Log, f64) {
    let (log, record) = (empty(dir), payload(128, 1));
    let mut batch = EntriesBuilder::default();
    let appended = per_entry(|| {
        for _ in 0..ENTRIES / size {
            if size == 1 {
                log.append(&record).unwrap();
                continue;
            }
            batch.clear();
            (0..size).for_each(|_| batch.push(&NewEntry::plain(&record)).unwrap());
            log.append_batch(&batch, &AppendOptions::default()).unwrap();
        }
    });
    log.sync().unwrap();
    // What is read first is mapped, and what is found out of it is kept.
    scan(&log);
    gets(&log);
    (log, appended)
}

fn scan(log: &Log) {
    let (mut entries, mut count) = (log.range(Lsn::FIRST.next()..), 0);
    while let Some(entry) = entries.next_ref() {
        count += entry.unwrap().payload.len() / 128;
    }
    assert_eq!(count, ENTRIES);
}

fn scan_back(log: &Log) {
    let (mut entries, mut count) = (log.range(Lsn::FIRST.next()..), 0);
    while let Some(entry) = entries.next_back_ref() {
        count += entry.unwrap().payload.len() / 128;
    }
    assert_eq!(count, ENTRIES);
}

fn gets(log: &Log) {
    for n in 0..ENTRIES {
        let lsn = Lsn::new(2 + (n * 7919 % ENTRIES) as u64).unwrap();
        assert_eq!(log.get_with(lsn, |entry| black_box(entry.payload).len()).unwrap(), 128);
    }
}

/// What appending an entry with a term took.
fn terms(dir: &Path) -> f64 {
    let (log, record) = (empty(dir), payload(128, 1));
    per_entry(|| {
        for n in 0..ENTRIES {
            let entry = NewEntry { term: Some(n as u64), ..NewEntry::plain(&record) };
            log.append_entry(&entry, &AppendOptions::default()).unwrap();
        }
    })
}
