//! Every bit turned and every length cut to, in small logs.

use wal_import::Format;

use crate::{
    support::{Files, Item, Read, entries, files, manifest, read},
    writers,
};

/// Small logs, with the entries that are in them and where each record begins.
fn logs() -> Vec<(Format, Files, Read)> {
    let mut logs = vec![
        (Format::Xwal, files("pantuza-xwal", "checkpoints")),
        (Format::Hungpdn, files("hungpdn-wal", "multi")),
        (Format::Fgrosse, files("fgrosse-wal", "multi")),
        (Format::Walrus, files("l00pss-walrus", "txn")),
    ];
    let (items, places) = entries(&manifest("l00pss-walrus", "json"));
    let mut json = files("l00pss-walrus", "json");
    let end = usize::try_from(places[6].1).unwrap();
    json[0].1.truncate(end);
    assert!(items.len() > 6);
    logs.push((Format::Walrus, json));
    let operations = (0..12_u8).map(|number| Item {
        kind: 1 + number % 2,
        timestamp: Some(i64::from(number) - 5),
        entity: b"table"[..usize::from(number) % 6].to_vec(),
        key: vec![number; usize::from(number) % 4],
        payload: vec![0xff; usize::from(number) * 3],
        ..Item::default()
    });
    let bytes = operations.flat_map(|item| writers::filewal(&item)).collect();
    logs.push((Format::Filewal, vec![("wal.log".to_owned(), bytes)]));
    let whole = |(format, files)| {
        let whole = read(format, &files);
        assert!(whole.damage().is_empty() && whole.torn().is_none() && whole.items.len() > 5);
        (format, files, whole)
    };
    logs.into_iter().map(whole).collect()
}

#[test]
fn a_turned_bit_costs_its_entry_and_is_reported() {
    for (format, mut files, whole) in logs() {
        for file in 0..files.len() {
            for bit in 0..files[file].1.len() * 8 {
                files[file].1[bit / 8] ^= 1 << (bit % 8);
                let damaged = read(format, &files);
                let place = || format!("{format} {} bit {bit}: {:?}", files[file].0, damaged.rest);
                compare(format, &whole, &damaged, &place);
                files[file].1[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

/// What was read is in the log, in order, and lacks at most one entry.
#[track_caller]
fn compare(format: Format, whole: &Read, damaged: &Read, place: &dyn Fn() -> String) {
    let mut left = whole.items.iter().zip(&whole.places);
    for (item, at) in damaged.items.iter().zip(&damaged.places) {
        let (want, _) =
            left.find(|(_, place)| *place == at).unwrap_or_else(|| panic!("invented: {}", place()));
        // The type is under no checksum there.
        let kind = if format == Format::Fgrosse { want.kind } else { item.kind };
        // The id neither, and a file with a single entry has no neighbours for it.
        assert_eq!(&Item { kind, ..item.clone() }, want, "{}", place());
    }
    let lost = whole.items.len() - damaged.items.len();
    assert!(lost <= 1, "{lost} entries lost: {}", place());
    let is_told = !damaged.damage().is_empty() || damaged.torn().is_some();
    let is_type = format == Format::Fgrosse && lost == 0;
    assert!(is_told || is_type, "not told: {}", place());
    let gap = damaged.rest.len() - whole.rest.len();
    assert!(gap >= usize::from(is_told), "{}", place());
}

#[test]
fn a_file_cut_short_keeps_what_is_whole() {
    for (format, files, whole) in logs() {
        let newest = whole.places.last().unwrap().0.clone();
        let at = files.iter().position(|(name, _)| *name == newest).unwrap();
        for len in 0..files[at].1.len() {
            let mut files = files.clone();
            files[at].1.truncate(len);
            let cut = read(format, &files);
            let is_whole = cut.items.iter().zip(&whole.items).all(|(one, other)| one == other);
            let begun =
                whole.places.iter().filter(|(name, offset)| *name != newest || *offset < len as u64).count();
            let at_record = len == 0 || whole.places.contains(&(newest.clone(), len as u64));
            let kept = begun - usize::from(!at_record);
            assert!(is_whole && cut.items.len() == kept, "{format} cut to {len}: {:?}", cut.rest);
            assert!(cut.damage().is_empty(), "{format} cut to {len}: {:?}", cut.rest);
            let torn = cut.torn().map(|(_, offset, len)| offset + len);
            assert_eq!(torn, (!at_record).then_some(len as u64), "{format} cut to {len}");
        }
    }
}

#[test]
fn zeros_behind_the_end_are_a_torn_end() {
    for (format, mut files, whole) in logs() {
        let newest = whole.places.last().unwrap().0.clone();
        let file = files.iter_mut().find(|(name, _)| *name == newest).unwrap();
        let len = file.1.len();
        file.1.resize(len + 4096, 0);
        let read = read(format, &files);
        assert_eq!(read.items, whole.items, "{format}");
        assert_eq!(read.torn(), Some((newest.as_str(), len as u64, 4096)), "{format}");
    }
}

#[test]
fn an_older_file_that_stops_is_damage() {
    for (format, mut files, whole) in logs() {
        let (oldest, _) = whole.places.first().unwrap().clone();
        if oldest == whole.places.last().unwrap().0 {
            continue;
        }
        let file = files.iter_mut().find(|(name, _)| *name == oldest).unwrap();
        file.1.truncate(file.1.len() - 1);
        let read = read(format, &files);
        assert_eq!(read.items.len(), whole.items.len() - 1, "{format}");
        assert!(read.torn().is_none(), "{format}");
        assert_eq!(read.damage().len(), 1, "{format}");
    }
}
