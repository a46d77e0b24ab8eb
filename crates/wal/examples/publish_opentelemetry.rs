//! A log behind the API of OpenTelemetry: `cargo run --example publish_opentelemetry --features opentelemetry [--
//! ADDRESS]`.
//!
//! A program would give its provider a reader that exports, to a collector or to Prometheus. Here is one that is asked
//! for a page.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "an example has threads of its own, and says what it saw"
)]

#[path = "shared/scrape.rs"]
mod scrape;

use std::{
    error::Error,
    fmt::{Display, Write},
    sync::{Arc, Weak},
    time::Duration,
};

use opentelemetry::{KeyValue, metrics::MeterProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Temporality,
        data::{AggregatedMetrics, MetricData, ResourceMetrics},
        reader::MetricReader,
    },
};
use wal::Wal;

/// A reader that the provider and the server share.
#[derive(Clone, Debug, Default)]
struct Reader(Arc<ManualReader>);

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let wal = Wal::open(dir.path().join("orders"))?;
    scrape::work(&wal)?;

    let reader = Reader::default();
    let provider = SdkMeterProvider::builder().with_reader(reader.clone()).build();
    wal::metrics::observe(&wal, &provider.meter("orders"), &[("log", "orders")]);
    scrape::show(&wal, "text/plain; version=0.0.4", move || {
        let mut metrics = ResourceMetrics::default();
        match reader.collect(&mut metrics) {
            Ok(()) => page(&metrics),
            Err(error) => format!("# {error}\n"),
        }
    })?;
    provider.shutdown()?;
    Ok(())
}

fn page(metrics: &ResourceMetrics) -> String {
    let mut page = String::new();
    for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
        match metric.data() {
            AggregatedMetrics::U64(data) => numbers(&mut page, metric.name(), data),
            AggregatedMetrics::F64(data) => numbers(&mut page, metric.name(), data),
            AggregatedMetrics::I64(data) => numbers(&mut page, metric.name(), data),
        }
    }
    page
}

fn numbers<T: Copy + Display>(page: &mut String, name: &str, data: &MetricData<T>) {
    match data {
        MetricData::Gauge(gauge) => {
            gauge.data_points().for_each(|point| line(page, name, point.attributes(), point.value()));
        }
        MetricData::Sum(sum) => {
            let is_part = ["_bucket", "_count", "_sum"].iter().any(|part| name.ends_with(part));
            let name = if is_part { name.to_owned() } else { format!("{name}_total") };
            sum.data_points().for_each(|point| line(page, &name, point.attributes(), point.value()));
        }
        _ => {}
    }
}

fn line<'a>(page: &mut String, name: &str, labels: impl Iterator<Item = &'a KeyValue>, value: impl Display) {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> =
        labels.map(|label| format!("{}=\"{}\"", label.key, escaped(&label.value.as_str()))).collect();
    // Writing into a string cannot fail.
    let _ = writeln!(page, "{name}{{{}}} {value}", labels.join(","));
}
