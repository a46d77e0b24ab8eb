//! Indexes that stay in their files.

use std::{fs::OpenOptions, os::unix::fs::FileExt, path::Path, sync::Arc};

use wal_core::{Log, LogError, Options};
use wal_format::{FRAME_HEADER_LEN, FileName, Lsn, NewEntry, SegmentId};
use wal_segment::{LocalOptions, LocalStorage, MemoryStorage, SegmentError, Storage};

use crate::{
    reading::lsn,
    support::{environment, payload},
};

const ENTRIES: u64 = 40_000;

/// So long that the index of the first segment is not copied.
fn options() -> Options {
    let len = 12 << 20;
    Options { segment_len: len, first_segment_len: len, background_threads: false, ..Options::default() }
}

fn open(dir: &Path) -> Log {
    let storage = LocalStorage::create(dir, LocalOptions::default()).unwrap();
    Log::open(environment(Arc::new(storage)), options()).unwrap()
}

fn body(n: u64) -> Vec<u8> {
    [payload(n), vec![n as u8; 300]].concat()
}

/// Whatever has become of an index since it was verified, it costs time and nothing else: entries are found, one by one
/// and many at once, and where one is damaged, that one alone is.
#[test]
#[expect(clippy::disallowed_methods, reason = "no storage changes what is there")]
fn an_index_that_rots_in_its_file_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for n in 1..=ENTRIES {
        drop(log.submit(&NewEntry::plain(&body(n)), None).unwrap());
    }
    log.sync().unwrap();
    assert!(log.segments().unwrap().len() > 1);
    log.close().unwrap();
    drop(log);
    let path = dir.path().join(FileName::Index(SegmentId(1)).with_prefix(""));
    let index = std::fs::read(&path).unwrap();
    assert!(index.len() > 64 << 10);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    type Rot = fn(usize, u8) -> u8;
    let rots: [(&str, Rot); 5] = [
        ("one bit of each point", |at, byte| if at % 8 == 0 { byte ^ 1 } else { byte }),
        ("another bit", |at, byte| if at % 8 == 5 { byte ^ 2 } else { byte }),
        ("a high bit", |at, byte| if at % 40 == 7 { byte ^ 0x40 } else { byte }),
        ("zeros", |_, _| 0),
        ("noise", |at, _| (at.wrapping_mul(0x9e37_79b9) >> 7) as u8),
    ];
    for (what, rot) in rots {
        file.write_all_at(&index, 0).unwrap();
        let log = open(dir.path());
        // Now the index is known, and verified.
        assert_eq!(log.get(lsn(5000)).unwrap().payload, body(5000));
        let rotten: Vec<u8> = index[80..].iter().enumerate().map(|(at, byte)| rot(at, *byte)).collect();
        file.write_all_at(&rotten, 80).unwrap();
        let some: Vec<_> = (0..60).map(|n| 1 + n * 7919 % 20_000).collect();
        for n in &some {
            assert_eq!(log.get(lsn(*n)).unwrap().payload, body(*n), "{what}");
            let next = log.range(lsn(*n)..).next().unwrap().unwrap();
            assert_eq!((next.lsn, next.payload), (lsn(*n), body(*n).into()), "{what}");
            let header = log.headers(lsn(*n), lsn(n + 1)).next().unwrap().unwrap();
            assert_eq!(header.first, lsn(*n), "{what}");
        }
        let lsns: Vec<_> = some.iter().map(|n| lsn(*n)).collect();
        let entries = log.get_many(&lsns).unwrap();
        assert!(entries.iter().zip(&some).all(|(entry, n)| entry.payload == body(*n)), "{what}");
    }
    // Damage is still where it is, and nowhere else.
    file.write_all_at(&index, 0).unwrap();
    let log = open(dir.path());
    let places: Vec<u64> =
        [700, 9000].map(|n| log.headers(lsn(n), Lsn::MAX).next().unwrap().unwrap().offset).into();
    let segment = OpenOptions::new().write(true).open(path.with_extension("wal")).unwrap();
    places.iter().for_each(|offset| segment.write_all_at(&[0xff; 4], *offset).unwrap());
    for rot in [false, true] {
        if rot {
            file.write_all_at(&vec![0; index.len() - 80], 80).unwrap();
        }
        for (n, offset) in [(700, places[0]), (9000, places[1])] {
            let LogError::Lost { first, source, .. } = log.get(lsn(n)).unwrap_err() else { panic!("{n}") };
            let SegmentError::Frame { offset: named, .. } = source else { panic!("{n}: {source}") };
            assert_eq!((first, named), (lsn(n), offset), "{rot}");
            assert_eq!(log.get(lsn(n + 1)).unwrap().payload, body(n + 1), "{rot}");
        }
    }
}

/// A backup looks for the end of the newest segment from the last point of its index on.
#[test]
#[expect(clippy::disallowed_methods, reason = "no storage changes what is there")]
fn where_a_segment_ends_is_found_without_an_index_that_rots() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for n in 1..=ENTRIES / 2 {
        drop(log.submit(&NewEntry::plain(&body(n)), None).unwrap());
    }
    log.close().unwrap();
    drop(log);
    let path = dir.path().join(FileName::Index(SegmentId(1)).with_prefix(""));
    let index = std::fs::read(&path).unwrap();
    assert!(index.len() > 64 << 10);
    // The last point leads to eight bytes before its frame, or behind it.
    let units = u32::from_le_bytes(*index.last_chunk().unwrap());
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for (units, backup) in [(units - 1, "before"), (units + 1, "behind")] {
        file.write_all_at(&index, 0).unwrap();
        let storage = LocalStorage::create(dir.path(), LocalOptions::default()).unwrap();
        let log = Log::open_read_only(environment(Arc::new(storage)), options()).unwrap();
        assert_eq!(log.segments().unwrap().len(), 1);
        assert_eq!(log.get(lsn(5000)).unwrap().payload, body(5000));
        file.write_all_at(&units.to_le_bytes(), index.len() as u64 - 4).unwrap();
        let target: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        assert_eq!(log.backup(&target).unwrap().next, lsn(ENTRIES / 2 + 1), "{backup}");
        let copy = Log::open(environment(target), options()).unwrap();
        assert_eq!(copy.get(lsn(ENTRIES / 2)).unwrap().payload, body(ENTRIES / 2), "{backup}");
    }
}

/// Of two entries, one holds the frame of the other, and the index leads there.
#[test]
#[expect(clippy::disallowed_methods, reason = "no storage changes what is there")]
fn what_an_index_that_rots_leads_to_is_not_taken_for_a_frame() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let fill = |numbers: std::ops::RangeInclusive<u64>| {
        numbers.for_each(|n| drop(log.submit(&NewEntry::plain(&body(n)), None).unwrap()));
        log.sync().unwrap();
    };
    fill(1..=5000);
    let place = |log: &Log, n: u64| log.headers(lsn(n), Lsn::MAX).next().unwrap().unwrap().offset;
    let path = dir.path().join(FileName::Index(SegmentId(1)).with_prefix(""));
    let segment = std::fs::read(path.with_extension("wal")).unwrap();
    let frame = &segment[usize::try_from(place(&log, 3000)).unwrap()..];
    log.append(&frame[..1000]).unwrap();
    fill(5002..=ENTRIES / 2);
    log.close().unwrap();
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.get(lsn(3001)).unwrap().payload, body(3001));
    let trap = (place(&log, 5001) + FRAME_HEADER_LEN as u64) / 8;
    let mut index = std::fs::read(&path).unwrap();
    assert!(index.len() > 64 << 10);
    let points = index[80..].as_chunks_mut::<8>().0;
    let at = points.partition_point(|point| u32::from_le_bytes(*point.first_chunk().unwrap()) < 3000) - 1;
    points[at][4..].copy_from_slice(&u32::try_from(trap).unwrap().to_le_bytes());
    OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&index, 0).unwrap();
    assert_eq!(log.get(lsn(3000)).unwrap().payload, body(3000));
}
