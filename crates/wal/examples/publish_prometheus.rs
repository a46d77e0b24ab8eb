//! A log in a registry of `prometheus-client`: `cargo run --example publish_prometheus --features prometheus [--
//! ADDRESS]`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "an example has threads of its own, and says what it saw"
)]

#[path = "shared/scrape.rs"]
mod scrape;

use std::error::Error;

use prometheus_client::{encoding::text::encode, registry::Registry};
use wal::{Wal, metrics::PrometheusCollector};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let wal = Wal::open(dir.path().join("orders"))?;
    scrape::work(&wal)?;

    let mut registry = Registry::default();
    registry
        .sub_registry_with_label(("log".into(), "orders".into()))
        .register_collector(Box::new(PrometheusCollector::new(&wal)));
    scrape::show(&wal, OPENMETRICS, move || {
        let mut page = String::new();
        match encode(&mut page, &registry) {
            Ok(()) => page,
            Err(error) => format!("# {error}\n"),
        }
    })?;

    // The same without any dependency.
    let same = wal.clone();
    scrape::show(&wal, OPENMETRICS, move || same.stats().to_openmetrics())
}
