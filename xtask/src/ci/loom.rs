//! The commit queue, the marks, the cuts and what threads tell each other, in every order of their steps.

use std::path::Path;

use crate::metadata;
use crate::process::cargo_with;

/// The tests that loom runs, in modules of this name: the rest of the crate does not know it.
const TESTS: &str = "model::";
const MANIFEST: &str = "Cargo.toml";

pub(super) fn check(root: &Path) -> Result<(), String> {
    // A directory of its own, or every other step would compile everything again.
    let target_dir = metadata::read(root, MANIFEST)?.target_dir.join("loom");
    let target_dir = target_dir.to_str().ok_or("the target directory is not UTF-8")?;
    let args = ["test", "--package", "wal-core", "--lib", "--release", "--target-dir", target_dir, TESTS];
    cargo_with(root, &args, &[("RUSTFLAGS", "--cfg loom")])
}
