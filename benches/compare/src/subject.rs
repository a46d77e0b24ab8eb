//! What is measured: a log behind the few operations that the workloads are made of.

use std::{error::Error, path::Path};

use serde::{Deserialize, Serialize};

/// Whatever a subject's own errors are.
pub type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What an append waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// The entry survives power loss.
    Durable,
    /// The bytes are with the operating system.
    Written,
    /// Nothing: the entry may be in the log's own memory.
    Buffered,
    /// As many entries as possible, for a log that is read afterwards.
    Bulk,
}

/// How a subject is opened.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What an append waits for.
    pub mode: Mode,
    /// Length of a segment in bytes where a workload asks for one; the subject's usual one otherwise.
    pub segment_len: Option<u64>,
}

/// Where an entry is, in the words of its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// A file, a group or nothing.
    pub space: u64,
    /// An index or an offset.
    pub at: u64,
    /// A length, where reading asks for it.
    pub len: u64,
}

/// What reading found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Entries.
    pub entries: u64,
    /// Bytes of payload.
    pub bytes: u64,
}

impl Found {
    /// One more entry.
    pub fn add(&mut self, payload: &[u8]) {
        self.entries += 1;
        self.bytes += payload.len() as u64;
    }
}

/// A log under measurement. An operation that it does not have is `None`.
pub trait Subject: Send + Sync {
    /// Appends an entry, as far as the mode says. `thread` counts the appending threads from 0.
    fn append(&self, thread: usize, payload: &[u8]) -> Fallible<Place>;

    /// Appends entries in one call, in the mode; atomically if the table of peers says so.
    fn append_batch(&self, thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let _ = (thread, payloads);
        None
    }

    /// Hands everything appended to the operating system.
    fn flush(&self) -> Fallible<()> {
        Ok(())
    }

    /// Makes what was appended readable, and hands it to the operating system.
    fn settle(&self) -> Fallible<()> {
        self.flush()
    }

    /// Makes durable what was appended, if the log reads that in another way than what is only written.
    fn sync(&self) -> Fallible<()> {
        self.settle()
    }

    /// Closes the log as its documentation says; dropping it if that says nothing.
    fn close(self: Box<Self>) -> Fallible<()> {
        Ok(())
    }

    /// How many entries of `len` bytes there are, by reading them; `None` where there is nothing to verify.
    fn count(&self, len: usize) -> Option<Fallible<u64>>;

    /// Reads all entries, `len` bytes each, front to back, checksums verified where the log can.
    fn scan(&self, len: usize) -> Option<Fallible<Found>> {
        let _ = len;
        None
    }

    /// Whether a second [`scan`](Self::scan) of the same handle finds anything.
    fn scans_again(&self) -> bool {
        true
    }

    /// Reads all entries back to front.
    fn reverse(&self) -> Option<Fallible<Found>> {
        None
    }

    /// Reads one entry; returns the length of its payload.
    fn get(&self, place: Place) -> Option<Fallible<usize>> {
        let _ = place;
        None
    }

    /// Reads these entries in one call; returns the bytes of their payloads.
    fn get_many(&self, places: &[Place]) -> Option<Fallible<usize>> {
        let _ = places;
        None
    }
}

/// Opens a subject, or says by `None` that it has no such mode.
pub type Open = fn(&Path, Settings) -> Fallible<Option<Box<dyn Subject>>>;

/// A rival, or a floor, or this log.
#[derive(Clone, Copy)]
pub struct Peer {
    /// Its name on the command line and in the report.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What a reader of the figures has to know.
    pub caveats: &'static str,
    /// Whether a batch is there whole or not at all after a crash.
    pub atomic_batches: bool,
    /// Whether its scans and gets read the files and verify what they find.
    pub verifies: bool,
    /// The lines under `[dependencies]` of somebody who uses it; empty for what is not a crate.
    pub dependency: &'static str,
    /// The body of `main` of a small program that appends, syncs and reads.
    pub program: &'static str,
    /// Entries handed over at once to fill a log that is to be read: one, unless each call waits for the disk.
    pub fill_batch: usize,
    /// Greatest number of entries that a log of it may hold here, because of its memory or its speed.
    pub entries_max: u64,
    /// Opens it.
    pub open: Open,
}

impl Peer {
    /// Whether it is a product to choose, and neither this log nor a floor.
    pub fn is_rival(&self) -> bool {
        !self.is_ours() && self.name != "raw"
    }

    /// Whether it is the log without a library.
    pub fn is_plain(&self) -> bool {
        self.name.starts_with("plain")
    }

    /// Whether it is this log.
    pub fn is_ours(&self) -> bool {
        self.name == "wal" || self.name.starts_with("wal (")
    }
}
