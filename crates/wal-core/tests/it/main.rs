//! The engine from outside, on memory and on real files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test should say so")]

mod basic;
mod damage;
mod faulty;
mod health;
mod hooked;
mod hostile;
mod metadata;
mod races;
mod retention;
mod support;
mod threads;
