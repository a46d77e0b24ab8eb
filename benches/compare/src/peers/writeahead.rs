//! `writeahead`.

use std::path::Path;

use futures::executor::{block_on, block_on_stream};
use writeahead::{SimpleFile, WriteAhead, WriteAheadOptions, WriteHandle};

use crate::subject::{Fallible, Found, Mode, Peer, Place, Settings, Subject};

pub const PEER: Peer = Peer {
    name: "writeahead",
    version: "0.4.1",
    caveats: "Asynchronous: each call is driven by `block_on`. Always durable, there is no buffered mode. A batch is \
              contiguous, not atomic. murmur3-128 instead of a CRC. Reads give a `Vec` each.",
    atomic_batches: false,
    verifies: true,
    dependency: "writeahead = \"=0.4.1\"\nfutures = \"0.3\"",
    program: r#"
    let options = writeahead::WriteAheadOptions { log_dir: "log".into(), ..Default::default() };
    let mut log = writeahead::WriteAhead::<writeahead::SimpleFile>::with_options(options);
    log.start().unwrap();
    let id = futures::executor::block_on(log.writer().unwrap().write(b"hello".to_vec())).unwrap();
    println!("{}", log.read(id.file_id, id.file_offset).unwrap().len());"#,
    fill_batch: 1000,
    entries_max: 10_000_000,
    open,
};

struct Log {
    wal: WriteAhead<SimpleFile>,
    writer: WriteHandle,
}

fn open(dir: &Path, settings: Settings) -> Fallible<Option<Box<dyn Subject>>> {
    if matches!(settings.mode, Mode::Buffered | Mode::Written) {
        return Ok(None);
    }
    let defaults = WriteAheadOptions::default();
    let max_file_size = settings.segment_len.unwrap_or(defaults.max_file_size);
    let mut wal =
        WriteAhead::with_options(WriteAheadOptions { log_dir: dir.into(), max_file_size, ..defaults });
    wal.start()?;
    let writer = wal.writer()?;
    Ok(Some(Box::new(Log { wal, writer })))
}

impl Subject for Log {
    fn append(&self, _thread: usize, payload: &[u8]) -> Fallible<Place> {
        let id = block_on(self.writer.write(payload.to_vec()))?;
        Ok(Place { space: id.file_id, at: id.file_offset, len: 0 })
    }

    fn append_batch(&self, _thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let payloads = payloads.iter().map(|payload| payload.to_vec()).collect();
        let append = || {
            let ids = block_on(self.writer.write_batch(payloads))?;
            Ok(ids.into_iter().map(|id| Place { space: id.file_id, at: id.file_offset, len: 0 }).collect())
        };
        Some(append())
    }

    fn count(&self, len: usize) -> Option<Fallible<u64>> {
        Some(self.scan(len)?.map(|found| found.entries))
    }

    fn scan(&self, _len: usize) -> Option<Fallible<Found>> {
        let scan = || {
            let mut found = Found::default();
            for record in block_on_stream(self.wal.create_stream()?) {
                found.add(&record?.1);
            }
            Ok(found)
        };
        Some(scan())
    }

    fn get(&self, place: Place) -> Option<Fallible<usize>> {
        Some(self.wal.read(place.space, place.at).map(|payload| payload.len()).map_err(Into::into))
    }
}
