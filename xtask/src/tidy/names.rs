//! Names that say nothing.

use super::Report;
use super::tree::Tree;

/// A room with such a name collects what belongs elsewhere.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "misc", "types"];

pub(super) fn check(tree: &Tree<'_>, report: &mut Report) {
    for file in tree.rust() {
        if let Some(what) = objection(&file.path) {
            report.fault(&file.path, 1, what);
        }
    }
}

fn objection(path: &str) -> Option<String> {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    if stem == "mod" || stem.ends_with("/mod") {
        return Some("a module `foo` lives in foo.rs, not in foo/mod.rs".to_owned());
    }
    let empty = stem.split('/').find(|part| EMPTY_NAMES.contains(part))?;
    Some(format!("`{empty}` says nothing about what is inside"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, is_allowed: bool) {
        assert_eq!(objection(path).is_none(), is_allowed, "{path}");
    }

    #[test]
    fn a_name_says_what_is_inside() {
        check("crates/wal/src/lib.rs", true);
        check("crates/wal/src/model.rs", true);
        check("crates/wal/src/mod.rs", false);
        check("crates/wal/src/utils.rs", false);
        check("crates/wal/src/helpers/parse.rs", false);
        check("crates/wal/src/typeset.rs", true);
    }
}
