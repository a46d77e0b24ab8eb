//! Single frames at any place: as they come, and with checksums that verify so that the fields are reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wal_format::{
    ChecksumKind, Close, EntriesRef, FRAME_HEADER_LEN, FrameHeader, FrameKind, Metadata, Opening, Parsed,
    Seal, SegmentKey, Trim, parse_frame,
};
use wal_fuzz::seal_frame;

fuzz_target!(|input: &[u8]| {
    let Some((place, bytes)) = input.split_first_chunk::<17>() else { return };
    let checksum = if place[0] & 1 == 0 { ChecksumKind::Crc32 } else { ChecksumKind::Crc32c };
    let word = |at: usize| u64::from_le_bytes(place[at..at + 8].try_into().expect("eight bytes"));
    let key = SegmentKey { checksum, salt: word(1) };
    // Half of the time an offset that can be: zero-extended, aligned, behind the header.
    let offset = if place[0] & 2 == 0 { word(9) } else { 512 + u64::from(place[9]) * 8 };
    check(bytes, key, offset);
    let mut sealed = bytes.to_vec();
    seal_frame(&mut sealed, key, offset);
    check(&sealed, key, offset);
});

fn check(bytes: &[u8], key: SegmentKey, offset: u64) {
    match parse_frame(bytes, key, offset) {
        Parsed::Frame(header, body) => {
            assert_eq!(header.encode(key, offset), bytes[..FRAME_HEADER_LEN]);
            assert_eq!(body, &bytes[FRAME_HEADER_LEN..][..header.body_len as usize]);
            assert!(header.frame_len() <= bytes.len() as u64);
            assert_eq!(u64::from(header.units()) * 8, header.frame_len());
            assert!(
                header.proves(offset).is_none_or(|end| 512 < end && end <= offset),
                "nothing proves itself"
            );
            read_body(&header, body);
            assert_ne!(
                parse_frame(bytes, key, offset ^ 8),
                Parsed::Frame(header, body),
                "the place is bound"
            );
        }
        Parsed::More(len) => {
            assert!(len > bytes.len() as u64, "asks for what is there");
            assert!(len <= wal_format::frame_len(wal_format::BODY_LEN_MAX), "asks for too much");
        }
        Parsed::Fault(_) => {}
    }
}

fn read_body(header: &FrameHeader, body: &[u8]) {
    match header.kind {
        FrameKind::Entries => {
            if let Ok(entries) = EntriesRef::of(header, body) {
                assert!(entries.iter().count() == header.count as usize);
            }
        }
        FrameKind::Opening => {
            if let Ok(opening) = Opening::decode(body) {
                let mut again = Vec::new();
                opening.encode(&mut again).expect("what was decoded can be encoded");
                assert_eq!(Opening::decode(&again).as_ref(), Ok(&opening));
            }
        }
        FrameKind::Seal => assert!(
            Seal::decode(body).is_ok_and(|seal| seal.encode() == body)
                || body.len() != 16
                || body[8..] == [0; 8]
        ),
        FrameKind::Close => {
            if let Ok(close) = Close::decode(body) {
                let mut again = Vec::new();
                close.encode(&mut again).expect("what was decoded can be encoded");
                assert_eq!(Close::decode(&again).as_ref(), Ok(&close));
            }
        }
        FrameKind::Trim => assert!(Trim::decode(body).is_ok() == (body.len() == 8 && body != [0; 8])),
        FrameKind::Metadata => _ = Metadata::decode(body),
        _ => {}
    }
}
