//! A writer that does everything a writer may do.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use wal::{Batch, Options, SyncPolicy, Wal, WriteMode};

use crate::content::{lsn, payload, small};

/// Appends, by writing and by storing in mapped pages, trims, cuts, clears, closes and opens, as chance has it.
pub(crate) struct Churn {
    dir: PathBuf,
    wal: Option<Wal>,
    random: u64,
    edition: u64,
}

impl Churn {
    pub(crate) fn new(dir: &Path, seed: u64) -> Self {
        let mut churn = Self { dir: dir.to_owned(), wal: None, random: seed, edition: 0 };
        churn.append();
        churn
    }

    /// One thing.
    pub(crate) fn step(&mut self) {
        match self.below(0..100) {
            0..70 => self.append(),
            70..84 => self.batch(),
            84..91 => self.trim(),
            91..96 => self.cut(),
            96 if self.below(0..4) == 0 => drop(self.wal().clear().unwrap()),
            97 => self.wal().close().unwrap(),
            _ => self.wal().sync().unwrap(),
        }
        if self.below(0..30) == 0 {
            self.wal = None;
        }
    }

    fn wal(&mut self) -> &Wal {
        // Syncs of a few milliseconds would leave a reader little to see.
        let sync = SyncPolicy::OsCache { interval: Duration::from_millis(10) };
        let options = Options { sync, ..small() };
        let write_mode = if self.below(0..2) == 0 { WriteMode::Mmap } else { WriteMode::Pwrite };
        let dir = &self.dir;
        let is_closed = self.wal.as_ref().is_some_and(|wal| wal.sync().is_err());
        if is_closed {
            self.wal = None;
        }
        self.wal
            .get_or_insert_with(|| Wal::builder(dir).options(options).write_mode(write_mode).open().unwrap())
    }

    fn append(&mut self) {
        for _ in 0..self.below(1..40) {
            let len = self.below(0..2000);
            self.edition += 1;
            let edition = self.edition;
            let wal = self.wal.take().unwrap_or_else(|| self.wal().clone());
            let next = wal.next_lsn();
            let payload = payload(next.get(), edition, len as usize);
            // Nobody else appends; what has to get an LSN is not stored.
            let appended = match self.below(0..2) {
                0 => wal.append(payload),
                _ => wal.append_at(next, payload),
            };
            self.wal = appended.is_ok().then_some(wal);
        }
    }

    fn batch(&mut self) {
        self.edition += 1;
        let (edition, count) = (self.edition, self.below(1..20));
        let wal = self.wal();
        let next = wal.next_lsn().get();
        let mut batch = Batch::new();
        (next..next + count).for_each(|lsn| batch.push(payload(lsn, edition, 700)).unwrap());
        wal.append_batch(&batch).unwrap();
    }

    fn trim(&mut self) {
        let wal = self.wal();
        let Some(first) = wal.first_lsn() else { return };
        let next = wal.next_lsn().get();
        // Some hundred entries stay, so that there is something to read.
        let end = next.saturating_sub(600).max(first.get()) + 1;
        let first = self.below(first.get()..end);
        self.wal().truncate_before(lsn(first)).unwrap();
    }

    fn cut(&mut self) {
        let wal = self.wal();
        let (Some(first), next) = (wal.first_lsn(), wal.next_lsn().get()) else { return };
        let from = self.below(next.saturating_sub(50).max(first.get())..next + 1);
        self.wal().truncate_from(lsn(from)).unwrap();
    }

    fn below(&mut self, range: Range<u64>) -> u64 {
        // xorshift
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        range.start + self.random % (range.end - range.start)
    }
}
