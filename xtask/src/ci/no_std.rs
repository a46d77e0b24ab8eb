//! Proof that wal-format needs no standard library.
//!
//! Without its feature `crc32c`, that is: crc-fast 1.10 names std on x86-64 whatever its features, and being a cdylib
//! too it asks for a panic handler of its own.

use std::fs;
use std::path::Path;

use crate::metadata;
use crate::process::{cargo, output};

/// Targets that have no standard library at all. The first one that is installed is built for.
const BARE_METAL: &[&str] =
    &["thumbv7em-none-eabihf", "thumbv7em-none-eabi", "x86_64-unknown-none", "aarch64-unknown-none"];

/// A dependent that would not compile if std were linked; see its source.
const FIXTURE: &str = "xtask/fixtures/no-std";

pub(super) fn check(root: &Path) -> Result<(), String> {
    check_fixture(root)?;
    let sysroot = output(root, "rustc", &["--print", "sysroot"])?;
    let installed = Path::new(sysroot.trim()).join("lib/rustlib");
    let Some(target) = BARE_METAL.iter().find(|target| installed.join(target).is_dir()) else {
        println!("no bare-metal target is installed: the host's check of {FIXTURE} has to do");
        return Ok(());
    };
    cargo(root, &["build", "--package", "wal-format", "--no-default-features", "--target", target])
}

fn check_fixture(root: &Path) -> Result<(), String> {
    // The versions that the workspace uses; cargo drops what the fixture does not need.
    fs::copy(root.join("Cargo.lock"), root.join(FIXTURE).join("Cargo.lock"))
        .map_err(|error| format!("cannot copy Cargo.lock to {FIXTURE}: {error}"))?;
    let target_dir = metadata::read(root, "Cargo.toml")?.target_dir.join("no-std");
    let target_dir = target_dir.to_string_lossy();
    let manifest = format!("{FIXTURE}/Cargo.toml");
    cargo(root, &["check", "--manifest-path", &manifest, "--target-dir", &target_dir])
}
