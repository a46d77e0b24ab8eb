//! The facade `metrics`.

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder, Unit};
use wal_core::Stats;

use super::flat::{Number, flat};

/// Hands the statistics of a log to the installed recorder of the facade
/// [`metrics`](https://docs.rs/metrics). The facade has no way to ask for them, so call this before every collection,
/// or at intervals. `labels` are added to every series.
///
/// Counters are set to what they are: those of a log that was reopened begin at zero again. The sums of distributions
/// are gauges, because the facade's counters are whole numbers.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// let wal = wal::Wal::open(dir.path())?;
/// wal.append("hello")?;
/// wal::metrics::publish(&wal.stats(), &[("log", "orders")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn publish(stats: &Stats, labels: &[(&'static str, &'static str)]) {
    metrics::with_recorder(|recorder| record(recorder, stats, labels));
}

fn record(recorder: &dyn Recorder, stats: &Stats, common: &[(&'static str, &'static str)]) {
    let metadata = Metadata::new("wal", Level::INFO, Some(module_path!()));
    for series in flat(stats, wal_core::Family::sample_name) {
        let unit = match series.unit {
            "bytes" => Some(Unit::Bytes),
            "seconds" => Some(Unit::Seconds),
            _ => None,
        };
        let name = KeyName::from(series.name.clone());
        let common = common.iter().map(|(name, value)| Label::from_static_parts(name, value));
        let own = series.labels.into_iter().map(|(name, value)| Label::new(name, value));
        let key = Key::from_parts(series.name, common.chain(own).collect::<Vec<_>>());
        match series.value {
            Number::Integer(value) if series.grows => {
                recorder.describe_counter(name, unit, series.help.into());
                recorder.register_counter(&key, &metadata).absolute(value);
            }
            value => {
                let value = match value {
                    Number::Integer(value) => value as f64,
                    Number::Real(value) => value,
                };
                recorder.describe_gauge(name, unit, series.help.into());
                recorder.register_gauge(&key, &metadata).set(value);
            }
        }
    }
}
