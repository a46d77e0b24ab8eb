//! `wal get`: one entry.

use wal::Lsn;

use crate::{args, error::Failure, format::Format, output::Output, place::LogArgs};

const AFTER_HELP: &str = "\
Examples:
  wal get ./log 42 > record.bin              exactly the bytes that were appended
  wal get ./log 42 --format jsonl            with kind, time and the rest";

/// Print one entry
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    log: LogArgs,
    /// The number of the entry
    #[arg(value_parser = args::lsn)]
    lsn: Lsn,
    /// What an entry is printed as
    #[arg(long, value_enum, default_value_t = Format::Raw)]
    format: Format,
}

pub(crate) fn run(args: &GetArgs, out: &mut Output) -> Result<(), Failure> {
    let entry = args.log.read_only()?.get(args.lsn)?;
    args.format.print(&entry, out)
}
