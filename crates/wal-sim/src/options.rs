//! What kind of disk it is.

use wal_segment::Capabilities;

/// The properties of a [`SimDisk`](crate::SimDisk). Plain data; every combination is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// What the storage says it can do. [`Capabilities::FILE_SYSTEM`] by default; [`Capabilities::MEMORY`] differs in
    /// that nobody fills files with zeros ahead of use, which makes runs shorter. With `stores` what is written may
    /// be stored first. Without `append_after_sync`, a file
    /// that was synced refuses changes.
    pub capabilities: Capabilities,
    /// What a power cut leaves where the length grew over bytes that did not persist. [`Unwritten::Any`] by default.
    pub unwritten: Unwritten,
    /// Hostile: a power cut may tear a write inside a sector, so that any of its bytes persist without the others.
    /// Off by default: then a write changes a 512-byte sector wholly or not at all. Bytes outside the written range
    /// never change. States can be sampled then, but not enumerated.
    pub torn_sectors: bool,
    /// Which of the unsynced names a power cut may keep. [`NameOrder::Any`] by default.
    pub names: NameOrder,
    /// The space for all files, in bytes, given out by sectors of 512; `None`, the default, is no limit.
    pub capacity_bytes: Option<u64>,
    /// Whether every write needs free space, even one into allocated space, as on copy-on-write file systems and thin
    /// volumes. Off by default: allocated space takes writes on a full disk.
    pub copy_on_write: bool,
    /// Whether [`SimDisk::trace`](crate::SimDisk::trace) is kept. On by default; off makes millions of runs cheaper.
    pub traced: bool,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            capabilities: Capabilities::FILE_SYSTEM,
            unwritten: Unwritten::Any,
            torn_sectors: false,
            names: NameOrder::Any,
            capacity_bytes: None,
            copy_on_write: false,
            traced: true,
        }
    }
}

/// What is read, after a power cut, inside a file's length where no write persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// Zeros.
    Zeros,
    /// Noise, or what lay there before: bytes of other files, of removed ones and of the file itself, sometimes at the
    /// very offset where they were valid.
    Garbage,
    /// One or the other, chosen for each file.
    Any,
}

/// Which creations, renames and removals may survive a power cut without having been synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOrder {
    /// Any of them, whatever their order.
    Any,
    /// The first few, as on a file system with a journal.
    Journal,
}
