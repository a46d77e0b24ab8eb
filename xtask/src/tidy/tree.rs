use std::fs;
use std::path::Path;

use crate::metadata::{self, Workspace};

/// What the rules look at: the packages, and the texts of Rust and Markdown.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) root: &'a Path,
    pub(super) workspace: Workspace,
    pub(super) files: Vec<TextFile>,
}

#[derive(Debug)]
pub(super) struct TextFile {
    /// From the root, with `/` on every system.
    pub(super) path: String,
    pub(super) text: String,
}

/// Directories whose content nobody wrote.
const FOREIGN: &[&str] = &["target", "corpus", "artifacts", "coverage"];

impl<'a> Tree<'a> {
    pub(super) fn read(root: &'a Path) -> Result<Self, String> {
        let workspace = metadata::read(root, "Cargo.toml")?;
        let mut files = Vec::new();
        walk(root, "", &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { root, workspace, files })
    }

    pub(super) fn rust(&self) -> impl Iterator<Item = &TextFile> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    pub(super) fn markdown(&self) -> impl Iterator<Item = &TextFile> {
        self.files.iter().filter(|file| file.path.ends_with(".md"))
    }

    /// A path as cargo gives it, from the root.
    pub(super) fn relative(&self, path: &Path) -> String {
        // cargo resolves symbolic links where the root may not have.
        let root = self.root.canonicalize();
        let relative = path.strip_prefix(root.as_deref().unwrap_or(self.root)).unwrap_or(path);
        relative.to_string_lossy().replace('\\', "/")
    }
}

impl TextFile {
    pub(super) fn is_rust_of_a_crate(&self) -> bool {
        self.path.starts_with("crates/") && self.path.ends_with(".rs")
    }

    /// Whether the file holds nothing but tests.
    pub(super) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }
}

fn walk(root: &Path, directory: &str, files: &mut Vec<TextFile>) -> Result<(), String> {
    let cannot_read = |path: &str, error: std::io::Error| format!("cannot read {path}: {error}");
    let entries = fs::read_dir(root.join(directory)).map_err(|error| cannot_read(directory, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| cannot_read(directory, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
        let kind = entry.file_type().map_err(|error| cannot_read(&path, error))?;
        if kind.is_dir() && !name.starts_with('.') && !FOREIGN.contains(&name.as_str()) {
            walk(root, &path, files)?;
        } else if kind.is_file() && (name.ends_with(".rs") || name.ends_with(".md")) {
            let text = fs::read_to_string(entry.path()).map_err(|error| cannot_read(&path, error))?;
            files.push(TextFile { path, text });
        }
    }
    Ok(())
}
