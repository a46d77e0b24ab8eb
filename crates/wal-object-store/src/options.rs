//! Settings of a storage on objects.

use std::{fmt, time::Duration};

use tokio::runtime::Handle;

/// Whoever is slower than this many bytes a second for a while does not get a long object through.
const SLOWEST: u64 = 256 << 10;

/// Settings of an [`ObjectStorage`](crate::ObjectStorage).
#[derive(Clone)]
pub struct ObjectOptions {
    /// What the storage is called in messages, in the place of the path in the store. A URL must be without secrets.
    /// Default: `None`.
    pub location: Option<String>,
    /// How often a request is made that fails for another reason than that there is nothing; and how often it is found
    /// out what became of an upload. At least once. Default: 10.
    pub attempts: u32,
    /// Pause before the second attempt; each further one takes twice as long, up to 5 s. Default: 50 ms.
    pub pause: Duration,
    /// How long one request may take before it counts as failed; that of an upload a second more for each 256 KiB, that
    /// of a listing for each page of it. Default: 30 s.
    pub request_timeout: Duration,
    /// How long all attempts at one thing may take together, pauses included. Default: 2 min.
    pub give_up_after: Duration,
    /// Requests a second, of all kinds together: a second's worth may come at once, and what comes faster waits. With a
    /// limit, who reads in order has one request ahead, not eight. Zero sets no limit. Default: 0.
    pub requests_per_second: u32,
    /// Bytes of objects that are kept in memory after they were read or published. Those who read in order have up to a
    /// half of this on its way ahead of them, all together, at most 8 MiB, which come on top; for a moment more, when
    /// somebody begins beside others. Default: 16 MiB.
    pub cache_len: usize,
    /// Requests at once when the beginnings of many objects are read. Default: 32.
    pub parallel_reads: usize,
    /// Objects whose beginnings are kept together in one more object, a page, which opening a long log reads in their
    /// place: one more request for so many that are published. Pages are hints, and deleting them costs only time. Zero
    /// writes none. Default: 256.
    pub heads_per_page: usize,
    /// Longest object in bytes. Segments are no longer, and an entry that does not fit into one is refused for want of
    /// space. Default: 1 GiB.
    pub object_len_max: u64,
    /// Whether the store is taken at its word, and not asked to refuse a second creation and to serve a range before
    /// the log is opened for writing. Default: `false`.
    pub assume_conditional_writes: bool,
    /// Runs the requests. It must drive I/O and time, and nothing that waits for the log may run in it unless it has
    /// other threads. Default: `None`, a thread of the storage's own.
    pub runtime: Option<Handle>,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        Self {
            location: None,
            attempts: 10,
            pause: Duration::from_millis(50),
            request_timeout: Duration::from_secs(30),
            give_up_after: Duration::from_secs(120),
            requests_per_second: 0,
            cache_len: 16 << 20,
            parallel_reads: 32,
            heads_per_page: 256,
            object_len_max: 1 << 30,
            assume_conditional_writes: false,
            runtime: None,
        }
    }
}

impl fmt::Debug for ObjectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectOptions")
            .field("location", &self.location)
            .field("attempts", &self.attempts)
            .field("pause", &self.pause)
            .field("request_timeout", &self.request_timeout)
            .field("give_up_after", &self.give_up_after)
            .field("requests_per_second", &self.requests_per_second)
            .field("cache_len", &self.cache_len)
            .field("parallel_reads", &self.parallel_reads)
            .field("heads_per_page", &self.heads_per_page)
            .field("object_len_max", &self.object_len_max)
            .field("assume_conditional_writes", &self.assume_conditional_writes)
            .finish_non_exhaustive()
    }
}

impl ObjectOptions {
    /// What holds for the upload of so many bytes.
    pub(crate) fn for_upload(&self, len: usize) -> Self {
        let more = Duration::from_secs(len as u64 / SLOWEST);
        Self { request_timeout: self.request_timeout.saturating_add(more), ..self.clone() }
    }

    /// How long to wait after so many attempts that failed.
    pub(crate) fn pause_after(&self, failed: u32) -> Duration {
        self.pause.saturating_mul(1 << failed.min(16)).min(Duration::from_secs(5))
    }
}
