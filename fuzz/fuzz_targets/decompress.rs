//! Stored bytes that lie about what they hold.
//!
//! The declared length is the limit: the result has exactly that length or there is none, whatever the bytes claim. A
//! bomb is stopped by it; that it is not inflated first is what the limits of one allocation and of all notice.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use wal_compress::{CodecId, Codecs};

/// More than the small inputs of a fuzzer hold, and less than a bomb would.
const LEN_MAX: usize = 64 << 10;

static CODECS: LazyLock<Codecs> = LazyLock::new(Codecs::new);

#[derive(Arbitrary, Debug)]
enum Input {
    /// Bytes as they come.
    Raw { declared: u32, stored: Vec<u8> },
    /// Bytes that a codec made, damaged, with a length that may be wrong.
    Made { run: u32, text: Vec<u8>, by: i8, flips: Vec<(u16, u8)> },
}

fuzz_target!(|input: (bool, Input)| {
    let (is_zstd, input) = input;
    let codec = if is_zstd { CodecId::ZSTD } else { CodecId::SNAPPY };
    match input {
        Input::Raw { declared, stored } => check(codec, &stored, declared as usize % LEN_MAX),
        Input::Made { run, text, by, flips } => {
            let mut raw = text;
            raw.resize(raw.len() + run as usize % LEN_MAX, 7);
            let mut stored = Vec::new();
            CODECS.get(codec).expect("built in").compress(&raw, &mut stored).expect("it is short enough");
            let mut out = Vec::new();
            CODECS.decompress(codec, &stored, raw.len(), &mut out).expect("it was just compressed");
            assert!(out == raw, "not what was compressed");
            check(codec, &stored, raw.len().saturating_add_signed(isize::from(by)));
            let len = stored.len().max(1);
            for (at, mask) in flips {
                if let Some(byte) = stored.get_mut(usize::from(at) % len) {
                    *byte ^= mask;
                }
            }
            check(codec, &stored, raw.len());
        }
    }
});

fn check(codec: CodecId, stored: &[u8], declared: usize) {
    let mut out = b"before".to_vec();
    let result = CODECS.decompress(codec, stored, declared, &mut out);
    assert!(out.starts_with(b"before"), "what was there is there");
    let want = if result.is_ok() { declared } else { 0 };
    assert_eq!(out.len(), 6 + want, "exactly as long as declared, or nothing");
    assert!(out.capacity() <= (6 + declared) * 2 + 64, "{} bytes for {declared}", out.capacity());
}
