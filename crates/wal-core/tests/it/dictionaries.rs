//! Dictionaries that are trained at the same time, and what is left of them in a damaged log.

use std::{
    fmt,
    ops::{ControlFlow, RangeInclusive},
    sync::{Arc, Mutex},
};

use wal_compress::{Codec, CodecId, Codecs, CompressError, Compression, Zstd};
use wal_core::{DictionaryOptions, Log, LogError, Options, examine, salvage};
use wal_format::{FRAME_HEADER_LEN, Lsn, Namespace};
use wal_segment::MemoryStorage;

use crate::{
    damage::{Files, files, storage},
    support::{environment, small},
};

const ID: CodecId = CodecId(200);

/// Zstandard that is overtaken once, while somebody trains a dictionary.
#[derive(Default)]
struct Slow {
    inner: Zstd,
    other: Mutex<Option<Log>>,
    /// An older one, which knows of no dictionaries.
    is_old: bool,
}

impl fmt::Debug for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slow")
    }
}

impl Codec for Slow {
    fn id(&self) -> CodecId {
        ID
    }

    fn name(&self) -> &str {
        "slow"
    }

    fn compress(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        self.inner.compress(raw, out)
    }

    fn decompress(&self, stored: &[u8], raw_len: usize, out: &mut Vec<u8>) -> Result<(), CompressError> {
        self.inner.decompress(stored, raw_len, out)
    }

    fn add_dictionary(&self, dictionary: &[u8]) -> Result<u32, CompressError> {
        if self.is_old {
            return Err(CompressError::UnknownCodec { id: ID });
        }
        self.inner.add_dictionary(dictionary)
    }

    fn check_dictionary(&self, dictionary: &[u8]) -> Result<u32, CompressError> {
        let id = self.inner.check_dictionary(dictionary);
        // It has the id for itself until now.
        let other = self.other.lock().unwrap().take();
        if let Some(log) = other {
            log.train_dictionary(&of(2048)).unwrap();
        }
        id
    }

    fn train_dictionary(&self, samples: &[u8], lens: &[usize], len: usize) -> Result<Vec<u8>, CompressError> {
        self.inner.train_dictionary(samples, lens, len)
    }

    fn use_dictionary(&self, id: Option<u32>) {
        self.inner.use_dictionary(id);
    }
}

fn record(n: u64) -> Vec<u8> {
    format!(r#"{{"package":{n},"name":"package-{n:x}","section":"libs","ok":true}}"#).into_bytes()
}

fn append(log: &Log, numbers: RangeInclusive<u64>) {
    for n in numbers {
        log.append(&record(n)).unwrap();
    }
}

fn of(len: usize) -> DictionaryOptions {
    DictionaryOptions { len, ..DictionaryOptions::default() }
}

/// The other one would be of no use to anybody, stay for ever, and keep a follower from taking over the next.
#[test]
fn of_two_that_are_trained_at_once_one_is_kept() {
    let codec = Arc::new(Slow::default());
    let log = slow(Arc::new(MemoryStorage::new()), &codec);
    append(&log, 1..=600);
    let kept = || log.metadata().unwrap().iter(Namespace::DICTIONARY).count();
    *codec.other.lock().unwrap() = Some(log.clone());
    let late = log.train_dictionary(&of(1024));
    assert!(matches!(late, Err(LogError::Compression { .. })), "{late:?}");
    assert_eq!(kept(), 1);
    log.train_dictionary(&of(1024)).unwrap();
    assert_eq!(kept(), 2);
}

fn slow(memory: Arc<MemoryStorage>, codec: &Arc<Slow>) -> Log {
    let mut environment = environment(memory);
    environment.codecs.register(Arc::clone(codec) as Arc<dyn Codec>).unwrap();
    let compression = Compression { codec: ID, min_len: 32, pack_len: 0, ..Compression::default() };
    Log::open(environment, Options { compression, ..small() }).unwrap()
}

#[test]
fn one_that_two_train_of_the_same_entries_is_kept_once() {
    let codec = Arc::new(Slow::default());
    let log = slow(Arc::new(MemoryStorage::new()), &codec);
    append(&log, 1..=600);
    *codec.other.lock().unwrap() = Some(log.clone());
    let late = log.train_dictionary(&of(2048)).unwrap();
    assert_eq!(log.metadata().unwrap().iter(Namespace::DICTIONARY).count(), 1);
    append(&log, 601..=700);
    assert_eq!(log.get(Lsn::new(700).unwrap()).unwrap().payload, record(700), "{late:?}");
}

/// What cannot be read for now is not lost.
#[test]
fn one_that_the_codec_refuses_is_an_error_of_salvage() {
    let memory = Arc::new(MemoryStorage::new());
    let log = slow(Arc::clone(&memory), &Arc::default());
    append(&log, 1..=600);
    log.train_dictionary(&of(1024)).unwrap();
    append(&log, 601..=700);
    log.close().unwrap();
    let salvaged = |is_old| {
        let mut codecs = Codecs::default();
        codecs.register(Arc::new(Slow { is_old, ..Slow::default() })).unwrap();
        salvage(Arc::<MemoryStorage>::clone(&memory), codecs, &long(), |_| ControlFlow::Continue(()))
    };
    assert!(matches!(salvaged(true), Err(LogError::Compression { .. })), "{:?}", salvaged(true));
    let report = salvaged(false).unwrap();
    assert_eq!((report.entries, report.damage.len()), (700, 0));
}

fn long() -> Options {
    let compression =
        Compression { codec: CodecId::ZSTD, min_len: 32, pack_len: 0, ..Compression::default() };
    Options {
        compression,
        first_segment_len: 1 << 20,
        segment_len: 1 << 20,
        background_threads: false,
        ..small()
    }
}

/// A log of one segment: 600 entries, a dictionary, and 100 entries that need it. The byte at a place that `place`
/// finds is damaged.
fn damaged(place: impl FnOnce(&Log) -> u64) -> Files {
    let memory = Arc::new(MemoryStorage::new());
    let log = Log::open(environment(Arc::<MemoryStorage>::clone(&memory)), long()).unwrap();
    append(&log, 1..=600);
    log.train_dictionary(&of(1024)).unwrap();
    append(&log, 601..=700);
    assert_eq!(log.segments().unwrap().len(), 1);
    let place = place(&log) as usize;
    let mut files = files(&*memory);
    files.retain(|name, _| name.ends_with(".wal"));
    files.values_mut().next().unwrap()[place] ^= 1;
    files
}

/// Where the body of the frame starts that holds the entry, and where the frame behind it does.
fn body_of(log: &Log, n: u64) -> (u64, u64) {
    let lsn = Lsn::new(n).unwrap();
    let info = log.headers(lsn, lsn.next()).next().unwrap().unwrap();
    let body = info.offset + FRAME_HEADER_LEN as u64;
    (body, body + u64::from(info.body_len).next_multiple_of(8))
}

/// The entries that salvage finds, and those that it says are lost.
fn salvaged(files: &Files) -> (Vec<u64>, Vec<u64>) {
    let mut found = Vec::new();
    let report = salvage(storage(files), Default::default(), &long(), |entries| {
        for entry in entries {
            assert_eq!(entry.payload, record(entry.lsn.get()));
            found.push(entry.lsn.get());
        }
        ControlFlow::Continue(())
    });
    let report = report.unwrap();
    let lost = report.damage.iter().filter_map(|finding| finding.lsns.as_ref());
    let lost = lost.flat_map(|lsns| lsns.start().get()..=lsns.end().get()).collect();
    let examined = examine(storage(files), Default::default(), &long()).unwrap();
    assert_eq!((examined.entries, examined.damage.len()), (found.len() as u64, report.damage.len()));
    (found, lost)
}

#[test]
fn one_that_was_trained_behind_the_damage_is_known() {
    let files = damaged(|log| body_of(log, 5).0);
    let (found, lost) = salvaged(&files);
    assert_eq!((found.len(), lost), (699, vec![5]));
}

#[test]
fn one_that_is_damaged_costs_the_entries_that_need_it_and_no_others() {
    // The frame behind the last entry that does without.
    let files = damaged(|log| body_of(log, 600).1 + FRAME_HEADER_LEN as u64 + 100);
    let (found, lost) = salvaged(&files);
    assert_eq!((found, lost), ((1..=600).collect(), (601..=700).collect()));
}
