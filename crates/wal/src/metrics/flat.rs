//! Distributions taken apart, for those who know only numbers.

use wal_core::{Family, MetricKind, MetricValue, Stats};

/// A series with a number for a value.
pub(super) struct Flat {
    pub(super) name: String,
    pub(super) help: &'static str,
    pub(super) unit: &'static str,
    pub(super) grows: bool,
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) value: Number,
}

#[derive(Clone, Copy)]
pub(super) enum Number {
    Integer(u64),
    Real(f64),
}

/// Names as `suffixed` makes them of a counter's, others as they are.
pub(super) fn flat(stats: &Stats, suffixed: impl Fn(&Family) -> String) -> Vec<Flat> {
    let mut all = Vec::new();
    for family in stats.families() {
        let grows = family.kind != MetricKind::Gauge;
        let mut push = |name, unit, labels, value| {
            all.push(Flat { name, help: family.help, unit, grows, labels, value });
        };
        for sample in &family.samples {
            let labels = sample.labels.clone();
            match &sample.value {
                MetricValue::Integer(value) => {
                    push(suffixed(&family), family.unit, labels, Number::Integer(*value));
                }
                MetricValue::Real(value) => {
                    push(suffixed(&family), family.unit, labels, Number::Real(*value))
                }
                MetricValue::Distribution { buckets, sum } => {
                    for (bound, count) in buckets {
                        let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
                        let labels = labels.iter().cloned().chain([("le", bound)]).collect();
                        push(format!("{}_bucket", family.name), "", labels, Number::Integer(*count));
                    }
                    let count = buckets.last().map_or(0, |last| last.1);
                    push(format!("{}_count", family.name), "", labels.clone(), Number::Integer(count));
                    push(format!("{}_sum", family.name), family.unit, labels, Number::Real(*sum));
                }
                _ => {}
            }
        }
    }
    all
}
