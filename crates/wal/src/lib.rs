//! An embedded write-ahead log: entries are appended at the end, are durable when the append returns, and are all there
//! after a crash.
//!
//! ```
//! use wal::{Batch, Lsn, Wal};
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path().join("wal");
//!
//! let wal = Wal::open(&dir)?;
//! let first = wal.append("hello")?; // on disk when this returns
//! assert_eq!(first, Lsn::FIRST);
//!
//! let mut batch = Batch::new();
//! batch.push("these two")?;
//! batch.push("come together or not at all")?;
//! let lsns = wal.append_batch(&batch)?;
//! drop(wal);
//!
//! let wal = Wal::open(&dir)?; // after a crash, too: this is where recovery happens
//! assert_eq!(wal.last_lsn(), Some(*lsns.end()));
//! for entry in wal.iter().from(*lsns.start()) {
//!     let entry = entry?;
//!     println!("{}: {} bytes", entry.lsn, entry.payload.len());
//! }
//! wal.truncate_before(*lsns.start())?; // a snapshot holds what came before
//! assert!(wal.get(first).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to look
//!
//! - [`Wal`]: opening, appending, reading, truncating.
//! - [`Options`] and [`SyncPolicy`]: what an append waits for. [`Durability`] overrides it for one append.
//! - [`Wal::submit`] and [`Ticket`]: append now, wait for durability later, or `.await` it.
//! - [`Wal::checkpoint`], [`Cursor`] and [`Wal::set_meta`]: named places, positions of consumers, small values of
//!   yours.
//! - [`Wal::begin`] and [`Transaction`]: entries of several threads, committed together or not at all.
//! - [`Wal::typed`], [`Record`] and [`Registry`]: entries of the program's own types.
//! - [`oplog`]: puts and deletes under keys, with replay behind a snapshot: the log of an embedded database.
//! - [`AppendOptions::timeout`], [`Wal::try_append`], [`Options::when_full`] and [`Wal::close_timeout`]: not waiting
//!   for a disk as long as it takes.
//! - [`Retention`] and [`Wal::retain`]: what is removed from the front by itself, and what is kept for whom.
//! - [`Error`] and [`ErrorKind`]: what to do when something fails. [`Error::outcome`] says whether a failed append may
//!   have happened all the same.
//! - [`Wal::tail`] and [`Tail`]: follow the log, in this process or in another one. [`Wal::replay`]: every entry
//!   through a callback, in batches, removed once accepted if asked.
//! - [`Wal::get_with`], [`Wal::get_many`], [`Wal::get_many_with`], [`Wal::get_range`], [`Wal::lsn_at_time`],
//!   [`Wal::range_by_time`], [`Wal::headers`]: other ways to read.
//! - [`Wal::backup`] and [`Wal::clone_to`]: the same log elsewhere, and a new one with the same entries.
//! - [`Wal::frames`] and [`Wal::append_frame`]: what a leader sends to its followers, verified and stored verbatim.
//! - [`WalBuilder`]: settings, and another storage, clock or codec in the place of the usual ones.
//! - [`Config`]: settings from files and environment variables, with sizes and durations for people ([`human`]).
//! - [`RecoveryReport`]: what opening the log found. [`Wal::stats`], [`WalBuilder::on_commit`] and
//!   [`WalBuilder::on_event`]: what it does since.
//!
//! # What is durable when
//!
//! | policy | an append returns when its entries | the end of the process costs | a power loss costs |
//! |---|---|---|---|
//! | [`SyncPolicy::Always`] (default) | are synced | nothing | nothing |
//! | [`SyncPolicy::OsCache`] | are with the operating system | nothing | about one interval |
//! | [`SyncPolicy::Background`] | are in memory | about one interval | about one interval |
//!
//! Whatever the policy, what survives is a prefix of what was appended, without gaps, and batches are whole or not
//! there. Threads that append at the same time share syncs.
//!
//! # Features
//!
//! None is on by default.
//!
//! - `zstd` and `snappy` bring codecs for [`Options::compression`]; `crc32c` brings [`ChecksumKind::Crc32c`]. A log
//!   that was written with one of these is refused by a build without it, with an error of kind
//!   [`ErrorKind::Unsupported`] that names the feature.
//! - `serde` brings settings to and from whatever serde reads and writes, and from environment variables; `toml`,
//!   `yaml` and `json` bring them from files ([`Config`]).
//! - `json` and `postcard` bring wrappers that make records of whatever serde can serialise.
//! - `stream` makes a [`Tail`] a `futures_core::Stream`.
//! - `tracing` brings events and spans for a subscriber.
//! - `metrics`, `opentelemetry` and `prometheus` publish what a log counts ([`metrics`]); [`Stats::to_openmetrics`]
//!   does so without any of them.
//! - `object-store` brings logs on object storage, [`WalBuilder::object_store`]; `s3` brings a client for S3 and what
//!   speaks like it, which takes a C compiler to build.

#![forbid(unsafe_code)]

mod backup;
mod batch;
mod builder;
mod checkpoint;
mod config;
mod copy;
mod cursor;
mod deadline;
mod dictionary;
mod error;
mod frames;
mod iter;
mod meta;
pub mod metrics;
pub mod oplog;
mod reading;
mod repair;
mod replay;
mod retention;
mod salvage;
pub mod storage;
mod tail;
mod ticket;
mod tier;
mod transaction;
mod truncate;
mod typed;
mod wal;

pub use batch::Batch;
pub use builder::WalBuilder;
pub use bytes::Bytes;
pub use config::{Config, ObjectSettings};
#[cfg(feature = "serde")]
pub use config::{ConfigError, SettingError};
pub use copy::copy;
pub use cursor::Cursor;
pub use error::{Error, ErrorKind, Outcome};
pub use frames::Frames;
pub use iter::Iter;
pub use reading::Headers;
pub use repair::RepairOptions;
pub use replay::ReplayError;
pub use salvage::{Salvaged, SalvagedRun, salvage};
pub use tail::Tail;
pub use ticket::Ticket;
pub use tier::restore;
pub use transaction::Transaction;
#[cfg(feature = "json")]
pub use typed::Json;
#[cfg(feature = "postcard")]
pub use typed::Postcard;
#[doc(hidden)]
pub use typed::kinds_differ;
pub use typed::{Payload, Record, Registry, Typed, TypedEntry, TypedIter, TypedWal};
pub use wal::Wal;
pub use wal_compress::{BoxError, Codec, CodecId, CompressError, Compression, WhenBehind};
pub use wal_core::{
    AppendOptions, AppendTime, BackupReport, BatchLimit, Checkpoint, CheckpointOptions, Clock, CloneReport,
    CommitEvent, CopyReport, CursorInfo, CursorLag, Cut, Deleted, DeletionReason, Dictionary,
    DictionaryOptions, Direction, Durability, EncodedFrame, Entropy, Entry, EntryRef, Examination, Family,
    Finding, FrameInfo, Histogram, LogEvent, MetricKind, MetricValue, Options, Pin, PinKind, PlannedRemoval,
    RecoveryMode, RecoveryReport, RecoveryStats, RepairReport, ReplayOptions, ReplayPoint, ReplayReport,
    RequestStats, Retained, Retention, RetentionPlan, RetentionReason, SalvageReport, Sample, SegmentSummary,
    Shipment, Stats, SyncPolicy, SystemClock, SystemEntropy, TailFrom, TailOptions, TierOptions, TierStats,
    TransactionId, TransactionOptions, TransactionState, Truncation, Visibility, WhenFull, WhenUnshipped,
    human,
};
pub use wal_format::{
    ChecksumKind, DecodeError, LogId, Lsn, Metadata, MetadataRecord, Namespace, NewEntry, Position, SegmentId,
};
pub use wal_segment::{ReadMode, WriteMode};

/// The example in the README is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
