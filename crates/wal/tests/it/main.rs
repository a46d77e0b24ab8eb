//! The log as its users see it, on real files.
#![expect(clippy::disallowed_methods, reason = "the tests look at the files behind the log's back")]
#![expect(clippy::unwrap_used, reason = "a test that fails panics, also in its helpers")]

mod dashboard;
mod full;
mod misuse;
mod oplog;
mod plain;
mod refused;
mod support;
mod typed;
mod usage;
