//! `wal checkpoint`: named places in a log.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use wal::{Checkpoint, CheckpointOptions, Lsn, Wal};

use crate::{
    args::{self, Listing},
    error::Failure,
    output::Output,
    place::{self, LogArgs},
    table::{Align, Table},
};

const AFTER_HELP: &str = "\
Examples:
  wal checkpoint ./log create nightly              at the end of the log
  wal checkpoint ./log create base --at 7 --protect
  wal checkpoint ./log list --format json
  wal checkpoint ./log delete nightly

A protected checkpoint keeps the entries from there on, whatever `wal retain` is told.";

/// Make, list or delete checkpoints: named places in the log
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CheckpointArgs {
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
    /// Make a checkpoint, or move the one that has the name
    Create {
        /// Its name
        name: String,
        /// Before this entry [default: at the end of the log]
        #[arg(long, value_name = "LSN", value_parser = args::lsn)]
        at: Option<Lsn>,
        /// Keep the entries from there on
        #[arg(long)]
        protect: bool,
    },
    /// List all checkpoints, by their place
    List,
    /// Delete a checkpoint
    Delete {
        /// Its name
        name: String,
    },
}

#[derive(Serialize)]
struct Row {
    name: String,
    lsn: u64,
    number: u64,
    time: u64,
    protected: bool,
}

pub(crate) fn run(args: &CheckpointArgs, out: &mut Output) -> Result<(), Failure> {
    match &args.verb {
        Verb::Create { name, at, protect } => {
            let options = CheckpointOptions { lsn: *at, protect: *protect };
            let made = changed(&args.log, |wal| Ok(wal.checkpoint_with(name, options)?))?;
            match args.format {
                Listing::Json => out.json(&row(made)),
                Listing::Table => out.line(format_args!("{} at entry {}", made.name, made.lsn)),
            }
        }
        Verb::List => {
            let rows: Vec<Row> = args.log.read_only()?.checkpoints()?.into_iter().map(row).collect();
            match args.format {
                Listing::Json => out.json(&rows),
                Listing::Table => table(&rows).print(out),
            }
        }
        Verb::Delete { name } => changed(&args.log, |wal| Ok(wal.delete_checkpoint(name)?)),
    }
}

fn changed<T>(log: &LogArgs, change: impl FnOnce(&Wal) -> Result<T, Failure>) -> Result<T, Failure> {
    let wal = log.existing()?;
    let changed = change(&wal)?;
    place::close(&wal)?;
    Ok(changed)
}

fn row(Checkpoint { name, lsn, number, time, protected, .. }: Checkpoint) -> Row {
    Row { name, lsn: lsn.get(), number, time, protected }
}

fn table(rows: &[Row]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[Left, Right, Right, Left, Left]);
    table.row(["name", "lsn", "number", "made", "protected"]);
    for row in rows {
        let made = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_nanos(row.time)).to_string();
        let protected = if row.protected { "yes" } else { "no" };
        table.row([
            row.name.clone(),
            row.lsn.to_string(),
            row.number.to_string(),
            made,
            protected.to_owned(),
        ]);
    }
    table
}
