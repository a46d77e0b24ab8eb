//! The facade's examples, run: each asserts what it shows.

use std::fs;
use std::path::Path;

use crate::process::cargo;

const EXAMPLES: &str = "crates/wal/examples";

pub(super) fn run(root: &Path) -> Result<(), String> {
    let names = names(root)?;
    if names.is_empty() {
        return Err(format!("there are no examples in {EXAMPLES}"));
    }
    // With the features of the tests, which have compiled everything.
    let features = super::features_but_heavy(root, |package| package == "wal")?;
    names.iter().try_for_each(|name| {
        cargo(root, &["run", "--quiet", "--package", "wal", "--features", &features, "--example", name])
    })
}

/// Every file with the ending of a program, and every directory with one named `main.rs`.
fn names(root: &Path) -> Result<Vec<String>, String> {
    let failed = |error| format!("cannot list {EXAMPLES}: {error}");
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join(EXAMPLES)).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_program =
            path.extension().is_some_and(|ending| ending == "rs") || path.join("main.rs").is_file();
        if is_program && let Some(name) = path.file_stem() {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}
