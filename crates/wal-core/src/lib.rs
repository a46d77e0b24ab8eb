//! The engine of a write-ahead log: commit, recovery, retention, readers.
//!
//! Most people want the crate `wal`, a facade over this one. Depend on this one to bring your own storage, clock or
//! source of randomness.

#![forbid(unsafe_code)]

mod append;
mod appender;
mod backup;
mod begin;
mod beside;
mod checkpoint;
mod chunk;
mod clock;
mod closing;
mod commit;
mod copy;
mod crossing;
mod cursor;
mod cuts;
mod dictionary;
mod driver;
mod duplicate;
mod engine;
mod entry;
mod error;
mod events;
mod examine;
mod extras;
mod flush;
mod frame_cache;
mod frames;
mod gain;
mod history;
mod hooks;
pub mod human;
mod iter;
mod log;
mod marks;
mod metadata;
mod objects;
mod open;
mod options;
mod outcome;
mod packing;
mod packs;
mod patience;
mod payload;
mod peek;
mod prepare;
mod read;
mod reading;
mod recover;
mod repair;
mod replay;
mod report;
mod retention;
mod salvage;
#[cfg(feature = "serde")]
pub mod settings;
mod settled;
mod signal;
mod stats;
mod sweep;
mod sync;
mod tail;
mod ticket;
mod tier;
mod time;
mod transaction;
mod truncate;
mod turn;
mod view;
mod walk;
mod write_through;

pub use backup::BackupReport;
pub use checkpoint::{Checkpoint, CheckpointOptions};
pub use clock::{Clock, Entropy, SystemClock, SystemEntropy};
pub use copy::CopyReport;
pub use cursor::CursorInfo;
pub use dictionary::{Dictionary, DictionaryOptions};
pub use duplicate::CloneReport;
pub use entry::{Entry, EntryRef};
pub use error::LogError;
pub use examine::{Examination, examine};
pub use extras::Extras;
pub use frames::{EncodedFrame, Frames};
pub use hooks::{CommitEvent, Hooks, LogEvent};
pub use iter::Iter;
pub use log::{AppendOptions, Log, SegmentSummary};
pub use metadata::user_value;
pub use open::Environment;
pub use options::{Durability, Options, RecoveryMode, SyncPolicy, WhenFull};
pub use peek::{FrameInfo, Headers};
pub use reading::BatchLimit;
pub use repair::{RepairOptions, RepairReport, repair};
pub use replay::{Direction, ReplayError, ReplayOptions, ReplayPoint, ReplayReport};
pub use report::{Cut, Finding, RecoveryReport};
pub use retention::{Pin, PinKind, PlannedRemoval, Retained, Retention, RetentionPlan, RetentionReason};
pub use salvage::{SalvageReport, salvage};
pub use stats::{
    CursorLag, Deleted, DeletionReason, Family, Histogram, MetricKind, MetricValue, RecoveryStats,
    RequestStats, Sample, Stats,
};
pub use tail::{Tail, TailFrom, TailOptions, Visibility};
pub use ticket::Ticket;
pub use tier::{Shipment, TierOptions, TierStats, Tiered, WhenUnshipped, restore};
pub use time::AppendTime;
pub use transaction::{Transaction, TransactionId, TransactionOptions, TransactionState};
pub use truncate::Truncation;
