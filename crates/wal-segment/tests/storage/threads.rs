//! Many threads keep parts of one file that is mapped.

use std::{cell::RefCell, sync::Arc, thread};

use bytes::Bytes;
use wal_segment::{ReadMode, Storage, StorageFile};

use crate::local;

/// More than there are counts, and so much of the file that it has several stretches.
const THREADS: u64 = 40;
const PART: u64 = 10_000;

/// Asks for a part when its thread has ended already.
struct AtTheEnd(Arc<dyn StorageFile>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        assert!(self.0.view(0..PART).unwrap().iter().all(|byte| *byte == 0));
    }
}

thread_local! {
    static AT_THE_END: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
}

#[test]
fn what_threads_keep_stays_whoever_ends_and_in_whatever_order() {
    let dir = tempfile::tempdir().unwrap();
    let storage = local(dir.path(), ReadMode::Mmap);
    let content: Vec<u8> = (0..THREADS * PART).map(|n| (n / PART) as u8).collect();
    storage.create("a").unwrap().write_at(0, &content).unwrap();
    let file = storage.open("a").unwrap();
    file.freeze(THREADS * PART);
    let keep = |nth: u64| {
        AT_THE_END.set(Some(AtTheEnd(Arc::clone(&file))));
        (0..THREADS)
            .map(|n| (nth + n) % THREADS)
            .map(|n| (n, file.view(n * PART..(n + 1) * PART).unwrap()))
            .collect::<Vec<(u64, Bytes)>>()
    };
    let kept: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|nth| scope.spawn(move || keep(nth))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    storage.remove("a").unwrap();
    drop((file, storage));
    // Another thread than the one that has asked lets go of each.
    for parts in kept {
        thread::spawn(move || {
            for (n, part) in parts {
                assert!(part.iter().all(|byte| u64::from(*byte) == n), "part {n}");
            }
        })
        .join()
        .unwrap();
    }
}
