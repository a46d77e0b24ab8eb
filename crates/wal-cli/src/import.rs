//! `wal import`: the logs of other programs, and what `wal export` printed.
//!
//! The source is read twice: once to say what is in it, and once to append. So nothing is created when it is damaged,
//! and the first LSN is known before the first append. What is written becomes `DIR` when all of it is durable; until
//! then it is `DIR.partial`.

mod jsonl;
mod source;
mod tally;
mod target;

use std::path::PathBuf;

use clap::ValueEnum;
use wal_import::Format;

use crate::{
    error::{ChangedSnafu, DamageSnafu, Failure, UsageSnafu, tell},
    output::Output,
};
use source::Source;
use tally::Tally;
use target::Target;

const AFTER_HELP: &str = "\
Examples:
  wal import --from hungpdn ./old ./log --dry-run    what would be imported; writes nothing
  wal import --from walrus ./old ./log               the log, with terms, times and transactions
  wal import --from xwal ./old ./log --skip-damaged  what can be read, without what cannot
  wal export ./log | wal import --from jsonl - ./other

  --from    program                        what is read
  xwal      github.com/pantuza/xwal        wal_0, wal_1.checkpoint, ...; replayed .garbage files are left alone
  hungpdn   github.com/hungpdn/wal         segment-0000.wal, ..., with any prefix
  filewal   github.com/colonyos/colonies   wal.log
  fgrosse   github.com/fgrosse/wal         1.wal, ...; its types of entries need not be known
  walrus    github.com/l00pss/walrus       segment_00000000000000000001.wal, ..., binary and JSON
  jsonl     wal export                     a file of JSON Lines, or - for standard input

Close the program that writes SRC first; nothing in it is changed. Entries keep their order, kind, term and time; those
of a transaction are appended as one batch. LSNs begin with the first id and have no gaps: where the ids have some, the
table of both is printed. A torn end was never acknowledged; it is left out, and reported.

A filewal entry becomes an operation of wal::oplog, with the operation as the kind, 1 for put and 2 for delete. A
checkpoint of xwal becomes one that is named xwal-N after its number.

From jsonl come the same entries, batches, transactions, times, checkpoints, cursors and values that were exported, and
exporting them again prints the same.

DIR must be missing or empty. It appears when all entries are durable. DIR.partial is left of an import that was killed,
and can be removed.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 damage found and nothing imported.";

/// Import a log that another program wrote
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ImportArgs {
    /// The program that wrote it
    #[arg(long, value_enum)]
    from: Program,
    /// The directory of its log; for jsonl the file
    src: PathBuf,
    /// The directory of the new log, which must be empty or missing
    dir: PathBuf,
    /// Pass over what is damaged, and import the rest
    #[arg(long)]
    skip_damaged: bool,
    /// Say what would be imported, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// What the names of the files begin with, for a directory with several logs of hungpdn
    #[arg(long)]
    prefix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Program {
    Xwal,
    Hungpdn,
    Filewal,
    Fgrosse,
    Walrus,
    Jsonl,
}

impl Program {
    /// The format of its files; none for what `wal export` printed.
    const fn format(self) -> Option<Format> {
        Some(match self {
            Self::Xwal => Format::Xwal,
            Self::Hungpdn => Format::Hungpdn,
            Self::Filewal => Format::Filewal,
            Self::Fgrosse => Format::Fgrosse,
            Self::Walrus => Format::Walrus,
            Self::Jsonl => return None,
        })
    }
}

pub(crate) fn run(args: &ImportArgs, out: &mut Output) -> Result<(), Failure> {
    if args.prefix.is_some() && args.from != Program::Hungpdn {
        return UsageSnafu { what: "--prefix is for --from hungpdn" }.fail();
    }
    let Some(format) = args.from.format() else {
        if args.skip_damaged || args.dry_run {
            return UsageSnafu { what: "--skip-damaged and --dry-run are for the logs of other programs" }
                .fail();
        }
        return jsonl::run(&args.src, &args.dir, out);
    };
    // Before anything is read: that may take long.
    let target = Target::check(&args.dir)?;
    let source = Source::list(&args.src, format, args.prefix.as_deref())?;
    let mut tally = Tally::default();
    source.read(|file, event| {
        tally.take(&args.src, file, event);
        Ok(())
    })?;
    let damaged = tally.damaged();
    if damaged > 0 && !args.skip_damaged {
        tell("note: --skip-damaged imports the rest");
        let places = if damaged == 1 { "one place is".to_owned() } else { format!("{damaged} places are") };
        return DamageSnafu { dir: &args.src, places }.fail();
    }
    if args.dry_run {
        return tally.print(&source, "would be imported", out);
    }
    let written = target.write(&source, tally.first_lsn())?;
    if written.counts() != tally.counts() {
        written.discard();
        return ChangedSnafu { dir: &args.src }.fail();
    }
    written.finish()?;
    tally.print(&source, "imported", out)
}
