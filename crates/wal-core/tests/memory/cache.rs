//! What a log keeps of the frames that it has decompressed.

use std::sync::Arc;

use wal_compress::{CodecId, Compression};
use wal_core::{AppendOptions, Environment, Log, Options};
use wal_format::{EntriesBuilder, Lsn, NewEntry};
use wal_segment::MemoryStorage;

use crate::{SLACK, kept};

/// So many times a long frame, and a short one behind it.
const ROUNDS: usize = 16;
/// Entries of the short ones.
const SHORT: usize = 100;
const CACHE_LEN: usize = 2 << 20;

fn append(log: &Log, payload: &[u8], count: usize) -> Lsn {
    let mut batch = EntriesBuilder::default();
    (0..count).for_each(|_| batch.push(&NewEntry::plain(payload)).unwrap());
    log.append_batch(&batch, &AppendOptions::default()).unwrap().0
}

/// A walk decompresses one frame after the other into the same memory, and leaves the last one to whoever reads on.
pub(crate) fn a_short_frame_is_not_kept_in_the_memory_of_a_long_one() {
    let compression = Compression { codec: CodecId::ZSTD, ..Compression::default() };
    let options =
        Options { compression, background_threads: false, frame_cache_len: CACHE_LEN, ..Options::default() };
    let log = Log::open(Environment::new(Arc::new(MemoryStorage::new())), options).unwrap();
    let parts: Vec<Lsn> = (0..ROUNDS)
        .map(|_| {
            let first = append(&log, &[7; 1 << 20], 4);
            append(&log, &[8; 100], SHORT);
            first
        })
        .collect();
    log.sync().unwrap();
    let kept = kept(|| {
        for first in &parts {
            let read = log.range(*first..).take(4 + SHORT / 2).map(|entry| entry.unwrap().payload.len());
            assert_eq!(read.sum::<usize>(), (4 << 20) + SHORT / 2 * 100);
        }
    });
    assert!(log.stats().cache_misses > 0 && kept > ROUNDS * SHORT * 100, "{kept} bytes");
    assert!(kept <= CACHE_LEN + SLACK, "{kept} bytes");
}
