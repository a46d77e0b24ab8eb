//! The plots: throughput against threads, latency percentiles, cost against the size of the log.

use std::path::Path;

use plotters::prelude::*;
use wal_benches::sample::median;

use crate::{
    run::Results,
    subject::{Fallible, Peer},
};

/// A line: whose, and its points.
type Line = (String, Vec<(f64, f64)>);

/// A plot, both axes logarithmic.
struct Plot<'a> {
    file: &'static str,
    title: &'static str,
    x: &'a str,
    y: &'a str,
    lines: Vec<Line>,
}

/// Draws what there are figures for; returns the files and their titles.
pub fn draw(results: &Results, peers: &[Peer], dir: &Path) -> Fallible<Vec<(&'static str, &'static str)>> {
    let value = |workload: &str, label: &str, figure: &str, peer: &str| {
        results.row(workload, label)?.values(peer, figure).map(median).filter(|value| *value > 0.0)
    };
    let lines = |points: &dyn Fn(&str) -> Vec<(f64, f64)>| -> Vec<Line> {
        let lines = peers.iter().map(|peer| (peer.name.to_owned(), points(peer.name)));
        lines.filter(|(_, points)| points.len() > 1).collect()
    };
    let threads = lines(&|peer| {
        let point = |n: u32| {
            let label = if n == 1 { "128 B, 1 thread".to_owned() } else { format!("128 B, {n} threads") };
            Some((f64::from(n), value("durable", &label, "per s", peer)?))
        };
        [1, 2, 4, 16, 64, 256].into_iter().filter_map(point).collect()
    });
    let latency = |label: &'static str| {
        lines(&|peer| {
            let points = [(2.0, "p50 us"), (100.0, "p99 us"), (1000.0, "p99.9 us")];
            points
                .into_iter()
                .filter_map(|(x, figure)| Some((x, value("durable", label, figure, peer)?)))
                .collect()
        })
    };
    let against_size = |workload: &'static str, prefix: &'static str, figure: &'static str| {
        lines(&|peer| {
            let point = |(mebibytes, size): (f64, &str)| {
                Some((mebibytes, value(workload, &format!("{prefix}{size}"), figure, peer)?))
            };
            let sizes = [(10.0, "10 MiB"), (100.0, "100 MiB"), (1024.0, "1 GiB"), (10240.0, "10 GiB")];
            sizes.into_iter().filter_map(point).collect()
        })
    };
    let (rarer, mebibytes) = ("one append in so many is slower", "MiB of the log");
    let plots = [
        Plot {
            file: "threads.svg",
            title: "Durable appends of 128 B",
            x: "threads",
            y: "appends a second",
            lines: threads,
        },
        Plot {
            file: "latency-1.svg",
            title: "Durable append of 128 B, 1 thread",
            x: rarer,
            y: "us",
            lines: latency("128 B, 1 thread"),
        },
        Plot {
            file: "latency-64.svg",
            title: "Durable append of 128 B, 64 threads",
            x: rarer,
            y: "us",
            lines: latency("128 B, 64 threads"),
        },
        Plot {
            file: "scan.svg",
            title: "Scan of 1 KiB entries",
            x: mebibytes,
            y: "ns an entry",
            lines: against_size("read", "1 KiB, ", "scan ns"),
        },
        Plot {
            file: "get.svg",
            title: "Random get of 1 KiB entries",
            x: mebibytes,
            y: "ns a get",
            lines: against_size("read", "1 KiB, ", "get ns"),
        },
        Plot {
            file: "open.svg",
            title: "Opening after a clean close",
            x: mebibytes,
            y: "ms",
            lines: against_size("open", "", "open ms"),
        },
        Plot {
            file: "kill.svg",
            title: "Opening after the process was killed",
            x: mebibytes,
            y: "ms",
            lines: against_size("kill", "", "open ms"),
        },
    ];
    let mut drawn = Vec::new();
    for plot in plots.iter().filter(|plot| !plot.lines.is_empty()) {
        plot.draw(&dir.join(plot.file))?;
        drawn.push((plot.file, plot.title));
    }
    Ok(drawn)
}

impl Plot<'_> {
    fn draw(&self, path: &Path) -> Fallible<()> {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let bounds = |values: &dyn Fn(&(f64, f64)) -> f64| {
            points()
                .map(values)
                .fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)))
        };
        let ((left, right), (bottom, top)) = (bounds(&|point| point.0), bounds(&|point| point.1));
        let area = SVGBackend::new(path, (960, 600)).into_drawing_area();
        area.fill(&WHITE)?;
        let (plot, legend) = area.split_horizontally(760);
        let mut chart = ChartBuilder::on(&plot)
            .caption(self.title, ("sans-serif", 20))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d((left..right).log_scale(), (bottom * 0.8..top * 1.25).log_scale())?;
        chart.configure_mesh().x_desc(self.x).y_desc(self.y).draw()?;
        for (at, (name, points)) in self.lines.iter().enumerate() {
            let color = Palette99::pick(at).stroke_width(if name.starts_with("wal") && !name.contains('-') {
                3
            } else {
                1
            });
            chart.draw_series(LineSeries::new(points.iter().copied(), color).point_size(3))?;
            let y = 40 + i32::try_from(at)? * 20;
            legend.draw(&PathElement::new([(5, y), (25, y)], color))?;
            legend.draw(&Text::new(name.as_str(), (30, y - 7), ("sans-serif", 14)))?;
        }
        Ok(area.present()?)
    }
}
