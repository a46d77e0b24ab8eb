//! `raft-engine`.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard},
};

use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use crate::subject::{Fallible, Found, Mode, Peer, Place, Settings, Subject};

pub const PEER: Peer = Peer {
    name: "raft-engine",
    version: "0.4.2",
    caveats: "Entries are protobuf messages (here `BytesValue` with the index in front) in groups, one a thread, as \
              it is meant; scans and gets decode a copy of each. Every write goes to the operating system, so \
              Buffered is Written. LZ4 from 8 KiB on, its default, on payloads that do not compress. An index of all \
              entries is in memory.",
    atomic_batches: true,
    verifies: true,
    dependency: "raft-engine = { version = \"=0.4.2\", default-features = false }\nprotobuf = \"2\"",
    program: r#"
    struct Entries;
    impl raft_engine::MessageExt for Entries {
        type Entry = protobuf::well_known_types::BytesValue;
        fn index(_: &Self::Entry) -> u64 { 1 }
    }
    let config = raft_engine::Config { dir: "log".to_owned(), ..Default::default() };
    let engine = raft_engine::Engine::open(config).unwrap();
    let mut batch = raft_engine::LogBatch::default();
    let mut entry = protobuf::well_known_types::BytesValue::new();
    entry.set_value(b"hello".to_vec());
    batch.add_entries::<Entries>(1, &[entry]).unwrap();
    engine.write(&mut batch, true).unwrap();
    println!("{}", engine.get_entry::<Entries>(1, 1).unwrap().unwrap().get_value().len());"#,
    fill_batch: 1,
    entries_max: 2_000_000,
    open,
};

/// Most threads that append at the same time.
const GROUPS: usize = 256;
/// Entries fetched at once by a scan.
const FETCH: u64 = 1000;

struct Log {
    engine: Engine,
    is_durable: bool,
    /// The next index of each group.
    next: Vec<Mutex<u64>>,
}

struct Entries;

impl MessageExt for Entries {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        let index = entry.get_value().first_chunk().copied();
        u64::from_le_bytes(index.unwrap_or_default())
    }
}

fn open(dir: &Path, settings: Settings) -> Fallible<Option<Box<dyn Subject>>> {
    let defaults = Config::default();
    let target_file_size = settings.segment_len.map_or(defaults.target_file_size, ReadableSize);
    let dir = dir.to_str().ok_or("a path that is not UTF-8")?.to_owned();
    let engine = Engine::open(Config { dir, target_file_size, ..defaults })?;
    let next =
        (0..GROUPS).map(|group| Mutex::new(engine.last_index(group as u64 + 1).map_or(1, |last| last + 1)));
    let next = next.collect();
    Ok(Some(Box::new(Log { engine, is_durable: settings.mode == Mode::Durable, next })))
}

impl Log {
    fn next(&self, thread: usize) -> Fallible<MutexGuard<'_, u64>> {
        Ok(self.next.get(thread).ok_or("too many threads")?.lock().map_err(|_| "poisoned")?)
    }
}

impl Subject for Log {
    fn append(&self, thread: usize, payload: &[u8]) -> Fallible<Place> {
        let places = self.append_batch(thread, &[payload]).ok_or("it has batches")??;
        Ok(places.into_iter().next().ok_or("it wrote nothing")?)
    }

    fn append_batch(&self, thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let append = || {
            let space = thread as u64 + 1;
            let mut next = self.next(thread)?;
            let mut entries = Vec::with_capacity(payloads.len());
            let mut places = Vec::with_capacity(payloads.len());
            for payload in payloads {
                let mut entry = BytesValue::new();
                entry.set_value([&next.to_le_bytes(), *payload].concat());
                entries.push(entry);
                places.push(Place { space, at: *next, len: 0 });
                *next += 1;
            }
            let mut batch = LogBatch::with_capacity(1);
            batch.add_entries::<Entries>(space, &entries)?;
            self.engine.write(&mut batch, self.is_durable)?;
            Ok(places)
        };
        Some(append())
    }

    fn count(&self, len: usize) -> Option<Fallible<u64>> {
        Some(self.scan(len)?.map(|found| found.entries))
    }

    fn scan(&self, _len: usize) -> Option<Fallible<Found>> {
        let scan = || {
            let mut found = Found::default();
            let mut entries = Vec::new();
            for group in self.engine.raft_groups() {
                let first = self.engine.first_index(group).unwrap_or(1);
                let end = self.engine.last_index(group).map_or(1, |last| last + 1);
                for start in (first..end).step_by(FETCH as usize) {
                    entries.clear();
                    let end = end.min(start + FETCH);
                    self.engine.fetch_entries_to::<Entries>(group, start, end, None, &mut entries)?;
                    entries
                        .iter()
                        .for_each(|entry| found.add(entry.get_value().get(8..).unwrap_or_default()));
                }
            }
            Ok(found)
        };
        Some(scan())
    }

    fn get(&self, place: Place) -> Option<Fallible<usize>> {
        let get = || {
            let entry = self.engine.get_entry::<Entries>(place.space, place.at)?.ok_or("nothing there")?;
            Ok(entry.get_value().len() - 8)
        };
        Some(get())
    }
}
