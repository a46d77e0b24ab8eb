//! Bodies of entries frames: whatever is read lies inside the body, and what is built is read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wal_format::{EntriesBuilder, EntriesRef, MetadataRecords, NewEntry, split_compressed};

fuzz_target!(|input: &[u8]| {
    let Some((&[columns, entry_kind, a, b, c, d], body)) = input.split_first_chunk::<6>() else { return };
    read(u32::from_le_bytes([a, b, c, d]), columns, entry_kind, body);
    // A count that may fit, and nothing but known columns.
    read(u32::from(a), columns & 0x1f, entry_kind, body);
    if let Ok((raw_len, rest)) = split_compressed(body, 1 << 20) {
        assert!(raw_len <= 1 << 20 && rest.len() + 4 == body.len());
    }
    build(body);
});

fn read(count: u32, columns: u8, entry_kind: u8, body: &[u8]) {
    let Ok(entries) = EntriesRef::parse(count, columns, entry_kind, body) else { return };
    assert_eq!(entries.len(), count);
    assert!(count == 1 || count as usize <= body.len() / 4, "a count that the body does not pay for");
    let (mut end, mut in_order) = (None, true);
    for entry in entries.iter() {
        let Ok(entry) = entry else {
            in_order = false;
            continue;
        };
        assert_eq!(entry.payload, &body[entry.range.clone()]);
        assert!(!in_order || end.is_none_or(|end| end == entry.range.start), "payloads stand back to back");
        end = Some(entry.range.end);
    }
    assert!(!in_order || end == Some(body.len()), "the last payload ends the body");
    assert!(entries.get(count).is_err());
    assert!(entries.metadata().len() <= body.len());
    MetadataRecords::new(entries.metadata()).for_each(drop);
}

/// Cuts the input into entries, five bytes of description each.
fn build(mut input: &[u8]) {
    let mut builder = EntriesBuilder::default();
    let mut pushed = Vec::new();
    while let Some((&[len, kind, term, time, rare], rest)) = input.split_first_chunk::<5>() {
        let (payload, rest) = rest.split_at(usize::from(len).min(rest.len()));
        input = rest;
        let entry = NewEntry {
            payload,
            kind,
            term: (term != 0).then_some(u64::from(term)),
            timestamp: (time != 0).then_some(i64::from(time) - 128),
        };
        builder.push(&entry).expect("short, and nothing reserved");
        pushed.push(entry);
        match rare {
            1 => builder.set_transaction([kind; 16]),
            2 => builder.add_metadata(payload),
            _ => {}
        }
    }
    if builder.is_empty() {
        return;
    }
    let mut body = Vec::new();
    let shape = builder.finish(&mut body);
    assert!(body.len() <= builder.body_len());
    let entries = EntriesRef::parse(shape.count, shape.columns, shape.entry_kind, &body).expect("just built");
    assert_eq!(entries.len() as usize, pushed.len());
    for (read, entry) in entries.iter().zip(pushed) {
        let read = read.expect("just built");
        assert_eq!((read.payload, read.kind), (entry.payload, entry.kind));
        assert_eq!((read.term, read.timestamp), (entry.term, entry.timestamp));
    }
}
