//! Real lines to append.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use snafu::ResultExt;

use crate::error::{DemoSnafu, Failure, FileSnafu};

const EXTENSIONS: &[&str] = &["rs", "md", "toml"];
/// A home directory must not be read as a whole.
const FILES_MAX: usize = 2_000;
const BYTES_MAX: usize = 16 << 20;
const DEPTH_MAX: usize = 12;

/// For places without text files.
const SPARE: &str = include_str!("../demo.rs");

/// Lines of files, in order; after the last the first comes again.
#[derive(Debug)]
pub(crate) struct Corpus {
    lines: Vec<Vec<u8>>,
    /// What they are lines of.
    source: String,
}

impl Corpus {
    /// Reads a file, or the text files below the current directory.
    pub(crate) fn gather(file: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = file {
            let bytes = fs::read(path).context(FileSnafu { operation: "read", path })?;
            let lines = split(&bytes);
            if lines.is_empty() {
                return DemoSnafu { what: format!("{} is empty", path.display()) }.fail();
            }
            return Ok(Self { lines, source: path.display().to_string() });
        }
        let mut walk = Walk::default();
        walk.enter(Path::new("."), 0);
        if walk.lines.is_empty() {
            return Ok(Self { lines: split(SPARE.as_bytes()), source: "its own source".to_owned() });
        }
        let source = format!("the {} text files here", walk.files);
        Ok(Self { lines: walk.lines, source })
    }

    /// Writes the lines down for the other process.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Failure> {
        let mut bytes = self.lines.join(&b'\n');
        bytes.push(b'\n');
        fs::write(path, bytes).context(FileSnafu { operation: "write", path })
    }

    /// Reads what [`save`](Self::save) wrote.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        Self::gather(Some(path))
    }

    /// The line with this number, counted from zero.
    pub(crate) fn line(&self, number: u64) -> &[u8] {
        // There is at least one line, and no more than memory holds.
        let at = number % self.lines.len().max(1) as u64;
        usize::try_from(at).ok().and_then(|at| self.lines.get(at)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn len_of(&self, numbers: Range<u64>) -> u64 {
        numbers.map(|number| self.line(number).len() as u64).sum()
    }

    pub(crate) fn describe(&self) -> String {
        format!("{} ({} lines)", self.source, self.lines.len())
    }
}

fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[derive(Default)]
struct Walk {
    lines: Vec<Vec<u8>>,
    files: usize,
    bytes: usize,
}

impl Walk {
    /// Reads what can be read. Hidden directories, build output and links are passed over.
    fn enter(&mut self, dir: &Path, depth: usize) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            if self.files >= FILES_MAX || self.bytes >= BYTES_MAX {
                return;
            }
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            let Ok(kind) = entry.file_type() else { continue };
            let passed_over = name.starts_with('.') || name.starts_with("wal-demo-") || name == "target";
            if kind.is_dir() && depth < DEPTH_MAX && !passed_over {
                self.enter(&path, depth + 1);
            } else if kind.is_file() && is_text(&path) {
                self.read(&path);
            }
        }
    }

    fn read(&mut self, path: &PathBuf) {
        let Ok(len) = fs::metadata(path).map(|metadata| metadata.len()) else { return };
        if len == 0 || len > (BYTES_MAX - self.bytes) as u64 {
            return;
        }
        let Ok(bytes) = fs::read(path) else { return };
        self.files += 1;
        self.bytes += bytes.len();
        self.lines.extend(split(&bytes));
    }
}

fn is_text(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| EXTENSIONS.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_repeat_and_survive_being_saved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let lines = vec![b"one".to_vec(), Vec::new(), b"\xff three".to_vec(), Vec::new()];
        Corpus { lines: lines.clone(), source: String::new() }.save(&path).unwrap();
        let corpus = Corpus::load(&path).unwrap();
        assert_eq!(corpus.lines, lines);
        assert_eq!(corpus.line(6), b"\xff three");
        assert_eq!(corpus.len_of(0..5), 3 + 7 + 3);
    }
}
