//! One segment file's life: the storage seam, local files, mapped reads, active and sealed segments.

mod storage;

pub use storage::{Capabilities, Storage, StorageFile, WriterLock};
