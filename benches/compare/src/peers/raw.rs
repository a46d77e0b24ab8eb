//! The floor: system calls and checksums, without a log.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::Mutex,
};

use wal_benches::raw::{MappedFile, RawFile};

use crate::subject::{Fallible, Found, Mode, Peer, Place, Settings, Subject};

/// Bytes of framing that come with each write, so that the floor writes what a log would.
const FRAMING: usize = 40;
/// What is written at once where nothing waits for it.
const PIECE: usize = 64 << 10;
/// Zeros written ahead of the measurement.
const ZEROS: u64 = 64 << 20;
/// The files.
const CONTENT: &str = "raw";
const OFFSETS: &str = "offsets";

pub const RAW: Peer = Peer {
    name: "raw",
    version: "",
    caveats: "Not a log: the floor. Durable: pwrite of payload + 40 B and fdatasync on a zero-filled file, one at a \
              time. Written: the pwrite alone. Buffered: copied, without a checksum, into writes of 64 KiB to a \
              growing file. Reads: of the mapped file, which holds payloads only, crc32fast over each; gets by a table \
              of offsets.",
    atomic_batches: false,
    verifies: true,
    dependency: "",
    program: "",
    fill_batch: 1,
    entries_max: u64::MAX,
    open,
};

struct Raw {
    dir: PathBuf,
    end: Mutex<End>,
    /// What is read: the whole file.
    content: Option<MappedFile>,
    /// Where each payload starts in it, and where the last one ends.
    offsets: Vec<u64>,
}

enum End {
    Durable(RawFile),
    Written(RawFile),
    Buffered(Growing),
}

/// A file that is appended to. All payloads are equally long.
struct Growing {
    file: File,
    count: u64,
    len: u64,
    piece: Vec<u8>,
}

impl Growing {
    fn append(&mut self, payload: &[u8]) -> Fallible<()> {
        if self.count > 0 && self.len != payload.len() as u64 {
            return Err("the floor keeps no lengths: payloads must be equally long".into());
        }
        (self.len, self.count) = (payload.len() as u64, self.count + 1);
        if self.piece.is_empty() && payload.len() >= PIECE {
            self.file.write_all(payload)?;
        } else {
            self.piece.extend_from_slice(payload);
        }
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Fallible<()> {
        self.file.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }
}

fn open(dir: &Path, settings: Settings) -> Fallible<Option<Box<dyn Subject>>> {
    fs::create_dir_all(dir)?;
    let path = dir.join(CONTENT);
    let (mut content, mut offsets) = (None, vec![0]);
    let end = match settings.mode {
        Mode::Durable => End::Durable(RawFile::zero_filled(&path, ZEROS)),
        Mode::Written => End::Written(RawFile::zero_filled(&path, ZEROS)),
        Mode::Buffered | Mode::Bulk => {
            if dir.join(OFFSETS).exists() {
                content = Some(MappedFile::open(dir, CONTENT));
                let bytes = fs::read(dir.join(OFFSETS))?;
                offsets = bytes.as_chunks().0.iter().map(|offset| u64::from_le_bytes(*offset)).collect();
            }
            let file = File::options().append(true).create(true).open(path)?;
            let len = offsets.get(1).copied().unwrap_or(0);
            let count = offsets.len() as u64 - 1;
            End::Buffered(Growing { file, count, len, piece: Vec::with_capacity(2 * PIECE) })
        }
    };
    Ok(Some(Box::new(Raw { dir: dir.to_owned(), end: Mutex::new(end), content, offsets })))
}

impl Raw {
    /// Number of the first payload, where there are numbers.
    fn write(&self, payloads: &[&[u8]]) -> Fallible<u64> {
        match &mut *self.end.lock().map_err(|_| "poisoned")? {
            End::Durable(file) => file.write_durably(&framed(payloads)),
            End::Written(file) => file.write(&framed(payloads)),
            End::Buffered(growing) => {
                let first = growing.count;
                payloads.iter().try_for_each(|payload| growing.append(payload))?;
                return Ok(first);
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
        let places = |first: u64| {
            let place = |(at, payload): (u64, &&[u8])| Place { space: 0, at, len: payload.len() as u64 };
            (first..).zip(payloads).map(place).collect()
        };
        Some(self.write(payloads).map(places))
    }

    fn flush(&self) -> Fallible<()> {
        match &mut *self.end.lock().map_err(|_| "poisoned")? {
            End::Buffered(growing) => growing.flush(),
            _ => Ok(()),
        }
    }

    fn close(self: Box<Self>) -> Fallible<()> {
        self.flush()?;
        if let End::Buffered(Growing { count, len, .. }) = self.end.into_inner().map_err(|_| "poisoned")? {
            let bytes: Vec<u8> = (0..=count).flat_map(|n| (n * len).to_le_bytes()).collect();
            fs::write(self.dir.join(OFFSETS), bytes)?;
        }
        Ok(())
    }

    fn count(&self, _len: usize) -> Option<Fallible<u64>> {
        None
    }

    fn scan(&self, len: usize) -> Option<Fallible<Found>> {
        let mut found = Found::default();
        for payload in self.content.as_deref()?.chunks(len) {
            std::hint::black_box(crc32fast::hash(payload));
            found.add(payload);
        }
        Some(Ok(found))
    }

    fn get(&self, place: Place) -> Option<Fallible<usize>> {
        let at = place.at as usize;
        let (start, end) = (*self.offsets.get(at)?, *self.offsets.get(at + 1)?);
        let payload = self.content.as_deref()?.get(start as usize..end as usize)?;
        std::hint::black_box(crc32fast::hash(payload));
        Some(Ok(payload.len()))
    }
}
