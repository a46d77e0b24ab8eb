//! `wal stats`: what the files of a log tell about it, in numbers.

use std::{thread, time::Duration};

use wal::{MetricValue, Stats};

use crate::{
    error::Failure,
    output::Output,
    place::LogArgs,
    table::{Align, Table},
};

const AFTER_HELP: &str = "\
Examples:
  wal stats ./log
  wal stats ./log --watch --interval 5s
  wal stats ./log --openmetrics > /var/lib/node_exporter/wal.prom

What only the writer knows, as how long its appends take, is not in the files: a program publishes that itself. Every
series is explained in docs/OBSERVABILITY.md.";

/// Print numbers about a log, for people, programs or Prometheus
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    log: LogArgs,
    /// Print them again and again, until interrupted
    #[arg(short, long)]
    watch: bool,
    /// How often
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// One JSON value, with --watch one a time
    #[arg(long)]
    json: bool,
    /// The text that Prometheus reads
    #[arg(long, conflicts_with = "json")]
    openmetrics: bool,
}

/// Looking at the files more often only keeps the disk busy.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let time = wal::human::parse_duration(text).map_err(str::to_owned)?;
    if time < Duration::from_millis(50) { Err("at least 50 ms".to_owned()) } else { Ok(time) }
}

pub(crate) fn run(args: &StatsArgs, out: &mut Output) -> Result<(), Failure> {
    let wal = args.log.read_only()?;
    loop {
        print(args, &wal.stats(), out)?;
        if !args.watch {
            return Ok(());
        }
        out.flush()?;
        thread::sleep(args.interval);
        wal.refresh()?;
    }
}

fn print(args: &StatsArgs, stats: &Stats, out: &mut Output) -> Result<(), Failure> {
    if args.json {
        return out.json(stats);
    }
    if args.openmetrics {
        return out.bytes(stats.to_openmetrics().as_bytes());
    }
    table(stats).print(out)?;
    if args.watch { out.line("") } else { Ok(()) }
}

fn table(stats: &Stats) -> Table {
    let mut table = Table::new(&[Align::Left, Align::Right, Align::Left]);
    for family in stats.families() {
        let name = family.sample_name();
        for sample in family.samples {
            let labels: Vec<String> =
                sample.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            let name =
                if labels.is_empty() { name.clone() } else { format!("{name}{{{}}}", labels.join(",")) };
            let value = match sample.value {
                MetricValue::Integer(value) => value.to_string(),
                MetricValue::Real(value) => value.to_string(),
                // The process that prints has timed nothing.
                _ => continue,
            };
            table.row([name, value, family.help.to_owned()]);
        }
    }
    table
}
