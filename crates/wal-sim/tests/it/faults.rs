//! Failures that were planned.

use std::{io::ErrorKind, sync::Arc};

use wal_segment::StorageFile;
use wal_sim::{DiskOptions, FailedRead, FailedSync, FailedWrite, Faults, Shots, SimDisk, Unwritten};

use crate::{durable, kind, seen};

fn overwritten(faults: Faults) -> (SimDisk, Arc<dyn StorageFile>) {
    let disk = SimDisk::with_options(1, DiskOptions { unwritten: Unwritten::Zeros, ..Default::default() });
    let file = durable(&*disk.storage(), "a", &[1; 2_048]);
    disk.set_faults(faults);
    file.write_at(0, &[2; 2_048]).unwrap();
    (disk, file)
}

#[test]
fn a_failed_sync_drops_pages_that_stay_readable() {
    let (disk, file) = overwritten(Faults { sync: Shots::nth(0), ..Default::default() });
    assert_eq!(kind(file.sync()), Some(ErrorKind::Other));
    assert_eq!(file.view(0..2_048).unwrap(), [2; 2_048][..]);
    // The next sync succeeds, and saves nothing; nor does a kill reveal it.
    file.sync().unwrap();
    disk.kill();
    assert_eq!(disk.read("a").unwrap(), [2; 2_048]);
    assert_eq!(seen(&disk, |after| after.read("a").unwrap()), [vec![1; 2_048]].into());
}

#[test]
fn a_failed_write_back_drops_pages_like_a_failed_sync() {
    let (disk, file) = overwritten(Faults { write_back: Shots::nth(1), ..Default::default() });
    assert!(file.write_back(0..512).unwrap());
    assert_eq!(kind(file.write_back(0..512).map(drop)), Some(ErrorKind::Other));
    file.sync().unwrap();
    assert_eq!(disk.faults_fired(), 1);
    assert_eq!(seen(&disk, |after| after.read("a").unwrap()), [vec![1; 2_048]].into());
}

#[test]
fn a_failed_sync_reverts_pages_if_it_is_to() {
    let faults = Faults { sync: Shots::nth(0), sync_mode: FailedSync::Revert, ..Default::default() };
    let (disk, file) = overwritten(faults);
    file.write_at(2_048, b"more").unwrap();
    file.sync().unwrap_err();
    assert_eq!(disk.read("a").unwrap(), [&[1; 2_048][..], &[0; 4]].concat());
    file.sync().unwrap();
    assert_eq!(disk.durable("a").unwrap(), [&[1; 2_048][..], &[0; 4]].concat());
}

#[test]
fn a_failed_sync_keeps_some_sectors_if_it_is_to() {
    let faults = Faults { sync: Shots::nth(0), sync_keeps_some: true, ..Default::default() };
    let (disk, file) = overwritten(faults);
    file.sync().unwrap_err();
    let durable = disk.durable("a").unwrap();
    let kept = durable.chunks(512).filter(|sector| *sector == [2; 512]).count();
    let lost = durable.chunks(512).filter(|sector| *sector == [1; 512]).count();
    assert_eq!((kept + lost, disk.crash_states()), (4, Some(1)));
    assert!(kept > 0 && lost > 0, "{kept} {lost}");
}

#[test]
fn what_is_written_after_a_failed_sync_is_saved_by_the_next() {
    let (disk, file) = overwritten(Faults { sync: Shots::nth(0), ..Default::default() });
    file.sync().unwrap_err();
    file.write_at(512, &[3; 512]).unwrap();
    file.sync().unwrap();
    disk.crash(1);
    assert_eq!(disk.read("a").unwrap(), [&[1; 512][..], &[3; 512], &[1; 1_024]].concat());
}

#[test]
fn a_failed_write_leaves_a_prefix() {
    for (write_mode, want) in
        [(FailedWrite::Full, ErrorKind::StorageFull), (FailedWrite::Error, ErrorKind::Other)]
    {
        let disk = SimDisk::new(5);
        let file = durable(&*disk.storage(), "a", b"1");
        disk.set_faults(Faults { write: Shots::nth(1), write_mode, ..Default::default() });
        file.write_at(1, b"2").unwrap();
        assert_eq!(kind(file.write_at(2, &[3; 1_000])), Some(want));
        let content = disk.read("a").unwrap();
        assert!(content.starts_with(b"12") && content.len() < 1_002, "{}", content.len());
        assert!(content[2..].iter().all(|&byte| byte == 3));
        file.write_at(2, &[4; 1_000]).unwrap();
        assert_eq!(disk.faults_fired(), 1);
    }
}

#[test]
fn reads_fail_as_planned() {
    let disk = SimDisk::new(1);
    let file = durable(&*disk.storage(), "a", &[0; 100]);
    disk.set_faults(Faults { read: Shots::nth(1), ..Default::default() });
    assert_eq!(file.read_at(0, &mut [0; 4]).unwrap(), 4);
    assert_eq!(kind(file.view(0..100)), Some(ErrorKind::Other));
    assert_eq!(file.view(0..100).unwrap(), [0; 100][..]);

    disk.set_faults(Faults { read: Shots::nth(0), read_mode: FailedRead::FlippedBit, ..Default::default() });
    let flipped: u32 = file.view(0..100).unwrap().iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(flipped, 1);
    assert_eq!(file.view(0..100).unwrap(), [0; 100][..]);
}

#[test]
fn calls_for_names_fail_as_planned() {
    let disk = SimDisk::new(1);
    let storage = disk.storage();
    durable(&*storage, "a", b"x");
    let shots = Shots::nth(0);
    disk.set_faults(Faults { create: shots, rename: shots, remove: shots, ..Default::default() });
    assert_eq!(kind(storage.create("b")), Some(ErrorKind::Other));
    assert_eq!(kind(storage.rename("a", "b")), Some(ErrorKind::Other));
    assert_eq!(kind(storage.remove("a")), Some(ErrorKind::Other));
    assert_eq!((disk.names(), disk.crash_states()), (vec!["a".to_owned()], Some(1)));
    storage.create("b").unwrap();
    storage.rename("b", "c").unwrap();
    storage.remove("a").unwrap();
    assert_eq!(disk.names(), ["c"]);
}

#[test]
fn a_failed_sync_of_names_is_not_made_good_by_the_next() {
    let disk = SimDisk::new(1);
    let storage = disk.storage();
    disk.set_faults(Faults { sync_names: Shots::nth(0), ..Default::default() });
    storage.create("a").unwrap();
    assert_eq!(kind(storage.sync_names()), Some(ErrorKind::Other));
    storage.create("b").unwrap();
    storage.sync_names().unwrap();
    assert_eq!(disk.durable_names(), ["b"]);
    assert_eq!(seen(&disk, |after| after.names().concat()), ["ab", "b"].map(str::to_owned).into());
    // A later change of the same file settles it.
    storage.rename("a", "c").unwrap();
    storage.sync_names().unwrap();
    assert_eq!(seen(&disk, |after| after.names().concat()), ["bc".to_owned()].into());
}

#[test]
fn reserve_and_punch_fail_as_planned() {
    let disk = SimDisk::new(1);
    let file = durable(&*disk.storage(), "a", &[1; 1_000]);
    disk.set_faults(Faults { reserve: Shots::nth(0), punch: Shots::nth(0), ..Default::default() });
    assert_eq!(kind(file.reserve(5_000)), Some(ErrorKind::StorageFull));
    assert_eq!(kind(file.punch(0..1_000)), Some(ErrorKind::Other));
    assert_eq!(disk.read("a").unwrap()[..1_000], [1; 1_000]);
    file.reserve(5_000).unwrap();
    file.punch(0..1_000).unwrap();
    assert_eq!(disk.read("a").unwrap(), [0; 5_000]);
}

#[test]
fn damage_lasts() {
    let disk = SimDisk::new(1);
    let file = durable(&*disk.storage(), "a", &[0; 1_024]);
    file.write_at(0, &[0; 512]).unwrap();
    disk.flip_bit("a", 5, 0).unwrap();
    disk.flip_bit("a", 600, 7).unwrap();
    assert_eq!(kind(disk.flip_bit("a", 1_024, 0)), Some(ErrorKind::UnexpectedEof));
    assert_eq!(kind(disk.flip_bit("b", 0, 0)), Some(ErrorKind::NotFound));
    // The byte that is in the cache hides the damage until the power cut, or overwrites it.
    let (read, stored) = (disk.read("a").unwrap(), disk.durable("a").unwrap());
    assert_eq!((read[5], read[600], stored[5], stored[600]), (0, 0x80, 1, 0x80));
    file.sync().unwrap();
    disk.crash(0);
    let read = disk.read("a").unwrap();
    assert_eq!((read[5], read[600]), (0, 0x80));
    disk.flip_bit("a", 600, 7).unwrap();
    assert_eq!(disk.read("a").unwrap(), [0; 1_024]);
}

#[test]
fn files_can_be_put_there() {
    let disk = SimDisk::new(1);
    disk.put("a", *b"first");
    disk.put("a", *b"second");
    assert_eq!(disk.crash_states(), Some(1));
    assert_eq!(disk.storage().open("a").unwrap().view(0..6).unwrap(), "second");
}
