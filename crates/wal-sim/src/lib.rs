//! A simulated disk, harsher than a real one, for tests of what survives a crash.
//!
//! [`SimDisk`] is one directory of files behind the [`Storage`](wal_segment::Storage) trait. It remembers which bytes,
//! lengths and names were synced; a power cut keeps any part of the rest that a disk could have kept. Everything it
//! does follows from its seed and from the calls made to it.
//!
//! ```
//! use wal_sim::SimDisk;
//!
//! # fn main() -> std::io::Result<()> {
//! let disk = SimDisk::new(1);
//! let storage = disk.storage();
//! let file = storage.create("a")?;
//! file.write_at(0, b"kept")?;
//! file.sync()?;
//! storage.sync_names()?;
//! file.write_at(4, b" or not")?;
//!
//! // The seed chooses what the power cut keeps of what was not synced.
//! for seed in 0..100 {
//!     let cut = disk.snapshot();
//!     cut.crash(seed);
//!     assert!(cut.read("a").is_some_and(|bytes| bytes.starts_with(b"kept")));
//! }
//! // Or see all that may happen: the length and the bytes are lost or kept, each apart from the other, and bytes
//! // lost inside the length are zeros or garbage.
//! assert_eq!(disk.crash_states(), Some(8));
//! # Ok(())
//! # }
//! ```
//!
//! [`Faults`] plans failures and the death of the process at any operation. After a power cut, a
//! [`kill`](SimDisk::kill) or a planned crash, [`storage`](SimDisk::storage) gives the view of a fresh process;
//! whatever the old process held fails from then on, without touching the disk.
#![forbid(unsafe_code)]

mod choices;
mod crash;
mod disk;
mod faults;
mod garbage;
mod handle;
mod inode;
mod names;
mod options;
mod random;
mod state;
mod trace;
mod view;
mod virtual_time;

pub use disk::{CRASH_STATES_MAX, SimDisk};
pub use faults::{Crash, CrashMoment, FailedRead, FailedSync, FailedWrite, Faults, Shots};
pub use options::{DiskOptions, NameOrder, Unwritten};
pub use random::Rng;
pub use trace::{Event, Outcome, Record};
pub use virtual_time::VirtualTime;
