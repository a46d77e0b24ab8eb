//! `open-wal`.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard},
};

use open_wal::{Lsn, Wal, WalConfig};

use crate::subject::{Fallible, Found, Mode, Peer, Place, Settings, Subject};

pub const PEER: Peer = Peer {
    name: "open-wal",
    version: "0.2.1",
    caveats: "One writer (`&mut self`), here in a `Mutex`; append and commit under it, so no group commit. No \
              buffered mode. A batch is one commit, not atomic across segments. A get walks the segment from its \
              start.",
    atomic_batches: false,
    verifies: true,
    dependency: "open-wal = \"=0.2.1\"",
    program: r#"
    std::fs::create_dir_all("log").unwrap();
    let (mut log, _) = open_wal::Wal::open("log".as_ref(), open_wal::WalConfig::default()).unwrap();
    let lsn = log.append(b"hello").unwrap();
    log.commit().unwrap();
    println!("{}", log.reader_from(lsn).unwrap().next().unwrap().unwrap().1.len());"#,
    fill_batch: 1000,
    entries_max: 10_000_000,
    open,
};

struct Log(Mutex<Wal>);

fn open(dir: &Path, settings: Settings) -> Fallible<Option<Box<dyn Subject>>> {
    if matches!(settings.mode, Mode::Buffered | Mode::Written) {
        return Ok(None);
    }
    let defaults = WalConfig::default();
    let segment_size = settings.segment_len.unwrap_or(defaults.segment_size);
    std::fs::create_dir_all(dir)?;
    let (wal, _) = Wal::open(dir, WalConfig { segment_size, ..defaults })?;
    Ok(Some(Box::new(Log(Mutex::new(wal)))))
}

impl Log {
    fn lock(&self) -> Fallible<MutexGuard<'_, Wal>> {
        Ok(self.0.lock().map_err(|_| "poisoned")?)
    }
}

impl Subject for Log {
    fn append(&self, _thread: usize, payload: &[u8]) -> Fallible<Place> {
        let mut wal = self.lock()?;
        let lsn = wal.append(payload)?;
        wal.commit()?;
        Ok(Place { at: lsn.0, ..Place::default() })
    }

    fn append_batch(&self, _thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let append = || {
            let mut wal = self.lock()?;
            let mut places = Vec::with_capacity(payloads.len());
            for payload in payloads {
                places.push(Place { at: wal.append(payload)?.0, ..Place::default() });
            }
            wal.commit()?;
            Ok(places)
        };
        Some(append())
    }

    fn count(&self, len: usize) -> Option<Fallible<u64>> {
        Some(self.scan(len)?.map(|found| found.entries))
    }

    fn scan(&self, _len: usize) -> Option<Fallible<Found>> {
        let scan = || {
            let wal = self.lock()?;
            let mut reader = wal.reader_from(Lsn(0))?;
            let mut found = Found::default();
            while let Some(record) = reader.next() {
                found.add(record?.1);
            }
            Ok(found)
        };
        Some(scan())
    }

    fn get(&self, place: Place) -> Option<Fallible<usize>> {
        let get = || {
            let wal = self.lock()?;
            let mut reader = wal.reader_from(Lsn(place.at))?;
            let (_, payload) = reader.next().ok_or("nothing there")??;
            Ok(payload.len())
        };
        Some(get())
    }
}
