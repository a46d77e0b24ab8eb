//! `nano-wal`.

use std::{path::Path, time::Duration};

use nano_wal::{Wal, WalOptions, WriteEntry};

use crate::subject::{Fallible, Mode, Peer, Place, Settings, Subject};

pub const PEER: Peer = Peer {
    name: "nano-wal",
    version: "1.0.0",
    caveats: "No checksum, no iterator: reads verify a signature, entries are found again by positions that the \
              caller kept. Every append goes to the operating system. A batch is one writev of at most 200 entries, \
              not atomic. It does not sync the directory. Segments roll by time alone.",
    atomic_batches: false,
    verifies: false,
    dependency: "nano-wal = \"=1.0.0\"",
    program: r#"
    let hour = std::time::Duration::from_secs(3600);
    let options = nano_wal::WalOptions { retention: hour, segment_duration: hour };
    let log = nano_wal::Wal::new("log".as_ref(), "a", options).unwrap();
    let entry = log.append(None, b"hello", 1, true).unwrap();
    let segment = log.ensure_segment(1).unwrap();
    println!("{}", log.read_at(&segment, entry.file_offset, entry.byte_size).unwrap().content.len());"#,
    fill_batch: 1,
    entries_max: 10_000_000,
    open,
};

/// A moment, the same for all: one segment.
const MOMENT: i64 = 1_800_000_000_000;
/// More of them, and it would exceed what one writev takes.
const BATCH: usize = 200;
/// Bytes before a payload, and before the first record.
const FRAMING: usize = 16;

struct Log {
    wal: Wal,
    is_durable: bool,
}

fn open(dir: &Path, settings: Settings) -> Fallible<Option<Box<dyn Subject>>> {
    let century = Duration::from_secs(100 * 365 * 86_400);
    let options = WalOptions { retention: century, segment_duration: Duration::from_secs(3600) };
    let wal = Wal::new(dir, "log", options)?;
    Ok(Some(Box::new(Log { wal, is_durable: settings.mode == Mode::Durable })))
}

impl Subject for Log {
    fn append(&self, _thread: usize, payload: &[u8]) -> Fallible<Place> {
        let entry = self.wal.append(None, payload, MOMENT, self.is_durable)?;
        Ok(Place { space: 0, at: entry.file_offset, len: entry.byte_size as u64 })
    }

    fn append_batch(&self, _thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let append = || {
            let mut places = Vec::with_capacity(payloads.len());
            for payloads in payloads.chunks(BATCH) {
                let entries: Vec<_> =
                    payloads.iter().map(|content| WriteEntry { header: None, content }).collect();
                let written = self.wal.append_batch(&entries, MOMENT, self.is_durable)?;
                places.extend(written.into_iter().map(|entry| Place {
                    space: 0,
                    at: entry.file_offset,
                    len: entry.byte_size as u64,
                }));
            }
            Ok(places)
        };
        Some(append())
    }

    fn close(self: Box<Self>) -> Fallible<()> {
        Ok(self.wal.shutdown()?)
    }

    /// Walks from the end of the file: entries of one length are where they must be.
    fn count(&self, len: usize) -> Option<Fallible<u64>> {
        let count = || {
            let segment = self.wal.ensure_segment(MOMENT)?;
            let step = (len + FRAMING) as u64;
            let records = segment.file_size() / step;
            let start = segment.file_size() - records * step;
            for record in 0..records {
                self.wal.read_at(&segment, start + record * step, step as usize)?;
            }
            Ok(records)
        };
        Some(count())
    }

    fn get(&self, place: Place) -> Option<Fallible<usize>> {
        let get = || {
            let segment = self.wal.ensure_segment(MOMENT)?;
            Ok(self.wal.read_at(&segment, place.at, place.len as usize)?.content.len())
        };
        Some(get())
    }
}
