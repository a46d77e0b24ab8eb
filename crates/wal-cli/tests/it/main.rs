//! The program as its users run it.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests run processes and look at files behind the log's back"
)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod append;
mod bench;
mod config;
mod copying;
mod damage;
mod demo;
mod import;
#[cfg(feature = "object-store")]
mod objects;
mod processes;
mod reading;
mod repair;
mod replay;
mod retention;
mod stats;
mod support;
mod tail;
