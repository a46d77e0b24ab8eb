//! Words that have one place in this repository, or none.

use super::Report;
use super::mask::{has_word, mask};
use super::tree::{TextFile, Tree};

/// The one file that may say `unsafe`, and its crate.
const UNSAFE_FILES: &[&str] = &["crates/wal-segment/src/local/mmap.rs"];
const UNSAFE_CRATES: &[&str] = &["wal-segment"];

/// Crates that work without the standard library, and the ways to say so.
const NO_STD_CRATES: &[&str] = &["wal-format"];
const NO_STD: &[&str] = &["#![no_std]", "#![cfg_attr(not(feature = \"std\"), no_std)]"];

/// Put together so that this file does not hold what it looks for.
const REMINDERS: &[&str] = &[concat!("FIX", "ME"), concat!("XX", "X")];
const STUBS: &[&str] = &["todo", "unimplemented"];

pub(super) fn check(tree: &Tree<'_>, report: &mut Report) {
    tree.rust().for_each(|file| check_words(file, report));
    for package in tree.workspace.packages.iter().filter(|package| package.is_library) {
        let manifest = tree.relative(&package.manifest_path);
        let path = manifest.replace("Cargo.toml", "src/lib.rs");
        let Some(lib) = tree.files.iter().find(|file| file.path == path) else { continue };
        let says = |attributes: &[&str]| lib.text.lines().any(|line| attributes.contains(&line.trim()));
        if !UNSAFE_CRATES.contains(&package.name.as_str()) && !says(&["#![forbid(unsafe_code)]"]) {
            report.fault(&path, 1, "`#![forbid(unsafe_code)]` is missing");
        }
        if NO_STD_CRATES.contains(&package.name.as_str()) && !says(NO_STD) {
            report.fault(&path, 1, format!("one of these is missing: {}", NO_STD.join(", ")));
        }
    }
}

fn check_words(file: &TextFile, report: &mut Report) {
    let may_be_unsafe = UNSAFE_FILES.contains(&file.path.as_str());
    for (index, line) in mask(&file.text).lines().enumerate() {
        if !may_be_unsafe && has_word(line, "unsafe") {
            report.fault(&file.path, index + 1, format!("`unsafe` outside of {}", UNSAFE_FILES.join(", ")));
        }
        if let Some(stub) = stub(line) {
            report.fault(&file.path, index + 1, format!("`{stub}!`"));
        }
    }
    for (index, line) in file.text.lines().enumerate() {
        if let Some(word) = REMINDERS.iter().find(|word| has_word(line, word)) {
            report.fault(&file.path, index + 1, format!("`{word}`: do it, or write an issue"));
        }
    }
}

/// The macro in a line of masked code that stands for code not written.
fn stub(line: &str) -> Option<&'static str> {
    STUBS.iter().copied().find(|word| has_word(line, word) && line.contains(&format!("{word}!")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<String> {
        let mut report = Report::default();
        check_words(&TextFile { path: path.to_owned(), text: text.to_owned() }, &mut report);
        report.faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn unsafe_code_has_one_place() {
        assert_eq!(faults("a.rs", "// unsafe\nlet a = \"unsafe\";\n#![forbid(unsafe_code)]\n").len(), 0);
        assert_eq!(faults("a.rs", "fn a() {\n    unsafe { b() }\n}\n").len(), 1);
        assert!(faults("a.rs", "\nunsafe impl A for B {}\n")[0].starts_with("a.rs:2: "));
        assert_eq!(faults(UNSAFE_FILES[0], "unsafe { b() }\n").len(), 0);
    }

    #[test]
    fn nothing_is_left_to_be_written() {
        assert_eq!(faults("a.rs", &format!("// {}: soon\n", REMINDERS[0])).len(), 1);
        assert_eq!(faults("a.rs", &format!("fn a() {{ {}!() }}\n", STUBS[0])).len(), 1);
        assert_eq!(faults("a.rs", &format!("let {0} = 1; // a {0} list, {0}!()\n", STUBS[0])).len(), 0);
    }
}
