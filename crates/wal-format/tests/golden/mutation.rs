//! Whatever happens to a segment's bytes, no frame appears that was not written in its place.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wal_format::{FrameHeader, Item, Scanner};

use crate::content;

/// A frame as its reader sees it.
type Seen = (FrameHeader, Vec<u8>);

/// One thing that happens to bytes; numbers are taken modulo what is there.
#[derive(Clone, Debug)]
enum Mutation {
    FlipBit(usize),
    Set(usize, u8),
    Cut(usize),
    Zero(usize, usize),
    /// Bytes from one place over those in another.
    Copy(usize, usize, usize),
    /// Bytes from one place pushed in between at another.
    Splice(usize, usize, usize),
    Remove(usize, usize),
    SwapBlocks(usize, usize),
    Append(Vec<u8>),
}

fn arb_mutation() -> impl Strategy<Value = Mutation> {
    let at = || any::<prop::sample::Index>().prop_map(|index| index.index(1 << 16));
    let aligned = || at().prop_map(|at| at / 8 * 8);
    let len = || prop_oneof![0..16_usize, (0..64_usize).prop_map(|n| n * 8)];
    prop_oneof![
        at().prop_map(Mutation::FlipBit),
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        at().prop_map(Mutation::Cut),
        (aligned(), len()).prop_map(|(at, len)| Mutation::Zero(at, len)),
        (aligned(), aligned(), len()).prop_map(|(from, to, len)| Mutation::Copy(from, to, len)),
        (aligned(), aligned(), len()).prop_map(|(from, to, len)| Mutation::Splice(from, to, len)),
        (at(), len()).prop_map(|(at, len)| Mutation::Remove(at, len)),
        (at(), at()).prop_map(|(one, other)| Mutation::SwapBlocks(one, other)),
        proptest::collection::vec(any::<u8>(), 0..80).prop_map(Mutation::Append),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.len() < 16 {
        return;
    }
    let all = bytes.len();
    let range = |at: usize, len: usize| at % all..(at % all + len).min(all);
    match mutation {
        Mutation::FlipBit(at) => bytes[at / 8 % all] ^= 1 << (at % 8),
        Mutation::Set(at, byte) => bytes[at % all] = *byte,
        Mutation::Cut(len) => bytes.truncate(len % all),
        Mutation::Zero(at, len) => bytes[range(*at, *len)].fill(0),
        Mutation::Copy(from, to, len) => {
            let from = bytes[range(*from, *len)].to_vec();
            let to = range(*to, from.len());
            bytes[to.clone()].copy_from_slice(&from[..to.len()]);
        }
        Mutation::Splice(from, to, len) => {
            let from = bytes[range(*from, *len)].to_vec();
            let to = to % all;
            bytes.splice(to..to, from);
        }
        Mutation::Remove(at, len) => drop(bytes.drain(range(*at, *len))),
        Mutation::SwapBlocks(one, other) => {
            let blocks = bytes.as_chunks_mut::<8>().0;
            let len = blocks.len();
            blocks.swap(one % len, other % len);
        }
        Mutation::Append(more) => bytes.extend_from_slice(more),
    }
}

fn frames(bytes: &[u8]) -> BTreeMap<u64, Seen> {
    let mut scanner = Scanner::new();
    scanner.feed(bytes);
    scanner.end();
    let mut frames = BTreeMap::new();
    while let Ok(Some(item)) = scanner.next() {
        if let Item::Frame(frame) | Item::Beyond(frame) = item {
            frames.insert(frame.offset, (frame.header, frame.body.to_vec()));
        }
    }
    frames
}

#[track_caller]
fn check(original: &[u8], mutations: &[Mutation]) {
    let written = frames(original);
    assert!(written.len() > 3);
    let mut bytes = original.to_vec();
    mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
    for (offset, found) in frames(&bytes) {
        assert_eq!(Some(&found), written.get(&offset), "at {offset}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_mutation_yields_a_frame_that_was_not_written(
        mutations in proptest::collection::vec(arb_mutation(), 1..12),
    ) {
        check(&crate::read("full.wal"), &mutations);
        check(&crate::read("torn.wal"), &mutations);
    }

    #[cfg(feature = "crc32c")]
    #[test]
    fn nor_does_one_with_the_other_checksum(mutations in proptest::collection::vec(arb_mutation(), 1..12)) {
        check(&crate::read("crc32c.wal"), &mutations);
    }
}

/// Frames moved by whole frames keep their checksums and lose their places.
#[test]
fn whole_frames_in_other_places_are_none() {
    let original = content::full().0;
    let places: Vec<(u64, u64)> =
        frames(&original).iter().map(|(offset, (header, _))| (*offset, header.frame_len())).collect();
    for &(from, len) in &places {
        for &(to, _) in places.iter().filter(|(to, _)| *to != from) {
            let (from, to, len) = (from as usize, to as usize, len as usize);
            check(&original, &[Mutation::Copy(from, to, len)]);
            check(&original, &[Mutation::Splice(from, to, len)]);
        }
        check(&original, &[Mutation::Remove(from as usize, len as usize)]);
    }
}
