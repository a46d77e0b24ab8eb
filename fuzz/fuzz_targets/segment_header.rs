//! Segment headers: what decodes is written back the same way, apart from the bytes that readers ignore.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wal_format::{SEGMENT_HEADER_LEN, SEGMENT_MAGIC, SegmentHeader};
use wal_fuzz::crc32;

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    let mut sealed = bytes.to_vec();
    sealed.resize(SEGMENT_HEADER_LEN, 0);
    sealed[..8].copy_from_slice(&SEGMENT_MAGIC);
    let crc = crc32(&[&sealed[..508]]);
    sealed[508..].copy_from_slice(&crc.to_le_bytes());
    check(&sealed);
});

fn check(bytes: &[u8]) {
    let Ok(header) = SegmentHeader::decode(bytes) else { return };
    let again = header.encode();
    assert_eq!(SegmentHeader::decode(&again), Ok(header));
    // Byte 11 is reserved; the checksum covers what is ignored as well.
    assert_eq!(again[..11], bytes[..11]);
    assert_eq!(again[12..72], bytes[12..72]);
}
