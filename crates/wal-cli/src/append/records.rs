//! Lines of a file, as bytes.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use snafu::ResultExt;

use crate::error::{Failure, FileSnafu, RecordSnafu};

const BUFFER_LEN: usize = 64 << 10;

/// Something to read records from, and its name.
pub(crate) struct Source {
    reader: Box<dyn BufRead + Send>,
    path: PathBuf,
}

/// Opens the files, or standard input when there are none.
pub(crate) fn open(files: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let stdin = [PathBuf::from("-")];
    let files = if files.is_empty() { &stdin } else { files };
    files.iter().map(|path| open_one(path)).collect()
}

fn open_one(path: &Path) -> Result<Source, Failure> {
    if path.as_os_str() == "-" {
        let reader = BufReader::with_capacity(BUFFER_LEN, io::stdin());
        return Ok(Source { reader: Box::new(reader), path: PathBuf::from("standard input") });
    }
    let file = File::open(path).context(FileSnafu { operation: "open", path })?;
    let reader = BufReader::with_capacity(BUFFER_LEN, file);
    Ok(Source { reader: Box::new(reader), path: path.to_owned() })
}

/// The records of a source.
pub(crate) struct Records {
    source: Source,
    /// Greatest length of a record in bytes.
    limit: u64,
    /// Records read.
    count: u64,
}

impl Records {
    pub(crate) const fn new(source: Source, limit: u64) -> Self {
        Self { source, limit, count: 0 }
    }

    /// Reads the next record in the place of what `record` holds; `false` when there is none.
    pub(crate) fn read(&mut self, record: &mut Vec<u8>) -> Result<bool, Failure> {
        record.clear();
        let Source { reader, path } = &mut self.source;
        // One byte more than a record and its newline may have, so that no line fills the memory.
        let read = reader.take(self.limit + 2).read_until(b'\n', record);
        if read.context(FileSnafu { operation: "read", path: &*path })? == 0 {
            return Ok(false);
        }
        self.count += 1;
        if record.last() == Some(&b'\n') {
            record.pop();
        }
        if record.len() as u64 > self.limit {
            return RecordSnafu { number: self.count, path: &*path, limit: self.limit }.fail();
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &'static [u8], limit: u64) -> Result<Vec<Vec<u8>>, Failure> {
        let source = Source { reader: Box::new(text), path: PathBuf::from("test") };
        let mut records = Records::new(source, limit);
        let (mut all, mut record) = (Vec::new(), Vec::new());
        while records.read(&mut record)? {
            all.push(record.clone());
        }
        Ok(all)
    }

    #[test]
    fn a_record_is_a_line_without_its_newline() {
        assert!(records(b"", 9).unwrap().is_empty());
        assert_eq!(records(b"a\n\nb\xff\r\n", 9).unwrap(), [&b"a"[..], b"", b"b\xff\r"]);
        assert_eq!(records(b"a\nlast", 9).unwrap(), [&b"a"[..], b"last"]);
        assert_eq!(records(b"\n", 9).unwrap(), [b""]);
    }

    #[test]
    fn a_record_may_have_the_limit_and_no_more() {
        assert_eq!(records(b"123\n456", 3).unwrap().len(), 2);
        for long in [&b"1\n1234\n"[..], b"1\n1234", b"1\n12345678"] {
            let error = records(long, 3).unwrap_err();
            assert_eq!(error.to_string(), "record 2 of test is longer than 3 bytes");
        }
    }
}
