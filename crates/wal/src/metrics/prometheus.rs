//! A collector for registries of `prometheus-client`.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder},
    metrics::MetricType,
    registry::Unit,
};
use wal_core::{Family, MetricKind, MetricValue};

use crate::Wal;

/// Shows the statistics of a log in a [`Registry`](prometheus_client::registry::Registry). They are looked at when the
/// registry is encoded. Holds a handle of the log.
///
/// For several logs give each a sub-registry with a label, by `sub_registry_with_label`.
///
/// ```
/// use prometheus_client::{encoding::text::encode, registry::Registry};
/// # let dir = tempfile::tempdir()?;
/// let wal = wal::Wal::open(dir.path())?;
/// let mut registry = Registry::default();
/// registry.register_collector(Box::new(wal::metrics::PrometheusCollector::new(&wal)));
/// wal.append("hello")?;
/// let mut text = String::new();
/// encode(&mut text, &registry)?;
/// assert!(text.contains("\nwal_append_bytes_total 5\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PrometheusCollector {
    wal: Wal,
}

impl PrometheusCollector {
    /// Shows this log.
    #[must_use]
    pub fn new(wal: &Wal) -> Self {
        Self { wal: wal.clone() }
    }
}

impl Collector for PrometheusCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.wal.stats().families().iter().try_for_each(|family| encode(&mut encoder, family))
    }
}

fn encode(encoder: &mut DescriptorEncoder<'_>, family: &Family) -> fmt::Result {
    let (kind, unit) = (
        match family.kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Histogram => MetricType::Histogram,
            _ => MetricType::Gauge,
        },
        match family.unit {
            "bytes" => Some(Unit::Bytes),
            "seconds" => Some(Unit::Seconds),
            _ => None,
        },
    );
    // The encoder puts the unit behind the name itself.
    let name = family.name.strip_suffix(family.unit).map_or(family.name, |name| name.trim_end_matches('_'));
    let mut metric = encoder.encode_descriptor(name, family.help, unit.as_ref(), kind)?;
    for sample in &family.samples {
        if sample.labels.is_empty() {
            value(&mut metric, family.kind, &sample.value)?;
        } else {
            value(&mut metric.encode_family(&sample.labels)?, family.kind, &sample.value)?;
        }
    }
    Ok(())
}

type NoLabels = [(&'static str, String); 0];

fn value(metric: &mut MetricEncoder<'_>, kind: MetricKind, value: &MetricValue) -> fmt::Result {
    match value {
        MetricValue::Integer(value) if kind == MetricKind::Counter => {
            metric.encode_counter::<NoLabels, u64, u64>(value, None)
        }
        MetricValue::Integer(value) => metric.encode_gauge(value),
        MetricValue::Real(value) => metric.encode_gauge(value),
        MetricValue::Distribution { buckets, sum } => {
            // Not cumulative here.
            let mut below = 0;
            let own = |(bound, count): &(f64, u64)| (*bound, count - std::mem::replace(&mut below, *count));
            let counts: Vec<(f64, u64)> = buckets.iter().map(own).collect();
            metric.encode_histogram::<NoLabels>(*sum, below, &counts, None)
        }
        _ => Ok(()),
    }
}
