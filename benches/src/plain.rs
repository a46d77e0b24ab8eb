//! The log one writes in an afternoon: `BufWriter`, `crc32fast`, length and checksum in front of each record.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Read, Write},
    path::Path,
};

/// Appends records to one file.
#[derive(Debug)]
pub struct PlainLog {
    file: BufWriter<File>,
}

impl PlainLog {
    /// Starts a log.
    #[must_use]
    pub fn create(path: &Path) -> Self {
        Self { file: BufWriter::with_capacity(64 << 10, File::create(path).unwrap()) }
    }

    /// Buffers one record.
    pub fn append(&mut self, payload: &[u8]) {
        let len = u32::try_from(payload.len()).unwrap();
        self.file.write_all(&len.to_le_bytes()).unwrap();
        self.file.write_all(&crc32fast::hash(payload).to_le_bytes()).unwrap();
        self.file.write_all(payload).unwrap();
    }

    /// Hands what is buffered to the operating system.
    pub fn flush(&mut self) {
        self.file.flush().unwrap();
    }
}

/// Reads all records with their checksums; returns how many bytes of payload there were.
#[must_use]
pub fn read_all(path: &Path) -> u64 {
    let mut file = BufReader::with_capacity(64 << 10, File::open(path).unwrap());
    let mut head = [0; 8];
    let mut payload = Vec::new();
    let mut total = 0;
    while file.read_exact(&mut head).is_ok() {
        let [a, b, c, d, e, f, g, h] = head;
        payload.resize(u32::from_le_bytes([a, b, c, d]) as usize, 0);
        file.read_exact(&mut payload).unwrap();
        assert_eq!(crc32fast::hash(&payload), u32::from_le_bytes([e, f, g, h]));
        total += payload.len() as u64;
    }
    total
}
