//! One segment file's life: the storage seam, local files, mapped reads, active and sealed segments.

mod local;
mod name;
mod storage;

pub use local::{LocalOptions, LocalStorage, ReadMode};
pub use storage::{Capabilities, Storage, StorageFile, WriterLock};
