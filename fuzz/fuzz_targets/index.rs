//! Index sidecars: as they come, and with a checksum that verifies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wal_format::{INDEX_MAGIC, SegmentIndex};
use wal_fuzz::crc32;

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    let mut sealed = bytes.to_vec();
    if sealed.len() < 80 {
        return;
    }
    sealed[..8].copy_from_slice(&INDEX_MAGIC);
    sealed[8..12].copy_from_slice(&[1, 0, 0, 0]);
    let points = u32::try_from((sealed.len() - 80) / 8).expect("an input is short");
    sealed[12..16].copy_from_slice(&points.to_le_bytes());
    let crc = crc32(&[&sealed[..72], &sealed[80..]]);
    sealed[72..76].copy_from_slice(&crc.to_le_bytes());
    check(&sealed);
});

fn check(bytes: &[u8]) {
    let Ok(index) = SegmentIndex::decode(bytes) else { return };
    assert_eq!(index.points.len() * 8 + 80, bytes.len());
    let again = index.encode();
    assert_eq!(SegmentIndex::decode(&again).as_ref(), Ok(&index));
    assert_eq!(again.len(), bytes.len());
}
