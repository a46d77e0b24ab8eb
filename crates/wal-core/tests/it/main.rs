//! The engine from outside, on memory and on real files.

mod basic;
mod support;
