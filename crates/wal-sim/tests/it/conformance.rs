//! The disk keeps the storage contract.

use wal_segment::{Capabilities, conformance};
use wal_sim::{DiskOptions, SimDisk};

#[track_caller]
fn check(options: DiskOptions) {
    conformance::check(&|| SimDisk::with_options(7, options.clone()).storage());
}

#[test]
fn the_default_disk_keeps_the_contract() {
    check(DiskOptions::default());
}

#[test]
fn a_disk_of_limited_space_keeps_the_contract() {
    check(DiskOptions {
        capacity_bytes: Some(4 << 20),
        copy_on_write: true,
        torn_sectors: true,
        ..Default::default()
    });
}

#[test]
fn a_disk_that_takes_bytes_without_a_system_call_keeps_the_contract() {
    let mut options = DiskOptions::default();
    options.capabilities.stores = true;
    check(options);
}

#[test]
fn a_disk_that_publishes_at_the_first_sync_keeps_the_contract() {
    check(DiskOptions { capabilities: Capabilities::OBJECTS, ..Default::default() });
}

#[test]
fn a_published_file_refuses_changes() {
    let disk =
        SimDisk::with_options(1, DiskOptions { capabilities: Capabilities::OBJECTS, ..Default::default() });
    let file = super::durable(&*disk.storage(), "a", b"x");
    assert_eq!(super::kind(file.write_at(1, b"y")), Some(std::io::ErrorKind::Unsupported));
}
