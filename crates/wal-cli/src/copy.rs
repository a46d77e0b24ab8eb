//! `wal copy`: a log from one place to another, whatever kind of place either is.

use std::path::PathBuf;

use crate::{
    config::ConfigArgs,
    error::{Failure, UsageSnafu},
    output::Output,
    place::LogArgs,
    progress::Progress,
    size,
};

const AFTER_HELP: &str = "\
Examples:
  wal copy ./log s3://bucket/logs/orders     up
  wal copy s3://bucket/logs/orders ./log     and down again
  wal copy s3://one/log s3://other/log       only what is not there yet

The copy is the same log, with the same id and the same segments, byte for byte. Every frame is verified on the way, and
everything is read once more in its new place. The log may be in use: what is copied is what was there when the command
began.

DEST must be empty or hold a part of the same copy: a command that was cut short is simply given again, and one that
copies from a URL brings an older copy up to date. Until it is complete a new copy cannot be opened. A directory that is
copied must not have grown since, because the last file of the copy would have to change.";

/// Copy a log between directories and URLs, or complete a copy
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CopyArgs {
    #[command(flatten)]
    log: LogArgs,
    /// The directory or the URL of the copy
    dest: PathBuf,
}

pub(crate) fn run(args: &CopyArgs, out: &mut Output) -> Result<(), Failure> {
    let config: &ConfigArgs = &args.log.config;
    if args.log.has_tier() {
        return UsageSnafu { what: "a copy does not read a tier: say `wal backup LOG DEST --tier URL`" }
            .fail();
    }
    let progress = Progress::unknown("copying");
    let report = wal::copy(args.log.path(), &args.dest, &config.config()?)?;
    drop(progress);
    let (first, next, bytes) = (report.first, report.next, size::human(report.copied_bytes));
    let (segments, copied) = (report.segments, report.copied);
    out.line(format_args!(
        "{}: from LSN {first}, next {next}; {segments} segments, {copied} of them copied now, {bytes}; verified",
        args.dest.display()
    ))
}
