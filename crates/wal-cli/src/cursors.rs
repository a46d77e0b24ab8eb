//! `wal cursors`: durable positions of consumers.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use wal::{CursorInfo, Lsn};

use crate::{
    args::{self, Listing},
    error::{Failure, NoNameSnafu},
    output::Output,
    place::{self, LogArgs},
    table::{Align, Table},
};

const AFTER_HELP: &str = "\
Examples:
  wal cursors ./log list
  wal cursors ./log create replica-1 --at 100
  wal cursors ./log ack replica-1 250              entries up to 250 are done with
  wal cursors ./log delete replica-1

`next` is the first entry that was not acknowledged, `lag` how many there are.";

/// List, make, move or delete cursors: durable positions of consumers
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CursorsArgs {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    verb: Verb,
    /// What the result is printed as
    #[arg(long, value_enum, global = true, default_value_t = Listing::Table)]
    format: Listing,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List all cursors, by name
    List,
    /// Make a cursor unless there is one of the name
    Create {
        /// Its name
        name: String,
        /// Before this entry [default: the first entry of the log]
        #[arg(long, value_name = "LSN", value_parser = args::lsn)]
        at: Option<Lsn>,
    },
    /// Acknowledge an entry and all before it
    Ack {
        /// Its name
        name: String,
        /// The entry
        #[arg(value_parser = args::lsn)]
        through: Lsn,
    },
    /// Delete a cursor
    Delete {
        /// Its name
        name: String,
    },
}

#[derive(Serialize)]
struct Row {
    name: String,
    next: u64,
    time: u64,
    lag: u64,
}

pub(crate) fn run(args: &CursorsArgs, out: &mut Output) -> Result<(), Failure> {
    let (wal, name) = match &args.verb {
        Verb::List => {
            let rows: Vec<Row> = args.log.read_only()?.cursors()?.into_iter().map(row).collect();
            return print(&rows, args.format, out);
        }
        Verb::Create { name, at } => {
            let wal = args.log.existing()?;
            let first = wal.first_lsn().unwrap_or_else(|| wal.next_lsn());
            wal.cursor_at(name, at.unwrap_or(first))?;
            (wal, name)
        }
        Verb::Ack { name, through } => {
            let wal = args.log.existing()?;
            // Only one that is there: nothing is made by a slip of the pen.
            if !wal.cursors()?.iter().any(|cursor| cursor.name == *name) {
                return NoNameSnafu { what: "cursor", name }.fail();
            }
            wal.cursor(name)?.ack(*through)?;
            (wal, name)
        }
        Verb::Delete { name } => {
            let wal = args.log.existing()?;
            wal.delete_cursor(name)?;
            return place::close(&wal);
        }
    };
    let rows: Vec<Row> = wal.cursors()?.into_iter().filter(|cursor| cursor.name == *name).map(row).collect();
    place::close(&wal)?;
    print(&rows, args.format, out)
}

fn row(CursorInfo { name, next, time, lag, .. }: CursorInfo) -> Row {
    Row { name, next: next.get(), time, lag }
}

fn print(rows: &[Row], format: Listing, out: &mut Output) -> Result<(), Failure> {
    if format == Listing::Json {
        return out.json(&rows);
    }
    use Align::{Left, Right};
    let mut table = Table::new(&[Left, Right, Right, Left]);
    table.row(["name", "next", "lag", "moved"]);
    for row in rows {
        let moved = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_nanos(row.time));
        table.row([row.name.clone(), row.next.to_string(), row.lag.to_string(), moved.to_string()]);
    }
    table.print(out)
}
