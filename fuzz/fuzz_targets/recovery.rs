//! Opening a directory in which anything may have happened to any file.
//!
//! A log with several segments, made once, is damaged as the input says (see `Damage`), then opened for reading and for
//! writing. It must come up or say why not; what it shows must be entries that were appended, in order; and a log that
//! came up takes appends and comes up again.
#![no_main]

use std::sync::{Arc, LazyLock};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use wal_core::{Environment, Log, Options, SystemClock, SystemEntropy};
use wal_format::Lsn;
use wal_fuzz::crc32;
use wal_segment::{MemoryStorage, Storage};

#[derive(Arbitrary, Debug)]
enum Damage {
    Flip { file: u8, at: u32, mask: u8 },
    Write { file: u8, at: u32, bytes: Vec<u8> },
    Cut { file: u8, len: u32 },
    Remove { file: u8 },
    Copy { from: u8, name: Name },
    Create { name: Name, bytes: Vec<u8> },
    /// Makes the header of a file verify again after it was changed.
    Reseal { file: u8 },
}

#[derive(Arbitrary, Debug)]
enum Name {
    Segment(u8),
    Index(u8),
    Preparing(u8),
    Stranger(u8),
}

impl Name {
    fn text(&self) -> String {
        match self {
            Self::Segment(id) => format!("{:020}.wal", id % 16),
            Self::Index(id) => format!("{:020}.idx", id % 16),
            Self::Preparing(id) => format!("{:020}.wal.tmp", id % 16),
            Self::Stranger(id) => format!("stranger-{id}"),
        }
    }
}

type Files = Vec<(String, Vec<u8>)>;

/// A log of some segments that was cut, trimmed and killed.
static LOG: LazyLock<Files> = LazyLock::new(|| {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    for round in 0..3_u64 {
        let log = open(&storage).expect("a new log opens");
        let next = log.next_lsn().get();
        for n in next..next + 40 {
            log.append(&payload(n)).expect("memory takes appends");
        }
        if round == 1 {
            log.truncate_before(Lsn::new(20).expect("not zero")).expect("in range");
            log.truncate_after(Lsn::new(70).expect("not zero")).expect("in range");
        }
    }
    storage.list().expect("memory lists").into_iter().map(|name| (name.clone(), read(&*storage, &name))).collect()
});

fn payload(n: u64) -> Vec<u8> {
    vec![n as u8; 100 + (n as usize * 131) % 6000]
}

fn read(storage: &dyn Storage, name: &str) -> Vec<u8> {
    let file = storage.open(name).expect("listed");
    let mut bytes = vec![0; file.len().expect("memory measures") as usize];
    file.read_at(0, &mut bytes).expect("memory reads");
    bytes
}

fn environment(storage: &Arc<dyn Storage>) -> Environment {
    let storage = Arc::clone(storage);
    let codecs = Default::default();
    Environment { storage, clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), codecs }
}

fn options() -> Options {
    Options { segment_len: 64 << 10, first_segment_len: 64 << 10, background_threads: false, ..Options::default() }
}

fn open(storage: &Arc<dyn Storage>) -> Result<Log, wal_core::LogError> {
    Log::open(environment(storage), options())
}

fn apply(files: &mut Files, damage: Damage) {
    let count = files.len().max(1);
    let at = |file: u8| usize::from(file) % count;
    match damage {
        Damage::Flip { file, at: offset, mask } => {
            let Some((_, bytes)) = files.get_mut(at(file)) else { return };
            let len = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(offset as usize % len) {
                *byte ^= mask;
            }
        }
        Damage::Write { file, at: offset, bytes: new } => {
            let Some((_, bytes)) = files.get_mut(at(file)) else { return };
            let start = offset as usize % (bytes.len() + 1);
            for (to, from) in bytes.iter_mut().skip(start).zip(new) {
                *to = from;
            }
        }
        Damage::Cut { file, len } => {
            if let Some((_, bytes)) = files.get_mut(at(file)) {
                bytes.truncate(len as usize);
            }
        }
        Damage::Remove { file } => {
            if !files.is_empty() {
                files.remove(at(file));
            }
        }
        Damage::Copy { from, name } => {
            let Some((_, bytes)) = files.get_mut(at(from)) else { return };
            let bytes = bytes.clone();
            replace(files, name.text(), bytes);
        }
        Damage::Create { name, bytes } => replace(files, name.text(), bytes),
        Damage::Reseal { file } => {
            let Some((_, bytes)) = files.get_mut(at(file)) else { return };
            if bytes.len() >= 512 {
                let crc = crc32(&[&bytes[..508]]);
                bytes[508..512].copy_from_slice(&crc.to_le_bytes());
            }
        }
    }
}

fn replace(files: &mut Files, name: String, bytes: Vec<u8>) {
    files.retain(|(other, _)| *other != name);
    files.push((name, bytes));
}

fn check(log: &Log) {
    let mut last = None;
    for entry in log.range(..) {
        let Ok(entry) = entry else { return };
        assert_eq!(entry.payload, payload(entry.lsn.get()), "an entry that was never appended");
        assert!(last.is_none_or(|last: Lsn| last.next() == entry.lsn), "a gap");
        last = Some(entry.lsn);
    }
}

fuzz_target!(|damages: Vec<Damage>| {
    let mut files = LOG.clone();
    // Few are enough to reach everything; many only make noise.
    damages.into_iter().take(6).for_each(|damage| apply(&mut files, damage));
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    for (name, bytes) in &files {
        let file = storage.create(name).expect("names differ");
        file.write_at(0, bytes).expect("memory takes writes");
    }
    if let Ok(log) = Log::open_read_only(environment(&storage), options()) {
        check(&log);
        let _ = log.range(..).rev().map(|entry| entry.is_ok()).all(|ok| ok);
    }
    let before = storage.list().expect("memory lists").len();
    let Ok(log) = open(&storage) else {
        assert_eq!(storage.list().expect("memory lists").len(), before, "a refusal changes nothing");
        return;
    };
    check(&log);
    let next = log.next_lsn();
    log.append(&payload(next.get())).expect("a log that came up takes appends");
    drop(log);
    let log = open(&storage).expect("a log that was closed comes up again");
    assert_eq!(log.next_lsn(), next.next());
    check(&log);
});
