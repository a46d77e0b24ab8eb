//! Counters of a log: relaxed atomics, read into a plain struct.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a log has done since it was opened. Counts only grow.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Entries appended.
    entries,
    /// Frames of entries appended: one a call of append.
    frames,
    /// Bytes of payload appended.
    payload_bytes,
    /// Bytes handed to the storage, frame headers and padding included.
    written_bytes,
    /// Writes to the storage.
    writes,
    /// Syncs of segment data that succeeded.
    syncs,
    /// Segments started.
    segments_started,
    /// Segments removed.
    segments_removed,
    /// Entries read.
    entries_read,
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}
