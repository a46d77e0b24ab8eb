//! Files and functions that fit a reader.

use super::Report;
use super::mask::mask;
use super::tree::Tree;

/// Lines of a file at which tests are moved out or a noun is split off.
const FILE_WALL: usize = 500;
/// Lines of a file, its tests left out, from which it is worth a look.
const FILE_NORMAL: usize = 300;
/// Lines of a function, from its first to its closing brace.
const FUNCTION_WALL: usize = 70;
/// Characters of a line. rustfmt keeps code below; comments and strings are nobody's else.
const COLUMNS: usize = 120;

pub(super) fn check(tree: &Tree<'_>, report: &mut Report) {
    for file in tree.rust() {
        for (index, line) in file.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS {
                report.fault(&file.path, index + 1, format!("{columns} columns, {COLUMNS} are the limit"));
            }
        }
    }
    for file in tree.rust().filter(|file| file.is_rust_of_a_crate() && !file.is_test()) {
        let total = file.text.lines().count();
        let body = body_lines(&file.text);
        if total > FILE_WALL {
            report.fault(&file.path, total, format!("{total} lines, {FILE_WALL} are the limit"));
        } else if body > FILE_NORMAL {
            report.note(&file.path, body, format!("{body} lines without tests, {FILE_NORMAL} are normal"));
        }
        for (line, len) in functions(&mask(&file.text)) {
            if len > FUNCTION_WALL && line <= body {
                report.fault(
                    &file.path,
                    line,
                    format!("a function of {len} lines, {FUNCTION_WALL} are the limit"),
                );
            }
        }
    }
}

/// How many lines a file has before the block of tests at its end.
fn body_lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.iter().rposition(|line| *line == "#[cfg(test)]").filter(|at| {
        let is_block = |line: &&str| line.starts_with("mod ") && line.ends_with('{');
        let is_attribute = |line: &&&str| line.starts_with("#[");
        let block = lines[at + 1..].iter().find(|line| !is_attribute(line)).is_some_and(is_block);
        // The first brace without indent closes the block: nothing may follow.
        let close = lines[*at..].iter().position(|line| *line == "}").map(|len| at + len);
        block && close.is_some_and(|close| lines[close + 1..].iter().all(|line| line.is_empty()))
    });
    tests.unwrap_or(lines.len())
}

/// The first line, counted from 1, and the length in lines of every function that has a body.
fn functions(masked: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = masked.lines().collect();
    let starts = (0..lines.len()).filter(|at| starts_function(lines[*at]));
    starts.filter_map(|at| function_len(&lines[at..]).map(|len| (at + 1, len))).collect()
}

fn starts_function(line: &str) -> bool {
    const QUALIFIERS: &[&str] = &["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern"];
    line.split_whitespace().find(|word| !QUALIFIERS.contains(word)) == Some("fn")
}

/// How many lines the function takes that begins on the first of these; none if it is only declared.
fn function_len(lines: &[&str]) -> Option<usize> {
    let mut braces = 0_usize;
    let mut brackets = 0_usize;
    for (index, line) in lines.iter().enumerate() {
        for c in line.chars() {
            match c {
                '{' => braces += 1,
                '}' if braces <= 1 => return Some(index + 1),
                '}' => braces -= 1,
                '[' | '(' => brackets += 1,
                ']' | ')' => brackets = brackets.saturating_sub(1),
                // Not the one of an array type in the signature.
                ';' if braces == 0 && brackets == 0 => return None,
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_tests_at_the_end_does_not_count() {
        assert_eq!(body_lines("a\nb\n\n#[cfg(test)]\nmod tests {\n    x\n}\n"), 3);
        assert_eq!(body_lines("a\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n}\n"), 1);
        assert_eq!(body_lines("#[cfg(test)]\nmod tests {\n}\na\n"), 4);
        assert_eq!(body_lines("a\n#[cfg(test)]\nmod tests;\n"), 3);
        assert_eq!(body_lines("a\n#[cfg(test)]\nfn b() {\n}\n"), 4);
        assert_eq!(body_lines(""), 0);
    }

    #[test]
    fn functions_are_measured_to_their_closing_brace() {
        assert_eq!(functions("fn a() {}\n"), [(1, 1)]);
        assert_eq!(
            functions("    pub(crate) const fn a(\n    ) -> [u8; 4] {\n        { 1 }\n    }\n"),
            [(1, 4)]
        );
        assert_eq!(functions("trait A {\n    fn a(b: [u8; 4]);\n    fn c() {\n    }\n}\n"), [(3, 2)]);
        assert_eq!(functions("let a: fn() = b;\n"), []);
    }
}
