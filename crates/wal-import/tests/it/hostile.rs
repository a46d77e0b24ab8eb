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

#[test]
fn a_search_that_gives_up_in_the_newest_file_leaves_no_torn_end() {
    const LEN: usize = 192 << 10;
    let le = |len: usize| u32::try_from(len).unwrap().to_le_bytes();
    let varint = |value: usize| [value as u8 | 0x80, (value >> 7) as u8 | 0x80, (value >> 14) as u8];
    let xwal = |rest: usize| [&varint(rest - 3 + 2)[..], &[8, 1, 0x12], &varint(rest - 9)].concat();
    let filewal = |rest: usize| [&le(rest - 4)[..], &[0; 4], &[1], &[0; 12], &le(rest - 25)].concat();
    let walrus = |rest: usize| [&le(rest - 4 + 8)[..], &[0; 24], &le(rest - 32)].concat();
    let nothing = |_| vec![];
    let operation = Item { kind: 1, timestamp: Some(0), ..Item::default() };
    // One that is longer than the file, then such as use up what may be checked, then one that verifies.
    let too_long = 1 << 20;
    let files = [
        (Format::Xwal, varint(too_long).to_vec(), claims(LEN, xwal, nothing, &[0x18, 1])),
        (Format::Filewal, le(too_long).to_vec(), claims(LEN, filewal, nothing, &[])),
        (Format::Walrus, le(too_long).to_vec(), claims(LEN, walrus, nothing, &[0; 8])),
        // What would follow is nowhere.
        (Format::Fgrosse, vec![0, 0, 0, 1, 0, 1, 1, 1, 1], [0, 0, 0, 10, 0, 1, 1, 1, 1].repeat(LEN / 9)),
    ];
    for (format, first, rest) in files {
        let good = match format {
            Format::Xwal => writers::xwal(&plain(20, b"good")),
            Format::Filewal => writers::filewal(&operation),
            Format::Walrus => writers::walrus(&plain(20, b"good")),
            _ => writers::fgrosse(&plain(20, b"good")),
        };
        let bytes = [first.clone(), rest, good.clone()].concat();
        let len = bytes.len() as u64;
        let name = name(format);
        let found = read(format, &vec![(name.clone(), bytes)]);
        assert_eq!((found.damage(), found.torn()), (vec![(name.as_str(), 0, len)], None), "{format}");
        // Without those between them it is found.
        let found = read(format, &vec![(name, [first, good].concat())]);
        assert_eq!(found.items.len(), 1, "{format}");
    }
}

#[test]
fn what_is_intact_behind_a_long_search_is_all_read() {
    const LEN: usize = 192 << 10;
    let le = |len: usize| u32::try_from(len).unwrap().to_le_bytes();
    let claim = |rest: usize| [&le(rest - 4)[..], &[0; 4], &[1], &[0; 12], &le(rest - 25)].concat();
    let operation = Item { kind: 1, timestamp: Some(0), payload: vec![0xee; 1000], ..Item::default() };
    let good = writers::filewal(&operation);
    let found = (66..72).map(|claims| {
        let mut bytes = vec![];
        (0..claims).for_each(|_| bytes.extend(claim(LEN - bytes.len() - 1)));
        let intact = (LEN - 1 - bytes.len()) / good.len();
        bytes.extend(good.repeat(intact));
        bytes.resize(LEN, 0xee);
        let found = read(Format::Filewal, &vec![("wal.log".to_owned(), bytes)]).items.len();
        assert!(found == intact || found == 0, "{found} of {intact} behind {claims}");
        found > 0
    });
    let found: Vec<bool> = found.collect();
    assert!(found.contains(&true) && found.contains(&false), "{found:?}");
}
