//! The engine from outside, on memory and on real files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test should say so")]

mod basic;
mod beside;
mod bits;
mod by_copy;
mod cached;
mod copying;
mod damage;
mod dictionaries;
mod extras;
mod following;
mod glances;
mod health;
mod histories;
mod hooked;
mod hooks;
mod hostile;
mod indexes;
mod lives;
mod metadata;
mod model;
mod packers;
mod packing;
mod panics;
mod parts;
mod patience;
mod preparing;
mod races;
mod reading;
mod reading_ahead;
mod replaying;
mod retention;
mod settled;
mod sharing;
mod stats;
mod stored;
mod support;
mod threads;
mod tier;
mod transactions;
mod written;
