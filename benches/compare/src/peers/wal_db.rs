//! `wal-db`.

use std::path::Path;

use wal_db::{FileStore, Lsn, SegmentedStore, Wal, WalStore};

use crate::subject::{Fallible, Found, Mode, Peer, Place, Settings, Subject};

pub const PEER: Peer = Peer {
    name: "wal-db",
    version: "1.1.0",
    caveats: "Buffered is its `append`: one pwrite each, no buffer. Batches are single appends and one sync, not \
              atomic. One file, as in its examples; segments for the rotation rows. It does not sync the directory, \
              and by default cuts the log at the first bad record wherever that is.",
    atomic_batches: false,
    verifies: true,
    dependency: "wal-db = \"=1.1.0\"",
    program: r#"
    let log = wal_db::Wal::open("log").unwrap();
    log.append_and_sync(b"hello").unwrap();
    println!("{}", log.iter().unwrap().next().unwrap().unwrap().data().len());"#,
    fill_batch: 1,
    entries_max: 10_000_000,
    open,
};

struct Log<S: WalStore> {
    wal: Wal<S>,
    mode: Mode,
}

fn open(dir: &Path, settings: Settings) -> Fallible<Option<Box<dyn Subject>>> {
    let mode = settings.mode;
    std::fs::create_dir_all(dir)?;
    Ok(Some(match settings.segment_len {
        None => Box::new(Log::<FileStore> { wal: Wal::open(dir.join("log"))?, mode }),
        Some(len) => Box::new(Log::<SegmentedStore> { wal: Wal::open_segmented(dir, len)?, mode }),
    }))
}

impl<S: WalStore> Subject for Log<S> {
    fn append(&self, _thread: usize, payload: &[u8]) -> Fallible<Place> {
        let lsn = match self.mode {
            Mode::Durable => self.wal.append_and_sync(payload)?,
            Mode::Written | Mode::Buffered | Mode::Bulk => self.wal.append(payload)?,
        };
        Ok(Place { at: lsn.get(), ..Place::default() })
    }

    fn append_batch(&self, _thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let append = || {
            let mut places = Vec::with_capacity(payloads.len());
            for payload in payloads {
                places.push(Place { at: self.wal.append(payload)?.get(), ..Place::default() });
            }
            if self.mode == Mode::Durable {
                self.wal.sync()?;
            }
            Ok(places)
        };
        Some(append())
    }

    /// It reads as far as it has synced.
    fn settle(&self) -> Fallible<()> {
        Ok(self.wal.sync()?)
    }

    fn count(&self, len: usize) -> Option<Fallible<u64>> {
        Some(self.scan(len)?.map(|found| found.entries))
    }

    fn scan(&self, _len: usize) -> Option<Fallible<Found>> {
        let scan = || {
            let mut found = Found::default();
            for record in self.wal.iter()? {
                found.add(record?.data());
            }
            Ok(found)
        };
        Some(scan())
    }

    fn get(&self, place: Place) -> Option<Fallible<usize>> {
        let get = || Ok(self.wal.iter_from(Lsn::new(place.at))?.next().ok_or("nothing there")??.len());
        Some(get())
    }
}
