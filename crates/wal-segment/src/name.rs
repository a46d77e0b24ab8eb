//! What may name a file: one plain component, so that no name reaches outside its namespace.

use std::io;

/// Refuses what is not a plain file name.
pub(crate) fn check_plain(name: &str) -> io::Result<()> {
    // A colon starts a drive or an alternate stream on Windows and is an ordinary character elsewhere.
    let separates = |c: char| matches!(c, '/' | '\\' | '\0') || (cfg!(windows) && c == ':');
    if name.is_empty() || name == "." || name == ".." || name.contains(separates) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is not a plain file name"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_plain;

    #[test]
    fn only_plain_names_pass() {
        for good in ["a", "00000000000000000001.wal", "...", ".hidden", "a b", "ü"] {
            assert!(check_plain(good).is_ok(), "{good:?}");
        }
        for bad in ["", ".", "..", "/", "a/b", "/a", "a/", "..\\a", "a\0b"] {
            assert_eq!(
                check_plain(bad).map_err(|e| e.kind()),
                Err(std::io::ErrorKind::InvalidInput),
                "{bad:?}"
            );
        }
    }
}
