//! The engine of a write-ahead log: commit, recovery, retention, readers.
//!
//! Most people want the crate `wal`, a facade over this one. Depend on this one to bring your own storage, clock or
//! source of randomness.

#![forbid(unsafe_code)]

mod append;
mod appender;
mod begin;
mod chunk;
mod clock;
mod closing;
mod commit;
mod driver;
mod engine;
mod entry;
mod error;
mod events;
mod examine;
mod flush;
pub mod human;
mod iter;
mod log;
mod marks;
mod open;
mod options;
mod patience;
mod payload;
mod prepare;
mod read;
mod recover;
mod repair;
mod report;
mod salvage;
#[cfg(feature = "serde")]
pub mod settings;
mod stats;
mod sweep;
mod ticket;
mod truncate;
mod view;

pub use clock::{Clock, Entropy, SystemClock, SystemEntropy};
pub use entry::{Entry, EntryRef};
pub use error::LogError;
pub use examine::{Examination, examine};
pub use iter::Iter;
pub use log::{AppendOptions, Log, SegmentSummary};
pub use open::Environment;
pub use options::{Durability, Options, RecoveryMode, SyncPolicy, WhenFull};
pub use repair::{RepairOptions, RepairReport, repair};
pub use report::{Cut, Finding, RecoveryReport};
pub use salvage::{SalvageReport, salvage};
pub use stats::Stats;
pub use ticket::Ticket;
