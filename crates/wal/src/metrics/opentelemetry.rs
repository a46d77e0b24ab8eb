//! Metrics of OpenTelemetry, by its API alone.

use std::sync::Arc;

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter},
};
use wal_core::{MetricKind, MetricValue};

use super::flat::{Number, flat};
use crate::Wal;

/// Makes instruments of a meter that look at the statistics of a log when they are collected. `labels` are added to
/// every series.
///
/// The meter's provider keeps the instruments, and they keep a handle of the log: it is closed once both are gone, or
/// by [`Wal::close`]. Names are as documented, without the `_total` that exporters for Prometheus add themselves.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// let wal = wal::Wal::open(dir.path())?;
/// // Of no provider here, so nobody looks.
/// let meter = opentelemetry::global::meter("my-program");
/// wal::metrics::observe(&wal, &meter, &[("log", "orders")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn observe(wal: &Wal, meter: &Meter, labels: &[(&'static str, &'static str)]) {
    let labels: Arc<[KeyValue]> = labels.iter().map(|(name, value)| KeyValue::new(*name, *value)).collect();
    let instrument = |name: String, unit: &str, help: &'static str, grows: bool, is_real: bool| {
        let look = Look { wal: wal.clone(), name: name.clone(), labels: Arc::clone(&labels) };
        let unit = match unit {
            "seconds" => "s",
            "bytes" => "By",
            _ => "",
        };
        build(meter, look, (name, unit, help), grows, is_real);
    };
    for family in wal.stats().families() {
        let (name, unit, help) = (family.name, family.unit, family.help);
        if family.kind == MetricKind::Histogram {
            instrument(format!("{name}_bucket"), "", help, true, false);
            instrument(format!("{name}_count"), "", help, true, false);
            instrument(format!("{name}_sum"), unit, help, true, true);
        } else {
            // A family without series yet has whole numbers.
            let is_real =
                matches!(family.samples.first(), Some(first) if matches!(first.value, MetricValue::Real(_)));
            instrument(name.to_owned(), unit, help, family.kind == MetricKind::Counter, is_real);
        }
    }
}

/// The provider keeps what is built; the handles that are dropped here do nothing.
fn build(
    meter: &Meter,
    look: Look,
    (name, unit, help): (String, &'static str, &'static str),
    grows: bool,
    is_real: bool,
) {
    match (grows, is_real) {
        (true, false) => {
            let instrument = meter.u64_observable_counter(name).with_description(help).with_unit(unit);
            let _ = instrument.with_callback(move |observer| look.whole(observer)).build();
        }
        (true, true) => {
            let instrument = meter.f64_observable_counter(name).with_description(help).with_unit(unit);
            let _ = instrument.with_callback(move |observer| look.real(observer)).build();
        }
        (false, false) => {
            let instrument = meter.u64_observable_gauge(name).with_description(help).with_unit(unit);
            let _ = instrument.with_callback(move |observer| look.whole(observer)).build();
        }
        (false, true) => {
            let instrument = meter.f64_observable_gauge(name).with_description(help).with_unit(unit);
            let _ = instrument.with_callback(move |observer| look.real(observer)).build();
        }
    }
}

/// What an instrument does when it is collected.
struct Look {
    wal: Wal,
    name: String,
    labels: Arc<[KeyValue]>,
}

impl Look {
    fn whole(&self, observer: &dyn AsyncInstrument<u64>) {
        self.each(|value, labels| {
            if let Number::Integer(value) = value {
                observer.observe(value, labels);
            }
        });
    }

    fn real(&self, observer: &dyn AsyncInstrument<f64>) {
        self.each(|value, labels| {
            if let Number::Real(value) = value {
                observer.observe(value, labels);
            }
        });
    }

    fn each(&self, observe: impl Fn(Number, &[KeyValue])) {
        let series = flat(&self.wal.stats(), |family| family.name.to_owned());
        for series in series.into_iter().filter(|series| series.name == self.name) {
            let own = series.labels.into_iter().map(|(name, value)| KeyValue::new(name, value));
            let labels: Vec<KeyValue> = self.labels.iter().cloned().chain(own).collect();
            observe(series.value, &labels);
        }
    }
}
