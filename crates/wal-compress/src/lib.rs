//! Compression for a write-ahead log: bytes in, bytes out.
//!
//! This crate knows algorithms. It knows no frame, no file and no other crate of the log: what it is given is a slice,
//! and what it appends to a `Vec` is another. Which codec made some stored bytes, and how long the raw bytes were, is
//! for the caller to remember; a log writes both into the frame.
//!
//! | id | codec | feature | |
//! |---|---|---|---|
//! | 0 | [`Identity`] | always there | stores bytes as they are |
//! | 1 | `Zstd` | `zstd` | small output; builds C code |
//! | 2 | `Snappy` | `snappy` | fast; pure Rust |
//! | 3 to 127 | | | reserved for this project |
//! | 128 to 255 | yours | | see [`Codecs::register`] |
//!
//! Both features are off by default. Bytes written by a codec that this build lacks are a typed error that names the
//! feature to enable, [`CompressError::FeatureDisabled`].
//!
//! ```
//! use wal_compress::{CodecId, Codecs};
//!
//! let codecs = Codecs::new();
//! let codec = codecs.get(CodecId::IDENTITY)?;
//!
//! let mut stored = Vec::new();
//! codec.compress(b"hello", &mut stored)?;
//!
//! let mut raw = Vec::new();
//! codec.decompress(&stored, 5, &mut raw)?;
//! assert_eq!(raw, b"hello");
//! # Ok::<(), wal_compress::CompressError>(())
//! ```

#![forbid(unsafe_code)]

mod codec;
mod codecs;
#[cfg(feature = "zstd")]
mod dictionary;
mod error;
mod identity;
#[cfg(any(feature = "zstd", feature = "snappy"))]
mod output;
mod policy;
#[cfg(any(feature = "zstd", feature = "snappy"))]
mod pool;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(feature = "snappy")]
pub use self::snappy::Snappy;
#[cfg(feature = "zstd")]
pub use self::zstd::Zstd;
pub use codec::{Codec, CodecId};
pub use codecs::Codecs;
pub use error::{BoxError, CompressError};
pub use identity::Identity;
pub use policy::{Compression, WhenBehind, worth_storing};
