//! The short table at the end.

use std::time::Duration;

use wal::RecoveryReport;

use super::{crew::Rest, kill::Witness};
use crate::{
    error::Failure,
    output::Output,
    size,
    table::{Align, Table},
};

pub(crate) struct Figures<'a> {
    pub(crate) entries: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) witness: &'a Witness,
    /// Entries after recovery.
    pub(crate) found: u64,
    pub(crate) report: RecoveryReport,
    pub(crate) recovery: Duration,
    pub(crate) rest: &'a Rest,
    pub(crate) forward: Duration,
    pub(crate) backward: Duration,
    /// Opening after the clean close.
    pub(crate) reopened: Duration,
}

/// What one run of appends took.
struct Run {
    entries: u64,
    syncs: u64,
    elapsed: Duration,
    latencies: Vec<Duration>,
}

impl Run {
    fn of(latencies: Vec<Duration>, syncs: u64, elapsed: Duration) -> Self {
        let mut run = Self { entries: latencies.len() as u64, syncs, elapsed, latencies };
        run.latencies.sort_unstable();
        run
    }

    fn percentile(&self, percent: usize) -> String {
        let at = (self.latencies.len().saturating_sub(1) * percent).div_ceil(100);
        self.latencies.get(at).map_or_else(|| "-".to_owned(), |took| time(*took))
    }

    fn share(&self, of: f64) -> String {
        if of > 0.0 { format!("{:.1}", self.entries as f64 / of) } else { "-".to_owned() }
    }
}

impl Figures<'_> {
    pub(crate) fn print(&self, out: &mut Output) -> Result<(), Failure> {
        self.appends().print(out)?;
        out.line("")?;
        self.outcome().print(out)
    }

    fn appends(&self) -> Table {
        let acks = &self.witness.acks;
        let syncs = acks.iter().map(|ack| ack.syncs).max().unwrap_or(0);
        // The writer counted its syncs when it wrote the last report that arrived.
        let before = Run::of(acks.iter().map(|ack| ack.took).collect(), syncs, self.witness.elapsed);
        let after = Run::of(self.rest.latencies.clone(), self.rest.syncs, self.rest.elapsed);
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Right]);
        table.row(["appended by", "the killed writer", "after recovery"]);
        let mut row = |name: &str, cell: fn(&Run) -> String| {
            table.row([name.to_owned(), cell(&before), cell(&after)]);
        };
        row("entries", |run| run.entries.to_string());
        row("entries per second", |run| run.share(run.elapsed.as_secs_f64()));
        row("fsyncs", |run| run.syncs.to_string());
        row("entries per fsync", |run| run.share(run.syncs as f64));
        row("durable latency p50", |run| run.percentile(50));
        row("durable latency p99", |run| run.percentile(99));
        table
    }

    fn outcome(&self) -> Table {
        let report = &self.report;
        let told = self.witness.acks.len() as u64;
        let cut = report
            .cut
            .map_or_else(|| "nothing".to_owned(), |cut| format!("{}, before entry {}", cut.at, cut.next));
        let mut table = Table::new(&[Align::Left, Align::Left]);
        let mut row = |name: &str, cell: String| table.row([name.to_owned(), cell]);
        row("acknowledged before the kill", told.to_string());
        row("found after it", format!("{}, none of the acknowledged missing", self.found));
        row("cut", cut);
        row("written anew", format!("{} entries that no sync was proven to cover", report.rewritten));
        row("recovery time", time(self.recovery));
        row(
            "entries in the end",
            format!("{} ({} of payload)", self.entries, size::human(self.payload_bytes)),
        );
        row("read and compared, forward", self.speed(self.forward));
        row("read and compared, backward", self.speed(self.backward));
        row("opening after a clean close", time(self.reopened));
        table
    }

    fn speed(&self, took: Duration) -> String {
        let seconds = took.as_secs_f64();
        if seconds == 0.0 {
            return time(took);
        }
        format!("{} ({:.1} million entries/s)", time(took), self.entries as f64 / seconds / 1e6)
    }
}

/// A duration for people.
fn time(took: Duration) -> String {
    let micros = took.as_secs_f64() * 1e6;
    match micros {
        _ if micros < 1e3 => format!("{micros:.0} µs"),
        _ if micros < 1e6 => format!("{:.2} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_latencies() {
        let run = Run::of((1..=100).rev().map(Duration::from_micros).collect(), 10, Duration::from_secs(2));
        assert_eq!((run.percentile(50).as_str(), run.percentile(99).as_str()), ("51 µs", "100 µs"));
        assert_eq!(run.share(10.0), "10.0");
        assert_eq!(Run::of(Vec::new(), 0, Duration::ZERO).percentile(99), "-");
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        assert_eq!(time(Duration::from_nanos(1_499)), "1 µs");
        assert_eq!(time(Duration::from_micros(1_500)), "1.50 ms");
        assert_eq!(time(Duration::from_secs(2)), "2.00 s");
    }
}
