//! `wal export`: a log as JSON Lines, for other programs and for `wal import --from jsonl`.

use snafu::ResultExt;
use wal::Lsn;

use crate::{
    args,
    error::{Failure, JsonSnafu, UsageSnafu},
    lines::{Line, VERSION},
    output::Output,
    place::LogArgs,
};

const AFTER_HELP: &str = "\
Examples:
  wal export ./log > log.jsonl                      everything
  wal import --from jsonl log.jsonl ./other         the same log, under an id of its own
  wal export ./log --from 100 --to 199 | jq .payload

One JSON object a line. The first says which entries follow:
  {\"type\":\"log\",\"version\":1,\"first\":1,\"next\":4}
  {\"type\":\"entry\",\"lsn\":1,\"kind\":0,\"time\":1763625600000000000,\"payload\":\"text\"}
  {\"type\":\"entry\",\"lsn\":2,\"kind\":7,..,\"term\":3,\"timestamp\":-1,\"batch\":2,\"payload_base64\":\"//79\"}
  {\"type\":\"checkpoint\",\"name\":\"nightly\",\"lsn\":2,\"number\":1,\"time\":..,\"protected\":false}
  {\"type\":\"cursor\",\"name\":\"replica\",\"next\":2,\"time\":..}
  {\"type\":\"value\",\"name\":\"vote\",\"payload\":\"7\"}

time is when the entry was appended, in nanoseconds since 1970. batch stands at the first of several entries that were
appended together and says how many they are; tx is the id of the transaction that committed them. What is not UTF-8 is
payload_base64. With --from or --to only entries are printed, and a batch is cut where the range is.";

/// Print a log as JSON Lines, to be imported elsewhere
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    log: LogArgs,
    /// The first entry [default: the first that is there]
    #[arg(long, value_name = "LSN", value_parser = args::lsn)]
    from: Option<Lsn>,
    /// The last entry [default: the last that is there]
    #[arg(long, value_name = "LSN", value_parser = args::lsn)]
    to: Option<Lsn>,
}

pub(crate) fn run(args: &ExportArgs, out: &mut Output) -> Result<(), Failure> {
    if args.from.zip(args.to).is_some_and(|(from, to)| from > to) {
        return UsageSnafu { what: "--from lies behind --to" }.fail();
    }
    let wal = args.log.read_only()?;
    // Cut to what is there.
    let end = wal.next_lsn();
    let first = wal.first_lsn().unwrap_or(end).max(args.from.unwrap_or(Lsn::FIRST)).min(end);
    let next = args.to.map_or(end, |to| to.next().clamp(first, end));
    print(&Line::Log { version: VERSION, first: first.get(), next: next.get() }, out)?;
    let mut entries = wal.range(first..next);
    for info in wal.headers(first..next) {
        let info = info?;
        let len = info.last().next().min(next).since(info.first.max(first)).unwrap_or(0);
        for index in 0..len {
            let Some(entry) = entries.next().transpose()? else { break };
            let batch = u32::try_from(len).ok().filter(|len| index == 0 && *len > 1);
            print(&Line::entry(&entry, batch), out)?;
        }
    }
    if args.from.is_none() && args.to.is_none() {
        wal.metadata()?.records().try_for_each(|record| print(&Line::record(&record), out))?;
    }
    Ok(())
}

fn print(line: &Line, out: &mut Output) -> Result<(), Failure> {
    out.line(serde_json::to_string(line).context(JsonSnafu)?)
}
