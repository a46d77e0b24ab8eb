//! Segments of format version 1 as they are checked in: they are read as their listings say, writing the same content
//! gives the same bytes, and no mutation of them yields a frame that was never written.
//!
//! A golden belongs to its format version and does not change. `UPDATE_GOLDEN=1 cargo test -p wal-format` writes new
//! ones; `golden/parse.py` says the same about them with a parser of its own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

#[path = "golden/content.rs"]
mod content;
#[path = "golden/listing.rs"]
mod listing;
#[path = "golden/mutation.rs"]
mod mutation;

use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name)
}

#[expect(clippy::disallowed_methods, reason = "goldens are files of the repository, not of a log")]
fn read(name: &str) -> Vec<u8> {
    let path = golden(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "goldens are files of the repository, not of a log")]
fn check(name: &str, bytes: &[u8], list: fn(&[u8]) -> String) {
    let listing = format!("{name}.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(golden(name), bytes).unwrap();
        std::fs::write(golden(&listing), list(bytes)).unwrap();
    }
    let golden = read(name);
    let want = String::from_utf8(read(&listing)).unwrap();
    assert_eq!(list(&golden), want, "{name} is no longer read as it was");
    assert!(golden == bytes, "the content of {name} is no longer written as it was");
}

#[test]
fn every_kind_of_frame_is_read_and_written_as_ever() {
    check("full.wal", &content::full().0, listing::segment);
}

#[test]
fn an_index_is_read_and_written_as_ever() {
    check("full.idx", &content::full().1, listing::index);
}

#[test]
fn a_torn_tail_is_judged_as_ever() {
    check("torn.wal", &content::torn(), listing::segment);
}

#[test]
fn lost_data_is_judged_as_ever() {
    check("damaged.wal", &content::damaged(), listing::segment);
}

#[cfg(feature = "crc32c")]
#[test]
fn castagnoli_is_read_and_written_as_ever() {
    check("crc32c.wal", &content::castagnoli(), listing::segment);
}

/// Hands out a few bytes at a time, and now and then none for the moment.
#[cfg(feature = "std")]
struct Drip<'a> {
    left: &'a [u8],
    calls: usize,
}

#[cfg(feature = "std")]
impl std::io::Read for Drip<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let len = (self.calls % 41 + 1).min(self.left.len()).min(buf.len());
        let (now, later) = self.left.split_at(len);
        buf[..len].copy_from_slice(now);
        self.left = later;
        Ok(len)
    }
}

#[cfg(feature = "std")]
#[test]
fn a_reader_says_the_same_however_the_bytes_come() {
    for name in ["full.wal", "torn.wal", "damaged.wal"] {
        let bytes = read(name);
        let want = String::from_utf8(read(&format!("{name}.txt"))).unwrap();
        assert_eq!(listing::read(bytes.as_slice()), want, "{name} at once");
        assert_eq!(listing::read(Drip { left: &bytes, calls: 0 }), want, "{name} in drops");
    }
}

#[cfg(feature = "std")]
#[test]
fn a_reader_tells_a_failed_read_from_bad_bytes() {
    use wal_format::{ReadError, SegmentReader};
    struct Fails(u32);
    impl std::io::Read for Fails {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            if self.0 == 2 {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
            buf[..8].fill(b'x');
            Ok(8)
        }
    }
    let mut reader = SegmentReader::new(Fails(0));
    assert!(matches!(reader.next(), Err(ReadError::Io { offset: 8, .. })));
    assert!(matches!(reader.next(), Err(ReadError::Decode { .. })), "tried again, and it is no segment");
    assert!(reader.verdict().is_none());
}
