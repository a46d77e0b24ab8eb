//! Threads that append lines.

use std::{
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use wal::{AppendOptions, NewEntry, Wal};

use super::{audit::Progress, corpus::Corpus};
use crate::error::{DemoSnafu, Failure};

/// A line as an entry: the kind says which thread appended it, the term which line it is.
pub(crate) fn entry(corpus: &Corpus, line: u64, threads: u64) -> NewEntry<'_> {
    NewEntry { kind: thread_of(line, threads), term: Some(line), ..NewEntry::plain(corpus.line(line)) }
}

/// There are at most 255 threads.
pub(crate) fn thread_of(line: u64, threads: u64) -> u8 {
    u8::try_from(line % threads).unwrap_or(u8::MAX)
}

/// What appending the rest took.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) latencies: Vec<Duration>,
    pub(crate) syncs: u64,
    pub(crate) elapsed: Duration,
}

/// Appends all lines below `total` that are not there yet: every thread goes on where it was stopped.
pub(crate) fn append_rest(
    wal: &Wal,
    corpus: &Corpus,
    progress: &Progress,
    total: u64,
) -> Result<Rest, Failure> {
    let syncs = wal.stats().syncs;
    let started = Instant::now();
    let threads = progress.threads();
    let append = |first: u64| -> Result<Vec<Duration>, Failure> {
        let step = usize::try_from(threads).unwrap_or(usize::MAX);
        let mut latencies = Vec::new();
        for line in (first..total).step_by(step) {
            let entry = entry(corpus, line, threads);
            let started = Instant::now();
            wal.append_with(entry, &AppendOptions::default())?;
            latencies.push(started.elapsed());
        }
        Ok(latencies)
    };
    let append = &append;
    let latencies = thread::scope(|scope| {
        let firsts = (0..threads).map(|thread| progress.next_line(thread));
        let workers: Vec<_> = firsts.map(|first| scope.spawn(move || append(first))).collect();
        workers.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    Ok(Rest { latencies: latencies.concat(), syncs: wal.stats().syncs - syncs, elapsed: started.elapsed() })
}

pub(crate) fn join<T>(worker: ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    worker.join().unwrap_or_else(|_| DemoSnafu { what: "a thread panicked" }.fail())
}
