use std::sync::Arc;
use std::thread;

use proptest::prelude::*;
use wal_compress::{Codec, CodecId, Codecs, CompressError};

/// Every codec of this build.
fn all() -> Vec<Arc<dyn Codec>> {
    let codecs = Codecs::new();
    (0..CodecId::FIRST_USER.0).filter_map(|id| codecs.get(CodecId(id)).ok().cloned()).collect()
}

fn compressed(codec: &dyn Codec, raw: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    codec.compress(raw, &mut stored).unwrap();
    stored
}

/// Decompresses behind bytes that must stay, and returns what was added.
#[track_caller]
fn decompressed(codec: &dyn Codec, stored: &[u8], raw_len: usize) -> Result<Vec<u8>, CompressError> {
    let mut out = b"kept".to_vec();
    let result = codec.decompress(stored, raw_len, &mut out);
    assert!(out.starts_with(b"kept"));
    let added = out.split_off(4);
    if result.is_err() {
        assert!(added.is_empty(), "{} left bytes behind an error", codec.name());
    }
    result.map(|()| added)
}

#[track_caller]
fn check_refused(codec: &dyn Codec, stored: &[u8], raw_len: usize) {
    match decompressed(codec, stored, raw_len) {
        Err(CompressError::WrongLength { .. } | CompressError::Damaged { .. }) => {}
        other => panic!("{} with {raw_len} bytes: {other:?}", codec.name()),
    }
}

/// Bytes that no algorithm can shorten: a xorshift generator's.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(
        raw in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..2000),
            prop::collection::vec(0_u8..3, 0..20_000),
        ],
    ) {
        for codec in all() {
            let mut stored = b"kept".to_vec();
            codec.compress(&raw, &mut stored).unwrap();
            prop_assert!(stored.starts_with(b"kept"));
            prop_assert_eq!(&decompressed(&*codec, &stored[4..], raw.len()).unwrap(), &raw);
        }
    }

    #[test]
    fn garbage_is_an_error_or_the_declared_length(
        stored in prop::collection::vec(any::<u8>(), 0..300),
        raw_len in 0_usize..5000,
    ) {
        for codec in all() {
            if let Ok(raw) = decompressed(&*codec, &stored, raw_len) {
                prop_assert_eq!(raw.len(), raw_len);
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_an_error_or_the_declared_length(
        raw in prop::collection::vec(0_u8..4, 1..500),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        for codec in all() {
            let mut stored = compressed(&*codec, &raw);
            let at = at.index(stored.len());
            stored[at] ^= 1_u8 << bit;
            if let Ok(other) = decompressed(&*codec, &stored, raw.len()) {
                prop_assert_eq!(other.len(), raw.len());
            }
        }
    }
}

#[test]
fn nothing_is_something_too() {
    for codec in all() {
        let stored = compressed(&*codec, b"");
        assert_eq!(decompressed(&*codec, &stored, 0).unwrap(), b"");
        check_refused(&*codec, &stored, 1);
    }
}

#[test]
fn another_length_is_refused() {
    let raw = [b"abcabcabc".repeat(100), noise(100)].concat();
    for codec in all() {
        let stored = compressed(&*codec, &raw);
        for raw_len in [0, 1, raw.len() - 1, raw.len() + 1, raw.len() * 2] {
            check_refused(&*codec, &stored, raw_len);
        }
    }
}

#[test]
fn a_length_that_no_memory_holds_is_an_error() {
    for codec in all() {
        let stored = compressed(&*codec, b"abc");
        assert!(decompressed(&*codec, &stored, usize::MAX).is_err());
        assert!(decompressed(&*codec, &stored, isize::MAX as usize).is_err());
    }
}

#[test]
fn every_cut_is_refused() {
    let raw = [b"abcabcabc".repeat(30), noise(100)].concat();
    for codec in all() {
        let stored = compressed(&*codec, &raw);
        for len in 0..stored.len() {
            check_refused(&*codec, &stored[..len], raw.len());
        }
    }
}

#[test]
fn noise_grows_by_little() {
    for codec in all() {
        for len in [1, 100, 10_000, 1_000_000] {
            let stored = compressed(&*codec, &noise(len));
            assert!(stored.len() <= len + len / 6 + 64, "{}: {len} -> {}", codec.name(), stored.len());
        }
    }
}

#[test]
fn a_bomb_allocates_no_more_than_was_declared() {
    for (id, bomb) in [(CodecId::ZSTD, zstd_bomb()), (CodecId::SNAPPY, snappy_bomb())] {
        let codecs = Codecs::new();
        let Ok(codec) = codecs.get(id) else { continue };
        let mut out = Vec::new();
        assert!(codec.decompress(&bomb, 10, &mut out).is_err());
        assert!(out.is_empty());
        assert!(out.capacity() <= 64, "{} allocated {} bytes", codec.name(), out.capacity());
    }
}

/// 1 GiB of zeros as 8192 run-length blocks of 128 KiB each.
fn zstd_bomb() -> Vec<u8> {
    let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    for block in 0..8192 {
        let last = u32::from(block == 8191);
        let header = last | (1 << 1) | (0x2_0000 << 3);
        bomb.extend_from_slice(&header.to_le_bytes()[..3]);
        bomb.push(0);
    }
    bomb
}

/// A header that claims 1 GiB, one literal zero and copies of it.
fn snappy_bomb() -> Vec<u8> {
    let mut bomb = vec![0x80, 0x80, 0x80, 0x80, 0x04, 0x00, 0x00];
    for _ in 0..100_000 {
        bomb.extend_from_slice(&[0xfe, 0x01, 0x00]);
    }
    bomb
}

#[cfg(feature = "zstd")]
#[test]
fn the_bomb_is_a_valid_frame() {
    // Else the test above would show nothing.
    let bomb = zstd_bomb();
    let first_block = [&bomb[..6], &[bomb[6] | 1], &bomb[7..10]].concat();
    let raw = decompressed(&wal_compress::Zstd::default(), &first_block, 0x2_0000).unwrap();
    assert!(raw.iter().all(|byte| *byte == 0));
}

#[test]
fn threads_share_a_codec() {
    for codec in all() {
        thread::scope(|scope| {
            for worker in 0..12_usize {
                let codec = &codec;
                scope.spawn(move || {
                    for round in 0..20 {
                        let raw = vec![worker as u8; worker * 1000 + round];
                        let stored = compressed(&**codec, &raw);
                        // A failure in between: it must not reach the next use of the same context.
                        check_refused(&**codec, &stored[..stored.len() / 2], raw.len() + 1);
                        assert_eq!(decompressed(&**codec, &stored, raw.len()).unwrap(), raw);
                    }
                });
            }
        });
    }
}

#[cfg(feature = "zstd")]
#[test]
fn levels_read_each_other() {
    use wal_compress::Zstd;
    let raw = b"level by level ".repeat(1000);
    let slow = compressed(&Zstd::new(19).unwrap(), &raw);
    let fast = compressed(&Zstd::new(-7).unwrap(), &raw);
    assert!(slow.len() <= fast.len());
    for stored in [slow, fast] {
        assert_eq!(decompressed(&Zstd::default(), &stored, raw.len()).unwrap(), raw);
    }
}
