//! What this log wants to reach, and how far it is: ratios within one run.

use serde::Serialize;
use wal_benches::sample::median;

use crate::{footprint::Footprint, run::Results, subject::Peer};

/// One goal and what was measured for it.
#[derive(Debug, Serialize)]
pub struct Bar {
    /// What of this log.
    pub what: String,
    /// The figure.
    pub ours: f64,
    /// Whom or what it is compared with, and the figure of that.
    pub against: String,
    /// The ratio, or the figure itself.
    pub reached: f64,
    /// What it should be at most; at least, if `is_floor`.
    pub goal: f64,
    /// Whether more is better.
    pub is_floor: bool,
}

impl Bar {
    /// Whether the goal is reached.
    pub fn is_met(&self) -> bool {
        if self.is_floor { self.reached >= self.goal } else { self.reached <= self.goal }
    }
}

/// The name of this log with its default checksum.
const OURS: &str = "wal";

/// Collects goals, as far as what they need was measured.
struct Bars<'a> {
    results: &'a Results,
    peers: &'a [Peer],
    found: Vec<Bar>,
}

/// A figure of a row.
#[derive(Clone, Copy)]
struct Key<'a>(&'a str, &'a str, &'a str);

impl Key<'_> {
    fn says(self, name: &str) -> String {
        format!("{}, {}, {}", self.0, self.1, name)
    }
}

/// All goals that this run can judge.
pub fn judge(results: &Results, peers: &[Peer], footprints: &[Footprint]) -> Vec<Bar> {
    let mut bars = Bars { results, peers, found: Vec::new() };
    bars.durable();
    bars.appends();
    bars.reads();
    bars.opens();
    if let Some(ours) = footprints.iter().find(|footprint| footprint.peer == OURS) {
        bars.at_most("crates of a minimal program", ours.crates as f64, 30.0);
        bars.at_most("kB over an empty program", ours.extra_kilobytes, 500.0);
        bars.at_most("CPU seconds of a clean release build", ours.cpu_seconds, 20.0);
    }
    bars.found
}

impl Bars<'_> {
    fn value(&self, Key(workload, label, figure): Key<'_>, peer: &str) -> Option<f64> {
        self.results.row(workload, label)?.values(peer, figure).map(median)
    }

    /// The rival that is best at something; none of those without a library.
    fn best(
        &self,
        key: Key<'_>,
        more_is_better: bool,
        fits: impl Fn(&Peer) -> bool,
    ) -> Option<(&'static str, f64)> {
        let rivals = self.peers.iter().filter(|peer| peer.is_rival() && !peer.is_plain() && fits(peer));
        let values = rivals.filter_map(|peer| Some((peer.name, self.value(key, peer.name)?)));
        if more_is_better {
            values.max_by(|a, b| a.1.total_cmp(&b.1))
        } else {
            values.min_by(|a, b| a.1.total_cmp(&b.1))
        }
    }

    fn add(&mut self, what: String, ours: f64, against: String, reached: f64, goal: f64, is_floor: bool) {
        self.found.push(Bar { what, ours, against, reached, goal, is_floor });
    }

    fn at_most(&mut self, what: &str, ours: f64, goal: f64) {
        self.add(what.to_owned(), ours, "an absolute goal".to_owned(), ours, goal, false);
    }

    /// This log's cost over that of another: at most so much.
    fn cost(&mut self, key: Key<'_>, against: &str, goal: f64) {
        if let (Some(ours), Some(theirs)) = (self.value(key, OURS), self.value(key, against)) {
            self.add(
                key.says(key.2),
                ours,
                format!("{against} {}", number(theirs)),
                ours / theirs,
                goal,
                false,
            );
        }
    }

    /// This log's cost of one thing over that of another: at most so much.
    fn within(&mut self, key: Key<'_>, other: Key<'_>, goal: f64) {
        if let (Some(ours), Some(measure)) = (self.value(key, OURS), self.value(other, OURS)) {
            let against = format!("its {} {}", other.2, number(measure));
            self.add(key.says(key.2), ours, against, ours / measure, goal, false);
        }
    }

    /// A rival's cost over that of this log: at least so much.
    fn lead(&mut self, key: Key<'_>, goal: f64, fits: impl Fn(&Peer) -> bool) {
        if let (Some(ours), Some((name, theirs))) = (self.value(key, OURS), self.best(key, false, fits)) {
            self.add(
                key.says(key.2),
                ours,
                format!("best rival: {name} {}", number(theirs)),
                theirs / ours,
                goal,
                true,
            );
        }
    }

    /// The same of a rate.
    fn lead_of_rate(&mut self, key: Key<'_>, goal: f64) {
        if let (Some(ours), Some((name, theirs))) = (self.value(key, OURS), self.best(key, true, |_| true)) {
            let against = format!("best rival: {name} {}", number(theirs));
            self.add(key.says(key.2), ours, against, ours / theirs, goal, true);
        }
    }

    /// The same of the logs without a library.
    fn lead_of_plain(&mut self, key: Key<'_>, goal: f64) {
        for name in ["plain", "plain, grouped"] {
            if let (Some(ours), Some(theirs)) = (self.value(key, OURS), self.value(key, name)) {
                let (against, is_rate) = (format!("{name} {}", number(theirs)), key.2.ends_with("per s"));
                let lead = if is_rate { ours / theirs } else { theirs / ours };
                self.add(key.says(key.2), ours, against, lead, goal, true);
            }
        }
    }

    fn durable(&mut self) {
        for label in ["128 B, 1 thread", "4 KiB, 1 thread", "64 KiB, 1 thread"] {
            self.cost(Key("durable", label, "p50 us"), "raw", 1.08);
            self.cost(Key("durable", label, "p99 us"), "raw", 1.5);
            self.lead(Key("durable", label, "p50 us"), 1.0, |_| true);
            self.lead_of_plain(Key("durable", label, "p50 us"), 1.0);
        }
        for (threads, goal) in [(2, 1.0), (4, 1.0), (16, 1.4), (64, 1.8), (256, 1.0)] {
            let label = format!("128 B, {threads} threads");
            let key = Key("durable", &label, "per s");
            self.lead_of_rate(key, goal);
            self.lead_of_plain(key, 1.0);
        }
        for label in ["16 KiB, 16 threads", "256 KiB, 1 thread", "1 MiB, 4 threads"] {
            self.lead_of_rate(Key("durable", label, "per s"), 1.0);
        }
        let many = self.value(Key("durable", "128 B, 64 threads", "per s"), OURS);
        let one = self.value(Key("durable", "128 B, 1 thread", "per s"), OURS);
        if let (Some(many), Some(one)) = (many, one) {
            let what = "durable, 128 B, 64 threads, per s".to_owned();
            self.add(what, many, format!("itself with 1 thread {}", number(one)), many / one, 15.0, true);
        }
        let batch = Key("batch", "100 x 128 B", "p50 us");
        self.cost(batch, "raw", 1.15);
        self.lead(batch, 1.0, |_| true);
    }

    fn appends(&mut self) {
        for label in ["128 B, 1 thread, 64 MiB", "128 B, 4 threads, 64 MiB", "128 B, 1 thread, 640 MiB"] {
            let key = Key("buffered", label, "ns");
            for (name, goal) in [(OURS, 60.0), ("wal (crc32c)", 45.0)] {
                if let Some(ours) = self.value(key, name) {
                    self.at_most(&format!("{}, {name}", key.says("ns")), ours, goal);
                }
            }
            self.lead(key, 4.0, |_| true);
            self.lead_of_plain(key, 1.3);
        }
        let floor = self.value(Key("buffered", "64 KiB, 1 thread, 256 MiB", "MB/s"), "raw");
        for label in ["1 KiB, 1 thread, 128 MiB", "64 KiB, 1 thread, 256 MiB", "1 KiB, 1 thread, 1 GiB"] {
            let key = Key("buffered", label, "MB/s");
            if let (Some(ours), Some(floor)) = (self.value(key, OURS), floor) {
                let against = format!("raw writes of 64 KiB {}", number(floor));
                self.add(key.says("MB/s"), ours, against, ours / floor, 0.8, true);
            }
        }
        [OURS, "wal (mmap)"].into_iter().for_each(|name| self.written(name));
    }

    fn written(&mut self, name: &str) {
        let key = |label| Key("written", label, "ns");
        let [one, four] = ["128 B, 1 thread", "128 B, 4 threads"].map(key);
        let Some(raw) = self.value(one, "raw") else { return };
        let against = format!("raw with 1 thread {}", number(raw));
        if let Some(ours) = self.value(one, name) {
            self.add(one.says(&format!("ns, {name}")), ours, against.clone(), ours / raw, 1.15, false);
        }
        if let Some(ours) = self.value(four, name) {
            self.add(four.says(&format!("ns, {name}")), ours, against, raw / ours, 2.0, true);
        }
    }

    fn reads(&mut self) {
        let labels: Vec<_> = self
            .results
            .rows
            .iter()
            .filter(|row| row.workload == "read")
            .map(|row| row.label.clone())
            .collect();
        for label in &labels {
            let scan = Key("read", label, "scan ns");
            self.cost(scan, "raw", 1.0 / 0.75);
            self.lead(scan, 2.5, |peer| peer.verifies);
            self.within(Key("read", label, "reverse ns"), scan, 1.3);
            let get = Key("read", label, "get ns");
            match self.value(get, OURS) {
                Some(ours) if label == "128 B, 1 MiB" => self.at_most(&get.says("get ns"), ours, 100.0),
                _ => self.cost(get, "raw", 1.3),
            }
            self.lead(get, 8.0, |peer| peer.verifies);
            let many = Key("read", label, "get many ns");
            self.within(many, get, 0.25);
        }
        for label in ["128 B, 1 MiB", "128 B, 40 MiB"] {
            let get = Key("hot", label, "get ns");
            if let (Some(ours), true) = (self.value(get, OURS), label.ends_with(" 1 MiB")) {
                self.at_most(&get.says("get ns"), ours, 100.0);
            }
            self.lead(get, 8.0, |peer| peer.verifies);
            self.within(Key("hot", label, "get beside a writer ns"), get, 1.5);
        }
        let read = Key("beside", "128 B, 16 MiB", "beside readers ns");
        let spin = Key("beside", "128 B, 16 MiB", "beside spinning ns");
        if let (Some(reading), Some(spinning)) = (self.value(read, OURS), self.value(spin, OURS)) {
            let against = format!("beside spinning threads {}", number(spinning));
            self.add(read.says("ns an append"), reading, against, reading / spinning, 1.1, false);
        }
    }

    fn opens(&mut self) {
        for (label, gibibytes) in [("100 MiB", 0.1), ("1 GiB", 1.0), ("10 GiB", 10.0)] {
            if let Some(ours) = self.value(Key("open", label, "open ms"), OURS) {
                self.at_most(&format!("open, {label}, ms a GiB"), ours / gibibytes, 2.0);
            }
        }
        for segments in [1000.0, 10_000.0] {
            if let Some(ours) = self.value(Key("open", &format!("{segments} segments"), "open ms"), OURS) {
                self.at_most(
                    &format!("open, {segments} segments, us a segment"),
                    ours * 1e3 / segments,
                    20.0,
                );
            }
        }
        for label in ["10 MiB", "100 MiB", "1 GiB"] {
            self.lead(Key("open", label, "open ms"), 1.0, |_| true);
            self.lead(Key("kill", label, "open ms"), 1.0, |_| true);
        }
        let rotation = |figure| Key("rotation", "16 KiB, durable", figure);
        self.within(rotation("p99.9 us"), rotation("p50 us"), 5.0);
        for label in ["128 MiB", "1 GiB", "10 GiB"] {
            for figure in ["appending MiB", "reading MiB"] {
                if let Some(ours) = self.value(Key("memory", label, figure), OURS) {
                    self.at_most(&format!("memory, {label}, {figure}"), ours, 32.0);
                }
            }
        }
    }
}

/// Three digits that matter, whatever the size.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
