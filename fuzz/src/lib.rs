//! What the targets share: giving arbitrary bytes the checksums that let them past the first check, and [logs to
//! damage](directory) to damage.
//!
//! The arithmetic is written out a second time on purpose; `docs/FORMAT.md` is where it is from.

pub mod directory;

use wal_format::{ChecksumKind, SegmentHeader, SegmentKey};

/// CRC-32 of the parts, one after the other.
#[must_use]
pub fn crc32(parts: &[&[u8]]) -> u32 {
    ChecksumKind::Crc32.of(&parts.concat())
}

fn place(salt: u64, offset: u64) -> u32 {
    let mixed = salt ^ offset.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed >> 32) as u32
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Makes the segment header at the start of `bytes` verify, if there is room for one.
pub fn seal_header(bytes: &mut [u8]) {
    let Some(block) = bytes.get_mut(..512) else { return };
    block[..8].copy_from_slice(&wal_format::SEGMENT_MAGIC);
    let crc = crc32(&[&block[..508]]);
    put(block, 508, crc);
}

/// Makes body and header checksum of the frame at the start of `bytes` verify. Returns the length of the frame, when
/// all of it is there.
pub fn seal_frame(bytes: &mut [u8], key: SegmentKey, offset: u64) -> Option<usize> {
    let header = bytes.get(..40)?;
    let body_len = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
    let end = 40_usize.checked_add(body_len)?;
    if let Some(body) = bytes.get(40..end) {
        let crc = key.checksum.of(body);
        put(bytes, 4, crc);
    }
    let crc = key.checksum.of(&bytes[4..40]) ^ place(key.salt, offset);
    put(bytes, 0, crc);
    let padded = end.checked_next_multiple_of(8)?;
    bytes.get_mut(end..padded)?.fill(0);
    Some(padded)
}

/// Walks a segment as its lengths say and makes most frames verify and follow each other. The lowest bit of a stored
/// header checksum (which the walk replaces) chooses those that are left as they are; the second one those whose place
/// in the chain is. Lengths are cut to what is there, so that inputs of a few hundred bytes hold several frames.
pub fn chain_frames(bytes: &mut [u8]) {
    let Ok(header) = SegmentHeader::decode(bytes) else { return };
    let key = header.key();
    let (mut at, mut delta, mut units) = (512_usize, 0_u32, 0_u32);
    while let Some(frame) = bytes.get_mut(at..).filter(|frame| frame.len() >= 40) {
        let choice = frame[0];
        let room = (frame.len() - 40) as u32;
        let len = u32::from_le_bytes([frame[8], frame[9], frame[10], frame[11]]);
        let len = if choice & 4 == 0 { len % 97 % (room + 1) } else { len };
        put(frame, 8, len);
        if choice & 2 == 0 {
            put(frame, 12, delta);
            put(frame, 20, units);
            let is_entries = frame[36] == 1;
            let count = u32::from_le_bytes([frame[16], frame[17], frame[18], frame[19]]);
            put(frame, 16, if is_entries { count % 7 + 1 } else { 0 });
            if at == 512 {
                frame[36] = 2;
            }
            if choice & 8 == 0 {
                let lag = u32::from_le_bytes([frame[32], frame[33], frame[34], frame[35]]);
                put(frame, 32, if at == 512 { u32::MAX } else { lag % 64 });
            }
            if at == 512 {
                put(frame, 16, 0);
            }
        }
        if choice & 1 == 1 {
            at += 40_usize.saturating_add(len as usize).next_multiple_of(8);
            continue;
        }
        let count = u32::from_le_bytes([frame[16], frame[17], frame[18], frame[19]]);
        let Some(len) = seal_frame(frame, key, at as u64) else { return };
        delta = delta.wrapping_add(count);
        units = (len / 8) as u32;
        at += len;
    }
}
