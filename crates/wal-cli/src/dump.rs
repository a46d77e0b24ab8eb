//! `wal dump`: entries, in order or from the back.

use wal::{Iter, Lsn, Wal};

use crate::{
    args,
    error::{Failure, UsageSnafu},
    format::Format,
    output::Output,
    place::LogArgs,
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
    #[command(flatten)]
    log: LogArgs,
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
    let mut left =
        Left { from: args.from, to: args.to, limit: args.limit.unwrap_or(usize::MAX), begun: false };
    left.print(&args.log.read_only()?, args, out)
}

/// What is still to be printed.
struct Left {
    from: Option<Lsn>,
    to: Option<Lsn>,
    limit: usize,
    /// The range was cut to what was there: from now on all of it must be there.
    begun: bool,
}

impl Left {
    fn print(&mut self, wal: &Wal, args: &DumpArgs, out: &mut Output) -> Result<(), Failure> {
        if !self.begun {
            let (Some(first), Some(last)) = (wal.first_lsn(), wal.last_lsn()) else { return Ok(()) };
            self.from = Some(self.from.map_or(first, |from| from.max(first)));
            self.to = Some(self.to.map_or(last, |to| to.min(last)));
            self.begun = true;
        }
        let (Some(from), Some(to)) = (self.from, self.to) else { return Ok(()) };
        if from > to || self.limit == 0 {
            return Ok(());
        }
        // Says what is wrong when the range is there no longer.
        wal.get(if args.reverse { to } else { from })?;
        self.print_range(wal.range(from..=to), args, out)
    }

    fn print_range(&mut self, mut entries: Iter, args: &DumpArgs, out: &mut Output) -> Result<(), Failure> {
        while self.limit > 0 {
            let item = if args.reverse { entries.next_back() } else { entries.next() };
            let Some(entry) = item.transpose()? else { break };
            args.format.print_line(&entry, out)?;
            self.limit -= 1;
            if args.reverse {
                self.to = entry.lsn.previous();
            } else {
                self.from = Some(entry.lsn.next());
            }
        }
        Ok(())
    }
}
