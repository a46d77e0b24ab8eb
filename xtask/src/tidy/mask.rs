//! Rust text with everything blanked that is not code.

/// Replaces comments and the insides of string and character literals by spaces, and keeps every line where it is.
///
/// What remains can be searched for words and braces without being misled.
pub(super) fn mask(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match opaque_end(&chars, at) {
            Some(end) => end,
            None => {
                masked.push(chars[at]);
                at += 1;
                continue;
            }
        };
        masked.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    masked
}

/// Where the comment or literal ends that begins at `at`, if one does.
fn opaque_end(chars: &[char], at: usize) -> Option<usize> {
    match (chars[at], chars.get(at + 1)) {
        ('/', Some('/')) => Some(line_end(chars, at)),
        ('/', Some('*')) => Some(block_comment_end(chars, at)),
        ('"', _) => Some(quoted_end(chars, at + 1, '"')),
        ('\'', Some('\\')) => Some(quoted_end(chars, at + 1, '\'')),
        // Any other quote that is not closed after one character begins a lifetime.
        ('\'', Some(_)) => (chars.get(at + 2) == Some(&'\'')).then_some(at + 3),
        ('r', Some('"' | '#')) if !ends_a_word(chars, at) => raw_string_end(chars, at + 1),
        _ => None,
    }
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |len| at + len)
}

/// Block comments nest.
fn block_comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

/// The end of a literal whose inside begins at `at`; a backslash takes the next character along.
fn quoted_end(chars: &[char], mut at: usize, quote: char) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The end of a raw string whose hashes begin at `at`; none if it is a raw identifier.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
    let inside = at + hashes + 1;
    if chars.get(inside - 1) != Some(&'"') {
        return None;
    }
    let closes = |at: &usize| {
        chars[*at] == '"' && chars[at + 1..].iter().take_while(|c| **c == '#').take(hashes).count() == hashes
    };
    Some((inside..chars.len()).find(closes).map_or(chars.len(), |at| at + 1 + hashes))
}

/// Whether the `r` at `at` is the tail of a longer word; `br` and `cr` open strings too.
fn ends_a_word(chars: &[char], at: usize) -> bool {
    let is_word = |at: usize| chars[at].is_alphanumeric() || chars[at] == '_';
    match at.checked_sub(1) {
        Some(before) if matches!(chars[before], 'b' | 'c') => before > 0 && is_word(before - 1),
        Some(before) => is_word(before),
        None => false,
    }
}

/// Where `word` stands in `line`, not as a part of a longer word.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_word) && !line[at + word.len()..].starts_with(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        let masked = mask(text);
        assert_eq!(masked.split_whitespace().collect::<Vec<_>>().join(" "), want);
        assert_eq!(masked.lines().count(), text.lines().count());
    }

    #[test]
    fn comments_are_blanked() {
        check("a // b\nc", "a c");
        check("a /* b /* c */ d */ e", "a e");
        check("a /* b\n c", "a");
    }

    #[test]
    fn literals_are_blanked() {
        check(r#"a("b \" c") d"#, "a( ) d");
        check("a(r\"\\\") b", "a( ) b");
        check("a(br#\"b \" c\"#) d", "a(b ) d");
        check(r"a('{') b('\'') c", "a( ) b( ) c");
    }

    #[test]
    fn lifetimes_and_raw_identifiers_are_code() {
        check("fn a<'b>(c: &'b str) -> &'b str", "fn a<'b>(c: &'b str) -> &'b str");
        check("r#type + for\"x\"", "r#type + for");
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("unsafe {", "unsafe"));
        assert!(!has_word("unsafe_code", "unsafe"));
        assert!(!has_word("is_unsafe", "unsafe"));
    }
}
