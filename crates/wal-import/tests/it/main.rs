//! Logs of five programs, whole and damaged, from their own hands and from writers after their layouts.
#![expect(clippy::disallowed_methods, reason = "the samples are files")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod damage;
mod golden;
mod hostile;
mod support;
mod variations;
mod writers;
