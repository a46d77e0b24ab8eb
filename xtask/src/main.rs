//! CI chores.
fn main() {}
