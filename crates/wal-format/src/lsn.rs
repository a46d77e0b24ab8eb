//! The address of an entry.

use core::{fmt, num::NonZeroU64};

/// Log sequence number: counts *entries* (not bytes), dense, from 1 unless the log was told otherwise.
///
/// `Option<Lsn>` takes eight bytes; `None` stands for "nothing yet".
///
/// ```
/// use wal_format::Lsn;
/// let lsn = Lsn::new(7).unwrap();
/// assert_eq!(lsn.next().get(), 8);
/// assert_eq!(lsn.previous(), Lsn::new(6));
/// assert_eq!(Lsn::FIRST.previous(), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(NonZeroU64);

impl Lsn {
    /// The first entry of a log that starts at the beginning.
    pub const FIRST: Self = Self(NonZeroU64::MIN);
    /// The greatest number. A log refuses appends before it gets here.
    pub const MAX: Self = Self(NonZeroU64::MAX);

    /// The LSN with this number; `None` for zero.
    #[inline]
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The LSN `count` entries later, saturating at [`Lsn::MAX`].
    #[inline]
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// The LSN after this one, saturating at [`Lsn::MAX`].
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The LSN before this one; `None` before the first.
    #[inline]
    #[must_use]
    pub const fn previous(self) -> Option<Self> {
        Self::new(self.get().saturating_sub(1))
    }

    /// How many entries lie from `base` up to this one; `None` when this one is before it.
    #[inline]
    #[must_use]
    pub const fn since(self, base: Self) -> Option<u64> {
        self.get().checked_sub(base.get())
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lsn({})", self.0)
    }
}

impl From<Lsn> for u64 {
    fn from(lsn: Lsn) -> Self {
        lsn.get()
    }
}
