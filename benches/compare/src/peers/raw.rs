//! The floor: system calls and checksums, without a log.

use std::{fs::File, io::Write, path::Path, sync::Mutex};

use wal_benches::raw::RawFile;

use crate::subject::{Fallible, Found, Mode, Peer, Place, Settings, Subject};

/// Bytes of framing that come with each write, so that the floor writes what a log would.
const FRAMING: usize = 40;
/// What is written at once where nothing waits for it.
const PIECE: usize = 64 << 10;
/// Zeros written ahead of the measurement.
const ZEROS: u64 = 64 << 20;

pub const RAW: Peer = Peer {
    name: "raw",
    version: "",
    caveats: "Not a log: the floor. Durable: pwrite of payload + 40 B and fdatasync on a zero-filled file, one at a \
              time. Written: the pwrite alone. Buffered: copied, without a checksum, into writes of 64 KiB to a \
              growing file. Reads: from memory, the offsets known, crc32fast over each payload.",
    atomic_batches: false,
    verifies: true,
    dependency: "",
    program: "",
    fill_batch: 1,
    entries_max: u64::MAX,
    open,
};

struct Raw {
    end: Mutex<End>,
    /// What is read: the whole file.
    content: Vec<u8>,
}

enum End {
    Durable(RawFile),
    Written(RawFile),
    Buffered { file: File, offset: u64, piece: Vec<u8> },
}

fn open(dir: &Path, settings: Settings) -> Fallible<Option<Box<dyn Subject>>> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join("raw");
    let mut content = Vec::new();
    let end = match settings.mode {
        Mode::Durable => End::Durable(RawFile::zero_filled(&path, ZEROS)),
        Mode::Written => End::Written(RawFile::zero_filled(&path, ZEROS)),
        Mode::Buffered | Mode::Bulk => {
            if path.exists() {
                content = std::fs::read(&path)?;
            }
            let file = File::options().append(true).create(true).open(path)?;
            End::Buffered { file, offset: content.len() as u64, piece: Vec::with_capacity(2 * PIECE) }
        }
    };
    Ok(Some(Box::new(Raw { end: Mutex::new(end), content })))
}

impl Raw {
    fn write(&self, payloads: &[&[u8]]) -> Fallible<u64> {
        match &mut *self.end.lock().map_err(|_| "poisoned")? {
            End::Durable(file) => file.write_durably(&framed(payloads)),
            End::Written(file) => file.write(&framed(payloads)),
            End::Buffered { file, offset, piece } => {
                let at = *offset;
                for payload in payloads {
                    *offset += payload.len() as u64;
                    if piece.is_empty() && payload.len() >= PIECE {
                        file.write_all(payload)?;
                    } else {
                        piece.extend_from_slice(payload);
                    }
                    if piece.len() >= PIECE {
                        file.write_all(piece)?;
                        piece.clear();
                    }
                }
                return Ok(at);
            }
        }
        Ok(0)
    }
}

fn framed(payloads: &[&[u8]]) -> Vec<u8> {
    let mut bytes = payloads.concat();
    bytes.resize(bytes.len() + FRAMING, 7);
    bytes
}

impl Subject for Raw {
    fn append(&self, _thread: usize, payload: &[u8]) -> Fallible<Place> {
        Ok(Place { space: 0, at: self.write(&[payload])?, len: payload.len() as u64 })
    }

    fn append_batch(&self, _thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let places = |mut at: u64| {
            let place = |payload: &&[u8]| {
                let place = Place { space: 0, at, len: payload.len() as u64 };
                at += place.len;
                place
            };
            payloads.iter().map(place).collect()
        };
        Some(self.write(payloads).map(places))
    }

    fn flush(&self) -> Fallible<()> {
        if let End::Buffered { file, piece, .. } = &mut *self.end.lock().map_err(|_| "poisoned")? {
            file.write_all(piece)?;
            piece.clear();
        }
        Ok(())
    }

    fn count(&self, _len: usize) -> Option<Fallible<u64>> {
        None
    }

    fn scan(&self, len: usize) -> Option<Fallible<Found>> {
        let mut found = Found::default();
        for payload in self.content.chunks(len) {
            std::hint::black_box(crc32fast::hash(payload));
            found.add(payload);
        }
        Some(Ok(found))
    }

    fn get(&self, place: Place) -> Option<Fallible<usize>> {
        let start = place.at as usize;
        let payload = self.content.get(start..start + place.len as usize)?;
        std::hint::black_box(crc32fast::hash(payload));
        Some(Ok(payload.len()))
    }
}
