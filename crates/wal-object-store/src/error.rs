//! What a store says, as an [`io::Error`], without what nobody should read.

use std::{error, io};

use object_store::Error;

/// An error of a store.
///
/// Its text is kept and not the error itself, whose text and details may name a URL with a signature in its query.
pub(crate) fn from_store(error: &Error) -> io::Error {
    let kind = match error {
        Error::NotFound { .. } => io::ErrorKind::NotFound,
        Error::AlreadyExists { .. } => io::ErrorKind::AlreadyExists,
        // A read that names the object it means: that one is gone.
        Error::Precondition { .. } | Error::NotModified { .. } => io::ErrorKind::NotFound,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        Error::NotSupported { .. } | Error::NotImplemented { .. } => io::ErrorKind::Unsupported,
        Error::InvalidPath { .. } => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, without_queries(&chain(error)))
}

/// Whether asking once more may help.
pub(crate) fn may_pass(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Other | io::ErrorKind::TimedOut | io::ErrorKind::UnexpectedEof)
}

fn chain(error: &dyn error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        // Most of them repeat their cause.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

/// The text with the query of every URL left out, where signatures and tokens are, and names and passwords before its
/// host.
pub(crate) fn without_queries(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, from) = rest.split_at(at + 3);
        clean.push_str(before);
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | '>' | ',');
        let (url, after) = from.split_at(from.find(ends).unwrap_or(from.len()));
        let (place, query) =
            url.split_once(['?', '#']).map_or((url, None), |(place, rest)| (place, Some(rest)));
        let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        clean.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        clean.push_str(path);
        clean.push_str(if query.is_some() { "?..." } else { "" });
        rest = after;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_and_passwords_are_left_out() {
        for (text, want) in [
            ("nothing to hide", "nothing to hide"),
            ("at https://h/b/k?sig=SECRET: 403", "at https://h/b/k?... 403"),
            (
                "url (http://user:SECRET@h:1/b) and \"s3://b/p#SECRET\"",
                "url (http://h:1/b) and \"s3://b/p?...\"",
            ),
        ] {
            assert_eq!(without_queries(text), want);
        }
        let source = "GET https://a.b/c?X-Amz-Signature=SECRET&x=1 failed".into();
        let error = from_store(&Error::Generic { store: "S3", source });
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("SECRET") && shown.contains("https://a.b/c"), "{shown}");
    }
}
