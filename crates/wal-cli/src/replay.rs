//! `wal replay`: the entries of a range of numbers, times or checkpoints, printed and, if asked, removed.

use std::{ops::Bound, time::SystemTime};

use wal::{BatchLimit, Direction, Lsn, ReplayError, ReplayOptions, ReplayPoint};

use crate::{
    args,
    error::{Failure, UsageSnafu, tell},
    format::Format,
    output::Output,
    place::LogArgs,
};

const AFTER_HELP: &str = "\
Examples:
  wal replay ./log --since 2026-11-20T08:00:00Z --until 2026-11-20T09:00:00Z
  wal replay ./log --from 100 --to 199 --reverse
  wal replay ./log --from-checkpoint nightly --format jsonl
  wal replay ./log --drain >> archive.txt    print everything and remove it from the log

With --drain a batch is removed only after it was written to the standard output, and durably, a segment at a time. It
takes the log's lock. Unlike retention it waits neither for cursors nor for protected checkpoints. After a crash some
entries may be printed again; none is removed that was not printed. Whether what was printed is safe is for the reader
of the output to see to.

A number or a checkpoint to begin at whose entries were removed is an error; a time is not.";

/// Print a range of entries by number, time or checkpoint, and remove them if asked
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    log: LogArgs,
    /// The first entry
    #[arg(long, value_name = "LSN", value_parser = args::lsn, group = "begin")]
    from: Option<Lsn>,
    /// The last entry
    #[arg(long, value_name = "LSN", value_parser = args::lsn, group = "end")]
    to: Option<Lsn>,
    /// Entries appended at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak, group = "begin")]
    since: Option<SystemTime>,
    /// Entries appended before this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak, group = "end")]
    until: Option<SystemTime>,
    /// Entries behind this checkpoint
    #[arg(long, value_name = "NAME", group = "begin")]
    from_checkpoint: Option<String>,
    /// Entries before this checkpoint
    #[arg(long, value_name = "NAME", group = "end")]
    to_checkpoint: Option<String>,
    /// Begin with the newest
    #[arg(long, conflicts_with = "drain")]
    reverse: bool,
    /// Entries that are read, printed and removed together
    #[arg(long, value_name = "N", default_value_t = 1000)]
    batch: usize,
    /// Remove from the log what was printed
    #[arg(long, conflicts_with = "begin")]
    drain: bool,
    /// What an entry is printed as
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(args: &ReplayArgs, out: &mut Output) -> Result<(), Failure> {
    if args.batch == 0 {
        return UsageSnafu { what: "--batch must be at least 1" }.fail();
    }
    // Where there is no log, none is created.
    let reader = args.log.read_only()?;
    let wal = if args.drain { args.log.existing()? } else { reader };
    let options = ReplayOptions {
        from: args.begin(),
        to: args.end(),
        direction: if args.reverse { Direction::Backward } else { Direction::Forward },
        batch: BatchLimit { entries: args.batch, ..BatchLimit::default() },
        drain: args.drain,
        ..ReplayOptions::default()
    };
    let replayed = wal.replay(&options, |batch| {
        batch.iter().try_for_each(|entry| args.format.print_line(entry, out))?;
        // What is to be removed must have left this process.
        if args.drain { out.flush() } else { Ok(()) }
    });
    let report = match replayed {
        Ok(report) => report,
        Err(ReplayError::Rejected { error, .. }) => return Err(error),
        Err(ReplayError::Log { error, .. }) => return Err(error.into()),
    };
    if args.drain {
        tell(&format!("{} entries were printed and removed", report.drained));
        wal.close()?;
    }
    Ok(())
}

impl ReplayArgs {
    fn begin(&self) -> Bound<ReplayPoint> {
        let lsn = self.from.map(ReplayPoint::from);
        let time = self.since.map(ReplayPoint::from);
        let checkpoint = self.from_checkpoint.clone().map(ReplayPoint::Checkpoint);
        lsn.or(time).or(checkpoint).map_or(Bound::Unbounded, Bound::Included)
    }

    fn end(&self) -> Bound<ReplayPoint> {
        let lsn = self.to.map(|lsn| Bound::Included(lsn.into()));
        let time = self.until.map(|time| Bound::Excluded(time.into()));
        let checkpoint =
            self.to_checkpoint.clone().map(|name| Bound::Excluded(ReplayPoint::Checkpoint(name)));
        lsn.or(time).or(checkpoint).unwrap_or(Bound::Unbounded)
    }
}
