//! Every constant of the format, and the limits that tie them together. `docs/FORMAT.md` is normative.

/// First bytes of every segment. The high bit and the line endings catch transfers that were not binary.
pub const SEGMENT_MAGIC: [u8; 8] = *b"\x89WALS\r\n\x1a";
/// First bytes of every index sidecar.
pub const INDEX_MAGIC: [u8; 8] = *b"\x89WALX\r\n\x1a";
/// First bytes of every frame in transport.
pub(crate) const TRANSPORT_MAGIC: [u8; 4] = *b"WALF";
/// The version of frames in transport that this crate writes, and the only one it reads.
pub(crate) const TRANSPORT_VERSION: u16 = 1;
/// Length of the header of a frame in transport in bytes.
pub const TRANSPORT_HEADER_LEN: usize = 48;
/// The format version this crate writes, and the only one it reads.
pub const FORMAT_VERSION: u16 = 1;

/// Length of the segment header block in bytes: a sector of its own, so that nothing is ever written into the sector
/// that holds the durable header.
pub const SEGMENT_HEADER_LEN: usize = 512;
/// Offset of the first frame (the opening) in every segment of this version.
pub const FIRST_FRAME: u64 = 512;
/// Where the header's own checksum stands. The same in every version, so that a newer header can be told from a
/// damaged one.
pub(crate) const SEGMENT_HEADER_CRC_AT: usize = 508;

/// Frames start at multiples of this many bytes.
pub const FRAME_ALIGN: usize = 8;
/// Length of a frame header in bytes.
pub const FRAME_HEADER_LEN: usize = 40;
/// Greatest length of a stored frame body in bytes.
pub const BODY_LEN_MAX: u32 = 1 << 30;
/// Greatest length of a segment in bytes. Offsets in units of eight bytes fit 32 bits below it.
pub const SEGMENT_LEN_MAX: u64 = 16 << 30;
/// Greatest encoded length of the metadata that an opening frame carries, in bytes.
pub const METADATA_LEN_MAX: usize = 1 << 20;
/// Greatest length of a metadata name in bytes.
pub const METADATA_NAME_LEN_MAX: usize = u16::MAX as usize;

/// Frame kinds from here on may be skipped by a reader that does not know them.
pub const IGNORABLE_KINDS: u8 = 128;
/// `proof_lag` of a frame that proves nothing.
pub const NO_PROOF: u32 = u32::MAX;

/// Bytes of the fixed part of an opening frame's body.
pub(crate) const OPENING_FIXED_LEN: usize = 72;
/// Bytes of the fixed part of an index sidecar.
pub(crate) const INDEX_HEADER_LEN: usize = 80;
/// Bytes of one point of an index sidecar.
pub(crate) const INDEX_POINT_LEN: usize = 8;

const _: () = assert!(FIRST_FRAME == SEGMENT_HEADER_LEN as u64);
const _: () = assert!(SEGMENT_HEADER_CRC_AT + 4 == SEGMENT_HEADER_LEN);
const _: () = assert!(SEGMENT_HEADER_LEN.is_multiple_of(FRAME_ALIGN));
const _: () =
    assert!(FRAME_HEADER_LEN.is_multiple_of(FRAME_ALIGN), "else bodies would need padding in front");
const _: () = assert!(SEGMENT_LEN_MAX / 8 < NO_PROOF as u64, "a real lag never equals the mark for none");
const _: () = assert!(BODY_LEN_MAX as u64 + FRAME_HEADER_LEN as u64 + FIRST_FRAME + 8 < SEGMENT_LEN_MAX);

/// Length of a frame with a body of `body_len` bytes: header, body, zero padding up to the next frame.
///
/// ```
/// assert_eq!(wal_format::frame_len(0), 40);
/// assert_eq!(wal_format::frame_len(1), 48);
/// assert_eq!(wal_format::frame_len(8), 48);
/// ```
#[inline]
#[must_use]
pub const fn frame_len(body_len: u32) -> u64 {
    (FRAME_HEADER_LEN as u64).saturating_add((body_len as u64).next_multiple_of(FRAME_ALIGN as u64))
}
