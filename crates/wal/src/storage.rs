//! Where the files of a log are kept: the seam for those who keep them somewhere else.
//!
//! [`LocalStorage`] is a directory, and what [`Wal::open`](crate::Wal::open) uses. [`MemoryStorage`] is for tests. To
//! bring your own, implement [`Storage`] and give it to [`WalBuilder::storage`](crate::WalBuilder::storage).
//!
//! ```
//! use std::sync::Arc;
//! use wal::{Wal, storage::MemoryStorage};
//!
//! let storage = Arc::new(MemoryStorage::new());
//! let wal = Wal::builder("not used").storage(storage).open()?;
//! wal.append("gone with the process")?;
//! # Ok::<(), wal::Error>(())
//! ```

#[cfg(feature = "s3")]
pub use wal_object_store::S3Config;
#[cfg(feature = "object-store")]
pub use wal_object_store::{ObjectOptions, ObjectStorage, ObjectStore};
pub use wal_segment::{
    Capabilities, LocalOptions, LocalStorage, MemoryStorage, Storage, StorageFile, TakenOver, WriterLock,
};
