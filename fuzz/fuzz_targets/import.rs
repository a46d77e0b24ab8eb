//! Files of other logs: the first byte chooses the format and how the rest is cut into files. Nothing panics, places
//! stay inside and in order, payloads are bytes of the file (or shorter than the text they were), and reading again
//! says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wal_import::{Event, Format, Plan, Reader};

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let format = Format::ALL[usize::from(choice % 5)];
    let cut = bytes.len() * usize::from(choice / 5 % 4) / 4;
    let (one, other) = bytes.split_at(cut);
    let names = match format {
        Format::Xwal => ["wal_9.checkpoint", "wal_10"],
        Format::Hungpdn => ["segment-0009.wal", "segment-0010.wal"],
        Format::Fgrosse => ["9.wal", "10.wal"],
        Format::Walrus => ["segment_9.wal", "segment_10.wal"],
        _ => ["wal.log", "wal.log.1"],
    };
    let files = [(names[0], one), (names[1], other)];
    let listed = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.len() as u64));
    let plan = Plan::new(format, None, listed).expect("the numbers differ");
    let (mut reader, mut again) = (Reader::new(format), Reader::new(format));
    for (file, (name, bytes)) in plan.files().iter().zip(files) {
        assert_eq!(file.name(), name);
        let mut end = 0;
        for event in reader.events(file, bytes) {
            check(&event, &mut end, bytes);
        }
        assert_eq!(end > 0, !bytes.is_empty(), "something is said about every file that holds something");
        again.events(file, bytes).for_each(drop);
    }
    assert_eq!(format!("{reader:?}"), format!("{again:?}"));
});

fn check(event: &Event<'_>, end: &mut u64, bytes: &[u8]) {
    let len = bytes.len() as u64;
    match event {
        Event::Entry(entry) => {
            assert!(entry.offset >= *end && entry.offset < len);
            assert!((entry.payload.len() as u64) < len - entry.offset);
            *end = entry.offset + 1;
        }
        Event::Damage { offset, len: damaged, .. } | Event::TornTail { offset, len: damaged } => {
            assert!(*offset >= *end && *damaged > 0 && offset + damaged <= len);
            *end = offset + damaged;
        }
        _ => {}
    }
}
