//! A log on object storage: one segment is one object, published whole.
//!
//! [`ObjectStorage`] keeps the files of a log in any [`ObjectStore`]: S3 and its kin, or
//! memory. A file is a buffer in memory until it is synced; the sync creates the object, if the name is free, and never
//! replaces one. That is all the log needs to have one writer at a time: whoever opens it for writing publishes a
//! segment under the next name, and a writer that is still there finds its name taken, which is
//! [`TakenOver`](wal_segment::TakenOver).
//!
//! The log stays synchronous. Requests run on a thread of their own, or on the runtime that
//! [`ObjectOptions::runtime`] names, and callers wait for a channel: nothing ever blocks inside a runtime of the
//! caller's in a way that panics.
//!
//! ```
//! use std::sync::Arc;
//! use object_store::memory::InMemory;
//! use wal_object_store::{ObjectOptions, ObjectStorage};
//! use wal_segment::Storage;
//!
//! let storage = ObjectStorage::new(Arc::new(InMemory::new()), "logs/orders", ObjectOptions::default())?;
//! let file = storage.create("00000000000000000001.wal")?;
//! file.write_at(0, b"not there before it is synced")?;
//! assert!(storage.list()?.is_empty());
//! file.sync()?;
//! assert_eq!(storage.list()?, ["00000000000000000001.wal"]);
//! # Ok::<(), std::io::Error>(())
//! ```

#![forbid(unsafe_code)]

mod ahead;
mod cache;
#[cfg(feature = "fs")]
mod directory;
mod error;
mod file;
mod heads;
mod io_thread;
mod meter;
mod options;
mod pages;
mod probe;
#[cfg(feature = "aws")]
mod profile;
mod publish;
mod remote;
#[cfg(feature = "aws")]
mod s3;
mod ship;
mod storage;

#[cfg(feature = "fs")]
pub use directory::in_directory;
pub use object_store::ObjectStore;
pub use options::ObjectOptions;
#[cfg(feature = "aws")]
pub use s3::S3Config;
pub use storage::ObjectStorage;
