//! `wal dump`: entries, in order or from the back.

use std::{ops::Bound, path::PathBuf};

use wal::{Lsn, Wal};

use crate::{
    args,
    error::{Failure, UsageSnafu},
    format::Format,
    output::Output,
};

const AFTER_HELP: &str = "\
Examples:
  wal dump ./log                             everything, as text
  wal dump ./log --reverse --limit 10        the last ten entries, newest first
  wal dump ./log --from 100 --to 199         a range; both ends are part of it
  wal dump ./log --format raw > records.txt  the payloads, each followed by a newline
  wal dump ./log --format jsonl | jq .payload

A range is cut to what is there: an LSN beyond the end prints nothing. The log is shown as it was when the command
began, also while a writer appends to it.";

/// Print entries, in order or from the back
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DumpArgs {
    /// The directory of the log
    dir: PathBuf,
    /// The first entry to print [default: the first that is there]
    #[arg(long, value_name = "LSN", value_parser = args::lsn)]
    from: Option<Lsn>,
    /// The last entry to print [default: the last that is there]
    #[arg(long, value_name = "LSN", value_parser = args::lsn)]
    to: Option<Lsn>,
    /// Stop after so many entries
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Begin with the newest
    #[arg(long)]
    reverse: bool,
    /// What an entry is printed as
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(args: &DumpArgs, out: &mut Output) -> Result<(), Failure> {
    if args.from.zip(args.to).is_some_and(|(from, to)| from > to) {
        return UsageSnafu { what: "--from lies behind --to" }.fail();
    }
    let wal = Wal::open_read_only(&args.dir)?;
    let from = args.from.map_or(Bound::Unbounded, Bound::Included);
    let to = args.to.map_or(Bound::Unbounded, Bound::Included);
    let mut entries = wal.range((from, to));
    for _ in 0..args.limit.unwrap_or(usize::MAX) {
        let item = if args.reverse { entries.next_back() } else { entries.next() };
        let Some(entry) = item else { break };
        args.format.print(&entry?, out)?;
        if args.format == Format::Raw {
            out.bytes(b"\n")?;
        }
    }
    Ok(())
}
