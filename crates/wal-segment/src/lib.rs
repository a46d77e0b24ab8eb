//! One segment file's life: the storage seam, local files, mapped reads, active and sealed segments.

pub mod conformance;
mod local;
mod memory;
mod name;
mod storage;

pub use local::{LocalOptions, LocalStorage, ReadMode};
pub use memory::MemoryStorage;
pub use storage::{Capabilities, Storage, StorageFile, WriterLock};
