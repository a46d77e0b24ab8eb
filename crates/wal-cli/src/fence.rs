//! `wal fence`: stopping whoever writes to a log on object storage.

use serde::Serialize;
use wal::Wal;

use crate::{
    args::Listing,
    error::{Failure, UsageSnafu},
    output::Output,
    place::{self, LogArgs},
};

const AFTER_HELP: &str = "\
Examples:
  wal fence s3://bucket/logs/orders          whoever writes to it fails with its next sync

Takes a new epoch and gives it up again: entries that were acknowledged stay, and what the old writer publishes later is
no part of the log. A program that opens the log afterwards takes the next epoch. A log in a directory needs none of
this: its lock goes with the process that holds it.";

/// Stop the writer of a log on object storage, by taking a new epoch
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct FenceArgs {
    #[command(flatten)]
    log: LogArgs,
    /// What the result is printed as
    #[arg(long, value_enum, default_value_t = Listing::Table)]
    format: Listing,
}

#[derive(Serialize)]
struct Fenced {
    old_epoch: u64,
    new_epoch: u64,
    next: u64,
}

pub(crate) fn run(args: &FenceArgs, out: &mut Output) -> Result<(), Failure> {
    if !place::is_url(args.log.path()) {
        let what = "only a log at a URL is fenced: end the process that has the directory open";
        return UsageSnafu { what }.fail();
    }
    let old_epoch = epoch(&args.log.read_only()?)?;
    let wal = args.log.builder()?.open()?;
    let (new_epoch, next) = (epoch(&wal)?, wal.next_lsn().get());
    place::close(&wal)?;
    match args.format {
        Listing::Json => out.json(&Fenced { old_epoch, new_epoch, next }),
        Listing::Table => {
            out.line(format_args!("epoch {old_epoch} is over, {new_epoch} begins; next {next}"))
        }
    }
}

/// That of the newest segment.
fn epoch(wal: &Wal) -> Result<u64, Failure> {
    Ok(wal.segments()?.last().map_or(0, |segment| segment.epoch))
}
