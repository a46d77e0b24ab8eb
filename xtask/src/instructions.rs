//! `cargo xtask instructions`: counts what each path costs, which no noise of the machine changes.

use std::path::Path;

use crate::metadata;
use crate::process::{cargo, cargo_with, succeeds};

const MANIFEST: &str = "benches/instructions/Cargo.toml";
/// The version that the manifest asks for, too: library and runner must not differ.
const RUNNER: &str = "0.20.0";

/// Installs the runner below the target directory if it is not there, and counts. What follows goes to it.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), String> {
    if !succeeds(root, "valgrind", &["--version"]) {
        return Err("it takes valgrind, which the system's package manager has".to_owned());
    }
    let target = metadata::read(root, "Cargo.toml")?.target_dir;
    let (tools, target) = (target.join(format!("tools/{RUNNER}")), target.join("instructions"));
    let (tools, target) = (tools.to_string_lossy(), target.to_string_lossy());
    let runner = format!("{tools}/bin/gungraun-runner");
    if !Path::new(&runner).exists() {
        let version = format!("gungraun-runner@{RUNNER}");
        cargo(root, &["install", "--locked", "--root", &tools, &version])?;
    }
    let mut call = vec!["bench", "--locked", "--manifest-path", MANIFEST];
    if !args.is_empty() {
        call.push("--");
        call.extend(args.iter().map(String::as_str));
    }
    cargo_with(root, &call, &[("GUNGRAUN_RUNNER", &runner), ("CARGO_TARGET_DIR", &target)])
}
