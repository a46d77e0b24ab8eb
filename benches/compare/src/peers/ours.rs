//! This log, through its facade.

use std::{path::Path, time::Duration};

use wal::{
    AppendOptions, Batch, ChecksumKind, Durability, Lsn, NewEntry, Options, SyncPolicy, Wal, WriteMode,
};

use crate::subject::{Fallible, Found, Mode, Peer, Place, Settings, Subject};

const PROGRAM: &str = r#"
    let wal = wal::Wal::open("log").unwrap();
    let lsn = wal.append("hello").unwrap();
    println!("{}", wal.get(lsn).unwrap().payload.len());
    wal.close().unwrap();"#;

pub const CRC32: Peer = Peer {
    name: "wal",
    version: env!("CARGO_PKG_VERSION"),
    caveats: "This log, CRC-32, segments of 64 MiB from the first on. Buffered: `SyncPolicy::Background` with an \
              interval of a minute, so that no timed sync falls into a run; a full segment is synced all the same. \
              Scans and gets lend the payloads: to keep one costs two counts of references \
              more.",
    atomic_batches: true,
    verifies: true,
    dependency: "wal = { path = \"@ROOT@/crates/wal\" }",
    program: PROGRAM,
    fill_batch: 1,
    entries_max: u64::MAX,
    open: |dir, settings| open(dir, settings, ChecksumKind::Crc32),
};

pub const CRC32C: Peer = Peer {
    name: "wal (crc32c)",
    caveats: "This log with CRC-32C, otherwise as `wal`.",
    dependency: "wal = { path = \"@ROOT@/crates/wal\", features = [\"crc32c\"] }",
    open: |dir, settings| open(dir, settings, ChecksumKind::Crc32c),
    ..CRC32
};

pub const MAPPED: Peer = Peer {
    name: "wal (mmap)",
    caveats: "This log with `WriteMode::Mmap`, otherwise as `wal`: what is to be with the operating system on \
              return is stored in mapped pages. Other rows would be the same.",
    open: |dir, settings| match settings.mode {
        Mode::Written => open_with(dir, settings, ChecksumKind::Crc32, WriteMode::Mmap),
        _ => Ok(None),
    },
    ..CRC32
};

struct Ours(Wal);

fn open(dir: &Path, settings: Settings, checksum: ChecksumKind) -> Fallible<Option<Box<dyn Subject>>> {
    open_with(dir, settings, checksum, WriteMode::Pwrite)
}

fn open_with(
    dir: &Path,
    settings: Settings,
    checksum: ChecksumKind,
    write_mode: WriteMode,
) -> Fallible<Option<Box<dyn Subject>>> {
    let interval = Duration::from_secs(60);
    let sync = match settings.mode {
        Mode::Durable => SyncPolicy::Always,
        Mode::Written => SyncPolicy::OsCache { interval },
        Mode::Buffered | Mode::Bulk => SyncPolicy::Background { interval },
    };
    let segment_len = settings.segment_len.unwrap_or(64 << 20);
    let unsynced_age_max = interval * 2;
    let options = Options {
        sync,
        segment_len,
        first_segment_len: segment_len,
        unsynced_age_max,
        checksum,
        ..Options::default()
    };
    Ok(Some(Box::new(Ours(Wal::builder(dir).options(options).write_mode(write_mode).open()?))))
}

fn place(lsn: Lsn) -> Place {
    Place { at: lsn.get(), ..Place::default() }
}

impl Subject for Ours {
    fn append(&self, _thread: usize, payload: &[u8]) -> Fallible<Place> {
        Ok(place(self.0.append(payload)?))
    }

    fn append_batch(&self, _thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let append = || {
            let mut batch = Batch::new();
            payloads.iter().try_for_each(|payload| batch.push(payload))?;
            let lsns = self.0.append_batch(&batch)?;
            Ok((lsns.start().get()..=lsns.end().get()).map(|at| Place { at, ..Place::default() }).collect())
        };
        Some(append())
    }

    /// The log has no call for this: an empty entry that waits for the operating system carries all before it.
    fn flush(&self) -> Fallible<()> {
        let options = AppendOptions { durability: Some(Durability::Written), ..AppendOptions::default() };
        self.0.append_with(NewEntry::plain(b""), &options)?;
        Ok(())
    }

    fn sync(&self) -> Fallible<()> {
        Ok(self.0.sync()?)
    }

    fn close(self: Box<Self>) -> Fallible<()> {
        Ok(self.0.close()?)
    }

    /// Without what [`flush`](Self::flush) left.
    fn count(&self, len: usize) -> Option<Fallible<u64>> {
        let count = || {
            let mut entries = self.0.iter();
            let mut count = 0;
            while let Some(entry) = entries.next_ref() {
                count += u64::from(entry?.payload.len() == len);
            }
            Ok(count)
        };
        Some(count())
    }

    fn scan(&self, _len: usize) -> Option<Fallible<Found>> {
        let scan = || {
            let mut entries = self.0.iter();
            let mut found = Found::default();
            while let Some(entry) = entries.next_ref() {
                found.add(entry?.payload);
            }
            Ok(found)
        };
        Some(scan())
    }

    fn reverse(&self) -> Option<Fallible<Found>> {
        let reverse = || {
            let mut entries = self.0.iter();
            let mut found = Found::default();
            while let Some(entry) = entries.next_back_ref() {
                found.add(entry?.payload);
            }
            Ok(found)
        };
        Some(reverse())
    }

    fn get(&self, place: Place) -> Option<Fallible<usize>> {
        let get = || Ok(self.0.get_with(Lsn::new(place.at).ok_or("no LSN")?, |entry| entry.payload.len())?);
        Some(get())
    }

    fn get_many(&self, places: &[Place]) -> Option<Fallible<usize>> {
        let get = || {
            let lsns: Option<Vec<_>> = places.iter().map(|place| Lsn::new(place.at)).collect();
            let mut bytes = 0;
            self.0.get_many_with(&lsns.ok_or("no LSN")?, |_, entry| bytes += entry.payload.len())?;
            Ok(bytes)
        };
        Some(get())
    }
}
