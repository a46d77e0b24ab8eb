use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn arb_entry() -> impl Strategy<Value = (Vec<u8>, u8, Option<u64>, Option<i64>)> {
    (
        proptest::collection::vec(any::<u8>(), 0..40),
        prop_oneof![Just(0), any::<u8>()],
        proptest::option::of(0..u64::MAX),
        proptest::option::of(i64::MIN + 1..),
    )
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(
        entries in proptest::collection::vec(arb_entry(), 1..20),
        transaction in proptest::option::of(any::<[u8; 16]>()),
        metadata in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
    ) {
        let mut builder = EntriesBuilder::default();
        for (payload, kind, term, timestamp) in &entries {
            builder.push(&NewEntry { payload, kind: *kind, term: *term, timestamp: *timestamp }).unwrap();
        }
        if let Some(id) = transaction {
            builder.set_transaction(id);
        }
        if let Some(records) = &metadata {
            builder.add_metadata(records);
        }
        for (n, (payload, kind, term, timestamp)) in entries.iter().enumerate() {
            let entry = NewEntry { payload, kind: *kind, term: *term, timestamp: *timestamp };
            prop_assert_eq!(builder.entry(n), Some(entry));
        }
        prop_assert_eq!(builder.entry(entries.len()), None);
        let mut body = Vec::new();
        let shape = builder.finish(&mut body);
        prop_assert!(body.len() <= builder.body_len());
        let read = EntriesRef::parse(shape.count, shape.columns, shape.entry_kind, &body).unwrap();
        prop_assert_eq!(read.transaction(), transaction);
        prop_assert_eq!(read.metadata(), metadata.as_deref().unwrap_or(&[]));
        prop_assert_eq!(read.iter().count(), entries.len());
        for (entry, (payload, kind, term, timestamp)) in read.iter().zip(&entries) {
            let entry = entry.unwrap();
            prop_assert_eq!(entry.payload, payload.as_slice());
            prop_assert_eq!(&body[entry.range.clone()], payload.as_slice());
            prop_assert_eq!((entry.kind, entry.term, entry.timestamp), (*kind, *term, *timestamp));
        }
    }

    #[test]
    fn an_entry_alone_is_laid_out_like_a_batch_of_one((payload, kind, term, timestamp) in arb_entry()) {
        let entry = NewEntry { payload: &payload, kind, term, timestamp };
        let mut builder = EntriesBuilder::default();
        builder.push(&entry).unwrap();
        let (mut alone, mut batch) = (Vec::new(), Vec::new());
        prop_assert_eq!(entry.encode(&mut alone).unwrap(), builder.finish(&mut batch));
        prop_assert_eq!(alone, batch);
    }

    #[test]
    fn hostile_bodies_are_refused_or_read_inside_their_bounds(
        count in prop_oneof![1_u32..8, any::<u32>()],
        columns: u8,
        body in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        if let Ok(entries) = EntriesRef::parse(count, columns, 0, &body) {
            for entry in entries.iter().take(100).flatten() {
                prop_assert!(entry.payload.len() <= body.len());
            }
        }
    }
}

#[test]
fn a_single_plain_entry_is_its_payload() {
    let mut builder = EntriesBuilder::default();
    builder.push(&NewEntry { kind: 9, ..NewEntry::plain(b"payload") }).unwrap();
    let mut body = Vec::new();
    let shape = builder.finish(&mut body);
    assert_eq!(body, b"payload");
    assert_eq!(shape, BodyShape { count: 1, columns: 0, entry_kind: 9 });
}

#[test]
fn reserved_values_and_unknown_columns_are_refused() {
    let mut builder = EntriesBuilder::default();
    assert!(builder.push(&NewEntry { term: Some(u64::MAX), ..NewEntry::plain(b"") }).is_err());
    assert!(builder.push(&NewEntry { timestamp: Some(i64::MIN), ..NewEntry::plain(b"") }).is_err());
    assert!(builder.is_empty());
    assert_eq!(
        EntriesRef::parse(1, 0x40, 0, b"").unwrap_err(),
        DecodeError::UnsupportedColumns { columns: 0x40 }
    );
    assert!(EntriesRef::parse(0, 0, 0, b"").is_err());
}

#[test]
fn a_body_shorter_than_its_columns_is_refused() {
    let mut builder = EntriesBuilder::default();
    for payload in [b"one".as_slice(), b"", b"three"] {
        builder.push(&NewEntry { term: Some(7), ..NewEntry::plain(payload) }).unwrap();
    }
    let mut body = Vec::new();
    let shape = builder.finish(&mut body);
    for len in 0..body.len() {
        assert!(
            EntriesRef::parse(shape.count, shape.columns, shape.entry_kind, &body[..len]).is_err(),
            "cut at {len}"
        );
    }
}

#[test]
fn a_lying_decompressed_length_is_refused() {
    assert_eq!(split_compressed(&[3, 0, 0, 0, 9], 10), Ok((3, [9].as_slice())));
    assert!(split_compressed(&[11, 0, 0, 0], 10).is_err());
    assert!(split_compressed(&[1, 0], 10).is_err());
}
