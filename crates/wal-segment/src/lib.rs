//! One segment file's life: the storage seam, local files, mapped reads, active and sealed segments.

mod by_segment;
pub mod conformance;
mod directory;
mod error;
mod filling;
mod inspect;
mod lazy;
mod local;
mod memory;
mod name;
mod points;
mod segment;
mod ship;
mod sparse;
mod storage;
mod tiered;

pub use by_segment::{BySegment, SegmentSet};
pub use directory::{Directory, Listing};
pub use error::SegmentError;
pub use filling::Filling;
pub use inspect::{Inspected, check_last_frame, inspect, scan, scan_notable, scan_on};
pub use lazy::LazyFile;
pub use local::{LocalOptions, LocalStorage, ReadMode, WholeDirectory, WriteMode, fetch};
pub use memory::MemoryStorage;
pub use segment::{Aim, AimedEntry, FrameReader, LoadedFrame, Segment};
pub use ship::compare;
pub use sparse::{INDEX_STRIDE, SparseIndex, point};
pub use storage::{Capabilities, Requests, Storage, StorageFile, TakenOver, WriterLock};
pub use tiered::{Shipped, Stub, TieredStorage};
