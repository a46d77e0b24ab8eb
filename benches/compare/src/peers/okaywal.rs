//! `okaywal`.

use std::{
    io::{self, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use okaywal::{Configuration, Entry, EntryId, LogManager, LogPosition, SegmentReader, WriteAheadLog};

use crate::subject::{Fallible, Mode, Peer, Place, Settings, Subject};

pub const PEER: Peer = Peer {
    name: "okaywal",
    version: "0.3.1",
    caveats: "Files of 64 MiB, zero-filled (1 MiB by default), never checkpointed in a run, which would recycle what \
              is to be verified; in the rotation rows they are checkpointed when three quarters full, as it \
              recommends, and nothing is counted. Opening is its only scan. No buffered mode. An entry of many chunks \
              has no checksum over the whole. A get opens the file.",
    atomic_batches: true,
    verifies: true,
    dependency: "okaywal = \"=0.3.1\"",
    program: r#"
    let log = okaywal::WriteAheadLog::recover("log", okaywal::LogVoid).unwrap();
    let mut entry = log.begin_entry().unwrap();
    let chunk = entry.write_chunk(b"hello").unwrap();
    entry.commit().unwrap();
    println!("{}", log.read_at(chunk.position).unwrap().chunk_length());"#,
    fill_batch: 1000,
    entries_max: 2_000_000,
    open,
};

struct Log {
    wal: WriteAheadLog,
    recovered: Arc<AtomicU64>,
    is_checkpointed: bool,
}

/// Counts what recovery finds, and keeps nothing.
#[derive(Debug)]
struct Counter(Arc<AtomicU64>);

impl LogManager for Counter {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        let chunks = entry.read_all_chunks()?.unwrap_or_default();
        self.0.fetch_add(chunks.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn checkpoint_to(&mut self, _: EntryId, _: &mut SegmentReader, _: &WriteAheadLog) -> io::Result<()> {
        Ok(())
    }
}

fn open(dir: &Path, settings: Settings) -> Fallible<Option<Box<dyn Subject>>> {
    if matches!(settings.mode, Mode::Buffered | Mode::Written) {
        return Ok(None);
    }
    let recovered = Arc::new(AtomicU64::new(0));
    let len = settings.segment_len.unwrap_or(64 << 20);
    let checkpoint = settings.segment_len.map_or(u64::MAX >> 1, |len| len / 4 * 3);
    let wal = Configuration::default_for(dir)
        .preallocate_bytes(u32::try_from(len)?)
        .checkpoint_after_bytes(checkpoint)
        .open(Counter(Arc::clone(&recovered)))?;
    Ok(Some(Box::new(Log { wal, recovered, is_checkpointed: settings.segment_len.is_some() })))
}

impl Subject for Log {
    fn append(&self, thread: usize, payload: &[u8]) -> Fallible<Place> {
        let places = self.append_batch(thread, &[payload]).ok_or("it has batches")??;
        Ok(places.into_iter().next().ok_or("it wrote nothing")?)
    }

    fn append_batch(&self, _thread: usize, payloads: &[&[u8]]) -> Option<Fallible<Vec<Place>>> {
        let append = || {
            let mut entry = self.wal.begin_entry()?;
            let mut places = Vec::with_capacity(payloads.len());
            for payload in payloads {
                let mut position = Vec::with_capacity(16);
                entry.write_chunk(payload)?.position.serialize_to(&mut position)?;
                let (space, at) = position.split_at(8);
                let (space, at) = (u64::from_le_bytes(space.try_into()?), u64::from_le_bytes(at.try_into()?));
                places.push(Place { space, at, len: 0 });
            }
            entry.commit()?;
            Ok(places)
        };
        Some(append())
    }

    fn close(self: Box<Self>) -> Fallible<()> {
        Ok(self.wal.shutdown()?)
    }

    fn count(&self, _len: usize) -> Option<Fallible<u64>> {
        (!self.is_checkpointed).then(|| Ok(self.recovered.load(Ordering::Relaxed)))
    }

    fn get(&self, place: Place) -> Option<Fallible<usize>> {
        let get = || {
            let position = [place.space.to_le_bytes(), place.at.to_le_bytes()].concat();
            let mut chunk = self.wal.read_at(LogPosition::deserialize_from(&position[..])?)?;
            let mut payload = Vec::with_capacity(chunk.chunk_length() as usize);
            chunk.read_to_end(&mut payload)?;
            if !chunk.crc_is_valid()? {
                return Err("wrong checksum".into());
            }
            Ok(payload.len())
        };
        Some(get())
    }
}
