//! Why bytes are not what they claim to be. Numbers only: whoever knows the file adds its name.

use snafu::Snafu;

/// Why a segment header, an index or the body of a valid frame could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Snafu)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fewer bytes than the structure needs.
    #[snafu(display("{needed} bytes are needed and {have} are there"))]
    Short {
        /// Bytes the structure needs at least.
        needed: usize,
        /// Bytes that are there.
        have: usize,
    },
    /// The file does not begin like one of ours.
    #[snafu(display("this is not a segment of a write-ahead log (wrong magic)"))]
    Magic,
    /// The checksum of a segment header or index does not match.
    #[snafu(display(
        "the header checksum does not match (stored {stored:#010x}, computed {computed:#010x})"
    ))]
    HeaderChecksum {
        /// What the bytes say.
        stored: u32,
        /// What they give.
        computed: u32,
    },
    /// The checksum of a body in transport does not match.
    #[snafu(display("the body checksum does not match (stored {stored:#010x}, computed {computed:#010x})"))]
    BodyChecksum {
        /// What the header says.
        stored: u32,
        /// What the body gives.
        computed: u32,
    },
    /// Written by a newer version of the format. Not damage: leave it alone and use a newer reader.
    #[snafu(display("format version {version} is not supported (this build reads version 1)"))]
    UnsupportedVersion {
        /// The version found.
        version: u16,
    },
    /// A flag that a reader must understand is set and unknown.
    #[snafu(display("required flags {flags:#x} are not supported"))]
    UnsupportedFlags {
        /// The unknown flags.
        flags: u32,
    },
    /// The log was written with a checksum that this build does not have.
    #[snafu(display("checksum id {id} is not supported{}{feature}", hint(feature)))]
    UnsupportedChecksum {
        /// The id found.
        id: u8,
        /// The feature that would read it; empty when none does.
        feature: &'static str,
    },
    /// A frame that a reader must understand has an unknown kind.
    #[snafu(display("frame kind {kind} is not supported"))]
    UnsupportedKind {
        /// The kind found.
        kind: u8,
    },
    /// An entries frame has columns that this version does not know.
    #[snafu(display("entry columns {columns:#x} are not supported"))]
    UnsupportedColumns {
        /// The unknown columns.
        columns: u8,
    },
    /// A field holds a value that its definition rules out.
    #[snafu(display("{what} is {value}, outside its range"))]
    Invalid {
        /// Which field.
        what: &'static str,
        /// What it holds.
        value: u64,
    },
    /// The body of an entries frame is compressed; decompress it first.
    #[snafu(display("the body is compressed with codec {codec}"))]
    Compressed {
        /// The codec id.
        codec: u8,
    },
}

impl DecodeError {
    /// Whether the bytes ask for another build, a newer one or one with another feature. They are not damaged then.
    #[must_use]
    pub const fn is_unsupported(&self) -> bool {
        matches!(
            self,
            Self::UnsupportedVersion { .. }
                | Self::UnsupportedFlags { .. }
                | Self::UnsupportedChecksum { .. }
                | Self::UnsupportedKind { .. }
                | Self::UnsupportedColumns { .. }
        )
    }
}

/// Why the bytes at an offset are not a frame of this segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Snafu)]
#[snafu(context(suffix(Fault)))]
#[non_exhaustive]
pub enum FrameFault {
    /// The bytes end here, at a frame boundary or inside a frame.
    #[snafu(display("the bytes end here"))]
    End,
    /// Nothing was written here: the header is zeros.
    #[snafu(display("nothing was written here"))]
    Empty,
    /// The header's checksum does not match: torn, stale, misplaced or damaged.
    #[snafu(display("the frame header does not verify"))]
    HeaderChecksum,
    /// The header verifies and a field is impossible.
    #[snafu(display("the frame header holds an impossible {what}"))]
    Implausible {
        /// Which field.
        what: &'static str,
    },
    /// The body's checksum does not match.
    #[snafu(display("the frame body does not verify"))]
    BodyChecksum,
    /// The padding behind the body is not zero.
    #[snafu(display("the padding behind the frame is not zero"))]
    Padding,
    /// The frame is whole and does not continue the one before it.
    #[snafu(display("the frame does not continue the one before it ({what})"))]
    OutOfOrder {
        /// What does not fit.
        what: &'static str,
    },
}

const fn hint(feature: &str) -> &'static str {
    if feature.is_empty() { "" } else { "; enable the feature " }
}
