//! `cargo xtask tidy`: the house rules that a compiler does not know.

mod code;
mod documents;
mod layers;
mod mask;
mod names;
mod sizes;
mod tree;

use std::fmt;
use std::path::Path;

use tree::Tree;

/// A rule looks at the tree and reports. A new one is a line here.
type Rule = fn(&Tree<'_>, &mut Report);

const RULES: &[Rule] = &[layers::check, names::check, sizes::check, code::check, documents::check];

/// Prints what breaks a rule, and fails if anything does.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let tree = Tree::read(root)?;
    let mut report = Report::default();
    RULES.iter().for_each(|rule| rule(&tree, &mut report));

    report.notes.iter().for_each(|finding| println!("note: {finding}"));
    report.faults.iter().for_each(|finding| println!("{finding}"));
    let (files, faults) = (tree.files.len(), report.faults.len());
    println!("tidy: {files} files, {faults} faults, {} notes", report.notes.len());
    if faults == 0 { Ok(()) } else { Err(format!("tidy found {faults} faults")) }
}

/// What the rules found.
#[derive(Debug, Default)]
struct Report {
    faults: Vec<Finding>,
    /// Worth a look, and no reason to fail.
    notes: Vec<Finding>,
}

impl Report {
    fn fault(&mut self, path: &str, line: usize, what: impl Into<String>) {
        self.faults.push(Finding::new(path, line, what));
    }

    fn note(&mut self, path: &str, line: usize, what: impl Into<String>) {
        self.notes.push(Finding::new(path, line, what));
    }
}

/// A place and what is wrong there.
#[derive(Debug)]
struct Finding {
    path: String,
    /// Counted from 1.
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}
