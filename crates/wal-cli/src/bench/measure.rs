//! What is measured, for a fixed time each.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use snafu::ResultExt;
use wal::Wal;

use crate::error::{Failure, FileSnafu};

/// So much of a file is filled with zeros for the raw floor, and used again from its start.
const RAW_LEN: u64 = 64 << 20;
/// Appends to memory between two looks at the clock.
const BUFFERED: u64 = 256;
/// The bytes of a frame besides its payload.
const HEADER: usize = 40;

/// How often something was done, and how long each took.
#[derive(Debug, Default)]
pub(super) struct Measured {
    count: u64,
    elapsed: Duration,
    /// In ascending order; empty where single ones are too short to be timed.
    times: Vec<Duration>,
    pub(super) per_sync: Option<f64>,
}

impl Measured {
    fn of(mut times: Vec<Duration>, elapsed: Duration) -> Self {
        times.sort_unstable();
        Self { count: times.len() as u64, elapsed, times, per_sync: None }
    }

    /// The two together.
    pub(super) fn join(&mut self, mut other: Self) {
        self.count += other.count;
        self.elapsed += other.elapsed;
        self.times.append(&mut other.times);
        self.times.sort_unstable();
        self.per_sync = other.per_sync.or(self.per_sync);
    }

    pub(super) fn per_second(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// In microseconds.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let last = self.times.len().checked_sub(1)?;
        self.times.get((last as f64 * share) as usize).map(|time| time.as_secs_f64() * 1e6)
    }
}

/// The floor: each record is written behind the one before and synced, into space that is initialised.
#[derive(Debug)]
pub(super) struct Raw {
    path: PathBuf,
    file: File,
    record: Vec<u8>,
    offset: u64,
}

impl Raw {
    pub(super) fn create(path: &Path, payload: &[u8]) -> Result<Self, Failure> {
        let mut record = payload.to_vec();
        record.resize((payload.len() + HEADER).next_multiple_of(8), 1);
        let create = || {
            let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
            let zeros = vec![0; 1 << 20];
            (0..RAW_LEN / zeros.len() as u64).try_for_each(|_| file.write_all(&zeros))?;
            file.sync_all()?;
            Ok::<_, io::Error>(file)
        };
        let file = create().context(FileSnafu { operation: "create", path })?;
        Ok(Self { path: path.to_owned(), file, record, offset: 0 })
    }

    pub(super) fn run(&mut self, time: Duration) -> Result<Measured, Failure> {
        let (start, mut times) = (Instant::now(), Vec::new());
        while times.is_empty() || start.elapsed() < time {
            let begun = Instant::now();
            let written = write_at(&mut self.file, self.offset, &self.record);
            let synced = written.and_then(|()| self.file.sync_data());
            synced.context(FileSnafu { operation: "write to", path: &self.path })?;
            times.push(begun.elapsed());
            let len = self.record.len() as u64;
            self.offset += len;
            if self.offset + len > RAW_LEN {
                self.offset = 0;
            }
        }
        Ok(Measured::of(times, start.elapsed()))
    }
}

fn write_at(file: &mut File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, bytes, offset);
    #[cfg(not(unix))]
    {
        use std::io::{Seek, SeekFrom};
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }
}

/// Threads that append, each waiting until its entry is durable.
pub(super) fn durable(wal: &Wal, payload: &[u8], threads: u16, time: Duration) -> Result<Measured, Failure> {
    // The first append starts a segment.
    wal.append(payload)?;
    let before = wal.stats();
    let start = Instant::now();
    let work = || {
        let mut times = Vec::new();
        while times.is_empty() || start.elapsed() < time {
            let begun = Instant::now();
            wal.append(payload)?;
            times.push(begun.elapsed());
        }
        Ok::<_, Failure>(times)
    };
    let times = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Result<Vec<Duration>, Failure>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    let elapsed = start.elapsed();
    let after = wal.stats();
    let syncs = after.syncs.saturating_sub(before.syncs).max(1);
    let per_sync = after.entries.saturating_sub(before.entries) as f64 / syncs as f64;
    Ok(Measured { per_sync: Some(per_sync), ..Measured::of(times.concat(), elapsed) })
}

/// Appends that return before anything is durable; what is left at the end is synced within the time.
pub(super) fn buffered(wal: &Wal, payload: &[u8], time: Duration) -> Result<Measured, Failure> {
    wal.append(payload)?;
    let start = Instant::now();
    let mut count = 0;
    while count == 0 || start.elapsed() < time {
        for _ in 0..BUFFERED {
            wal.append(payload)?;
        }
        count += BUFFERED;
    }
    wal.sync()?;
    Ok(Measured { count, elapsed: start.elapsed(), ..Measured::default() })
}

/// All entries in order, checksums verified, over and over.
pub(super) fn read(wal: &Wal, time: Duration) -> Result<Measured, Failure> {
    let start = Instant::now();
    let mut count = 0;
    while count == 0 || start.elapsed() < time {
        for entry in wal.iter() {
            entry?;
            count += 1;
            if count % BUFFERED == 0 && start.elapsed() >= time {
                break;
            }
        }
    }
    Ok(Measured { count, elapsed: start.elapsed(), ..Measured::default() })
}
