//! What can be said on the command line.

use clap::{Parser, Subcommand, ValueEnum};
use wal::Lsn;

use crate::{
    append, backup, bench, checkpoint, completions, copy, cursors, demo, dump, export, fence, get, import,
    info, ls, prune, repair, replay, restore, retain, stats, tail, top, truncate, verify,
};

const AFTER_HELP: &str = "\
Examples:
  tail -F app.log | wal append ./log --ack   append lines; print the LSN of each once it is durable
  wal dump ./log --from 100 --format jsonl   read from entry 100 on
  wal get ./log 42                           the bytes of one entry
  wal tail ./log -f                          the last entries, and those that come
  wal info ./log                             where the log begins and ends, and how it ended
  wal top ./log                              watch it grow
  wal stats ./log --openmetrics              numbers for Prometheus
  wal bench .                                how fast a log is on this disk
  wal verify ./log && echo intact            check every checksum
  wal repair ./log                           what can be done about damage; changes nothing
  wal import --from xwal ./old ./log         the log of another program
  wal backup ./log /backup/log               a copy of a log that is in use
  wal copy ./log s3://bucket/log             the same log somewhere else, also from a bucket
  wal restore s3://bucket/log ./log          a log that was lost, from its tier
  wal export ./log > log.jsonl               every entry, to be imported elsewhere
  wal completions bash                       a script that completes commands in your shell
  wal retain ./log --max-age 7d              what is old enough to go; changes nothing without --apply
  wal demo                                   kill a writer in mid-stream, and look at what is left

LOG is a directory or a URL: s3://bucket/prefix, or file:///directory for a directory of objects. Who writes to a URL
takes the log over: a program that writes to it is stopped.

Everything that reads takes no lock and changes no byte: it works beside a live writer.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 damage found, 4 another writer has the log.";

/// A write-ahead log: append records durably, read them back, inspect and verify the files.
#[derive(Debug, Parser)]
#[command(name = "wal", version, after_help = AFTER_HELP, max_term_width = 110)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Append(append::AppendArgs),
    Dump(dump::DumpArgs),
    Get(get::GetArgs),
    Tail(tail::TailArgs),
    Replay(replay::ReplayArgs),
    Ls(ls::LsArgs),
    Info(info::InfoArgs),
    Stats(stats::StatsArgs),
    Top(top::TopArgs),
    Verify(verify::VerifyArgs),
    Repair(repair::RepairArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Clone(backup::CloneArgs),
    Copy(copy::CopyArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Bench(bench::BenchArgs),
    Retain(retain::RetainArgs),
    Truncate(truncate::TruncateArgs),
    Prune(prune::PruneArgs),
    Fence(fence::FenceArgs),
    Checkpoint(checkpoint::CheckpointArgs),
    Cursors(cursors::CursorsArgs),
    Demo(demo::DemoArgs),
    Completions(completions::CompletionsArgs),
    /// The process that `demo` kills.
    #[command(hide = true)]
    DemoWriter(demo::writer::DemoWriterArgs),
}

/// How `ls` and `info` print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listing {
    /// For people.
    Table,
    /// For programs: one JSON value.
    Json,
}

/// Reads an LSN.
pub(crate) fn lsn(text: &str) -> Result<Lsn, String> {
    let number = text.parse().map_err(|error| format!("{error}"))?;
    Lsn::new(number).ok_or_else(|| "LSNs begin with 1".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn an_lsn_is_a_number_from_one() {
        assert_eq!(lsn("7"), Ok(Lsn::new(7).unwrap()));
        assert!(lsn("0").is_err());
        assert!(lsn("-1").is_err());
        assert!(lsn("18446744073709551616").is_err());
    }
}
