//! What the samples do not have: many files, gaps, appends behind torn records, logs inside of payloads.

use wal_import::{Event, Flaw, Format};

use crate::{
    support::{Files, Item, Read, read},
    writers::{self, plain},
};

/// The formats whose entries have ids, with their writers and the names of their files.
type Writer = (Format, fn(&Item) -> Vec<u8>, fn(u64) -> String);

const WRITERS: [Writer; 4] = [
    (Format::Xwal, writers::xwal, |number| format!("wal_{number}")),
    (Format::Hungpdn, writers::hungpdn, |number| format!("segment-{number:04}.wal")),
    (Format::Fgrosse, writers::fgrosse, |number| format!("{number}.wal")),
    (Format::Walrus, writers::walrus, |number| format!("segment_{number:020}.wal")),
];

fn file(name: &str, records: &[Vec<u8>]) -> (String, Vec<u8>) {
    (name.to_owned(), records.concat())
}

/// Entries with these ids and payloads that differ.
fn records(write: fn(&Item) -> Vec<u8>, ids: impl IntoIterator<Item = u64>) -> Vec<Vec<u8>> {
    ids.into_iter().map(|id| write(&plain(id, format!("payload {id}").as_bytes()))).collect()
}

#[test]
fn many_files_are_read_by_number_and_others_left_alone() {
    for (format, write, name) in WRITERS {
        let mut files: Files = (1..=25)
            .map(|number| file(&name(number), &records(write, number * 3 - 2..=number * 3)))
            .collect();
        files.sort();
        files.push(("README.md".to_owned(), b"not a log".to_vec()));
        files.push((name(7) + ".bak", files[0].1.clone()));
        files.push((name(26), Vec::new()));
        let read = read(format, &files);
        assert_eq!(read.ids(), (1..=75).collect::<Vec<_>>(), "{format}");
        assert_eq!(read.rest, [], "{format}");
    }
}

#[test]
fn nothing_is_in_an_empty_directory_or_file() {
    for format in Format::ALL {
        assert_eq!(read(format, &Vec::new()), Read::default());
        assert_eq!(read(format, &vec![("other".to_owned(), vec![1])]), Read::default());
    }
    for (format, _, name) in WRITERS {
        assert_eq!(read(format, &vec![(name(1), Vec::new())]), Read::default());
    }
    assert_eq!(read(Format::Filewal, &vec![("wal.log".to_owned(), Vec::new())]), Read::default());
}

#[test]
fn ids_may_begin_anywhere_and_leave_gaps() {
    for (format, write, name) in WRITERS {
        let files = vec![file(&name(1), &records(write, 25..30)), file(&name(2), &records(write, 40..45))];
        let gap = read(format, &files);
        assert_eq!(gap.ids(), (25..30).chain(40..45).collect::<Vec<_>>(), "{format}");
        let event = Event::Gap { offset: 0, previous: 29, next: 40 };
        assert_eq!(gap.rest, [(name(2), event)], "{format}");
        // As xwal does when it is opened again, and walrus after an error.
        let files = vec![file(&name(1), &records(write, 1..6)), file(&name(2), &records(write, 1..4))];
        let again = read(format, &files);
        assert_eq!(again.ids(), [1, 2, 3, 4, 5, 1, 2, 3], "{format}");
        assert!(matches!(again.rest[..], [(_, Event::Gap { previous: 5, next: 1, .. })]), "{format}");
    }
}

#[test]
fn ids_are_kept_to_the_greatest() {
    for (format, write, name) in WRITERS {
        let greatest = if format == Format::Fgrosse { u64::from(u32::MAX) } else { u64::MAX };
        let read = read(format, &vec![file(&name(1), &records(write, greatest - 1..=greatest))]);
        assert_eq!(read.ids(), [greatest - 1, greatest], "{format}");
        assert_eq!(read.rest, [], "{format}");
    }
}

#[test]
fn what_was_appended_behind_a_torn_record_is_found() {
    for (format, write, name) in WRITERS {
        let mut records = records(write, 1..=9);
        let len = records[4].len();
        for cut in 1..len {
            records[4].truncate(len - cut);
            // The program counted on behind what it could read.
            let appended: Vec<_> = (5..=9).map(|id| write(&plain(id, b"behind"))).collect();
            let files = vec![(name(1), [records[..5].concat(), appended.concat()].concat())];
            let read = read(format, &files);
            assert_eq!(read.ids(), (1..=9).collect::<Vec<_>>(), "{format} {cut}");
            assert!(read.items[4..].iter().all(|item| item.payload == b"behind"), "{format} {cut}");
            assert_eq!(read.damage().len(), 1, "{format} {cut}: {:?}", read.rest);
        }
    }
}

#[test]
fn neighbours_that_are_damaged_cost_no_others() {
    for (format, write, name) in WRITERS {
        let mut records = records(write, 1..=12);
        for record in &mut records[4..7] {
            *record.last_mut().unwrap() ^= 0x40;
            let middle = record.len() / 2 + 4;
            record[middle] ^= 1;
        }
        let read = read(format, &vec![file(&name(1), &records)]);
        assert_eq!(read.ids(), [1, 2, 3, 4, 8, 9, 10, 11, 12], "{format}: {:?}", read.rest);
        assert!(!read.damage().is_empty(), "{format}");
    }
}

#[test]
fn a_log_inside_of_a_payload_stays_inside() {
    for (format, write, name) in WRITERS {
        let inner = records(write, 1..=6).concat();
        let mut whole = records(write, 1..=6);
        whole.push(write(&plain(7, &inner)));
        let bytes = whole.concat();
        let good = read(format, &vec![(name(1), bytes.clone())]);
        assert_eq!((good.ids().len(), good.items[6].payload == inner), (7, true), "{format}");
        // Torn in the middle of it.
        let torn = read(format, &vec![(name(1), bytes[..bytes.len() - inner.len() / 3].to_vec())]);
        assert_eq!(torn.ids(), [1, 2, 3, 4, 5, 6], "{format}");
        assert!(torn.torn().is_some(), "{format}: {:?}", torn.rest);
        // Damaged, with others behind it.
        let mut damaged = [bytes.clone(), records(write, 8..=9).concat()].concat();
        damaged[bytes.len() - 12] ^= 1;
        let damaged = read(format, &vec![(name(1), damaged)]);
        assert_eq!(damaged.ids(), [1, 2, 3, 4, 5, 6, 8, 9], "{format}: {:?}", damaged.rest);
    }
}

#[test]
fn the_first_record_of_a_file_may_be_damaged() {
    for (format, write, name) in WRITERS {
        let mut files =
            vec![file(&name(1), &records(write, 30..40)), file(&name(2), &records(write, 40..50))];
        files[0].1[14] ^= 0x80;
        files[1].1[14] ^= 0x80;
        let read = read(format, &files);
        let want: Vec<u64> = (31..40).chain(41..50).collect();
        assert_eq!(read.ids(), want, "{format}: {:?}", read.rest);
        assert_eq!(read.damage().len(), 2, "{format}");
    }
}

#[test]
fn a_payload_without_length_ends_where_the_next_id_follows() {
    let next = 2_u32.to_be_bytes();
    let tricky = [&next[..], &next, b"\0\0\0", &next, &[0; 40]].concat();
    for payload in [&[][..], &[0; 50], &tricky, &[0xff; 3], &next] {
        let items = [plain(1, payload), Item { kind: 9, ..plain(2, payload) }, plain(3, payload)];
        let bytes: Vec<u8> = items.iter().flat_map(writers::fgrosse).collect();
        let read = read(Format::Fgrosse, &vec![("1.wal".to_owned(), bytes)]);
        assert_eq!((read.items.as_slice(), read.rest.as_slice()), (&items[..], &[][..]), "{payload:?}");
    }
}

#[test]
fn a_long_payload_may_be_followed_by_a_torn_id() {
    let long = writers::fgrosse(&plain(1, &vec![7; 3 << 20]));
    let next = writers::fgrosse(&plain(2, b"next"));
    for len in 1..next.len() {
        let bytes = [&long[..], &next[..len]].concat();
        let read = read(Format::Fgrosse, &vec![("1.wal".to_owned(), bytes)]);
        assert_eq!(read.ids(), [1], "{len}");
        assert_eq!(read.torn(), Some(("1.wal", long.len() as u64, len as u64)));
    }
}

#[test]
fn a_file_that_its_program_overwrote_shows_both_logs() {
    let write = writers::fgrosse;
    let old = records(write, 1..=15).concat();
    let new = records(write, 20..=23).concat();
    for shift in 0..12 {
        let new = [&new[..], &write(&plain(24, &vec![b'x'; shift]))].concat();
        let bytes = [&new[..], &old[new.len()..]].concat();
        let files = vec![("1.wal".to_owned(), bytes), file("2.wal", &records(write, 16..=18))];
        let read = read(Format::Fgrosse, &files);
        let begins = |id: u64| records(write, 1..id).concat().len();
        let kept = (1..=15).filter(|id| begins(*id) >= new.len());
        let want: Vec<u64> = (20..=24).chain(kept).chain(16..=18).collect();
        assert_eq!(read.ids(), want, "{shift}: {:?}", read.rest);
        assert_eq!(read.damage().is_empty(), (1..=15).any(|id| begins(id) == new.len()), "{shift}");
    }
}

#[test]
fn json_may_lack_data_and_binary_may_begin_like_json() {
    let item = |id, payload: &[u8]| Item { term: Some(3), timestamp: Some(-1), ..plain(id, payload) };
    let binary = item(0x7d7b, b"}}}");
    let json = Item { transaction: b"tx_1".to_vec(), ..item(0x7d7c, b"") };
    let escaped = writers::walrus_json(
        &Item { transaction: br#"a\u003cb\"checksum\":7"#.to_vec(), ..item(0x7d7d, b"") },
        r#""/+8=""#,
    );
    let bytes = [writers::walrus(&binary), writers::walrus_json(&json, "null"), escaped].concat();
    let read = read(Format::Walrus, &vec![("segment_1.wal".to_owned(), bytes)]);
    assert_eq!(read.items[..2], [binary, json]);
    assert_eq!(read.items[2].payload, [0xff, 0xef]);
    assert_eq!(read.items[2].transaction, br#"a<b"checksum":7"#);
    assert_eq!(read.rest, []);
}

#[test]
fn a_transaction_beside_a_torn_or_damaged_place_is_doubtful() {
    let tx = |id, name: &str| Item { transaction: name.as_bytes().to_vec(), ..plain(id, b"payload") };
    let items = [plain(1, b"one"), tx(2, "a"), tx(3, "a"), tx(4, "b"), tx(5, "b"), plain(6, b"six")];
    let records: Vec<Vec<u8>> = items.iter().map(writers::walrus).collect();
    let doubts = |bytes: Vec<u8>| -> Vec<String> {
        let read = read(Format::Walrus, &vec![("segment_1.wal".to_owned(), bytes)]);
        let names = read.rest.iter().filter_map(|(_, event)| match event {
            Event::DoubtfulTransaction { transaction, .. } => {
                Some(String::from_utf8_lossy(transaction).into_owned())
            }
            _ => None,
        });
        names.collect()
    };
    let whole = records.concat();
    assert_eq!(doubts(whole.clone()), [""; 0]);
    assert_eq!(doubts(whole[..whole.len() - 1].to_vec()), ["b"]);
    let until = records[..3].concat().len();
    assert_eq!(doubts(whole[..until + 5].to_vec()), ["a"]);
    let mut damaged = whole;
    damaged[until - 6] ^= 1;
    assert_eq!(doubts(damaged), ["a", "b"]);
}

#[test]
fn an_entry_without_a_checksum_is_not_taken() {
    let bare = b"\x07\x08\x02\x12\x03two";
    let bytes = [&writers::xwal(&plain(1, b"one"))[..], bare, &writers::xwal(&plain(3, b""))].concat();
    let read = read(Format::Xwal, &vec![("wal_0".to_owned(), bytes)]);
    assert_eq!(read.ids(), [1, 3]);
    assert!(
        matches!(read.rest[0].1, Event::Damage { len: 8, flaw: Flaw::Unprotected, .. }),
        "{:?}",
        read.rest
    );
}

#[test]
fn an_entity_that_was_too_long_costs_only_its_record() {
    let item =
        |entity: usize| Item { kind: 1, timestamp: Some(0), entity: vec![b'e'; entity], ..Item::default() };
    let bytes: Vec<u8> = [item(3), item(65_536), item(65_535)].iter().flat_map(writers::filewal).collect();
    let read = read(Format::Filewal, &vec![("wal.log".to_owned(), bytes)]);
    assert_eq!(read.items, [item(3), item(65_535)]);
    assert_eq!(read.damage().len(), 1);
}
