//! Which crate may know which: an import goes to a strictly lower floor.

use super::Report;
use super::tree::Tree;

/// The house. Every package of the workspace lives on one floor.
const FLOORS: &[(&str, u8)] = &[
    ("wal-format", 0),
    ("wal-segment", 1),
    ("wal-compress", 1),
    ("wal-import", 1),
    ("wal-core", 2),
    ("wal-object-store", 2),
    ("wal-sim", 2),
    ("wal", 3),
    ("wal-cli", 4),
    ("wal-openraft", 4),
    ("wal-benches", 4),
    ("xtask", 4),
];

/// A disk that fails on purpose: tests have it from any floor, what people run never does.
const SIMULATION: &str = "wal-sim";

/// Packages that nobody runs in production, and that may have the simulation as an ordinary dependency.
const SIMULATION_USERS: &[&str] = &["wal-benches", "xtask"];

pub(super) fn check(tree: &Tree<'_>, report: &mut Report) {
    for package in &tree.workspace.packages {
        let manifest = tree.relative(&package.manifest_path);
        if floor(&package.name).is_none() {
            report.fault(
                &manifest,
                1,
                format!("{} has no floor in the table of tidy/layers.rs", package.name),
            );
        }
        for dependency in &package.dependencies {
            let is_ours = tree.workspace.packages.iter().any(|package| package.name == dependency.name);
            if is_ours && let Some(what) = objection(&package.name, &dependency.name, dependency.is_dev) {
                report.fault(&manifest, 1, what);
            }
        }
    }
}

fn floor(package: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == package).map(|(_, floor)| *floor)
}

/// What speaks against a dependency between two packages of the workspace.
fn objection(from: &str, to: &str, is_dev: bool) -> Option<String> {
    if is_dev {
        return None;
    }
    if to == SIMULATION && !SIMULATION_USERS.contains(&from) {
        return Some(format!("{from} depends on {SIMULATION} outside of tests"));
    }
    // A package without a floor is a fault of its own.
    let (above, below) = (floor(from)?, floor(to)?);
    (above <= below)
        .then(|| format!("{from} (floor {above}) depends on {to} (floor {below}), which is not below it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(from: &str, to: &str, is_dev: bool, is_allowed: bool) {
        assert_eq!(objection(from, to, is_dev).is_none(), is_allowed, "{from} -> {to}");
    }

    #[test]
    fn an_import_goes_down() {
        check("wal-segment", "wal-format", false, true);
        check("wal", "wal-format", false, true);
        check("wal-format", "wal-segment", false, false);
        check("wal-core", "wal", false, false);
    }

    #[test]
    fn an_import_does_not_go_sideways() {
        check("wal-segment", "wal-compress", false, false);
        check("wal-core", "wal-object-store", false, false);
        check("wal", "wal", false, false);
    }

    #[test]
    fn the_simulation_is_for_tests() {
        check("wal-segment", "wal-sim", true, true);
        check("wal-core", "wal-sim", true, true);
        check("wal", "wal-sim", false, false);
        check("wal-cli", "wal-sim", false, false);
        check("wal-benches", "wal-sim", false, true);
        check("xtask", "wal-sim", false, true);
    }

    #[test]
    fn every_name_is_in_the_table_once() {
        for (index, (name, _)) in FLOORS.iter().enumerate() {
            assert!(FLOORS[index + 1..].iter().all(|(other, _)| other != name), "{name}");
        }
    }
}
