//! What an append gave its entries, and what it found to be due.

use wal_format::Lsn;

use crate::marks::Tick;

/// What an append gave its entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamped {
    pub(crate) first: Lsn,
    pub(crate) last: Lsn,
    pub(crate) tick: Tick,
    pub(super) due: Due,
}

/// What an append found to be due. A whole word: what is handed on by every append is copied faster in words than in
/// bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due(u64);

impl Due {
    pub(super) const NOTHING: Self = Self(0);
    /// The first entry that no sync has covered: an interval begins.
    pub(super) const INTERVAL: Self = Self(1);
    /// The oldest of them is too old.
    pub(super) const SYNC: Self = Self(1 << 1);
    /// Enough waits in memory that it should be written now.
    pub(super) const WRITE: Self = Self(1 << 2);
    /// Packs wait to be compressed.
    pub(super) const SETTLE: Self = Self(1 << 3);

    pub(super) const fn when(self, is_due: bool) -> Self {
        if is_due { self } else { Self::NOTHING }
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Stamped {
    /// What was done at this tick, by somebody else.
    pub(crate) const fn at(next: Lsn, tick: Tick) -> Self {
        Self { first: next, last: next, tick, due: Due::NOTHING }
    }

    /// Whether this is the first thing that no sync has covered.
    pub(crate) const fn begins_interval(&self) -> bool {
        self.due.has(Due::INTERVAL)
    }

    /// Whether something must be synced before this append may return, whatever it asks for.
    pub(crate) const fn is_overdue(&self) -> bool {
        self.due.has(Due::SYNC)
    }

    /// Whether nothing is due but what was asked for.
    pub(crate) const fn is_simple(&self) -> bool {
        !self.due.has(Due::SYNC.and(Due::WRITE))
    }

    /// Whether packs wait to be compressed.
    pub(crate) const fn packs_wait(&self) -> bool {
        self.due.has(Due::SETTLE)
    }
}
