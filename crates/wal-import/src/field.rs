//! Fields of fixed length, read where there are bytes.

/// The `N` bytes at `at`, if they are there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// A length of 32 bits, as one of memory.
pub(crate) fn len(value: u32) -> Option<usize> {
    usize::try_from(value).ok()
}

/// An offset or length in memory, as one of a file.
pub(crate) fn wide(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
