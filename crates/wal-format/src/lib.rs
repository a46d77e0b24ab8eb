//! The bytes of a write-ahead log: encode, decode, checksum and scan segments. No I/O, no clock, no unsafe code; with
//! `default-features = false` no `std` either (it needs `alloc`).
//!
//! Most people want the crate `wal`, which writes, recovers and reads logs. Depend on this one to read segment files
//! offline, to check or convert them, to feed them from a place this workspace does not know, or to fuzz the decoder.
//! The layout is written down in `docs/FORMAT.md` of the repository; this crate is its implementation.
//!
//! [`SegmentReader`] reads a segment from a file or anything else that can be read; [`Scanner`] below it is fed by
//! hand, also without `std`.
//!
//! # Example: listing a segment
//!
//! ```
//! # fn segment() -> Vec<u8> { wal_format::example_segment() }
//! use wal_format::{EntriesRef, FrameKind, Item, Scanner};
//!
//! let mut scanner = Scanner::new();
//! for slice in segment().chunks(100) {
//!     scanner.feed(slice);
//!     while let Some(item) = scanner.next()? {
//!         let Item::Frame(frame) = item else { continue };
//!         if frame.header.kind == FrameKind::Entries {
//!             for (n, entry) in EntriesRef::of(&frame.header, frame.body)?.iter().enumerate() {
//!                 println!("{}: {:?}", frame.lsn.plus(n as u64), entry?.payload);
//!             }
//!         }
//!     }
//! }
//! scanner.end();
//! assert!(scanner.next()?.is_none());
//! assert_eq!(scanner.verdict().next.map(|lsn| lsn.get()), Some(4), "three entries, then a clean end");
//! # Ok::<(), wal_format::DecodeError>(())
//! ```

#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

extern crate alloc;

mod checksum;
mod control;
mod entries;
mod error;
mod example;
mod frame;
mod ids;
mod index;
mod layout;
mod le;
mod lsn;
mod metadata;
mod name;
mod opening;
#[cfg(feature = "std")]
mod reader;
mod scan;
mod segment_header;
mod transport;

pub use checksum::{ChecksumKind, HeaderSum};
pub use control::{Close, CloseState, Seal, Trim};
pub use entries::{
    BodyShape, EntriesBuilder, EntriesLayout, EntriesRef, EntryRef, NewEntry, fold_ends, split_compressed,
    unfold_ends,
};
pub use error::{DecodeError, FrameFault};
#[doc(hidden)]
pub use example::example_segment;
pub use frame::{
    EntriesFrame, EntriesParser, FrameHeader, FrameHint, FrameKind, Parsed, hint_frame, parse_entries,
    parse_frame,
};
pub use ids::{LogId, Position, SegmentId};
pub use index::{IndexPoint, SegmentIndex, SegmentIndexRef};
pub use layout::{
    BODY_LEN_MAX, FIRST_FRAME, FORMAT_VERSION, FRAME_ALIGN, FRAME_HEADER_LEN, IGNORABLE_KINDS, INDEX_MAGIC,
    METADATA_LEN_MAX, METADATA_NAME_LEN_MAX, NO_PROOF, SEGMENT_HEADER_LEN, SEGMENT_LEN_MAX, SEGMENT_MAGIC,
    TRANSPORT_HEADER_LEN, frame_len,
};
pub use lsn::Lsn;
pub use metadata::{Checkpoint, CursorPosition, Metadata, MetadataRecord, MetadataRecords, Namespace};
pub use name::FileName;
pub use opening::{Opening, Predecessor};
#[cfg(feature = "std")]
pub use reader::{ReadError, SegmentReader};
pub use scan::{Beyond, Frame, Item, Judgement, LastFrame, Scanner, Verdict};
pub use segment_header::{FENCE_GAP, SegmentHeader, SegmentKey};
pub use transport::TransportFrame;
