//! The report: goals, tables, caveats; as text and as JSON.

use std::{fmt::Write, fs, path::Path};

use serde_json::json;
use wal_benches::sample::median;

use crate::{
    bars::{self, number},
    footprint::Footprint,
    peers, plan, plot,
    run::{Measured, Results},
    subject::{Fallible, Peer},
};

/// What was measured, ready to be told.
pub struct Report<'a> {
    /// The measurements.
    pub results: &'a Results,
    /// Who took part.
    pub peers: &'a [Peer],
    /// What a minimal program costs with each.
    pub footprints: &'a [Footprint],
    /// Whether the run was the quick one.
    pub is_quick: bool,
}

impl Report<'_> {
    /// The report as Markdown.
    pub fn markdown(&self, seconds: u64) -> String {
        let mut text = String::from("# The log beside its rivals\n\n");
        let kind = if self.is_quick { "quick" } else { "full" };
        let _ = writeln!(
            text,
            "Written by `cargo xtask compare` ({kind} run, {seconds} s). {}. Every cell ran in a process of its own, \
             the peers of a row in turn; figures are medians, with the least and the greatest in brackets. {} runs \
             were verified by opening the log again and counting every entry.\n",
            machine(),
            self.results.verified,
        );
        self.goals(&mut text);
        for (workload, title) in plan::WORKLOADS {
            let rows = self.results.rows.iter().filter(|row| row.workload == *workload);
            let rows: Vec<_> = rows.filter(|row| !row.figures.is_empty()).collect();
            if !rows.is_empty() {
                let _ = writeln!(text, "## {title}\n");
                rows.iter().for_each(|row| self.table(&mut text, row));
            }
        }
        self.footprint(&mut text);
        self.caveats(&mut text);
        text
    }

    fn goals(&self, text: &mut String) {
        let bars = bars::judge(self.results, self.peers, self.footprints);
        if bars.is_empty() {
            return;
        }
        let met = bars.iter().filter(|bar| bar.is_met()).count();
        let _ = writeln!(
            text,
            "## Goals: {met} of {} met\n\n| what | this log | compared with | reached | goal | |",
            bars.len()
        );
        text.push_str("|---|---|---|---|---|---|\n");
        for bar in bars {
            let (sign, verdict) =
                (if bar.is_floor { ">=" } else { "<=" }, if bar.is_met() { "met" } else { "**missed**" });
            let (ours, reached) = (number(bar.ours), number(bar.reached));
            let goal = number(bar.goal);
            let _ = writeln!(
                text,
                "| {} | {ours} | {} | {reached} | {sign} {goal} | {verdict} |",
                bar.what, bar.against
            );
        }
        text.push('\n');
    }

    fn table(&self, text: &mut String, row: &Measured) {
        let mut figures: Vec<&String> = row.figures.values().flat_map(|figures| figures.keys()).collect();
        figures.sort_unstable();
        figures.dedup();
        // What the row is about comes first.
        figures.sort_by_key(|figure| *figure != row.main);
        let names = figures.iter().map(|figure| figure.as_str()).collect::<Vec<_>>().join(" | ");
        let _ = writeln!(
            text,
            "### {}: {}\n\n| | {names} |\n|---|{}",
            row.workload,
            row.label,
            "---|".repeat(figures.len())
        );
        let more_is_better = row.main.ends_with("/s") || row.main.ends_with("per s");
        let mut peers: Vec<_> =
            self.peers.iter().filter(|peer| row.figures.contains_key(peer.name)).collect();
        peers.sort_by(|a, b| {
            let key = |peer: &Peer| row.values(peer.name, row.main).map_or(f64::INFINITY, median);
            if more_is_better { key(b).total_cmp(&key(a)) } else { key(a).total_cmp(&key(b)) }
        });
        for peer in peers {
            let cells =
                figures.iter().map(|figure| row.values(peer.name, figure).map_or("-".to_owned(), spread));
            let name = if peer.is_ours() { format!("**{}**", peer.name) } else { peer.name.to_owned() };
            let _ = writeln!(text, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
        text.push('\n');
    }

    fn footprint(&self, text: &mut String) {
        if self.footprints.is_empty() {
            return;
        }
        text.push_str("## What a minimal program costs\n\n");
        text.push_str("Append, sync, read; a stripped release build from nothing.\n\n");
        text.push_str("| | crates | kB over an empty program | CPU s of the build |\n|---|---|---|---|\n");
        for Footprint { peer, crates, extra_kilobytes, cpu_seconds } in self.footprints {
            let _ = writeln!(text, "| {peer} | {crates} | {extra_kilobytes:.0} | {cpu_seconds:.1} |");
        }
        text.push('\n');
    }

    fn caveats(&self, text: &mut String) {
        text.push_str("## Who took part, and what to know of each\n\n");
        for Peer { name, version, caveats, atomic_batches, .. } in self.peers {
            let batches = if *atomic_batches { "Batches are atomic." } else { "Batches are not atomic." };
            let _ = writeln!(text, "- **{name}** {version}: {caveats} {batches}");
        }
        let left_out = peers::left_out();
        if !left_out.is_empty() {
            let _ = writeln!(text, "\nLeft out of this build: {}.", left_out.join(", "));
        }
        if !self.results.failures.is_empty() {
            text.push_str("\n## What failed\n\n");
            for failure in &self.results.failures {
                let _ = writeln!(text, "- {failure}");
            }
        }
    }

    /// Writes the report, the figures and the plots.
    pub fn write(&self, dir: &Path, text: &str, seconds: u64) -> Fallible<()> {
        fs::create_dir_all(dir)?;
        let plots = plot::draw(self.results, self.peers, dir)?;
        let links =
            plots.iter().map(|(file, title)| format!("![{title}]({file})\n")).collect::<Vec<_>>().join("\n");
        let links = if links.is_empty() { links } else { format!("\n## Plots\n\n{links}") };
        fs::write(dir.join("report.md"), format!("{text}{links}"))?;
        let peers: Vec<_> =
            self.peers.iter().map(|peer| json!({ "name": peer.name, "version": peer.version })).collect();
        let all = json!({
            "is_quick": self.is_quick,
            "seconds": seconds,
            "machine": machine(),
            "peers": peers,
            "left_out": peers::left_out(),
            "verified": self.results.verified,
            "failures": self.results.failures,
            "goals": bars::judge(self.results, self.peers, self.footprints),
            "rows": self.results.rows,
            "footprints": self.footprints,
        });
        Ok(fs::write(dir.join("report.json"), format!("{}\n", serde_json::to_string_pretty(&all)?))?)
    }
}

/// The median, and in brackets the least and the greatest.
fn spread(values: &[f64]) -> String {
    let (least, most) = values
        .iter()
        .fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(*value), most.max(*value)));
    let median = number(median(values));
    if values.len() < 2 { median } else { format!("{median} ({}-{})", number(least), number(most)) }
}

/// Processor and kernel, as far as the system tells.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or("a processor");
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let release = read("/proc/sys/kernel/osrelease");
    // Without what its builder added.
    let version = release.trim().split('-').next().unwrap_or_default();
    format!("{model}, {cores} cores, Linux {version}")
}
