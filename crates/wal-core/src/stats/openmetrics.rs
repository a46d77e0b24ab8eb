//! The statistics as text that Prometheus and its relatives read: OpenMetrics 1.0.

use std::fmt::Write;

use super::{Family, MetricKind, MetricValue, Stats};

impl Stats {
    /// The statistics in the text format of OpenMetrics 1.0, to be served with the content type
    /// `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use wal_core::{Environment, Log, Options};
    /// # let environment = Environment::new(Arc::new(wal_segment::MemoryStorage::new()));
    /// let log = Log::open(environment, Options::default())?;
    /// log.append(b"hello")?;
    /// let text = log.stats().to_openmetrics();
    /// assert!(text.contains("# TYPE wal_append_bytes counter\n# UNIT wal_append_bytes bytes\n"));
    /// assert!(text.contains("\nwal_append_bytes_total 5\n"));
    /// assert!(text.ends_with("# EOF\n"));
    /// # Ok::<(), wal_core::LogError>(())
    /// ```
    #[must_use]
    pub fn to_openmetrics(&self) -> String {
        let mut text = String::new();
        for family in self.families() {
            // Writing into a string cannot fail.
            let _ = family.print(&mut text);
        }
        text.push_str("# EOF\n");
        text
    }
}

impl Family {
    fn print(&self, out: &mut String) -> std::fmt::Result {
        let name = self.name;
        let kind = match self.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        writeln!(out, "# TYPE {name} {kind}")?;
        if !self.unit.is_empty() {
            writeln!(out, "# UNIT {name} {}", self.unit)?;
        }
        writeln!(out, "# HELP {name} {}", escaped(self.help))?;
        for sample in &self.samples {
            match &sample.value {
                MetricValue::Integer(value) => {
                    writeln!(out, "{}{} {value}", self.sample_name(), labels(&sample.labels, None))?;
                }
                MetricValue::Real(value) => {
                    writeln!(out, "{}{} {value}", self.sample_name(), labels(&sample.labels, None))?;
                }
                MetricValue::Distribution { buckets, sum } => {
                    for (bound, count) in buckets {
                        writeln!(out, "{name}_bucket{} {count}", labels(&sample.labels, Some(*bound)))?;
                    }
                    let (labels, count) =
                        (labels(&sample.labels, None), buckets.last().map_or(0, |last| last.1));
                    writeln!(out, "{name}_count{labels} {count}\n{name}_sum{labels} {sum}")?;
                }
            }
        }
        Ok(())
    }
}

fn labels(labels: &[(&'static str, String)], bound: Option<f64>) -> String {
    let bound = bound.map(|bound| match bound {
        f64::INFINITY => ("le", "+Inf".to_owned()),
        bound if bound.fract() == 0.0 => ("le", format!("{bound:.1}")),
        bound => ("le", bound.to_string()),
    });
    let pairs: Vec<String> =
        labels.iter().chain(&bound).map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::CursorLag;

    #[test]
    fn names_that_users_give_cannot_break_the_text() {
        let stats = Stats {
            cursors: vec![CursorLag { cursor: "a\"b\\c\nd".to_owned(), entries: 3 }],
            ..Stats::default()
        };
        assert!(stats.to_openmetrics().contains("\nwal_cursor_lag{cursor=\"a\\\"b\\\\c\\nd\"} 3\n"));
    }
}
