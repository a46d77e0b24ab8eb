//! Which files of a directory belong to a log, and their order.

use std::{cmp::Reverse, fmt};

use snafu::Snafu;

/// The program that wrote a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// `github.com/pantuza/xwal`: files `wal_0`, and `wal_0.checkpoint` where a checkpoint ends one.
    Xwal,
    /// `github.com/hungpdn/wal`: files `segment-0000.wal`, with a prefix of the user's choice.
    Hungpdn,
    /// FileWAL of `github.com/colonyos/colonies`: one file `wal.log`.
    Filewal,
    /// `github.com/fgrosse/wal`: files `1.wal`.
    Fgrosse,
    /// `github.com/l00pss/walrus`: files `segment_00000000000000000001.wal`, binary or JSON.
    Walrus,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Xwal, Self::Hungpdn, Self::Filewal, Self::Fgrosse, Self::Walrus];

    /// What a name says, if it is one of this format.
    fn parse(self, name: &str) -> Option<Name<'_>> {
        let named = |digits: &str| number(digits).map(|number| Name { number, prefix: "", checkpoint: None });
        match self {
            Self::Xwal => {
                let digits = name.strip_prefix("wal_")?;
                match digits.strip_suffix(".checkpoint") {
                    Some(digits) => named(digits).map(|name| Name { checkpoint: Some(name.number), ..name }),
                    None => named(digits),
                }
            }
            Self::Hungpdn => {
                let (prefix, digits) = name.strip_suffix(".wal")?.rsplit_once('-')?;
                named(digits).map(|name| Name { prefix, ..name })
            }
            Self::Filewal => (name == "wal.log").then_some(Name { number: 0, prefix: "", checkpoint: None }),
            Self::Fgrosse => named(name.strip_suffix(".wal")?),
            Self::Walrus => named(name.strip_prefix("segment_")?.strip_suffix(".wal")?),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xwal => "xwal",
            Self::Hungpdn => "hungpdn",
            Self::Filewal => "filewal",
            Self::Fgrosse => "fgrosse",
            Self::Walrus => "walrus",
        })
    }
}

struct Name<'a> {
    number: u64,
    prefix: &'a str,
    checkpoint: Option<u64>,
}

/// Digits, and nothing that a number can do without but zeros.
fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// A file of a log, and what its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub(crate) name: String,
    pub(crate) number: u64,
    pub(crate) checkpoint: Option<u64>,
    pub(crate) is_newest: bool,
}

impl SourceFile {
    /// Its name in the directory.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is the last file with anything in it, the only one that a crash may have torn.
    #[must_use]
    pub const fn is_newest(&self) -> bool {
        self.is_newest
    }
}

/// Why names do not make a log.
#[derive(Debug, PartialEq, Eq, Snafu)]
#[non_exhaustive]
pub enum PlanError {
    /// Two logs seem to share the directory.
    #[snafu(display("there are files with the prefix `{first}` and with the prefix `{second}`: choose one"))]
    SeveralPrefixes {
        /// One prefix.
        first: String,
        /// Another.
        second: String,
    },

    /// Two files have the same place in the log.
    #[snafu(display("`{first}` and `{second}` have the same number"))]
    SameNumber {
        /// One file.
        first: String,
        /// The other.
        second: String,
    },
}

/// The files of a log, oldest first, by their numbers and not by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    format: Format,
    files: Vec<SourceFile>,
    ignored: Vec<String>,
}

impl Plan {
    /// Orders the files of a directory, given with their lengths in bytes, in any order. The prefix is that of hungpdn;
    /// without one, all of its files must have the same.
    ///
    /// Files of xwal that end in `.garbage` have been replayed and are no part of the log any more. When a number has
    /// both a checkpoint and a file without one, the program was interrupted after it took the checkpoint, which is
    /// the older of the two.
    ///
    /// # Errors
    ///
    /// [`PlanError::SeveralPrefixes`] and [`PlanError::SameNumber`]: the directory does not say what the log is.
    pub fn new(
        format: Format,
        prefix: Option<&str>,
        files: impl IntoIterator<Item = (String, u64)>,
    ) -> Result<Self, PlanError> {
        let mut plan = Self { format, files: Vec::new(), ignored: Vec::new() };
        let mut newest = None;
        let mut chosen = prefix.map(str::to_owned);
        for (file, len) in files {
            let parsed = format.parse(&file);
            let is_chosen = |name: &Name<'_>| prefix.is_none_or(|prefix| prefix == name.prefix);
            let Some(name) = parsed.filter(|name| format != Format::Hungpdn || is_chosen(name)) else {
                plan.ignored.push(file);
                continue;
            };
            let first = chosen.get_or_insert_with(|| name.prefix.to_owned());
            if format == Format::Hungpdn && first != name.prefix {
                let (first, second) = (first.clone(), name.prefix.to_owned());
                return Err(PlanError::SeveralPrefixes { first, second });
            }
            let (number, checkpoint) = (name.number, name.checkpoint);
            let file = SourceFile { name: file, number, checkpoint, is_newest: false };
            if len > 0 {
                newest = newest.max(Some(file.key()));
            }
            plan.files.push(file);
        }
        plan.files.sort_by_key(SourceFile::key);
        plan.ignored.sort();
        for file in &mut plan.files {
            file.is_newest = newest == Some(file.key());
        }
        let twice = plan.files.array_windows().find(|[one, other]| one.key() == other.key());
        match twice {
            Some([one, other]) => {
                Err(PlanError::SameNumber { first: one.name.clone(), second: other.name.clone() })
            }
            None => Ok(plan),
        }
    }

    /// The format that it is for.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The files to read, oldest first.
    #[must_use]
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The names that are no part of the log.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }
}

impl SourceFile {
    /// What files are ordered by.
    const fn key(&self) -> (u64, Reverse<bool>) {
        (self.number, Reverse(self.checkpoint.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: Format, names: &[&str], want: &[&str], ignored: &[&str]) {
        let plan = Plan::new(format, None, names.iter().map(|name| ((*name).to_owned(), 1))).unwrap();
        let files: Vec<&str> = plan.files().iter().map(SourceFile::name).collect();
        assert_eq!(files, want);
        assert_eq!(plan.ignored(), ignored);
        assert!(plan.files().last().is_none_or(SourceFile::is_newest));
    }

    #[test]
    fn numbers_decide() {
        check(
            Format::Fgrosse,
            &["10.wal", "9.wal", "1.wal", "x.wal"],
            &["1.wal", "9.wal", "10.wal"],
            &["x.wal"],
        );
        check(
            Format::Xwal,
            &[
                "wal_10",
                "wal_9",
                "wal_9.checkpoint",
                "wal_0001.checkpoint",
                "wal_0.garbage",
                "wal_",
                "wal_+1",
            ],
            &["wal_0001.checkpoint", "wal_9.checkpoint", "wal_9", "wal_10"],
            &["wal_", "wal_+1", "wal_0.garbage"],
        );
        check(
            Format::Hungpdn,
            &["a-b-10000.wal", "a-b-9999.wal", "a-b-1junk.wal", "1.wal", "a-b-99999999999999999999.wal"],
            &["a-b-9999.wal", "a-b-10000.wal"],
            &["1.wal", "a-b-1junk.wal", "a-b-99999999999999999999.wal"],
        );
        check(Format::Filewal, &["wal.log", "wal.log.1"], &["wal.log"], &["wal.log.1"]);
        check(Format::Walrus, &["segment_2.wal", "segment-1.wal"], &["segment_2.wal"], &["segment-1.wal"]);
        check(Format::Walrus, &[], &[], &[]);
    }

    #[test]
    fn the_newest_file_is_the_last_that_holds_something() {
        let files = [("2.wal", 0), ("1.wal", 5), ("10.wal", 0)].map(|(name, len)| (name.to_owned(), len));
        let plan = Plan::new(Format::Fgrosse, None, files).unwrap();
        let newest: Vec<bool> = plan.files().iter().map(SourceFile::is_newest).collect();
        assert_eq!(newest, [true, false, false]);
    }

    #[test]
    fn a_directory_that_may_be_two_logs_is_refused_until_one_is_chosen() {
        let files = || ["a-0.wal", "b-0.wal", "b-1.wal"].map(|name| (name.to_owned(), 1));
        let (first, second) = ("a".to_owned(), "b".to_owned());
        let refused = Plan::new(Format::Hungpdn, None, files());
        assert_eq!(refused, Err(PlanError::SeveralPrefixes { first, second }));
        let plan = Plan::new(Format::Hungpdn, Some("b"), files()).unwrap();
        assert_eq!((plan.files().len(), plan.ignored()), (2, &["a-0.wal".to_owned()][..]));
        let files = ["1.wal", "01.wal"].map(|name| (name.to_owned(), 1));
        assert!(matches!(Plan::new(Format::Fgrosse, None, files), Err(PlanError::SameNumber { .. })));
    }
}
