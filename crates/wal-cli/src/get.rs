//! `wal get`: one entry.

use std::path::PathBuf;

use wal::{Lsn, Wal};

use crate::{args, error::Failure, format::Format, output::Output};

const AFTER_HELP: &str = "\
Examples:
  wal get ./log 42 > record.bin              exactly the bytes that were appended
  wal get ./log 42 --format jsonl            with kind, time and the rest";

/// Print one entry
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct GetArgs {
    /// The directory of the log
    dir: PathBuf,
    /// The number of the entry
    #[arg(value_parser = args::lsn)]
    lsn: Lsn,
    /// What an entry is printed as
    #[arg(long, value_enum, default_value_t = Format::Raw)]
    format: Format,
}

pub(crate) fn run(args: &GetArgs, out: &mut Output) -> Result<(), Failure> {
    let entry = Wal::open_read_only(&args.dir)?.get(args.lsn)?;
    args.format.print(&entry, out)
}
