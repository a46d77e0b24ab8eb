//! A log behind the facade `metrics`, here with the recorder for Prometheus:
//! `cargo run --example publish_metrics --features metrics [-- ADDRESS]`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "an example has threads of its own, and says what it saw"
)]

#[path = "shared/scrape.rs"]
mod scrape;

use std::error::Error;

use metrics_exporter_prometheus::PrometheusBuilder;
use wal::Wal;

fn main() -> Result<(), Box<dyn Error>> {
    let recorder = PrometheusBuilder::new().install_recorder()?;
    let dir = tempfile::tempdir()?;
    let wal = Wal::open(dir.path().join("orders"))?;
    scrape::work(&wal)?;

    let same = wal.clone();
    scrape::show(&wal, "text/plain; version=0.0.4", move || {
        wal::metrics::publish(&same.stats(), &[("log", "orders")]);
        recorder.render()
    })
}
