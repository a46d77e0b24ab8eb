//! Storage on objects, and logs on it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it counted"
)]

mod ahead;
mod codec;
mod faulty;
mod log;
mod pages;
mod schedules;
mod storage;
mod tiered;
