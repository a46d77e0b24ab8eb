//! `wal top`: a running log, seen through its files alone.

mod screen;

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    thread,
    time::{Duration, Instant},
};

use wal::{SegmentSummary, Wal};

use crate::{error::Failure, output::Output, place::LogArgs, stats::interval};

const AFTER_HELP: &str = "\
Examples:
  wal top ./log                              until interrupted
  wal top ./log --interval 5s | tee top.txt  one line each time, where there is no terminal

Looks at the files, takes no lock and changes nothing: the writer does not notice. `unproven` are entries that the files
do not prove durable. A writer proves its last sync with its next write, so most of them are durable already.";

/// Watch a log that another process writes: rates, segments, consumers
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    log: LogArgs,
    /// How often to look
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// End after so many looks
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
}

/// What one look found.
#[derive(Clone, Debug, Default)]
struct Look {
    at: Duration,
    first: u64,
    next: u64,
    durable_next: u64,
    /// Where the data of each segment ends.
    ends: BTreeMap<u64, u64>,
    file_bytes: u64,
    /// Where each cursor stands, and how far behind that is.
    cursors: Vec<(String, u64, u64)>,
}

/// What changed between two looks, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Rates {
    entries: f64,
    bytes: f64,
    rotations: f64,
    /// Entries removed from the front.
    removed: f64,
}

pub(crate) fn run(args: &TopArgs, out: &mut Output) -> Result<(), Failure> {
    let wal = args.log.read_only()?;
    let started = Instant::now();
    let is_terminal = io::stdout().is_terminal();
    let mut before = look(&wal, started.elapsed())?;
    let mut history = Vec::new();
    let mut left = args.count;
    loop {
        thread::sleep(args.interval);
        wal.refresh()?;
        let now = look(&wal, started.elapsed())?;
        let rates = Rates::between(&before, &now);
        history.push(rates.entries);
        let text = if is_terminal {
            screen::page(args.log.path(), &before, &now, &rates, &history)
        } else {
            screen::line(&now, &rates)
        };
        out.bytes(text.as_bytes())?;
        out.flush()?;
        before = now;
        left = left.map(|left| left.saturating_sub(1));
        if left == Some(0) {
            return Ok(());
        }
    }
}

fn look(wal: &Wal, at: Duration) -> Result<Look, Failure> {
    let segments: Vec<SegmentSummary> = wal.segments()?;
    let stats = wal.stats();
    let cursors = wal.cursors()?;
    Ok(Look {
        at,
        first: stats.first_lsn,
        next: stats.next_lsn,
        durable_next: stats.durable_next_lsn,
        ends: segments.iter().map(|segment| (segment.id.0, segment.end)).collect(),
        file_bytes: segments.iter().map(|segment| segment.file_len).sum(),
        cursors: cursors.into_iter().map(|info| (info.name, info.next.get(), info.lag)).collect(),
    })
}

impl Rates {
    fn between(before: &Look, now: &Look) -> Self {
        let time = now.at.saturating_sub(before.at).as_secs_f64().max(1e-9);
        let rate = |from: u64, to: u64| to.saturating_sub(from) as f64 / time;
        // Segments only grow, and new ones begin with nothing.
        let grown = |(id, end): (&u64, &u64)| end.saturating_sub(before.ends.get(id).copied().unwrap_or(0));
        let newest = |look: &Look| look.ends.keys().next_back().copied().unwrap_or(0);
        Self {
            entries: rate(before.next, now.next),
            bytes: rate(0, now.ends.iter().map(grown).sum()),
            rotations: rate(newest(before), newest(now)),
            removed: rate(before.first, now.first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_count_what_was_written_and_not_what_was_removed() {
        let look = |seconds, first, next, ends: &[(u64, u64)]| Look {
            at: Duration::from_secs(seconds),
            first,
            next,
            ends: ends.iter().copied().collect(),
            ..Look::default()
        };
        let before = look(10, 1, 101, &[(1, 1000), (2, 500)]);
        let now = look(12, 51, 301, &[(2, 1500), (3, 400)]);
        let rates = Rates::between(&before, &now);
        assert_eq!(rates, Rates { entries: 100.0, bytes: 700.0, rotations: 0.5, removed: 25.0 });
        let cut = look(13, 51, 60, &[(2, 1500), (4, 100)]);
        assert_eq!(Rates::between(&now, &cut).entries, 0.0, "a log that was cut has not grown");
    }
}
