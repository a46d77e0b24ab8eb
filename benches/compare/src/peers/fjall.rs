//! `fjall`: a key-value store, for its journal.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::subject::{Fallible, Mode, Peer, Place, Settings, Subject};

pub const PEER: Peer = Peer {
    name: "fjall",
    version: "3.1.13",
    caveats: "A key-value store: an append is an insert under a counter, memory table included, and Durable a \
              `persist(SyncData)`. Only its journal is of interest, so its reads, which are not of the journal, are \
              left out. Buffered is its default: each insert goes to the operating system.",
    atomic_batches: true,
    verifies: false,
    dependency: "fjall = \"=3.1.13\"",
    program: r#"
    let database = fjall::Database::builder("log").open().unwrap();
    let log = database.keyspace("log", fjall::KeyspaceCreateOptions::default).unwrap();
    log.insert(1_u64.to_be_bytes(), "hello").unwrap();
    database.persist(fjall::PersistMode::SyncData).unwrap();
    println!("{}", log.get(1_u64.to_be_bytes()).unwrap().unwrap().len());"#,
    fill_batch: 1,
    entries_max: 2_000_000,
    open,
};

struct Log {
    database: Database,
    keyspace: Keyspace,
    is_durable: bool,
    next: AtomicU64,
}

fn open(dir: &Path, settings: Settings) -> Fallible<Option<Box<dyn Subject>>> {
    let database = Database::builder(dir).open()?;
    let keyspace = database.keyspace("log", KeyspaceCreateOptions::default)?;
    let is_durable = settings.mode == Mode::Durable;
    Ok(Some(Box::new(Log { database, keyspace, is_durable, next: AtomicU64::new(0) })))
}

impl Subject for Log {
    fn append(&self, _thread: usize, payload: &[u8]) -> Fallible<Place> {
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        self.keyspace.insert(at.to_be_bytes(), payload)?;
        if self.is_durable {
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(Place { at, ..Place::default() })
    }

    fn append_batch(&self, _thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let append = || {
            let first = self.next.fetch_add(payloads.len() as u64, Ordering::Relaxed);
            let mut batch =
                self.database.batch().durability(self.is_durable.then_some(PersistMode::SyncData));
            for (payload, at) in payloads.iter().zip(first..) {
                batch.insert(&self.keyspace, at.to_be_bytes(), *payload);
            }
            batch.commit()?;
            Ok((first..).take(payloads.len()).map(|at| Place { at, ..Place::default() }).collect())
        };
        Some(append())
    }

    fn count(&self, _len: usize) -> Option<Fallible<u64>> {
        Some(self.keyspace.len().map(|len| len as u64).map_err(Into::into))
    }
}
