//! `walrus-rust`.

use std::path::Path;

use walrus_rust::{FsyncSchedule, ReadConsistency, Walrus};

use crate::subject::{Fallible, Found, Mode, Peer, Place, Settings, Subject};

pub const PEER: Peer = Peer {
    name: "walrus-rust",
    version: "0.2.0",
    caveats: "One topic. Durable is `SyncEach`, Buffered `NoFsync`, never its background syncs. Settings are global \
              to the process. Reading consumes: a scan moves the topic's cursor, once, persisted every million \
              entries here; no position is returned, so no gets. FNV-1a instead of a CRC.",
    atomic_batches: true,
    verifies: true,
    dependency: "walrus-rust = \"=0.2.0\"",
    program: r#"
    let log = walrus_rust::Walrus::new().unwrap();
    log.append_for_topic("topic", b"hello").unwrap();
    println!("{}", log.read_next("topic", true).unwrap().unwrap().data.len());"#,
    fill_batch: 1,
    entries_max: 2_000_000,
    open,
};

const TOPIC: &str = "topic";
/// Its own limit on a batch.
const BATCH: usize = 2000;

struct Log(Walrus);

fn open(dir: &Path, settings: Settings) -> Fallible<Option<Box<dyn Subject>>> {
    let schedule = match settings.mode {
        Mode::Durable => FsyncSchedule::SyncEach,
        Mode::Written | Mode::Buffered | Mode::Bulk => FsyncSchedule::NoFsync,
    };
    std::fs::create_dir_all(dir)?;
    // The process was started with its directory in the environment: see `cell::spawn`.
    let consistency = ReadConsistency::AtLeastOnce { persist_every: 1_000_000 };
    Ok(Some(Box::new(Log(Walrus::with_consistency_and_schedule(consistency, schedule)?))))
}

impl Subject for Log {
    fn append(&self, _thread: usize, payload: &[u8]) -> Fallible<Place> {
        self.0.append_for_topic(TOPIC, payload)?;
        Ok(Place::default())
    }

    fn append_batch(&self, _thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let append = || {
            payloads.chunks(BATCH).try_for_each(|payloads| self.0.batch_append_for_topic(TOPIC, payloads))?;
            Ok(vec![Place::default(); payloads.len()])
        };
        Some(append())
    }

    fn count(&self, len: usize) -> Option<Fallible<u64>> {
        Some(self.scan(len)?.map(|found| found.entries))
    }

    fn scan(&self, _len: usize) -> Option<Fallible<Found>> {
        let scan = || {
            let mut found = Found::default();
            while let Some(entry) = self.0.read_next(TOPIC, true)? {
                found.add(&entry.data);
            }
            Ok(found)
        };
        Some(scan())
    }

    fn scans_again(&self) -> bool {
        false
    }
}
