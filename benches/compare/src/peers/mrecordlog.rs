//! `mrecordlog`.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use mrecordlog::{MultiRecordLog, SyncPolicy};
use tokio::runtime::Runtime;

use crate::subject::{Fallible, Found, Mode, Peer, Place, Settings, Subject};

pub const PEER: Peer = Peer {
    name: "mrecordlog",
    version: "0.4.0",
    caveats: "Asynchronous (tokio, two workers), `&mut self`, here in a `Mutex`. The published version never calls \
              fsync, so it has no durable row: `OnAppend` hands the bytes to the operating system. Everything is kept \
              in memory, and scans and gets read that: they verify nothing.",
    atomic_batches: true,
    verifies: false,
    dependency: "mrecordlog = \"=0.4.0\"\ntokio = { version = \"1\", features = [\"rt-multi-thread\"] }",
    program: r#"
    std::fs::create_dir_all("log").unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut log = mrecordlog::MultiRecordLog::open("log".as_ref()).await.unwrap();
        log.create_queue("queue").await.unwrap();
        log.append_record("queue", None, &b"hello"[..]).await.unwrap();
        println!("{}", log.range("queue", ..).unwrap().next().unwrap().1.len());
    });"#,
    fill_batch: 1,
    entries_max: 2_000_000,
    open,
};

const QUEUE: &str = "queue";

struct Log {
    runtime: Runtime,
    log: Mutex<MultiRecordLog>,
}

fn open(dir: &Path, settings: Settings) -> Fallible<Option<Box<dyn Subject>>> {
    let policy = match settings.mode {
        Mode::Durable => return Ok(None),
        Mode::Written => SyncPolicy::OnAppend,
        Mode::Buffered | Mode::Bulk => SyncPolicy::OnDelay(Duration::from_secs(60)),
    };
    std::fs::create_dir_all(dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let log = runtime.block_on(async {
        let mut log = MultiRecordLog::open_with_prefs(dir, policy).await?;
        if !log.queue_exists(QUEUE) {
            log.create_queue(QUEUE).await?;
        }
        Fallible::Ok(log)
    })?;
    Ok(Some(Box::new(Log { runtime, log: Mutex::new(log) })))
}

impl Log {
    fn lock(&self) -> Fallible<MutexGuard<'_, MultiRecordLog>> {
        Ok(self.log.lock().map_err(|_| "poisoned")?)
    }

    fn write(&self, payloads: &[&[u8]]) -> Fallible<u64> {
        let mut log = self.lock()?;
        let records = payloads.iter().copied();
        Ok(self.runtime.block_on(log.append_records(QUEUE, None, records))?.ok_or("it was not appended")?)
    }
}

impl Subject for Log {
    fn append(&self, _thread: usize, payload: &[u8]) -> Fallible<Place> {
        Ok(Place { at: self.write(&[payload])?, ..Place::default() })
    }

    fn append_batch(&self, _thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let places = |last: u64| {
            let first = last + 1 - payloads.len() as u64;
            (first..=last).map(|at| Place { at, ..Place::default() }).collect()
        };
        Some(self.write(payloads).map(places))
    }

    fn flush(&self) -> Fallible<()> {
        Ok(self.runtime.block_on(self.lock()?.sync())?)
    }

    fn close(self: Box<Self>) -> Fallible<()> {
        self.flush()
    }

    fn count(&self, len: usize) -> Option<Fallible<u64>> {
        Some(self.scan(len)?.map(|found| found.entries))
    }

    fn scan(&self, _len: usize) -> Option<Fallible<Found>> {
        let scan = || {
            let mut found = Found::default();
            self.lock()?
                .range(QUEUE, ..)
                .map_err(|_| "no queue")?
                .for_each(|(_, payload)| found.add(&payload));
            Ok(found)
        };
        Some(scan())
    }

    fn get(&self, place: Place) -> Option<Fallible<usize>> {
        let get = || {
            let log = self.lock()?;
            let (_, payload) = log
                .range(QUEUE, place.at..=place.at)
                .map_err(|_| "no queue")?
                .next()
                .ok_or("nothing there")?;
            Ok(payload.len())
        };
        Some(get())
    }
}
