//! What the simulated disk keeps and loses, and that the conformance suite sees planted defects.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod conformance;
mod crash;
mod defects;
mod enumeration;
mod faults;
mod process;
mod space;

use std::{collections::BTreeSet, io, sync::Arc};

use wal_segment::{Storage, StorageFile};
use wal_sim::SimDisk;

/// A file with durable content and a durable name.
fn durable(storage: &dyn Storage, name: &str, content: &[u8]) -> Arc<dyn StorageFile> {
    let file = storage.create(name).unwrap();
    file.write_at(0, content).unwrap();
    file.sync().unwrap();
    storage.sync_names().unwrap();
    file
}

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

/// What `look` sees after many power cuts in the present state.
fn seen<T: Ord>(disk: &SimDisk, look: impl Fn(&SimDisk) -> T) -> BTreeSet<T> {
    let look = &look;
    (0..400)
        .map(|seed| {
            let after = disk.snapshot();
            after.crash(seed);
            look(&after)
        })
        .collect()
}
