//! `commitlog`.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard},
};

use commitlog::{
    CommitLog, LogOptions, ReadLimit,
    message::{MessageBuf, MessageSet},
};

use crate::subject::{Fallible, Found, Mode, Peer, Place, Settings, Subject};

pub const PEER: Peer = Peer {
    name: "commitlog",
    version: "0.2.0",
    caveats: "`&mut self`, here in a `Mutex`. Its flush never syncs the log file, so it has no durable row. Each \
              append goes to the operating system. Reads verify nothing by themselves; scans and gets here call \
              `verify_hashes`. The greatest message is set to 64 MiB.",
    atomic_batches: false,
    verifies: true,
    dependency: "commitlog = \"=0.2.0\"",
    program: r#"
    let mut log = commitlog::CommitLog::new(commitlog::LogOptions::new("log")).unwrap();
    let at = log.append_msg("hello").unwrap();
    use commitlog::message::MessageSet;
    println!("{}", log.read(at, commitlog::ReadLimit::default()).unwrap().len());"#,
    fill_batch: 1,
    entries_max: 10_000_000,
    open,
};

/// Bytes read at once by a scan.
const PIECE: usize = 256 << 10;

struct Log(Mutex<CommitLog>);

fn open(dir: &Path, settings: Settings) -> Fallible<Option<Box<dyn Subject>>> {
    if settings.mode == Mode::Durable {
        return Ok(None);
    }
    let mut options = LogOptions::new(dir);
    options.message_max_bytes(64 << 20);
    Ok(Some(Box::new(Log(Mutex::new(CommitLog::new(options)?)))))
}

impl Log {
    fn lock(&self) -> Fallible<MutexGuard<'_, CommitLog>> {
        Ok(self.0.lock().map_err(|_| "poisoned")?)
    }

    fn read(&self, at: u64, bytes: usize) -> Fallible<MessageBuf> {
        let messages =
            self.lock()?.read(at, ReadLimit::max_bytes(bytes)).map_err(|error| format!("{error:?}"))?;
        messages.verify_hashes().map_err(|at| format!("message {at} is damaged"))?;
        Ok(messages)
    }
}

impl Subject for Log {
    fn append(&self, _thread: usize, payload: &[u8]) -> Fallible<Place> {
        let at = self.lock()?.append_msg(payload)?;
        Ok(Place { at, len: payload.len() as u64, ..Place::default() })
    }

    fn append_batch(&self, _thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let append = || {
            let mut messages = MessageBuf::default();
            for payload in payloads {
                messages.push(payload).map_err(|error| format!("{error:?}"))?;
            }
            let first = self.lock()?.append(&mut messages)?.first();
            let places = payloads.iter().zip(first..).map(|(payload, at)| Place {
                at,
                len: payload.len() as u64,
                ..Place::default()
            });
            Ok(places.collect())
        };
        Some(append())
    }

    fn count(&self, len: usize) -> Option<Fallible<u64>> {
        Some(self.scan(len)?.map(|found| found.entries))
    }

    fn scan(&self, len: usize) -> Option<Fallible<Found>> {
        let scan = || {
            let mut found = Found::default();
            loop {
                let messages = self.read(found.entries, PIECE.max(2 * len))?;
                if messages.is_empty() {
                    return Ok(found);
                }
                messages.iter().for_each(|message| found.add(message.payload()));
            }
        };
        Some(scan())
    }

    fn get(&self, place: Place) -> Option<Fallible<usize>> {
        let get = || {
            let messages = self.read(place.at, place.len as usize + 64)?;
            let message = messages.iter().next().ok_or("nothing there")?;
            Ok(message.payload().len())
        };
        Some(get())
    }
}
