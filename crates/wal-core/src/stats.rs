//! Counters of a log: relaxed atomics, read into a plain struct.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::appender::Appended;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a log has done since it was opened. Counts only grow.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            /// Entries appended.
            pub entries: u64,
            /// Frames of entries appended: one a call of append, or one for the calls that were packed together.
            pub frames: u64,
            /// Bytes of payload appended.
            pub payload_bytes: u64,
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self, appended: Appended) -> Stats {
                let Appended { entries, frames, payload_bytes } = appended;
                Stats { entries, frames, payload_bytes, $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
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
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}
