//! What every codec promises, checked for each one that is in the build.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the verdict")]

mod codecs;
#[cfg(feature = "zstd")]
mod dictionaries;
mod promises;
