//! The log one writes in an afternoon: `BufWriter`, `crc32fast`, `fdatasync`; with and without group commit.

use std::{
    fs::File,
    io::{BufWriter, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard},
};

use wal_benches::plain::read_all;

use crate::subject::{Fallible, Found, Mode, Peer, Place, Settings, Subject};

const PROGRAM: &str = r#"
    use std::io::Write;
    let mut file = std::io::BufWriter::new(std::fs::File::create("log").unwrap());
    file.write_all(&crc32fast::hash(b"hello").to_le_bytes()).unwrap();
    file.write_all(b"hello").unwrap();
    file.flush().unwrap();
    file.get_ref().sync_data().unwrap();
    println!("{}", std::fs::read("log").unwrap().len());"#;

pub const PLAIN: Peer = Peer {
    name: "plain",
    version: "",
    caveats: "A `Mutex` around `BufWriter` of 64 KiB, length and crc32fast before each record, fdatasync under the \
              mutex. One growing file, no recovery, no index, nothing of what makes a log one.",
    atomic_batches: false,
    verifies: true,
    dependency: "crc32fast = \"1.5\"",
    program: PROGRAM,
    fill_batch: 1,
    entries_max: u64::MAX,
    open: |dir, settings| open(dir, settings, false),
};

pub const GROUPED: Peer = Peer {
    name: "plain, grouped",
    caveats: "As `plain`, with group commit: the first thread that waits syncs for all that wrote before it.",
    dependency: "",
    // It is read as `plain` is.
    entries_max: 0,
    open: |dir, settings| open(dir, settings, true),
    ..PLAIN
};

struct Plain {
    mode: Mode,
    is_grouped: bool,
    path: PathBuf,
    state: Mutex<State>,
    handle: File,
    reader: File,
    synced: Condvar,
}

struct State {
    file: BufWriter<File>,
    offset: u64,
    written: u64,
    durable: u64,
    is_syncing: bool,
}

fn open(dir: &Path, settings: Settings, is_grouped: bool) -> Fallible<Option<Box<dyn Subject>>> {
    if is_grouped && matches!(settings.mode, Mode::Buffered | Mode::Written) {
        return Ok(None);
    }
    std::fs::create_dir_all(dir)?;
    let path = dir.join("plain");
    // It has to be read to know where it ends.
    let offset = if path.exists() { read_all(&path) } else { 0 };
    let file = File::options().append(true).create(true).open(&path)?;
    let (handle, reader) = (file.try_clone()?, File::open(&path)?);
    let file = BufWriter::with_capacity(64 << 10, file);
    let state = Mutex::new(State { file, offset, written: 0, durable: 0, is_syncing: false });
    Ok(Some(Box::new(Plain {
        mode: settings.mode,
        is_grouped,
        path,
        state,
        handle,
        reader,
        synced: Condvar::new(),
    })))
}

impl State {
    fn write(&mut self, payload: &[u8]) -> Fallible<Place> {
        self.file.write_all(&u32::try_from(payload.len())?.to_le_bytes())?;
        self.file.write_all(&crc32fast::hash(payload).to_le_bytes())?;
        self.file.write_all(payload)?;
        self.written += 1;
        self.offset += 8 + payload.len() as u64;
        Ok(Place { space: 0, at: self.offset - payload.len() as u64, len: payload.len() as u64 })
    }
}

impl Plain {
    fn finish(&self, mut state: MutexGuard<'_, State>) -> Fallible<()> {
        match self.mode {
            Mode::Durable if self.is_grouped => return self.group(state),
            Mode::Durable => {
                state.file.flush()?;
                self.handle.sync_data()?;
            }
            Mode::Written => state.file.flush()?,
            Mode::Buffered | Mode::Bulk => {}
        }
        Ok(())
    }

    fn group<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Fallible<()> {
        let mine = state.written;
        while state.durable < mine {
            if state.is_syncing {
                state = self.synced.wait(state).map_err(|_| "poisoned")?;
                continue;
            }
            state.is_syncing = true;
            state.file.flush()?;
            let written = state.written;
            drop(state);
            let synced = self.handle.sync_data();
            state = self.state.lock().map_err(|_| "poisoned")?;
            state.is_syncing = false;
            synced?;
            state.durable = written;
            self.synced.notify_all();
        }
        Ok(())
    }

    fn lock(&self) -> Fallible<MutexGuard<'_, State>> {
        Ok(self.state.lock().map_err(|_| "poisoned")?)
    }
}

impl Subject for Plain {
    fn append(&self, _thread: usize, payload: &[u8]) -> Fallible<Place> {
        let mut state = self.lock()?;
        let place = state.write(payload)?;
        self.finish(state)?;
        Ok(place)
    }

    fn append_batch(&self, _thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let append = || {
            let mut state = self.lock()?;
            let places = payloads.iter().map(|payload| state.write(payload)).collect::<Fallible<_>>()?;
            self.finish(state)?;
            Ok(places)
        };
        Some(append())
    }

    fn flush(&self) -> Fallible<()> {
        Ok(self.lock()?.file.flush()?)
    }

    fn count(&self, len: usize) -> Option<Fallible<u64>> {
        Some(Ok(read_all(&self.path) / len as u64))
    }

    fn scan(&self, len: usize) -> Option<Fallible<Found>> {
        let bytes = read_all(&self.path);
        Some(Ok(Found { entries: bytes / len as u64, bytes }))
    }

    fn get(&self, place: Place) -> Option<Fallible<usize>> {
        let get = || {
            let mut record = vec![0; place.len as usize + 4];
            self.reader.read_exact_at(&mut record, place.at - 4)?;
            let (checksum, payload) = record.split_at(4);
            if crc32fast::hash(payload).to_le_bytes() != checksum {
                return Err("wrong checksum".into());
            }
            Ok(payload.len())
        };
        Some(get())
    }
}
