//! Publishing what logs count ([`Wal::stats`](crate::Wal::stats)) where the program publishes everything else.
//!
//! Each way is behind the feature of its name. None costs an append anything: the numbers are counted in any case, and
//! are looked at when somebody collects them. A program with several logs tells them apart by labels that it gives
//! here.
//!
//! The series, with their units and meanings, are listed in `docs/OBSERVABILITY.md`. Distributions are counted in fixed
//! buckets by the log itself. Where the other side cannot take them as such, they are series as Prometheus lays them
//! out: counters `…_bucket` with a label `le`, `…_count` and `…_sum`.

#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
mod flat;
#[cfg(feature = "metrics")]
mod metrics_facade;
#[cfg(feature = "opentelemetry")]
mod opentelemetry;
#[cfg(feature = "prometheus")]
mod prometheus;

#[cfg(feature = "opentelemetry")]
pub use self::opentelemetry::observe;
#[cfg(feature = "prometheus")]
pub use self::prometheus::PrometheusCollector;
#[cfg(feature = "metrics")]
pub use metrics_facade::publish;
