//! Bytes that nobody wrote.

use proptest::{collection::vec, prelude::*};
use wal_import::Format;

use crate::{
    support::{Item, read},
    writers::{self, plain},
};

/// A name of a file for each format.
fn name(format: Format) -> String {
    let name = match format {
        Format::Xwal => "wal_0.checkpoint",
        Format::Hungpdn => "segment-0000.wal",
        Format::Filewal => "wal.log",
        Format::Fgrosse => "1.wal",
        _ => "segment_1.wal",
    };
    name.to_owned()
}

/// Bytes that lengths and ids are made of.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(0), 2 => 0..40_u8, 1 => any::<u8>(), 1 => prop::sample::select(&b"{}\x08\x12\x18\xff"[..])]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_bytes_are_places_stay_inside(bytes in vec(byte(), 0..600), format in 0..5_usize) {
        let format = Format::ALL[format];
        read(format, &vec![(name(format), bytes)]);
    }
}

#[test]
fn looking_for_the_next_record_comes_to_an_end() {
    let patterns: [&[u8]; 8] = [
        &[0, 0, 0, 1],
        &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2],
        &[0, 1, 0, 0],
        &[0xff, 0x7f],
        &[0xff, 0xff, 0x03, 0x08, 0x01, 0x12],
        b"{}",
        &[0x20, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    ];
    for format in Format::ALL {
        for pattern in patterns {
            let bytes: Vec<u8> = pattern.iter().copied().cycle().take(192 << 10).collect();
            let read = read(format, &vec![(name(format), bytes)]);
            let is_told = !read.damage().is_empty() || read.torn().is_some();
            assert!(is_told && read.items.len() <= 1, "{format} {pattern:?}: {read:?}");
        }
    }
}

#[test]
fn a_file_is_not_read_to_its_end_for_each_record_whose_successor_is_nowhere() {
    // Ids in pairs: what should follow the second one is nowhere in the file.
    let ids = (0..20_000_u32).flat_map(|pair| [pair * 4 + 1, pair * 4 + 2]);
    let bytes: Vec<u8> = ids.flat_map(|id| [&id.to_be_bytes()[..], &[0; 5]].concat()).collect();
    let len = bytes.len() as u64;
    let read = read(Format::Fgrosse, &vec![("1.wal".to_owned(), bytes)]);
    let last = read.damage().last().copied();
    assert!(last.is_some_and(|(_, offset, rest)| offset + rest == len && offset < len / 2), "{last:?}");
}

/// A file of `len` bytes in which a record that claims nearly all that follows, and does not verify, stands before each
/// one that does: `claim` makes the beginning of one that ends before `tail`, so many bytes from its own.
fn claims(
    len: usize,
    claim: impl Fn(usize) -> Vec<u8>,
    good: impl Fn(u64) -> Vec<u8>,
    tail: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Behind it all lengths take as many bytes.
    while bytes.len() < len - (20 << 10) {
        bytes.extend(claim(len - bytes.len() - tail.len() - 1));
        bytes.extend(good(bytes.len() as u64));
    }
    bytes.resize(len - tail.len() - 1, 0xee);
    [&bytes[..], tail, &[0xee]].concat()
}

#[test]
fn a_file_is_not_checked_to_its_end_for_each_record_that_claims_the_rest() {
    const LEN: usize = 192 << 10;
    let le = |len: usize| u32::try_from(len).unwrap().to_le_bytes();
    let varint = |value: usize| [value as u8 | 0x80, (value >> 7) as u8 | 0x80, (value >> 14) as u8];
    let xwal = |rest: usize| [&varint(rest - 3 + 2)[..], &[8, 1, 0x12], &varint(rest - 9)].concat();
    let hungpdn = |rest: usize| [&[0; 4][..], &(rest as u64 - 20).to_be_bytes(), &[0; 8]].concat();
    let filewal = |rest: usize| [&le(rest - 4)[..], &[0; 4], &[1], &[0; 12], &le(rest - 25)].concat();
    let walrus = |rest: usize| [&le(rest - 4 + 8)[..], &[0; 24], &le(rest - 32)].concat();
    let operation = Item { kind: 1, timestamp: Some(0), ..Item::default() };
    let files = [
        (Format::Xwal, claims(LEN, xwal, |id| writers::xwal(&plain(id, b"")), &[0x18, 1])),
        (Format::Hungpdn, claims(LEN, hungpdn, |id| writers::hungpdn(&plain(id, b"")), &[0; 8])),
        (Format::Filewal, claims(LEN, filewal, |_| writers::filewal(&operation), &[])),
        (Format::Walrus, claims(LEN, walrus, |id| writers::walrus(&plain(id, b"")), &[0; 8])),
    ];
    for (format, bytes) in files {
        let read = read(format, &vec![(name(format), bytes)]);
        let (found, last) = (read.items.len(), read.damage().last().copied());
        assert!(found > 20, "{format}: {found} {last:?}");
        let is_given_up = |(_, at, rest)| at + rest == LEN as u64 && at < LEN as u64 / 2;
        assert!(last.is_some_and(is_given_up), "{format}: {found} {last:?}");
    }
}
