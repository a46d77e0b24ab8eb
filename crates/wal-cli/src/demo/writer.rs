//! The process that is killed: appends, and tells on its standard output what was acknowledged.

use std::{
    io::{self, Read, Write},
    num::NonZeroU8,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use snafu::ResultExt;
use wal::{AppendOptions, Lsn, Wal};

use super::{corpus::Corpus, crew};
use crate::error::{Failure, OutputSnafu};

#[derive(Debug, clap::Args)]
pub(crate) struct DemoWriterArgs {
    #[arg(long)]
    log: PathBuf,
    #[arg(long)]
    lines: PathBuf,
    #[arg(long)]
    threads: NonZeroU8,
    /// Lines to append; without end by default.
    #[arg(long)]
    records: Option<u64>,
}

/// An append that returned. Written as a line of numbers, in one write: a pipe takes so little whole or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) lsn: Lsn,
    pub(crate) line: u64,
    /// How long the append took.
    pub(crate) took: Duration,
    /// Syncs of the writer so far.
    pub(crate) syncs: u64,
}

impl Ack {
    fn encode(&self) -> String {
        format!("{} {} {} {}\n", self.lsn, self.line, self.took.as_nanos(), self.syncs)
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        let mut numbers = text.strip_suffix('\n')?.split(' ').map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let (lsn, line, nanos, syncs) = (Lsn::new(next()?)?, next()?, next()?, next()?);
        Some(Self { lsn, line, took: Duration::from_nanos(nanos), syncs })
    }
}

pub(crate) fn run(args: &DemoWriterArgs) -> Result<(), Failure> {
    let corpus = Corpus::load(&args.lines)?;
    let wal = Wal::open(&args.log)?;
    let threads = u64::from(args.threads.get());
    let append = |thread: u64| -> Result<(), Failure> {
        let step = usize::try_from(threads).unwrap_or(usize::MAX);
        for line in (thread..args.records.unwrap_or(u64::MAX)).step_by(step) {
            let entry = crew::entry(&corpus, line, threads);
            let started = Instant::now();
            let lsn = wal.append_with(entry, &AppendOptions::default())?;
            let took = started.elapsed();
            let ack = Ack { lsn, line, took, syncs: wal.stats().syncs };
            io::stdout().lock().write_all(ack.encode().as_bytes()).context(OutputSnafu)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || append(thread))).collect();
        workers.into_iter().try_for_each(crew::join)
    })?;
    // Whoever was told to end by itself waits for the kill, or for the end of its parent.
    let _ = io::stdin().read(&mut [0]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_is_read_as_it_was_written() {
        let ack = Ack { lsn: Lsn::new(3).unwrap(), line: 17, took: Duration::from_nanos(9), syncs: 2 };
        assert_eq!(Ack::decode(&ack.encode()), Some(ack));
        for torn in ["", "3", "3 17 9 2", "3 17 9\n", "0 17 9 2\n", "x 1 1 1\n"] {
            assert_eq!(Ack::decode(torn), None, "{torn}");
        }
    }
}
