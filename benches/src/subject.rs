//! The log under test.

use std::{path::Path, sync::Arc};

use wal_compress::Codecs;
use wal_core::{Environment, Log, Options};
use wal_segment::{LocalOptions, LocalStorage};

/// Opens a log in `dir`.
#[must_use]
pub fn open(dir: &Path, options: Options) -> Log {
    let storage = Arc::new(LocalStorage::create(dir, LocalOptions::default()).unwrap());
    let codecs = Codecs::with_level(options.compression.level).unwrap();
    let environment = Environment { codecs, ..Environment::new(storage) };
    Log::open(environment, options).unwrap()
}
