//! Frames in transport, as they come and with checksums that hold: what is read lies inside of the bytes and is written
//! back the same way, apart from what is reserved; and what is cut off asks for as much as there was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wal_format::{BODY_LEN_MAX, ChecksumKind, DecodeError, EntriesRef, TRANSPORT_HEADER_LEN, TransportFrame};
use wal_fuzz::crc32;

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    let mut sealed = bytes.to_vec();
    let Some((header, body)) = sealed.split_at_mut_checked(TRANSPORT_HEADER_LEN) else { return };
    let checksum = if header[6] & 1 == 0 { ChecksumKind::Crc32 } else { ChecksumKind::Crc32c };
    header[..7].copy_from_slice(b"WALF\x01\x00\x00");
    header[6] = checksum.id();
    // A reserved byte chooses those whose length is left as it is.
    if header[38] & 1 == 0 {
        let len = u32::from_le_bytes([header[28], header[29], header[30], header[31]]);
        let there = u32::try_from(body.len()).expect("an input is short");
        header[28..32].copy_from_slice(&(len % (there + 1)).to_le_bytes());
    }
    let len = u32::from_le_bytes([header[28], header[29], header[30], header[31]]) as usize;
    if let Some(body) = body.get(..len) {
        header[32..36].copy_from_slice(&checksum.of(body).to_le_bytes());
    }
    let crc = crc32(&[&header[..44]]);
    header[44..].copy_from_slice(&crc.to_le_bytes());
    check(&sealed);
});

fn check(bytes: &[u8]) {
    match TransportFrame::parse(bytes) {
        Ok((frame, len)) => {
            assert_eq!(frame.body, &bytes[TRANSPORT_HEADER_LEN..len]);
            let mut again = Vec::new();
            frame.encode(&mut again);
            assert_eq!(again[..38], bytes[..38]);
            assert_eq!(TransportFrame::parse(&again), Ok((frame, len)));
            for cut in [0, 3, TRANSPORT_HEADER_LEN - 1, len - 1] {
                let parsed = TransportFrame::parse(&bytes[..cut]);
                assert!(
                    matches!(parsed, Err(DecodeError::Short { needed, have }) if have == cut && needed > cut)
                );
            }
            assert!(frame.first.get().checked_add(u64::from(frame.count)).is_some());
            if frame.codec == 0
                && let Ok(entries) =
                    EntriesRef::parse(frame.count, frame.columns, frame.entry_kind, frame.body)
            {
                assert_eq!(entries.iter().count(), frame.count as usize);
            }
        }
        Err(DecodeError::Short { needed, have }) => {
            assert!(have == bytes.len() && needed > have, "asks for what is there");
            assert!(needed <= TRANSPORT_HEADER_LEN + BODY_LEN_MAX as usize, "asks for too much");
        }
        Err(_) => {}
    }
}
