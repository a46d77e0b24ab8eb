//! Settings of a log: plain data, checked once when it is opened.

use std::time::Duration;

use wal_compress::Compression;
use wal_format::{BODY_LEN_MAX, ChecksumKind, FENCE_GAP, Lsn, METADATA_LEN_MAX, SEGMENT_LEN_MAX};

use crate::{
    Retention, TierOptions,
    error::{InvalidOptionSnafu, LogError},
};

/// When an append returns, and when the log syncs by itself.
///
/// Whatever the policy, what survives a crash is a prefix of what was appended, and batches are whole or not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncPolicy {
    /// An append returns when its entries survive power loss. Appends of several threads share syncs. The default.
    Always,
    /// An append returns when its bytes are with the operating system: they survive the end of the process, and a
    /// power loss costs at most what was appended in the last `interval` and the sync after it. The log's own
    /// threads sync sooner when 8 MiB of a segment are written and not durable, so that appends wait for little when it
    /// is full.
    OsCache {
        /// Time between syncs.
        interval: Duration,
    },
    /// An append returns when its entries are in the log's own buffer. A crash costs at most what was appended in the
    /// last `interval` and the sync after it. What is said of 8 MiB under `OsCache` holds here, too.
    Background {
        /// Time between syncs.
        interval: Duration,
    },
}

impl SyncPolicy {
    /// Time between syncs that nobody asks for; `None` when every append asks.
    #[must_use]
    pub const fn interval(self) -> Option<Duration> {
        match self {
            Self::Always => None,
            Self::OsCache { interval } | Self::Background { interval } => Some(interval),
        }
    }
}

/// What opening a log makes of an end that a crash left behind, and of damage.
///
/// Whatever the mode, a file that cannot be read is an error of its own, never taken for an absent one; and nothing
/// that is proven to have been durable is ever cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryMode {
    /// Anything to cut is an error that says what it would be, a torn write at the end included:
    /// [`LogError::TornTail`]. Nothing is changed then. For those who want to look before anything is cut.
    Refuse,
    /// A torn write at the end, which was never acknowledged, is cut and reported; damage is an error. The default.
    #[default]
    CutTornTail,
    /// For reading only: a damaged log is opened all the same, with what is left. Entries up to the first damaged place
    /// are there; reading a lost one is [`LogError::Lost`] with the range that is gone, and an iterator ends with that
    /// error. Entries behind a lost segment can be read, too; those behind damage in the newest segment cannot (see
    /// [`salvage`](crate::salvage)). [`RecoveryReport::lost`](crate::RecoveryReport::lost) says where it stops.
    ///
    /// Where the segment is lost that says how far another one is valid, entries that a truncation had removed may be
    /// shown again.
    ReadToDamage,
}

/// How far an append goes before it returns: overrides the policy for one append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// In the log's buffer.
    Buffered,
    /// With the operating system.
    Written,
    /// Synced.
    Durable,
}

impl From<SyncPolicy> for Durability {
    fn from(policy: SyncPolicy) -> Self {
        match policy {
            SyncPolicy::Always => Self::Durable,
            SyncPolicy::OsCache { .. } => Self::Written,
            SyncPolicy::Background { .. } => Self::Buffered,
        }
    }
}

/// What an append does that finds the buffer full: more bytes or entries wait for the operating system than
/// [`Options::buffer_len`] and [`Options::buffer_entries`] allow. Overridden for one append by
/// [`AppendOptions::when_full`](crate::AppendOptions::when_full).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// It waits until there is space, or until its own timeout. The default.
    #[default]
    Block,
    /// It fails at once, as [`LogError::Busy`]; nothing was appended.
    Fail,
    /// It waits so long at most, and then fails as [`LogError::TimedOut`]; nothing was appended.
    BlockFor(Duration),
}

/// Settings of a log. Every field has a default that is safe; change some and take the rest from it.
///
/// ```
/// use wal_core::Options;
/// let options = Options { segment_len: 1 << 20, ..Options::default() };
/// assert!(options.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// When appends return. Default: [`SyncPolicy::Always`].
    pub sync: SyncPolicy,
    /// Greatest length of a segment in bytes, 64 KiB to 16 GiB. A larger entry gets a longer segment of its own.
    /// Smaller segments free space sooner and cost more files. Default: 64 MiB.
    pub segment_len: u64,
    /// Length in bytes of the first segment after an open or behind a cut; each later one is four times as long, up to
    /// `segment_len`. Small logs stay small, and cuts short. Default: 1 MiB.
    pub first_segment_len: u64,
    /// Greatest payload of one entry in bytes, at most 1 GiB less 1 KiB; also bounds a batch. Default: 64 MiB.
    pub entry_len_max: u32,
    /// Bytes that may wait in memory for the operating system, at least 1. An append that finds more does what
    /// `when_full` says. What one write takes along no longer counts, so twice as much may be in memory. A larger
    /// buffer rides out longer stalls of the disk and holds more that is not written. Default: 4 MiB.
    pub buffer_len: usize,
    /// Entries that may wait in memory for the operating system, at least 1, counted like `buffer_len`. Bounds what the
    /// end of the process costs under [`SyncPolicy::Background`], whatever the entries' size. Default: 1,000,000.
    pub buffer_entries: usize,
    /// Objects that may be on their way to object storage at once, 1 to 62, and one more that a sync waits for: so many
    /// times `segment_len` may be in memory besides the buffer. An append that needs one more finds the buffer full.
    /// Without effect on files. Default: 4.
    pub uploads: usize,
    /// What an append does that finds the buffer full. Default: [`WhenFull::Block`].
    pub when_full: WhenFull,
    /// Whoever syncs on behalf of several waits so long first, up to 10 s, so that more appends share the sync. Every
    /// append that waits for durability takes so much longer, also when it is alone; syncs become fewer. Default: zero,
    /// which waits only for threads that are likely to come, and never alone.
    pub group_window: Duration,
    /// Under [`SyncPolicy::Background`] and [`OsCache`](SyncPolicy::OsCache), an append waits for a sync when the
    /// oldest entry without one is older than this. Default: 5 s.
    pub unsynced_age_max: Duration,
    /// What protects the frames of new segments. Default: CRC-32.
    pub checksum: ChecksumKind,
    /// How entries are compressed. Default: not at all.
    pub compression: Compression,
    /// Bytes of decompressed frames that are kept for who reads entries of packs and compressed batches one by one, or
    /// in parts; 0 keeps none. What is kept was verified when it was decompressed: while it is, damage to the body of
    /// its frame in the file is not noticed. A log without compressed frames uses none of it. Default: 4 MiB.
    pub frame_cache_len: usize,
    /// What opening makes of a torn end and of damage. Default: [`RecoveryMode::CutTornTail`].
    pub recovery: RecoveryMode,
    /// LSN of the first entry of a new log. Default: 1.
    pub first_lsn: Lsn,
    /// What every file name starts with; no path separators. Default: nothing.
    pub prefix: String,
    /// Greatest size of all metadata together in bytes, at most 1 MiB. Default: 64 KiB.
    pub metadata_len_max: usize,
    /// What may be removed from the front of the log, and when. Default: nothing.
    pub retention: Retention,
    /// How the log uses its tier, if it has one.
    pub tier: TierOptions,
    /// After so much idleness a mark proves to the next recovery that the last entries were synced. Default: 20 ms.
    pub idle_mark: Duration,
    /// Whether the log runs threads that prepare segments, sync in intervals and mark idleness. Without them
    /// appends prepare segments themselves and [`Log::maintain`](crate::Log::maintain) does the rest. Default: `true`.
    pub background_threads: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync: SyncPolicy::Always,
            segment_len: 64 << 20,
            first_segment_len: 1 << 20,
            entry_len_max: 64 << 20,
            buffer_len: 4 << 20,
            buffer_entries: 1_000_000,
            uploads: 4,
            when_full: WhenFull::default(),
            group_window: Duration::ZERO,
            unsynced_age_max: Duration::from_secs(5),
            checksum: ChecksumKind::Crc32,
            compression: Compression::default(),
            frame_cache_len: 4 << 20,
            recovery: RecoveryMode::default(),
            first_lsn: Lsn::FIRST,
            prefix: String::new(),
            metadata_len_max: 64 << 10,
            retention: Retention::default(),
            tier: TierOptions::default(),
            idle_mark: Duration::from_millis(20),
            background_threads: true,
        }
    }
}

/// Longest time that a leader may wait for company.
const GROUP_WINDOW_MAX: Duration = Duration::from_secs(10);
/// With one more that a sync waits for they fit between a fence and the writer that follows it.
const UPLOADS_MAX: usize = 62;
const _: () = assert!((UPLOADS_MAX as u64) < FENCE_GAP - 1);
/// Smallest permitted length of a segment.
pub(crate) const SEGMENT_LEN_MIN: u64 = 64 << 10;

impl Options {
    /// Checks every field against its range.
    ///
    /// # Errors
    ///
    /// [`LogError::InvalidOption`] names the first field that is out of range, and the bound.
    pub fn validate(&self) -> Result<(), LogError> {
        let check = |ok: bool, option: &'static str, why: &'static str| {
            if ok { Ok(()) } else { InvalidOptionSnafu { option, why }.fail() }
        };
        let within = |len: u64| (SEGMENT_LEN_MIN..=SEGMENT_LEN_MAX).contains(&len);
        check(within(self.segment_len), "segment_len", "it must be between 64 KiB and 16 GiB")?;
        check(within(self.first_segment_len), "first_segment_len", "it must be between 64 KiB and 16 GiB")?;
        check(self.entry_len_max > 0, "entry_len_max", "it must not be zero")?;
        check(
            self.entry_len_max <= BODY_LEN_MAX - 1024,
            "entry_len_max",
            "it must be at most 1 GiB less 1 KiB",
        )?;
        check(self.buffer_len > 0, "buffer_len", "it must not be zero")?;
        check(self.buffer_entries > 0, "buffer_entries", "it must not be zero")?;
        check((1..=UPLOADS_MAX).contains(&self.uploads), "uploads", "it must be between 1 and 62")?;
        check(self.group_window <= GROUP_WINDOW_MAX, "group_window", "it must be at most 10 s")?;
        check(self.checksum.is_available(), "checksum", "this build lacks the feature `crc32c`")?;
        let intervals = self.sync.interval().is_none_or(|interval| !interval.is_zero());
        check(
            intervals,
            "sync",
            "the interval must not be zero; use SyncPolicy::Always to sync every append",
        )?;
        check(self.metadata_len_max <= METADATA_LEN_MAX, "metadata_len_max", "it must be at most 1 MiB")?;
        let separators = self.prefix.contains(['/', '\\', '\0']);
        check(!separators, "prefix", "it must not contain path separators")?;
        check(self.prefix.len() <= 100, "prefix", "it must be at most 100 bytes long")?;
        self.retention.validate()?;
        self.tier.validate()?;
        self.compression.validate().map_err(|source| LogError::Compression { source })
    }

    /// Checks every field, and that they are fit for opening a log for writing.
    ///
    /// # Errors
    ///
    /// As [`validate`](Self::validate); [`RecoveryMode::ReadToDamage`] is for reading only.
    pub fn validate_for_writing(&self) -> Result<(), LogError> {
        if self.recovery == RecoveryMode::ReadToDamage {
            let why = "ReadToDamage is for logs that are opened for reading only";
            return InvalidOptionSnafu { option: "recovery", why }.fail();
        }
        self.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked_by_name() {
        let name = |options: Options| match options.validate() {
            Err(LogError::InvalidOption { option, .. }) => option,
            other => panic!("{other:?}"),
        };
        let good = Options::default;
        assert!(good().validate().is_ok());
        assert_eq!(name(Options { segment_len: 1, ..good() }), "segment_len");
        assert_eq!(name(Options { first_segment_len: u64::MAX, ..good() }), "first_segment_len");
        assert_eq!(name(Options { entry_len_max: 0, ..good() }), "entry_len_max");
        assert_eq!(name(Options { entry_len_max: u32::MAX, ..good() }), "entry_len_max");
        assert_eq!(name(Options { buffer_len: 0, ..good() }), "buffer_len");
        assert_eq!(name(Options { buffer_entries: 0, ..good() }), "buffer_entries");
        assert_eq!(name(Options { uploads: 63, ..good() }), "uploads");
        assert_eq!(name(Options { group_window: Duration::from_secs(11), ..good() }), "group_window");
        assert_eq!(name(Options { metadata_len_max: 2 << 20, ..good() }), "metadata_len_max");
        assert_eq!(name(Options { prefix: "a/b".into(), ..good() }), "prefix");
        let zero = SyncPolicy::Background { interval: Duration::ZERO };
        assert_eq!(name(Options { sync: zero, ..good() }), "sync");
    }
}
