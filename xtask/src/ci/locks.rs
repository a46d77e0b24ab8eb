//! The lock files of the workspaces that nothing here builds: what they say must be what their manifests ask for.

use std::path::Path;

use super::Done;
use crate::process::complaint;

const MANIFESTS: &[&str] = &["benches/compare/Cargo.toml", "benches/instructions/Cargo.toml"];
/// What cargo says of a lock file that it would have to change.
const STALE: &str = "cannot update the lock file";

/// Whether each lock file is up to date. It takes the registry's index, and is skipped without.
pub(super) fn check(root: &Path) -> Result<Done, String> {
    for manifest in MANIFESTS {
        let refresh = ["update", "--workspace", "--manifest-path", manifest];
        match complaint(root, "cargo", &[&refresh[..], &["--locked"]].concat())? {
            None => {}
            Some(words) if words.contains(STALE) => {
                return Err(format!("a lock file is out of date: run `cargo {}`", refresh.join(" ")));
            }
            Some(words) => {
                return Ok(Done::Skipped(format!("cargo could not look into {manifest}: {words}")));
            }
        }
    }
    Ok(Done::Passed)
}
