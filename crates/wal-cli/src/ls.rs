//! `wal ls`: the segments of a log.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use wal::{ChecksumKind, SegmentSummary};

use crate::{
    args::Listing,
    error::Failure,
    output::Output,
    place::LogArgs,
    table::{Align, Table},
};

const AFTER_HELP: &str = "\
Examples:
  wal ls ./log
  wal ls ./log --format json | jq '.[].path'

`base` is the LSN of the first entry of a segment, `next` the one after its last. `bytes` counts what is written,
`file` the whole file with the space that was prepared ahead of use.";

/// List the segments, oldest first
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    log: LogArgs,
    /// What the result is printed as
    #[arg(long, value_enum, default_value_t = Listing::Table)]
    format: Listing,
}

#[derive(Serialize)]
struct Row {
    id: u64,
    base: u64,
    next: u64,
    entries: u64,
    bytes: u64,
    file_len: u64,
    created: u64,
    epoch: u64,
    checksum: &'static str,
    path: String,
}

pub(crate) fn run(args: &LsArgs, out: &mut Output) -> Result<(), Failure> {
    let segments = args.log.read_only()?.segments()?;
    let rows: Vec<Row> = segments.into_iter().map(row).collect();
    match args.format {
        Listing::Json => out.json(&rows),
        Listing::Table => table(&rows).print(out),
    }
}

fn row(segment: SegmentSummary) -> Row {
    Row {
        id: segment.id.0,
        base: segment.base.get(),
        next: segment.next.get(),
        entries: entries(&segment),
        bytes: segment.end,
        file_len: segment.file_len,
        created: segment.created,
        epoch: segment.epoch,
        checksum: checksum(segment.checksum),
        path: segment.path,
    }
}

fn table(rows: &[Row]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[Right, Right, Right, Right, Right, Right, Left, Left, Left]);
    table.row(["id", "base", "next", "entries", "bytes", "file", "created", "checksum", "path"]);
    for row in rows {
        let numbers = [row.id, row.base, row.next, row.entries, row.bytes, row.file_len];
        let created = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_nanos(row.created));
        let texts = [created.to_string(), row.checksum.to_owned(), row.path.clone()];
        table.row(numbers.iter().map(u64::to_string).chain(texts));
    }
    table
}

/// Entries that a segment holds.
pub(crate) fn entries(segment: &SegmentSummary) -> u64 {
    segment.next.since(segment.base).unwrap_or(0)
}

const fn checksum(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::Crc32 => "crc32",
        ChecksumKind::Crc32c => "crc32c",
        _ => "unknown",
    }
}
