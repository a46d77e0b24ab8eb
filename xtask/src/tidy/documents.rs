//! Documents that exist, and links in them that lead somewhere.

use super::Report;
use super::tree::Tree;

const REQUIRED: &[&str] = &[
    "README.md",
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "docs/ARCHITECTURE.md",
    "docs/DURABILITY.md",
    "docs/FORMAT.md",
];

pub(super) fn check(tree: &Tree<'_>, report: &mut Report) {
    for path in REQUIRED.iter().filter(|path| !tree.root.join(path).is_file()) {
        report.fault(path, 1, "the file is missing");
    }
    for file in tree.markdown() {
        let directory = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        for (line, target) in links(&file.text) {
            if let Some(path) = local_path(target)
                && !tree.root.join(directory).join(path).exists()
            {
                report.fault(&file.path, line, format!("the link to `{target}` leads nowhere"));
            }
        }
    }
}

/// The file that a link means; none if it leads out of the repository, within the page, or to a Rust item.
fn local_path(target: &str) -> Option<&str> {
    let path = target.split('#').next().unwrap_or(target);
    // One colon is a scheme such as `https:`, two are a path of Rust.
    (!path.is_empty() && !path.contains(':')).then_some(path)
}

/// The targets of the links in a text, with their lines, counted from 1. Code is not searched.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fence = None;
    for (index, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => found.extend(links_in(line).map(|target| (index + 1, target))),
            _ => {}
        }
    }
    found
}

fn links_in(line: &str) -> impl Iterator<Item = &str> {
    let inline = line.match_indices("](").filter(|(at, _)| !is_in_code(line, *at));
    let inline = inline.filter_map(|(at, _)| line[at + 2..].split(')').next());
    // `[name]: target` gives a target a name.
    let definition = line.trim_start().strip_prefix('[').filter(|rest| !rest.starts_with('^'));
    let definition =
        definition.and_then(|rest| rest.split_once("]:")).filter(|(name, _)| !name.contains(']'));
    inline.chain(definition.map(|(_, target)| target)).filter_map(without_title)
}

/// Whether an odd number of backticks stands before a position.
fn is_in_code(line: &str, at: usize) -> bool {
    line[..at].matches('`').count() % 2 == 1
}

fn without_title(target: &str) -> Option<&str> {
    let target = target.split_whitespace().next()?;
    Some(target.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &[(usize, &str)]) {
        assert_eq!(links(text), want);
    }

    #[test]
    fn links_are_found_where_they_stand() {
        check("a [b](c.md) d [e](<f.md> \"title\")", &[(1, "c.md"), (1, "f.md")]);
        check("\n![picture](a.svg)", &[(2, "a.svg")]);
        check("[a]: b.md\n[^1]: a note", &[(1, "b.md")]);
        check("[![badge](a.svg)](b.md)", &[(1, "a.svg"), (1, "b.md")]);
    }

    #[test]
    fn code_holds_no_links() {
        check("`[a](b)` [c](d)", &[(1, "d")]);
        check("```\n[a](b)\n```\n[c](d)", &[(4, "d")]);
        check("~~~text\n```\n[a](b)\n~~~", &[]);
    }

    #[test]
    fn only_files_are_looked_for() {
        assert_eq!(local_path("docs/FORMAT.md#frames"), Some("docs/FORMAT.md"));
        assert_eq!(local_path("#frames"), None);
        assert_eq!(local_path("https://example.com/a"), None);
        assert_eq!(local_path("crate::Wal"), None);
    }
}
