//! The log under test.

use std::{path::Path, sync::Arc};

use wal_compress::Codecs;
use wal_core::{Environment, Log, Options};
use wal_segment::{LocalOptions, LocalStorage, WriteMode};

/// Opens a log in `dir`.
#[must_use]
pub fn open(dir: &Path, options: Options) -> Log {
    open_with(dir, WriteMode::default(), options)
}

/// Opens a log in `dir` whose files are written in this way.
#[must_use]
pub fn open_with(dir: &Path, write_mode: WriteMode, options: Options) -> Log {
    let local = LocalOptions { write_mode, ..LocalOptions::default() };
    let storage = Arc::new(LocalStorage::create(dir, local).unwrap());
    let codecs = Codecs::with_level(options.compression.level).unwrap();
    let environment = Environment { codecs, ..Environment::new(storage) };
    Log::open(environment, options).unwrap()
}
