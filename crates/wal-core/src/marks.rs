//! How far the log is: appended, written, durable.
//!
//! Frames are counted in *ticks* since the log was opened, because LSNs may go back (truncation) and control frames
//! have none. Ticks only grow: `durable <= written <= appended`, each covering everything before it.

use std::sync::atomic::Ordering;

use wal_format::Lsn;

use crate::sync::{AtomicU64, Mutex};

/// A frame's number since open; a mark of `n` covers the frames `1..=n`.
pub(crate) type Tick = u64;

#[derive(Debug)]
pub(crate) struct Marks {
    appended_next: AtomicU64,
    written: AtomicU64,
    syncing: AtomicU64,
    durable: AtomicU64,
    durable_next: AtomicU64,
    written_next: AtomicU64,
    filed_next: AtomicU64,
    /// Both durable marks move together and never back, whichever of two overlapping syncs ends first.
    moving: Mutex<()>,
}

impl Marks {
    pub(crate) fn new(next: Lsn, durable_next: Lsn) -> Self {
        Self {
            appended_next: AtomicU64::new(next.get()),
            written: AtomicU64::new(0),
            syncing: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            durable_next: AtomicU64::new(durable_next.get()),
            written_next: AtomicU64::new(next.get()),
            filed_next: AtomicU64::new(next.get()),
            moving: Mutex::new(()),
        }
    }

    /// LSN of the next append.
    pub(crate) fn next(&self) -> Lsn {
        Lsn::new(self.appended_next.load(Ordering::Acquire)).unwrap_or(Lsn::FIRST)
    }

    pub(crate) fn set_next(&self, next: Lsn) {
        self.appended_next.store(next.get(), Ordering::Release);
    }

    pub(crate) fn written(&self) -> Tick {
        self.written.load(Ordering::Acquire)
    }

    /// Entries before `next` are with the operating system. Called while nobody else writes or stores.
    pub(crate) fn set_written(&self, tick: Tick, next: Lsn) {
        self.written_next.store(next.get(), Ordering::Release);
        self.written.store(tick.max(self.written()), Ordering::Release);
    }

    /// The same, unless more is known to be there. Called by whoever has put the first frame there that was not: that
    /// is one thread at a time, so there is no need of a maximum that many may take part in.
    pub(crate) fn advance_written(&self, tick: Tick, next: Lsn) {
        if tick > self.written() {
            self.set_written(tick, next);
        }
    }

    /// Every entry before this one is with the operating system.
    pub(crate) fn written_next(&self) -> Lsn {
        Lsn::new(self.written_next.load(Ordering::Acquire)).unwrap_or(Lsn::FIRST)
    }

    /// Who looks for an entry before this one finds it in a file, unless the log was cut. Those that are stored in
    /// mapped pages are in memory until they would have been written. A hint where to look first.
    pub(crate) fn filed_next(&self) -> Lsn {
        Lsn::new(self.filed_next.load(Ordering::Acquire)).unwrap_or(Lsn::FIRST)
    }

    pub(crate) fn set_filed(&self, next: Lsn) {
        self.filed_next.store(next.get(), Ordering::Release);
    }

    /// How far the sync that began last goes.
    pub(crate) fn syncing(&self) -> Tick {
        self.syncing.load(Ordering::Acquire)
    }

    /// Called under the lock under which frames are stamped.
    pub(crate) fn set_syncing(&self, tick: Tick) {
        self.syncing.store(tick, Ordering::Release);
    }

    pub(crate) fn durable(&self) -> Tick {
        self.durable.load(Ordering::Acquire)
    }

    /// Every entry before this one is durable.
    pub(crate) fn durable_next(&self) -> Lsn {
        Lsn::new(self.durable_next.load(Ordering::Acquire)).unwrap_or(Lsn::FIRST)
    }

    pub(crate) fn set_durable(&self, tick: Tick, next: Lsn) {
        let _moving = self.moving.lock();
        if tick >= self.durable.load(Ordering::Acquire) {
            self.durable_next.store(next.get(), Ordering::Release);
            self.durable.store(tick, Ordering::Release);
        }
    }
}

#[cfg(all(test, loom))]
mod model;
