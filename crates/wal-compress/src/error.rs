use std::collections::TryReserveError;

use snafu::Snafu;

use crate::CodecId;

/// The cause that an algorithm gives, whatever its type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why bytes could not be compressed or decompressed, or a codec could not be had.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(crate)))]
#[non_exhaustive]
pub enum CompressError {
    /// The algorithm refused its input, for instance because it is too long for it.
    #[snafu(display("codec {codec} cannot compress the input"))]
    Compress {
        /// The codec that was asked.
        codec: CodecId,
        /// What it says.
        source: BoxError,
    },

    /// The stored bytes are not what this codec writes, or hold more than they were declared to.
    #[snafu(display("codec {codec} cannot decompress the stored bytes"))]
    Damaged {
        /// The codec that was asked.
        codec: CodecId,
        /// What it says.
        source: BoxError,
    },

    /// The stored bytes hold another number of bytes than they were declared to.
    #[snafu(display("codec {codec}: the stored bytes hold {actual} bytes instead of {expected}"))]
    WrongLength {
        /// The codec that was asked.
        codec: CodecId,
        /// The declared length, in bytes.
        expected: usize,
        /// The length found, in bytes.
        actual: usize,
    },

    /// The stored bytes declare to hold more than is [permitted](crate::Compression::raw_len_max). They may be sound.
    #[snafu(display("the stored bytes declare to hold {len} bytes, more than the {max} that are permitted"))]
    TooLong {
        /// The declared length, in bytes.
        len: u32,
        /// The limit, in bytes.
        max: u32,
    },

    /// There is no memory for the result.
    #[snafu(display("cannot allocate {len} bytes"))]
    OutOfMemory {
        /// How much was needed, in bytes.
        len: usize,
        /// What the allocator says.
        source: TryReserveError,
    },

    /// The codec is known, but this build leaves it out.
    #[snafu(display("codec {codec} needs the feature `{feature}`"))]
    FeatureDisabled {
        /// The codec that was asked for.
        codec: CodecId,
        /// The cargo feature that brings it.
        feature: &'static str,
    },

    /// Nobody registered this id, and it is none of ours.
    #[snafu(display("no codec has the id {id}"))]
    UnknownCodec {
        /// The id that was asked for.
        id: CodecId,
    },

    /// A codec of the user's carries an id below [`CodecId::FIRST_USER`].
    #[snafu(display("codec id {id} is reserved, yours start at {}", CodecId::FIRST_USER))]
    ReservedId {
        /// The id that was refused.
        id: CodecId,
    },

    /// The stored bytes can only be decompressed with a dictionary that is not there.
    #[snafu(display("the stored bytes need dictionary {id}, which is not there"))]
    MissingDictionary {
        /// The dictionary that they name.
        id: u32,
    },

    /// Bytes that were to be a dictionary are none.
    #[snafu(display("these bytes are not a dictionary of zstd"))]
    BadDictionary,

    /// Another dictionary has the id already.
    #[snafu(display("another dictionary has the id {id}"))]
    DuplicateDictionary {
        /// The id that both have.
        id: u32,
    },

    /// Too little to train a dictionary from.
    #[snafu(display("no dictionary can be trained from {samples} samples like these"))]
    TooFewSamples {
        /// How many there were.
        samples: usize,
        /// What the algorithm says.
        source: BoxError,
    },

    /// The codec has no dictionaries.
    #[snafu(display("codec {codec} has no dictionaries"))]
    NoDictionaries {
        /// The codec that was asked.
        codec: CodecId,
    },

    /// Another codec has the id already.
    #[snafu(display("codec id {id} is taken"))]
    DuplicateId {
        /// The id that was refused.
        id: CodecId,
    },

    /// A compression level outside of [`Compression::LEVELS`](crate::Compression::LEVELS).
    #[snafu(display("compression level {level} is not between {min} and {max}"))]
    InvalidLevel {
        /// The level that was refused.
        level: i32,
        /// The least level.
        min: i32,
        /// The greatest level.
        max: i32,
    },

    /// A gain of more than 100 percent.
    #[snafu(display("a gain of {percent} percent cannot be had"))]
    InvalidGain {
        /// The percentage that was refused.
        percent: u8,
    },

    /// More threads than [`Compression::THREADS_MAX`](crate::Compression::THREADS_MAX).
    #[snafu(display("{threads} threads are more than can compress for a log"))]
    InvalidThreads {
        /// The number that was refused.
        threads: u32,
    },
}
