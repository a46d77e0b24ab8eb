//! Directories in which anything may have happened to any file.
//!
//! A few logs with several segments, made once, are damaged as the input says: see [`Damage`].

use std::sync::{Arc, LazyLock};

use arbitrary::Arbitrary;
use wal_compress::{CodecId, Codecs, Compression};
use wal_core::{AppendOptions, Environment, Log, LogError, Options};
use wal_format::{EntriesBuilder, Lsn, NewEntry};
use wal_segment::{MemoryStorage, Storage};

use crate::{chain_frames, seal_header};

/// Names and content.
pub type Files = Vec<(String, Vec<u8>)>;

/// A log, and what happened to its files.
#[derive(Arbitrary, Debug)]
pub struct Input {
    log: u8,
    damages: Vec<Damage>,
}

/// What may happen to a file.
#[derive(Arbitrary, Debug)]
pub enum Damage {
    Flip {
        file: u8,
        at: u32,
        mask: u8,
    },
    Write {
        file: u8,
        at: u32,
        bytes: Vec<u8>,
    },
    Cut {
        file: u8,
        len: u32,
    },
    Remove {
        file: u8,
    },
    Copy {
        from: u8,
        name: Name,
    },
    Create {
        name: Name,
        bytes: Vec<u8>,
    },
    /// Makes the header of a file verify again after it was changed.
    Reseal {
        file: u8,
    },
    /// Makes most frames of a file verify and follow each other, whatever they say.
    Chain {
        file: u8,
    },
}

/// The names that mean something, and others.
#[derive(Arbitrary, Debug)]
pub enum Name {
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

impl Input {
    /// The files after all that.
    pub fn files(self) -> Files {
        let mut files = LOGS[usize::from(self.log) % LOGS.len()].clone();
        // Few are enough to reach everything; many only make noise.
        self.damages.into_iter().take(6).for_each(|damage| apply(&mut files, damage));
        files
    }

    /// Whether somebody forged frames: what verifies was then not always written by a log.
    pub fn is_forged(&self) -> bool {
        self.damages.iter().take(6).any(|damage| matches!(damage, Damage::Chain { .. }))
    }
}

/// Kilobytes each, because time goes by their length: cut off and appended to over and over, with frames of all kinds
/// and codecs, and then killed; the same, closed; one that was trimmed; and one that is long enough to have rotated.
static LOGS: LazyLock<Vec<Files>> = LazyLock::new(|| vec![short(false), short(true), trimmed(), rotated()]);

fn short(is_closed: bool) -> Files {
    let storage = empty();
    for round in 0..3 {
        let compression = Compression { codec: CodecId(round), min_len: 64, ..Compression::default() };
        let log = Log::open(environment(&storage), Options { compression, ..options() }).expect("it opens");
        append(&log, 4);
        batch(&log);
        let last = log.last_lsn().expect("there are entries").get();
        log.truncate_after(lsn(last - 2)).expect("in range");
        append(&log, 3);
        log.maintain().expect("memory syncs");
    }
    finish(&storage, is_closed)
}

fn trimmed() -> Files {
    let storage = empty();
    for round in 0..3 {
        let log = open(&storage).expect("it opens");
        append(&log, 6);
        if round == 1 {
            log.truncate_before(lsn(5)).expect("in range");
            log.truncate_after(lsn(8)).expect("in range");
        }
    }
    finish(&storage, false)
}

fn rotated() -> Files {
    let storage = empty();
    let log = open(&storage).expect("it opens");
    for n in 1..8 {
        log.append(&if n % 2 == 0 { payload(n) } else { long(n) }).expect("memory takes appends");
    }
    drop(log);
    finish(&storage, false)
}

fn append(log: &Log, count: u64) {
    let next = log.next_lsn().get();
    for n in next..next + count {
        log.append(&payload(n)).expect("memory takes appends");
    }
}

fn batch(log: &Log) {
    let mut batch = EntriesBuilder::default();
    for n in (log.next_lsn().get()..).take(3) {
        let (kind, term, timestamp) = (n as u8, Some(n), Some(-1));
        batch.push(&NewEntry { kind, term, timestamp, ..NewEntry::plain(&payload(n)) }).expect("it is short");
    }
    log.append_batch(&batch, &AppendOptions::default()).expect("memory takes appends");
}

/// The files as they are while a log is open, which is what its death leaves, or after it was closed.
fn finish(storage: &Arc<dyn Storage>, is_closed: bool) -> Files {
    let log = open(storage).expect("it opens");
    append(&log, 2);
    let killed = files(&**storage);
    drop(log);
    let mut files = if is_closed { files(&**storage) } else { killed };
    for (_, bytes) in &mut files {
        // Space made ahead of use is long, and all of it is like its beginning.
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 200;
        bytes.truncate(end);
    }
    files
}

fn lsn(n: u64) -> Lsn {
    Lsn::new(n).expect("not zero")
}

fn long(n: u64) -> Vec<u8> {
    payload(n).into_iter().cycle().take(24 << 10).collect()
}

/// Made once: to make them anew for each comparison takes longer than all the rest.
static APPENDED: LazyLock<Vec<(Vec<u8>, Vec<u8>)>> =
    LazyLock::new(|| (0..100).map(|n| (payload(n), long(n))).collect());

/// What a log of ours has for an entry of its own.
pub fn payload(n: u64) -> Vec<u8> {
    format!("<{n}>").repeat(1 + (n as usize * 7) % 50).into_bytes()
}

/// Whether a log of ours wrote this entry.
pub fn was_appended(lsn: Lsn, bytes: &[u8]) -> bool {
    let Some((payload, long)) = APPENDED.get(lsn.get() as usize) else { return false };
    bytes == payload || bytes == long
}

/// No files.
pub fn empty() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new())
}

/// A storage with these files.
pub fn storage(files: &Files) -> Arc<dyn Storage> {
    let storage = empty();
    for (name, bytes) in files {
        let file = storage.create(name).expect("names differ");
        file.write_at(0, bytes).expect("memory takes writes");
    }
    storage
}

/// All that lies in a storage, by name.
pub fn files(storage: &dyn Storage) -> Files {
    let read = |name: String| {
        let file = storage.open(&name).expect("listed");
        let mut bytes = vec![0; file.len().expect("memory measures") as usize];
        file.read_at(0, &mut bytes).expect("memory reads");
        (name, bytes)
    };
    storage.list().expect("memory lists").into_iter().map(read).collect()
}

/// Shared, because the contexts in it are large.
pub static CODECS: LazyLock<Codecs> = LazyLock::new(Codecs::new);

/// What a log needs from outside.
pub fn environment(storage: &Arc<dyn Storage>) -> Environment {
    Environment { codecs: Codecs::new(), ..Environment::new(Arc::clone(storage)) }
}

/// Segments as short as they may be, and no threads.
pub fn options() -> Options {
    Options {
        segment_len: 64 << 10,
        first_segment_len: 64 << 10,
        background_threads: false,
        ..Options::default()
    }
}

/// Opens a log for writing.
pub fn open(storage: &Arc<dyn Storage>) -> Result<Log, LogError> {
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
                let len = len as usize % (bytes.len() + 1);
                bytes.truncate(len);
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
            if let Some((_, bytes)) = files.get_mut(at(file)) {
                seal_header(bytes);
            }
        }
        Damage::Chain { file } => {
            if let Some((_, bytes)) = files.get_mut(at(file)) {
                chain_frames(bytes);
            }
        }
    }
}

fn replace(files: &mut Files, name: String, bytes: Vec<u8>) {
    files.retain(|(other, _)| *other != name);
    files.push((name, bytes));
}
