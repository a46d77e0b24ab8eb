//! `wal tail`: the last entries, and those that come.

use wal::{Lsn, TailFrom, TailOptions, Visibility};

use crate::{error::Failure, format::Format, output::Output, place::LogArgs};

const AFTER_HELP: &str = "\
Examples:
  wal tail ./log                             the last ten entries
  wal tail ./log -n 100 --format jsonl       the last hundred
  wal tail ./log -f                          and then whatever a writer appends, until interrupted
  wal tail ./log -n 0 -f --durable           only what comes, and only once it survives a power loss

Works beside a live writer and takes no lock. While nothing comes, the files are looked at ten to a hundred times a
second. If the log is cut or trimmed beneath it, the command fails and says so.";

/// Print the last entries, and follow the log
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    log: LogArgs,
    /// How many of the entries that are there
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    count: u64,
    /// Go on with the entries that come
    #[arg(short, long)]
    follow: bool,
    /// Show entries only once a later frame proves them durable
    #[arg(long)]
    durable: bool,
    /// What an entry is printed as
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(args: &TailArgs, out: &mut Output) -> Result<(), Failure> {
    let wal = args.log.read_only()?;
    let last = if args.durable { wal.durable_lsn() } else { wal.last_lsn() };
    let next = last.map_or(wal.next_lsn(), Lsn::next);
    let first = wal.first_lsn().unwrap_or(next);
    let from = Lsn::new(next.get().saturating_sub(args.count)).unwrap_or(first).max(first);
    let visibility = if args.durable { Visibility::Durable } else { Visibility::Written };
    let mut tail = wal.tail(TailOptions { from: TailFrom::Lsn(from), visibility });
    loop {
        let entry = if tail.next_lsn() < next {
            tail.try_next()?
        } else if args.follow {
            // What there is may be waited for by somebody.
            out.flush()?;
            Some(tail.wait()?)
        } else {
            None
        };
        let Some(entry) = entry else { return Ok(()) };
        args.format.print_line(&entry, out)?;
    }
}
