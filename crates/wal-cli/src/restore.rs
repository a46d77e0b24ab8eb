//! `wal restore`: a lost log from its tier.

use std::path::PathBuf;

use wal::Wal;

use crate::{config::ConfigArgs, error::Failure, output::Output, size};

const RESTORE_HELP: &str = "\
Examples:
  wal restore s3://bucket/orders ./log       the log whose segments were shipped there
  wal restore /mnt/server/orders ./log       the same from a directory

The tier holds what was sealed and shipped: the log comes back up to the end of the last such segment, with its id, its
checkpoints, cursors and values. What was appended after that was on the lost machine alone. The tier is only read.
Opened with the same tier the log goes on shipping to it.

When the command ends well the log is durable. DIR must be missing or empty; until the log is complete it is called
DIR.partial, and one that is left can be removed. Credentials for s3:// come from the environment (AWS_...) or from a
profile.";

/// Bring a lost log back from its tier
#[derive(Debug, clap::Args)]
#[command(after_help = RESTORE_HELP)]
pub(crate) struct RestoreArgs {
    /// The tier: s3://bucket/prefix or a directory
    tier: PathBuf,
    /// The directory of the log, which must be empty or missing
    dir: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(crate) fn run(args: &RestoreArgs, out: &mut Output) -> Result<(), Failure> {
    let builder = Wal::builder(&args.dir).config(args.config.config()?);
    let report = builder.tier_url(&args.tier).restore()?;
    let (first, next, copied) = (report.first, report.next, size::human(report.copied_bytes));
    let segments = report.segments;
    out.line(format_args!(
        "{}: from LSN {first}, next {next}; {segments} segments, {copied} copied",
        args.dir.display()
    ))
}
