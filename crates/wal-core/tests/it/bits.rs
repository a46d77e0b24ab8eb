//! Every bit of small logs with frames of every kind, flipped, and every cut of their files, in every mode.
//!
//! By default some bits of every byte are flipped; with `WAL_EVERY_BIT` set, as `cargo xtask crash` does, all are.

use std::{collections::BTreeMap, env, ops::ControlFlow, sync::Arc};

use wal_compress::{CodecId, Compression};
use wal_core::{AppendOptions, Log, LogError, Options, RecoveryMode, examine, salvage};
use wal_format::{EntriesBuilder, Lsn, NewEntry};
use wal_segment::{MemoryStorage, Storage};

use crate::{
    damage::{Files, files, is_foreign, storage},
    support::{environment, open, small},
};

/// A log, and what was ever written to it.
#[derive(Clone)]
struct Specimen {
    name: &'static str,
    files: Files,
    /// What it holds.
    entries: BTreeMap<u64, Vec<u8>>,
    /// What it held once, and was cut off.
    cut_off: BTreeMap<u64, Vec<u8>>,
    /// Entries from here on are not proven to have been synced.
    unproven: u64,
    /// Whether those may be missing without a word: a file that ends between two frames tells nothing.
    is_silent: bool,
}

fn payload(n: u64) -> Vec<u8> {
    format!("<{n}>").repeat(if n.is_multiple_of(4) { 40 } else { 2 }).into_bytes()
}

fn specimen(name: &'static str, is_closed: bool) -> Specimen {
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let (mut entries, mut cut_off) = (BTreeMap::new(), BTreeMap::new());
    for codec in [CodecId::IDENTITY, CodecId::ZSTD, CodecId::SNAPPY] {
        let compression = Compression { codec, min_len: 64, ..Compression::default() };
        let log = open(&memory, &Options { compression, ..mode(RecoveryMode::CutTornTail) }).unwrap();
        for _ in 0..2 {
            let n = log.next_lsn().get();
            log.append(&payload(n)).unwrap();
            entries.insert(n, payload(n));
        }
        let mut batch = EntriesBuilder::default();
        for n in (log.next_lsn().get()..).take(3) {
            batch.push(&NewEntry { kind: 3, term: Some(n), ..NewEntry::plain(&payload(n)) }).unwrap();
            entries.insert(n, payload(n));
        }
        log.append_batch(&batch, &AppendOptions::default()).unwrap();
        if codec == CodecId::ZSTD {
            log.truncate_before(Lsn::new(3).unwrap()).unwrap();
            let last = log.last_lsn().unwrap().get();
            log.truncate_after(Lsn::new(last - 1).unwrap()).unwrap();
            cut_off.insert(last, entries.remove(&last).unwrap());
            log.append(b"another").unwrap();
            entries.insert(last, b"another".to_vec());
        }
        // The mark proves what precedes it.
        log.maintain().unwrap();
        let unproven = log.next_lsn().get();
        log.append(b"last").unwrap();
        entries.insert(unproven, b"last".to_vec());
        if codec == CodecId::SNAPPY && !is_closed {
            return Specimen { name, files: short(&*memory), entries, cut_off, unproven, is_silent: false };
        }
    }
    Specimen { name, files: short(&*memory), entries, cut_off, unproven: u64::MAX, is_silent: false }
}

/// The files without index files, which change nothing, and without most of the space ahead of use.
fn short(memory: &dyn Storage) -> Files {
    let mut files = files(memory);
    files.retain(|name, _| name.ends_with(".wal"));
    for bytes in files.values_mut() {
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() + 64);
    }
    files
}

fn mode(recovery: RecoveryMode) -> Options {
    Options { recovery, background_threads: false, ..small() }
}

impl Specimen {
    /// Whether the log may show this: what was cut off may come back only where damage is reported.
    fn check_entry(&self, lsn: Lsn, payload: &[u8], is_damaged: bool) {
        let is = |entries: &BTreeMap<u64, Vec<u8>>| entries.get(&lsn.get()).is_some_and(|it| it == payload);
        assert!(is(&self.entries) || (is_damaged && is(&self.cut_off)), "entry {lsn} is not what it was");
    }

    fn check_log(&self, log: &Log, recovery: RecoveryMode) {
        let report = log.recovery_report();
        let mut expected = None;
        for entry in log.range(..) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    assert!(error.is_damage() || is_foreign(&error), "{error:?}");
                    return;
                }
            };
            assert!(expected.is_none_or(|expected| expected == entry.lsn), "a hole before {}", entry.lsn);
            self.check_entry(entry.lsn, &entry.payload, !report.lost.is_empty());
            expected = Some(entry.lsn.next());
        }
        let end = self.entries.last_key_value().map_or(1, |(last, _)| last + 1);
        let next = log.next_lsn().get();
        assert!(expected.is_none_or(|expected| expected.get() == next), "{expected:?} {next}");
        let is_cut = report.cut.is_some() && recovery != RecoveryMode::Refuse;
        let is_told = next >= self.unproven && (is_cut || self.is_silent);
        assert!(next == end || is_told || !report.lost.is_empty(), "ends silently at {next}");
    }

    fn judge(&self, files: &Files) {
        let typed = |error: LogError| assert!(error.is_damage() || is_foreign(&error), "{error:?}");
        for recovery in [RecoveryMode::Refuse, RecoveryMode::CutTornTail, RecoveryMode::ReadToDamage] {
            match Log::open_read_only(environment(storage(files)), mode(recovery)) {
                Ok(log) => self.check_log(&log, recovery),
                Err(LogError::TornTail { .. }) => assert_eq!(recovery, RecoveryMode::Refuse),
                Err(error) => typed(error),
            }
        }
        let memory = storage(files);
        match Log::open(environment(Arc::<MemoryStorage>::clone(&memory)), mode(RecoveryMode::CutTornTail)) {
            Ok(log) => self.check_log(&log, RecoveryMode::CutTornTail),
            Err(error) => {
                assert!(self::files(&*memory) == *files, "refused, and changed");
                typed(error);
            }
        }
        self.check_salvage(files);
    }

    /// Every entry is found or said to be lost, or was never proven.
    fn check_salvage(&self, files: &Files) {
        let mut found = BTreeMap::new();
        let salvaged = salvage(storage(files), Default::default(), &small(), |entries| {
            found.extend(entries.iter().map(|entry| (entry.lsn, entry.payload.clone())));
            ControlFlow::Continue(())
        });
        let seen = examine(storage(files), Default::default(), &small());
        let report = match salvaged {
            Ok(report) => report,
            Err(error) => {
                assert!(error.is_damage() && seen.is_err(), "{error:?} {seen:?}");
                return;
            }
        };
        assert_eq!((report.entries, found.len() as u64), (seen.unwrap().entries, report.entries));
        for (lsn, payload) in &found {
            self.check_entry(*lsn, payload, !report.damage.is_empty());
        }
        for n in self.entries.range(3..).map(|(n, _)| *n) {
            let lsn = Lsn::new(n).unwrap();
            let is_found = found.contains_key(&lsn);
            let mut lost = report.damage.iter().filter_map(|finding| finding.lsns.as_ref());
            let is_lost = lost.any(|lsns| lsns.contains(&lsn));
            assert!(is_found != is_lost || (!is_found && n >= self.unproven), "{n}: {is_found} {report:?}");
        }
    }

    /// Damages a file, and says what was done when that is not survived.
    fn damaged(&self, name: &str, what: &str, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut files = self.files.clone();
        damage(files.get_mut(name).unwrap());
        let judged = std::panic::catch_unwind(|| self.judge(&files));
        assert!(judged.is_ok(), "{}: {what} of {name}", self.name);
    }
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_small_log_is_survived() {
    let step = if env::var_os("WAL_EVERY_BIT").is_some() { 1 } else { 13 };
    let specimens = [specimen("closed", true), specimen("killed", false)];
    for (shift, specimen) in specimens.iter().enumerate() {
        for (name, bytes) in &specimen.files {
            // No multiple of two: each bit of a byte gets its turn.
            for bit in (shift..bytes.len() * 8).step_by(step) {
                specimen.damaged(name, &format!("bit {bit}"), |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
            }
        }
        let (newest, _) = specimen.files.last_key_value().unwrap();
        for (name, bytes) in specimen.files.iter().filter(|(name, _)| *name != newest) {
            for len in (shift..bytes.len()).step_by(step.min(5)) {
                specimen.damaged(name, &format!("cut at {len}"), |bytes| bytes.truncate(len));
            }
        }
        // Nothing behind a cut of the newest one says that there was more.
        let cut = Specimen { unproven: 1, is_silent: true, ..specimen.clone() };
        for len in (shift..specimen.files[newest].len()).step_by(step.min(5)) {
            cut.damaged(newest, &format!("cut at {len}"), |bytes| bytes.truncate(len));
        }
    }
}
