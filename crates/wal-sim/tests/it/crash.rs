//! What a power cut keeps and loses.

use std::collections::BTreeSet;

use wal_sim::{DiskOptions, NameOrder, SimDisk, Unwritten};

use crate::{durable, seen};

fn set<T: Ord, const N: usize>(values: [T; N]) -> BTreeSet<T> {
    values.into()
}

#[test]
fn what_was_synced_is_never_lost() {
    let disk = SimDisk::with_options(1, DiskOptions { torn_sectors: true, ..Default::default() });
    let content: Vec<u8> = (0..3_000_u32).map(|i| i as u8 | 1).collect();
    let file = durable(&*disk.storage(), "a", &content);
    file.write_at(3_000, &[9; 2_000]).unwrap();
    assert_eq!(seen(&disk, |after| after.read("a").unwrap()[..3_000].to_vec()), set([content]));
}

#[test]
fn what_was_not_synced_is_kept_or_lost_by_sectors() {
    let disk = SimDisk::new(1);
    let file = durable(&*disk.storage(), "a", &[1; 1_024]);
    // Neither end lies at a sector: the bytes around the range never change.
    file.write_at(500, &[2; 24]).unwrap();
    let states = seen(&disk, |after| after.read("a").unwrap());
    let state = |head: u8, tail: u8| [&[1; 500][..], &[head; 12], &[tail; 12], &[1; 500]].concat();
    assert_eq!(states, set([state(1, 1), state(1, 2), state(2, 1), state(2, 2)]));
}

#[test]
fn writes_to_one_sector_keep_their_order() {
    let disk = SimDisk::new(1);
    let file = durable(&*disk.storage(), "a", b"0000");
    file.write_at(0, b"11").unwrap();
    file.write_at(1, b"22").unwrap();
    let states = seen(&disk, |after| String::from_utf8(after.read("a").unwrap()).unwrap());
    let want = ["0000", "1100", "0220", "1220"].map(str::to_owned);
    assert_eq!(states, set(want));
}

#[test]
fn torn_sectors_tear_only_the_written_range() {
    let disk = SimDisk::with_options(1, DiskOptions { torn_sectors: true, ..Default::default() });
    let file = durable(&*disk.storage(), "a", &[1; 64]);
    file.write_at(16, &[2; 32]).unwrap();
    let states = seen(&disk, |after| after.read("a").unwrap());
    assert!(states.len() > 10, "{} states", states.len());
    for state in states {
        assert_eq!((&state[..16], &state[48..]), (&[1; 16][..], &[1; 16][..]));
    }
    assert_eq!(disk.crash_states(), None);
}

#[test]
fn the_length_is_apart_from_the_data() {
    let disk = SimDisk::with_options(1, DiskOptions { unwritten: Unwritten::Zeros, ..Default::default() });
    let file = durable(&*disk.storage(), "a", b"dd");
    file.write_at(2, &[7; 600]).unwrap();
    let states = seen(&disk, |after| after.read("a").unwrap());
    let lens: BTreeSet<usize> = states.iter().map(Vec::len).collect();
    assert!(lens.contains(&2) && lens.contains(&602) && lens.len() > 20, "{lens:?}");
    // Length without data, and the second sector without the first.
    assert!(states.iter().any(|state| state.len() == 602 && state[2..].iter().all(|&b| b == 0)));
    assert!(states.iter().any(|state| state.len() == 602 && state[2] == 0 && state[601] == 7));
    assert!(states.iter().all(|state| state.starts_with(b"dd")));
}

#[test]
fn garbage_holds_what_other_files_held() {
    let disk = SimDisk::with_options(1, DiskOptions { unwritten: Unwritten::Garbage, ..Default::default() });
    let storage = disk.storage();
    durable(&*storage, "gone", &[0xab; 8_192]);
    storage.remove("gone").unwrap();
    storage.sync_names().unwrap();
    let file = durable(&*storage, "a", b"d");
    file.write_at(8_191, b"e").unwrap();
    let states = seen(&disk, |after| after.read("a").unwrap());
    assert!(states.iter().any(|state| state[1..].windows(512).any(|bytes| bytes == [0xab; 512])));
    assert!(states.iter().all(|state| state.starts_with(b"d")));
}

#[test]
fn reserved_and_synced_space_reads_as_zeros() {
    let disk = SimDisk::with_options(1, DiskOptions { unwritten: Unwritten::Garbage, ..Default::default() });
    let file = durable(&*disk.storage(), "a", b"d");
    file.reserve(2_000).unwrap();
    assert!(seen(&disk, |after| after.read("a").unwrap().len()).len() > 20);
    file.sync().unwrap();
    let want = [&b"d"[..], &[0; 1_999]].concat();
    assert_eq!(seen(&disk, |after| after.read("a").unwrap()), set([want]));
}

#[test]
fn a_hole_is_punched_whole_or_not_at_all() {
    let disk = SimDisk::new(1);
    let file = durable(&*disk.storage(), "a", &[1; 4_096]);
    file.punch(100..3_000).unwrap();
    let states = seen(&disk, |after| after.read("a").unwrap()[100..3_000].to_vec());
    assert_eq!(states, set([vec![0; 2_900], vec![1; 2_900]]));
}

#[test]
fn a_name_is_lost_without_a_sync_of_names() {
    let disk = SimDisk::new(1);
    let storage = disk.storage();
    let file = storage.create("a").unwrap();
    file.write_at(0, b"x").unwrap();
    file.sync().unwrap();
    assert_eq!(seen(&disk, |after| after.read("a")), set([None, Some(b"x".to_vec())]));
    storage.sync_names().unwrap();
    assert_eq!(seen(&disk, |after| after.read("a")), set([Some(b"x".to_vec())]));
}

#[test]
fn a_removed_name_may_return() {
    let disk = SimDisk::new(1);
    let storage = disk.storage();
    durable(&*storage, "a", b"x");
    storage.remove("a").unwrap();
    assert_eq!(seen(&disk, |after| after.read("a")), set([None, Some(b"x".to_vec())]));
    storage.sync_names().unwrap();
    assert_eq!(seen(&disk, |after| after.read("a")), set([None]));
}

#[test]
fn a_renamed_file_keeps_one_of_its_names() {
    let disk = SimDisk::new(1);
    let storage = disk.storage();
    durable(&*storage, "a", b"x");
    storage.rename("a", "b").unwrap();
    let names = |after: &SimDisk| after.names().join(" ");
    assert_eq!(seen(&disk, names), set(["a", "b"].map(str::to_owned)));
    // The old name is used again: the old file must not lose both.
    storage.create("a").unwrap();
    for state in seen(&disk, |after| (after.read("a"), after.read("b"))) {
        let file = Some(b"x".to_vec());
        assert!(state.0 == file || state.1 == file, "{state:?}");
        assert!(state.0 != state.1, "{state:?}");
    }
}

#[test]
fn names_move_along_a_chain_without_loss() {
    let disk = SimDisk::new(1);
    let storage = disk.storage();
    for name in ["a", "b", "c"] {
        durable(&*storage, name, name.as_bytes());
    }
    for (from, to) in [("c", "d"), ("b", "c"), ("a", "b")] {
        storage.rename(from, to).unwrap();
    }
    let files = |after: &SimDisk| -> Vec<Vec<u8>> {
        let mut files: Vec<_> = after.names().iter().map(|name| after.read(name).unwrap()).collect();
        files.sort();
        files
    };
    assert_eq!(seen(&disk, files), set([vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]]));
    assert_eq!(
        seen(&disk, |after| after.names().concat()),
        set(["abc", "abd", "acd", "bcd"].map(str::to_owned))
    );
}

#[test]
fn a_journal_keeps_the_first_names() {
    let disk = SimDisk::with_options(1, DiskOptions { names: NameOrder::Journal, ..Default::default() });
    let storage = disk.storage();
    for name in ["a", "b", "c"] {
        storage.create(name).unwrap();
    }
    let names = seen(&disk, |after| after.names().concat());
    assert_eq!(names, set(["", "a", "ab", "abc"].map(str::to_owned)));
}

#[test]
fn nothing_is_undecided_after_a_power_cut() {
    let disk = SimDisk::new(1);
    let storage = disk.storage();
    storage.create("a").unwrap().write_at(0, &[1; 5_000]).unwrap();
    disk.crash(3);
    let after = disk.names().first().map(|name| (disk.read(name), disk.durable(name)));
    assert!(after.is_none_or(|(read, durable)| read == durable));
    assert_eq!(disk.crash_states(), Some(1));
    assert_eq!(disk.names(), disk.durable_names());
}
