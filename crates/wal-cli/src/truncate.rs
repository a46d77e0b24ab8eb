//! `wal truncate`: taking entries away from one end.

use serde::Serialize;
use wal::Lsn;

use crate::{
    args::{self, Listing},
    error::Failure,
    output::Output,
    place::{self, LogArgs},
};

const AFTER_HELP: &str = "\
Examples:
  wal truncate ./log --before 1000           the log begins with entry 1000
  wal truncate ./log --after 1999            the log ends with entry 1999; the next append gets 2000

Both are durable when the command ends. Cursors hold nothing back here; `wal retain` respects them.";

/// Remove the entries before or after one
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TruncateArgs {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    place: Place,
    /// What the result is printed as
    #[arg(long, value_enum, default_value_t = Listing::Table)]
    format: Listing,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// Remove the entries before this one
    #[arg(long, value_name = "LSN", value_parser = args::lsn)]
    before: Option<Lsn>,
    /// Remove the entries after this one
    #[arg(long, value_name = "LSN", value_parser = args::lsn)]
    after: Option<Lsn>,
}

#[derive(Serialize)]
struct Done {
    entries: u64,
    segments: u64,
    bytes: u64,
    checkpoints: Vec<String>,
    cursors: Vec<String>,
}

pub(crate) fn run(args: &TruncateArgs, out: &mut Output) -> Result<(), Failure> {
    let wal = args.log.existing()?;
    let removed = match (args.place.before, args.place.after) {
        (Some(first), _) => wal.truncate_before(first)?,
        (None, Some(last)) => wal.truncate_after(last)?,
        // One of the two is required.
        (None, None) => return Ok(()),
    };
    place::close(&wal)?;
    let wal::Truncation { entries, segments, bytes, checkpoints, cursors, .. } = removed;
    if args.format == Listing::Json {
        return out.json(&Done { entries, segments, bytes, checkpoints, cursors });
    }
    checkpoints.iter().try_for_each(|name| out.line(format_args!("deleted checkpoint {name:?}")))?;
    cursors.iter().try_for_each(|name| out.line(format_args!("moved cursor {name:?} to the cut")))?;
    out.line(format_args!("removed {entries} entries; {segments} segments, {bytes} bytes freed"))
}
