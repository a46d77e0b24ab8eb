//! `wal backup` and `wal clone`: the same log elsewhere, and a new log with the same entries.

use std::path::PathBuf;

use crate::{
    error::{Failure, UsageSnafu},
    output::Output,
    place::LogArgs,
    size,
};

const BACKUP_HELP: &str = "\
Examples:
  wal backup ./log /backup/log-2026-11-20    a copy of what is there now, also while a program appends
  wal dump /backup/log-2026-11-20            it is a log like any other

Restoring is opening the copy, in place or where it is moved to. It is the same log, with the same id.

Segments that will not change any more are hard links where DEST is in the same file system: they take no space until
the log lets go of them, and do not protect from a disk that fails. Everything else is copied. When the command ends
well the copy is durable. DEST must be missing or empty; until the copy is complete it is called DEST.partial, and one
that is left can be removed.";

const CLONE_HELP: &str = "\
Examples:
  wal clone ./log ./experiment --new-id      the same entries in a log of its own

Entries keep their LSNs, kinds, terms, timestamps, append times and transactions; checkpoints, cursors and values come
along. Every frame is verified. Nothing is shared with the log that is cloned. For a copy with the same identity, see
backup.";

/// Copy a log while it is in use
#[derive(Debug, clap::Args)]
#[command(after_help = BACKUP_HELP)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    log: LogArgs,
    /// The directory of the copy, which must be empty or missing
    dest: PathBuf,
}

/// Make a new log with the entries of another one
#[derive(Debug, clap::Args)]
#[command(after_help = CLONE_HELP)]
pub(crate) struct CloneArgs {
    #[command(flatten)]
    log: LogArgs,
    /// The directory of the new log, which must be empty or missing
    dest: PathBuf,
    /// Give it an identity of its own; without that use backup
    #[arg(long)]
    new_id: bool,
}

pub(crate) fn backup(args: &BackupArgs, out: &mut Output) -> Result<(), Failure> {
    let report = args.log.read_only()?.backup(&args.dest)?;
    let (first, next, copied) = (report.first, report.next, size::human(report.copied_bytes));
    let (segments, linked) = (report.segments, report.linked);
    out.line(format_args!(
        "{}: from LSN {first}, next {next}; {segments} segments, {linked} linked, {copied} copied",
        args.dest.display()
    ))
}

pub(crate) fn clone(args: &CloneArgs, out: &mut Output) -> Result<(), Failure> {
    if !args.new_id {
        return UsageSnafu { what: "a clone has an id of its own: say --new-id, or use `wal backup`" }.fail();
    }
    let report = args.log.read_only()?.clone_to(&args.dest)?;
    let (first, next, frames) = (report.first, report.next, report.frames);
    out.line(format_args!("{}: from LSN {first}, next {next}; {frames} frames", args.dest.display()))
}
