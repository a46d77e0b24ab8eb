//! Every sample against its manifest.

use std::fs;

use wal_import::{Event, Format};

use crate::support::{entries, files, manifest, read, samples, text};

const SEEDS: [(Format, &str); 5] = [
    (Format::Xwal, "pantuza-xwal"),
    (Format::Hungpdn, "hungpdn-wal"),
    (Format::Filewal, "colonyos-filewal"),
    (Format::Fgrosse, "fgrosse-wal"),
    (Format::Walrus, "l00pss-walrus"),
];

fn cases(seed: &str) -> Vec<String> {
    let names = fs::read_dir(samples(seed)).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(".manifest.json").map(str::to_owned)).collect()
}

#[test]
fn every_sample_holds_what_its_manifest_says() {
    let mut count = 0;
    for (format, seed) in SEEDS {
        for case in cases(seed) {
            check(format, seed, &case);
            count += 1;
        }
    }
    assert_eq!(count, 16);
}

#[track_caller]
fn check(format: Format, seed: &str, case: &str) {
    let manifest = manifest(seed, case);
    let files = files(seed, case);
    let read = read(format, &files);
    let Some(origin) = manifest["derived_from"].as_str() else {
        let (items, places) = entries(&manifest);
        assert_eq!(read.places, places, "{seed}/{case}");
        assert!(read.items == items, "{seed}/{case}");
        let is_checkpoint = |(_, event): &(String, Event<'_>)| matches!(event, Event::Checkpoint { .. });
        assert!(read.rest.iter().all(is_checkpoint), "{seed}/{case}: {:?}", read.rest);
        return;
    };
    let (mut items, mut places) = entries(&self::manifest(seed, origin));
    let damage = &manifest["damage"];
    let lost = damage["lost_entry"].as_u64().or(damage["damaged_entry"].as_u64()).unwrap();
    let lost = usize::try_from(lost).unwrap();
    items.remove(lost);
    let (file, offset) = places.remove(lost);
    assert_eq!(read.places, places, "{seed}/{case}");
    assert!(read.items == items, "{seed}/{case}");
    assert_eq!(file, text(&damage["file"]), "{seed}/{case}");
    let found = match read.torn() {
        Some((file, offset, len)) => {
            assert_eq!(damage["kept_bytes"].as_u64(), Some(offset + len), "{seed}/{case}");
            (file, offset)
        }
        None => {
            let [(file, offset, len)] = read.damage()[..] else { panic!("{seed}/{case}: {:?}", read.rest) };
            let byte = damage["byte"].as_u64().unwrap();
            assert!((offset..offset + len).contains(&byte), "{seed}/{case}");
            (file, offset)
        }
    };
    assert_eq!(found, (file.as_str(), offset), "{seed}/{case}");
}

#[test]
fn checkpoints_lie_where_they_were_taken() {
    let read = read(Format::Xwal, &files("pantuza-xwal", "checkpoints"));
    let checkpoint = |file: &str, number| (file.to_owned(), Event::Checkpoint { number });
    assert_eq!(read.rest, [checkpoint("wal_0.checkpoint", 0), checkpoint("wal_1.checkpoint", 1)]);
    assert_eq!(read.items.len(), 45);
}
