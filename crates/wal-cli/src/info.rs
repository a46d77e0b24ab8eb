//! `wal info`: a log at a glance.

use serde::Serialize;
use wal::{Lsn, Position, RecoveryReport, SegmentSummary, Wal};

use crate::{
    args::Listing,
    error::Failure,
    output::Output,
    place::LogArgs,
    size,
    table::{Align, Table},
};

const AFTER_HELP: &str = "\
`durable` is the last entry that the files prove to have been synced: what follows may be so too, but only the writer
knows. `clean` says that the log was closed; a log that is open for writing is not, and neither is one whose writer
crashed. `cut` is a torn write at the end, which the next writer removes. `dead` segments were replaced or cut off and
`unused` ones prepared; the next writer removes them too. `strangers` are files that are not the log's.";

/// Show where a log begins and ends, how it ended, and what else lies in its directory
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    log: LogArgs,
    /// What the result is printed as
    #[arg(long, value_enum, default_value_t = Listing::Table)]
    format: Listing,
}

#[derive(Serialize)]
struct Info {
    dir: String,
    log_id: Option<String>,
    first: Option<u64>,
    last: Option<u64>,
    next: u64,
    entries: u64,
    durable: Option<u64>,
    proven: Option<Place>,
    segments: usize,
    bytes: u64,
    file_bytes: u64,
    clean: bool,
    cut: Option<CutPlace>,
    dead: Vec<u64>,
    unused: Vec<u64>,
    strangers: Vec<String>,
}

#[derive(Clone, Copy, Serialize)]
struct Place {
    segment: u64,
    offset: u64,
}

#[derive(Serialize)]
struct CutPlace {
    segment: u64,
    offset: u64,
    next: u64,
    frames_beyond: bool,
}

pub(crate) fn run(args: &InfoArgs, out: &mut Output) -> Result<(), Failure> {
    let wal = args.log.read_only()?;
    let info = info(args, &wal, &wal.segments()?);
    match args.format {
        Listing::Json => out.json(&info),
        Listing::Table => table(&info).print(out),
    }
}

fn info(args: &InfoArgs, wal: &Wal, segments: &[SegmentSummary]) -> Info {
    let report = wal.recovery_report();
    let (first, next) = (wal.first_lsn(), wal.next_lsn());
    Info {
        dir: args.log.path().display().to_string(),
        log_id: wal.id().map(|id| id.to_string()),
        first: first.map(Lsn::get),
        last: wal.last_lsn().map(Lsn::get),
        next: next.get(),
        entries: first.and_then(|first| next.since(first)).unwrap_or(0),
        durable: wal.durable_lsn().map(Lsn::get),
        proven: report.proven.map(place),
        segments: segments.len(),
        bytes: segments.iter().map(|segment| segment.end).sum(),
        file_bytes: segments.iter().map(|segment| segment.file_len).sum(),
        clean: report.clean,
        cut: cut(report),
        dead: report.dead.iter().map(|id| id.0).collect(),
        unused: report.unused.iter().map(|id| id.0).collect(),
        strangers: report.strangers.clone(),
    }
}

const fn place(position: Position) -> Place {
    Place { segment: position.segment.0, offset: position.offset }
}

fn cut(report: &RecoveryReport) -> Option<CutPlace> {
    let cut = report.cut?;
    let Place { segment, offset } = place(cut.at);
    Some(CutPlace { segment, offset, next: cut.next.get(), frames_beyond: cut.frames_beyond })
}

fn table(info: &Info) -> Table {
    let mut table = Table::new(&[Align::Left, Align::Left]);
    let none = || "none".to_owned();
    let lsn = |lsn: Option<u64>| lsn.map_or_else(none, |lsn| lsn.to_string());
    let bytes = |bytes: u64| format!("{bytes} ({})", size::human(bytes));
    let ended = if info.clean { "closed" } else { "not closed: a writer has it open, or it crashed" };
    table.row(["log", &info.dir]);
    table.row(["id".to_owned(), info.log_id.clone().unwrap_or_else(none)]);
    table.row(["entries".to_owned(), info.entries.to_string()]);
    table.row(["first".to_owned(), lsn(info.first)]);
    table.row(["last".to_owned(), lsn(info.last)]);
    table.row(["durable".to_owned(), lsn(info.durable)]);
    table.row(["proven".to_owned(), info.proven.map_or_else(none, |place| place.to_string())]);
    table.row(["segments".to_owned(), info.segments.to_string()]);
    table.row(["bytes".to_owned(), bytes(info.bytes)]);
    table.row(["file bytes".to_owned(), bytes(info.file_bytes)]);
    table.row(["clean".to_owned(), ended.to_owned()]);
    table.row(["cut".to_owned(), info.cut.as_ref().map_or_else(none, ToString::to_string)]);
    table.row(["dead".to_owned(), list(&info.dead)]);
    table.row(["unused".to_owned(), list(&info.unused)]);
    table.row(["strangers".to_owned(), list(&info.strangers)]);
    table
}

fn list(items: &[impl ToString]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "segment {}, offset {}", self.segment, self.offset)
    }
}

impl std::fmt::Display for CutPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "segment {}, offset {}, before entry {}", self.segment, self.offset, self.next)?;
        if self.frames_beyond {
            f.write_str("; whole frames follow, so this may also be damage to the last sync")?;
        }
        Ok(())
    }
}
