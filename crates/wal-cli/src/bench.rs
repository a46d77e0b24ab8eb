//! `wal bench`: how fast a log is on the user's own disk, beside what the disk itself can do.

mod measure;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use measure::Measured;
use serde::Serialize;
use snafu::ResultExt;
use wal::{Options, SyncPolicy, Wal};

use crate::{
    args::Listing,
    error::{Failure, FileSnafu},
    output::Output,
    progress::Progress,
    size,
    table::{Align, Table},
};

const AFTER_HELP: &str = "\
Examples:
  wal bench /var/lib/app                     about six seconds
  wal bench . --time 5s --size 4KiB --threads 1,8,64

Makes a directory of its own in DIR and removes it at the end; an interrupt leaves it there. It needs about 300 MB for a
second of measuring, because appends to memory are fast.

The raw floor is what no log can beat: one write and one fdatasync for each record, into a file that was filled with
zeros before. It and durable appends take turns, so that a bad moment of the disk meets both. A p99 far above the p50 is
the disk's, or other programs'. Run it on an idle machine, more than once, and believe ratios rather than numbers.";

/// Measure a log on your own disk: the raw floor, durable, shared and buffered appends, reading
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct BenchArgs {
    /// A directory on the disk in question
    dir: PathBuf,
    /// How long each row is measured
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    time: Duration,
    /// Length of a record
    #[arg(long, value_name = "BYTES", default_value = "128", value_parser = record)]
    size: u64,
    /// Numbers of threads that append durably at the same time
    #[arg(long, value_name = "N,..", default_value = "4,16,64", value_delimiter = ',')]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Vec<u16>,
    /// What the result is printed as
    #[arg(long, value_enum, default_value_t = Listing::Table)]
    format: Listing,
}

fn time(text: &str) -> Result<Duration, String> {
    let time = wal::human::parse_duration(text).map_err(str::to_owned)?;
    let range = Duration::from_millis(1)..=Duration::from_secs(60);
    if range.contains(&time) { Ok(time) } else { Err("1 ms to 60 s".to_owned()) }
}

fn record(text: &str) -> Result<u64, String> {
    let size = wal::human::parse_size(text).map_err(str::to_owned)?;
    if (1..=1 << 20).contains(&size) { Ok(size) } else { Err("1 byte to 1 MiB".to_owned()) }
}

/// So often do the floor and the log take turns.
const TURNS: u32 = 8;

/// One line of the result.
#[derive(Debug, Serialize)]
struct Row {
    what: String,
    threads: u16,
    per_second: f64,
    bytes_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_us: Option<f64>,
    /// Entries that one sync made durable, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_sync: Option<f64>,
    /// By how much it is faster than the raw floor.
    times_floor: f64,
}

pub(crate) fn run(args: &BenchArgs, out: &mut Output) -> Result<(), Failure> {
    // Removed when it is dropped, whatever goes wrong.
    let place = tempfile::Builder::new().prefix("wal-bench-").tempdir_in(&args.dir);
    let place = place.context(FileSnafu { operation: "make a directory in", path: &args.dir })?;
    let rows = rows(args, place.path())?;
    place.close().context(FileSnafu { operation: "remove the directory made in", path: &args.dir })?;
    match args.format {
        Listing::Json => out.json(&rows),
        Listing::Table => {
            out.line(format_args!("{} a record, {:?} a row\n", size::human(args.size), args.time))?;
            table(&rows).print(out)
        }
    }
}

fn rows(args: &BenchArgs, dir: &Path) -> Result<Vec<Row>, Failure> {
    let progress = Progress::unknown("measuring");
    let payload: Vec<u8> = (0..args.size).map(|at| (at * 31 % 251) as u8).collect();
    let options = Options { first_segment_len: 64 << 20, ..Options::default() };
    let wal = Wal::builder(dir.join("durable")).options(options.clone()).open()?;
    let mut file = measure::Raw::create(&dir.join("raw"), &payload)?;
    let (mut raw, mut durable) = (Measured::default(), Measured::default());
    for _ in 0..TURNS {
        raw.join(file.run(args.time / TURNS)?);
        durable.join(measure::durable(&wal, &payload, 1, args.time / TURNS)?);
    }
    let floor = raw.per_second();
    let row = |what: &str, threads, measured: &Measured| Row {
        what: what.to_owned(),
        threads,
        per_second: measured.per_second(),
        bytes_per_second: measured.per_second() * args.size as f64,
        p50_us: measured.quantile(0.5),
        p99_us: measured.quantile(0.99),
        per_sync: measured.per_sync,
        times_floor: measured.per_second() / floor,
    };
    let mut rows = vec![row("raw write + fdatasync", 1, &raw), row("durable append", 1, &durable)];
    for threads in &args.threads {
        let measured = measure::durable(&wal, &payload, *threads, args.time)?;
        rows.push(row("durable appends", *threads, &measured));
    }
    drop(wal);

    let sync = SyncPolicy::Background { interval: Duration::from_millis(200) };
    let wal = Wal::builder(dir.join("buffered")).options(Options { sync, ..options }).open()?;
    rows.push(row("buffered append", 1, &measure::buffered(&wal, &payload, args.time)?));
    rows.push(row("read, verified", 1, &measure::read(&wal, args.time)?));
    drop(progress);
    Ok(rows)
}

const BAR: f64 = 24.0;

fn table(rows: &[Row]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[Left, Right, Right, Right, Right, Right, Right, Right, Left]);
    table.row(["", "threads", "entries/s", "bytes/s", "p50", "p99", "a sync", "floor", "log scale"]);
    let rate = |row: &Row| row.per_second.max(1.0).log10();
    let greatest = rows.iter().map(rate).fold(1.0, f64::max);
    for row in rows {
        let time = |time: Option<f64>| time.map_or_else(String::new, |time| format!("{time:.1} us"));
        table.row([
            row.what.clone(),
            row.threads.to_string(),
            format!("{:.0}", row.per_second),
            size::human(row.bytes_per_second as u64),
            time(row.p50_us),
            time(row.p99_us),
            row.per_sync.map_or_else(String::new, |count| format!("{count:.1}")),
            format!("{:.2}x", row.times_floor),
            "█".repeat((rate(row) / greatest * BAR) as usize),
        ]);
    }
    table
}
