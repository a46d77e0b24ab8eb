//! `wal prune`: letting go of the oldest entries, by number or by size.

use std::time::Duration;

use serde::Serialize;
use wal::{Lsn, Retention};

use crate::{
    args::{self, Listing},
    error::Failure,
    output::Output,
    place::{self, LogArgs},
    retain::{Holder, holders},
};

const AFTER_HELP: &str = "\
Examples:
  wal prune s3://bucket/log --before 1000        the log begins with entry 1000
  wal prune s3://bucket/log --keep-bytes 10GiB   whole segments go, oldest first, until no more than that is left

Durable when the command ends. --before holds nothing back; with --keep-bytes cursors and protected checkpoints hold
back what they need. On object storage the fences of former writers stay: they are less than a kilobyte each, and
without them a writer that was stopped could write on. See also truncate, and retain, which can say beforehand what
would go.";

/// Remove the oldest entries, by number or by the size of the log
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    what: What,
    /// What the result is printed as
    #[arg(long, value_enum, default_value_t = Listing::Table)]
    format: Listing,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Remove the entries before this one
    #[arg(long, value_name = "LSN", value_parser = args::lsn)]
    before: Option<Lsn>,
    /// Remove the oldest segments while all of them together are longer than this
    #[arg(long, value_name = "SIZE", value_parser = wal::human::parse_size)]
    keep_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Done {
    first: u64,
    entries: u64,
    segments: u64,
    bytes: u64,
    held_back_by: Vec<Holder>,
}

pub(crate) fn run(args: &PruneArgs, out: &mut Output) -> Result<(), Failure> {
    let wal = args.log.existing()?;
    let (entries, segments, bytes, pins) = match args.what.before {
        Some(first) => {
            let removed = wal.truncate_before(first)?;
            (removed.entries, removed.segments, removed.bytes, Vec::new())
        }
        None => {
            let policy = Retention {
                max_bytes: args.what.keep_bytes,
                clock_trial: Duration::ZERO,
                ..Retention::default()
            };
            let removed = wal.retain_with(&policy)?;
            (removed.entries, removed.segments, removed.freed_bytes, removed.held_back_by)
        }
    };
    let first = wal.first_lsn().unwrap_or_else(|| wal.next_lsn()).get();
    place::close(&wal)?;
    if args.format == Listing::Json {
        return out.json(&Done { first, entries, segments, bytes, held_back_by: holders(pins) });
    }
    pins.iter().try_for_each(|pin| out.line(format_args!("held back by {pin}")))?;
    out.line(format_args!(
        "removed {entries} entries; {segments} segments, {bytes} bytes freed; first entry {first}"
    ))
}
