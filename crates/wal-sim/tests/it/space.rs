//! A disk that fills up.

use std::io::ErrorKind::StorageFull;

use wal_sim::{DiskOptions, SimDisk};

use crate::{durable, kind};

fn disk(copy_on_write: bool) -> SimDisk {
    SimDisk::with_options(1, DiskOptions { capacity_bytes: Some(4_096), copy_on_write, ..Default::default() })
}

#[test]
fn a_write_that_does_not_fit_is_short() {
    let disk = disk(false);
    let file = durable(&*disk.storage(), "a", &[1; 3_000]);
    assert_eq!(disk.used_bytes(), 3_072);
    assert_eq!(kind(file.write_at(3_000, &[2; 5_000])), Some(StorageFull));
    assert_eq!(disk.read("a").unwrap().len(), 4_096);
    assert_eq!(disk.used_bytes(), 4_096);
    file.write_at(0, &[3; 4_096]).unwrap();
    file.sync().unwrap();
    assert_eq!(kind(file.write_at(4_096, b"x")), Some(StorageFull));
}

#[test]
fn reserved_space_takes_writes_on_a_full_disk() {
    let disk = disk(false);
    let storage = disk.storage();
    let file = storage.create("a").unwrap();
    file.reserve(2_048).unwrap();
    let other = storage.create("b").unwrap();
    assert_eq!(kind(other.reserve(3_000)), Some(StorageFull));
    other.write_at(0, &[1; 2_048]).unwrap();
    file.write_at(0, &[1; 2_048]).unwrap();
    assert_eq!(kind(other.write_at(2_048, b"x")), Some(StorageFull));
}

#[test]
fn copy_on_write_needs_space_for_every_write() {
    let disk = disk(true);
    let file = durable(&*disk.storage(), "a", &[1; 4_096]);
    assert_eq!(kind(file.write_at(0, b"x")), Some(StorageFull));
    assert_eq!(disk.read("a").unwrap(), [1; 4_096]);
    disk.set_capacity_bytes(Some(4_608));
    file.write_at(0, b"x").unwrap();
    assert_eq!(kind(file.write_at(500, &[0; 100])), Some(StorageFull));
}

#[test]
fn space_comes_back() {
    let disk = disk(false);
    let storage = disk.storage();
    let removed = durable(&*storage, "a", &[1; 2_048]);
    let file = durable(&*storage, "b", &[1; 2_048]);
    assert_eq!(kind(file.write_at(2_048, b"x")), Some(StorageFull));
    // An open file takes space without a name.
    storage.remove("a").unwrap();
    assert_eq!(kind(file.write_at(2_048, b"x")), Some(StorageFull));
    assert_eq!(removed.view(0..1).unwrap(), [1][..]);
    drop(removed);
    file.write_at(2_048, &[1; 2_048]).unwrap();
    // Only whole sectors are given back.
    file.punch(100..1_600).unwrap();
    assert_eq!(disk.used_bytes(), 4_096 - 1_024);
    file.write_at(4_096, &[1; 1_024]).unwrap();
    assert_eq!(kind(file.write_at(600, b"x")), Some(StorageFull));
    disk.set_capacity_bytes(None);
    file.write_at(600, b"x").unwrap();
}
