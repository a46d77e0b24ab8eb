//! Stored bytes that lie about what they hold.
//!
//! The declared length is the limit: the result has exactly that length or there is none, whatever the bytes claim. A
//! bomb is stopped by it; that it is not inflated first is what the limits of one allocation and of all notice.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use wal_compress::{CodecId, Codecs, Zstd};

/// More than the small inputs of a fuzzer hold, and less than a bomb would.
const LEN_MAX: usize = 64 << 10;

static CODECS: LazyLock<Codecs> = LazyLock::new(Codecs::new);

/// What was learned from records that resemble one another.
static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let records: Vec<String> =
        (0..2000_u64).map(|n| format!("entry {n} says {:x}", n.wrapping_mul(0x9e37_79b9_7f4a))).collect();
    let lens: Vec<usize> = records.iter().map(String::len).collect();
    Zstd::train(records.concat().as_bytes(), &lens, 4096).expect("there are enough")
});

#[derive(Arbitrary, Debug)]
enum Input {
    /// Bytes as they come.
    Raw { declared: u32, stored: Vec<u8> },
    /// Bytes that zstd made with a dictionary, or bytes as they come, with that dictionary or another, damaged perhaps.
    Dictionary {
        text: Vec<u8>,
        stored: Option<Vec<u8>>,
        flips: Vec<(u16, u8)>,
        other: Vec<u8>,
        learned: Vec<(u16, u8)>,
    },
    /// Bytes that a codec made, damaged, with a length that may be wrong.
    Made { run: u32, text: Vec<u8>, by: i8, flips: Vec<(u16, u8)> },
}

fuzz_target!(|input: (bool, Input)| {
    let (is_zstd, input) = input;
    let codec = if is_zstd { CodecId::ZSTD } else { CodecId::SNAPPY };
    match input {
        Input::Raw { declared, stored } => check(codec, &stored, declared as usize % LEN_MAX),
        Input::Dictionary { text, stored, flips, other, learned } => {
            dictionary(&text, stored, &flips, &other, &learned);
        }
        Input::Made { run, text, by, flips } => {
            let mut raw = text;
            raw.resize(raw.len() + run as usize % LEN_MAX, 7);
            let mut stored = Vec::new();
            CODECS.get(codec).expect("built in").compress(&raw, &mut stored).expect("it is short enough");
            let mut out = Vec::new();
            CODECS.decompress(codec, &stored, raw.len(), &mut out).expect("it was just compressed");
            assert!(out == raw, "not what was compressed");
            check(codec, &stored, raw.len().saturating_add_signed(isize::from(by)));
            flip(&mut stored, &flips);
            check(codec, &stored, raw.len());
        }
    }
});

fn flip(bytes: &mut [u8], flips: &[(u16, u8)]) {
    let len = bytes.len().max(1);
    for (at, mask) in flips {
        if let Some(byte) = bytes.get_mut(usize::from(*at) % len) {
            *byte ^= mask;
        }
    }
}

fn dictionary(
    text: &[u8],
    stored: Option<Vec<u8>>,
    flips: &[(u16, u8)],
    other: &[u8],
    learned: &[(u16, u8)],
) {
    let codecs = Codecs::new();
    let zstd = codecs.get(CodecId::ZSTD).expect("built in");
    let id = zstd.add_dictionary(&DICTIONARY).expect("it is one");
    zstd.use_dictionary(Some(id));
    let mut made = Vec::new();
    zstd.compress(text, &mut made).expect("it is short enough");
    let mut out = Vec::new();
    codecs.decompress(CodecId::ZSTD, &made, text.len(), &mut out).expect("it was just compressed");
    assert!(out == text, "not what was compressed");
    let mut stored = stored.unwrap_or(made);
    flip(&mut stored, flips);
    check_with(&codecs, CodecId::ZSTD, &stored, text.len());
    // A dictionary from hostile metadata.
    let codecs = Codecs::new();
    let zstd = codecs.get(CodecId::ZSTD).expect("built in");
    let _ = zstd.add_dictionary(other);
    let mut damaged = DICTIONARY.clone();
    flip(&mut damaged, learned);
    if let Ok(id) = zstd.add_dictionary(&damaged) {
        check_with(&codecs, CodecId::ZSTD, &stored, text.len());
        zstd.use_dictionary(Some(id));
        let _ = zstd.compress(text, &mut Vec::new());
    }
}

fn check(codec: CodecId, stored: &[u8], declared: usize) {
    check_with(&CODECS, codec, stored, declared);
}

fn check_with(codecs: &Codecs, codec: CodecId, stored: &[u8], declared: usize) {
    let mut out = b"before".to_vec();
    let result = codecs.decompress(codec, stored, declared, &mut out);
    assert!(out.starts_with(b"before"), "what was there is there");
    let want = if result.is_ok() { declared } else { 0 };
    assert_eq!(out.len(), 6 + want, "exactly as long as declared, or nothing");
    assert!(out.capacity() <= (6 + declared) * 2 + 64, "{} bytes for {declared}", out.capacity());
}
