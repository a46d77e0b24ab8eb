//! `raft-log`.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard,
        mpsc::{SyncSender, sync_channel},
    },
    time::Duration,
};

use raft_log::{Config, RaftLog, api::raft_log_writer::RaftLogWriter, api::types::Types};

use crate::subject::{Fallible, Found, Mode, Peer, Place, Settings, Subject};

pub const PEER: Peer = Peer {
    name: "raft-log",
    version: "0.4.6",
    caveats: "`&mut self`, here in a `Mutex`; the callback is waited for outside of it. Waits a millisecond for more \
              before it syncs, its default. Buffered: handed to its thread every 1000 entries. Keeps up to 1 GiB or \
              100,000 payloads in a cache, from which it reads.",
    atomic_batches: false,
    verifies: false,
    dependency: "raft-log = \"=0.4.6\"",
    program: r#"
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    struct Mine;
    impl raft_log::Types for Mine {
        type LogId = (u64, u64);
        type LogPayload = Vec<u8>;
        type Vote = (u64, u64);
        type UserData = String;
        type Callback = std::sync::mpsc::SyncSender<std::io::Result<()>>;
        fn log_index(id: &(u64, u64)) -> u64 { id.1 }
        fn payload_size(payload: &Vec<u8>) -> u64 { payload.len() as u64 }
    }
    use raft_log::api::raft_log_writer::RaftLogWriter;
    let config = std::sync::Arc::new(raft_log::Config::new("log"));
    let mut log = raft_log::RaftLog::<Mine>::open(config).unwrap();
    log.append([((1, 0), b"hello".to_vec())]).unwrap();
    let (sender, done) = std::sync::mpsc::sync_channel(1);
    log.flush(true, Some(sender)).unwrap();
    done.recv().unwrap().unwrap();
    println!("{}", log.read(0, 1).next().unwrap().unwrap().1.len());"#,
    fill_batch: 1,
    entries_max: 500_000,
    open: |dir, settings| open(dir, settings, None),
};

pub const EAGER: Peer = Peer {
    name: "raft-log, no wait",
    caveats: "As `raft-log`, without the millisecond.",
    dependency: "",
    // It is read as `raft-log` is.
    entries_max: 0,
    open: |dir, settings| match settings.mode {
        Mode::Durable | Mode::Bulk => open(dir, settings, Some(Duration::ZERO)),
        Mode::Written | Mode::Buffered => Ok(None),
    },
    ..PEER
};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kinds;

impl Types for Kinds {
    type LogId = (u64, u64);
    type LogPayload = Vec<u8>;
    type Vote = (u64, u64);
    type UserData = String;
    type Callback = SyncSender<io::Result<()>>;

    fn log_index(id: &(u64, u64)) -> u64 {
        id.1
    }

    fn payload_size(payload: &Vec<u8>) -> u64 {
        payload.len() as u64
    }
}

struct Log {
    log: Mutex<State>,
    mode: Mode,
}

struct State {
    log: RaftLog<Kinds>,
    next: u64,
}

/// Entries handed to its thread at once where nothing waits.
const HANDED: u64 = 1000;

fn open(dir: &Path, settings: Settings, wait: Option<Duration>) -> Fallible<Option<Box<dyn Subject>>> {
    std::fs::create_dir_all(dir)?;
    let mut config = Config::new(dir.to_str().ok_or("a path that is not UTF-8")?);
    config.wal.flush_batch_wait = wait;
    config.wal.chunk_max_size = settings.segment_len.map(usize::try_from).transpose()?;
    let log = RaftLog::<Kinds>::open(Arc::new(config))?;
    let next = log.log_state().last().map_or(0, |id| id.1 + 1);
    Ok((settings.mode != Mode::Written)
        .then(|| Box::new(Log { log: Mutex::new(State { log, next }), mode: settings.mode }) as _))
}

impl Log {
    fn lock(&self) -> Fallible<MutexGuard<'_, State>> {
        Ok(self.log.lock().map_err(|_| "poisoned")?)
    }

    fn write(&self, payloads: &[&[u8]]) -> Fallible<u64> {
        let mut state = self.lock()?;
        let first = state.next;
        let entries = payloads.iter().zip(first..).map(|(payload, index)| ((1, index), payload.to_vec()));
        state.log.append(entries)?;
        state.next += payloads.len() as u64;
        if self.mode != Mode::Durable {
            if first / HANDED != state.next / HANDED {
                state.log.flush(false, None)?;
            }
            return Ok(first);
        }
        let (sender, done) = sync_channel(1);
        state.log.flush(true, Some(sender))?;
        drop(state);
        done.recv()??;
        Ok(first)
    }
}

impl Subject for Log {
    fn append(&self, _thread: usize, payload: &[u8]) -> Fallible<Place> {
        Ok(Place { at: self.write(&[payload])?, ..Place::default() })
    }

    fn append_batch(&self, _thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let places =
            |first| (first..).take(payloads.len()).map(|at| Place { at, ..Place::default() }).collect();
        Some(self.write(payloads).map(places))
    }

    fn flush(&self) -> Fallible<()> {
        let (sender, done) = sync_channel(1);
        self.lock()?.log.flush(false, Some(sender))?;
        Ok(done.recv()??)
    }

    fn count(&self, len: usize) -> Option<Fallible<u64>> {
        Some(self.scan(len)?.map(|found| found.entries))
    }

    fn scan(&self, _len: usize) -> Option<Fallible<Found>> {
        let scan = || {
            let state = self.lock()?;
            let mut found = Found::default();
            for entry in state.log.read(0, state.next) {
                found.add(&entry?.1);
            }
            Ok(found)
        };
        Some(scan())
    }

    fn get(&self, place: Place) -> Option<Fallible<usize>> {
        let get = || {
            let state = self.lock()?;
            let entry = state.log.read(place.at, place.at + 1).next().ok_or("nothing there")??;
            Ok(entry.1.len())
        };
        Some(get())
    }
}
