//! Enumerating the states after a power cut.

use std::collections::BTreeSet;

use wal_sim::{CRASH_STATES_MAX, DiskOptions, NameOrder, SimDisk, Unwritten};

use crate::durable;

fn disk(unwritten: Unwritten) -> SimDisk {
    SimDisk::with_options(1, DiskOptions { unwritten, ..Default::default() })
}

/// The states by their content.
fn states(disk: &SimDisk) -> BTreeSet<Vec<(String, Vec<u8>)>> {
    let files = |after: SimDisk| -> Vec<_> {
        let names = after.names().into_iter();
        names.map(|name| (name.clone(), after.read(&name).unwrap())).collect()
    };
    disk.outcomes(0, 0).map(files).collect()
}

#[test]
fn a_settled_disk_has_one_state() {
    let disk = disk(Unwritten::Any);
    assert_eq!(disk.crash_states(), Some(1));
    durable(&*disk.storage(), "a", b"x");
    assert_eq!(disk.crash_states(), Some(1));
    assert_eq!(states(&disk).len(), 1);
}

#[test]
fn an_overwrite_counts_its_sectors() {
    let disk = disk(Unwritten::Any);
    let file = durable(&*disk.storage(), "a", &[1; 2_048]);
    file.write_at(0, &[2; 1_025]).unwrap();
    assert_eq!(disk.crash_states(), Some(8));
    assert_eq!(states(&disk).len(), 8);
}

#[test]
fn an_append_counts_lengths_and_what_is_not_written() {
    let zeros = disk(Unwritten::Zeros);
    let file = durable(&*zeros.storage(), "a", &[1; 512]);
    file.write_at(512, &[2; 600]).unwrap();
    // Lengths 512, 1024 and 1112; two sectors.
    assert_eq!(zeros.crash_states(), Some(3 * 4));
    // Shorter lengths hide the sectors behind them: 1 + 2 + 4.
    assert_eq!(states(&zeros).len(), 7);

    let any = disk(Unwritten::Any);
    let file = durable(&*any.storage(), "a", &[1; 512]);
    file.write_at(512, &[2; 600]).unwrap();
    assert_eq!(any.crash_states(), Some(2 * 3 * 4));
}

#[test]
fn names_count_each_or_in_order() {
    for (names, want) in [(NameOrder::Any, 8), (NameOrder::Journal, 4)] {
        let disk = SimDisk::with_options(1, DiskOptions { names, ..Default::default() });
        let storage = disk.storage();
        for name in ["a", "b", "c"] {
            storage.create(name).unwrap();
        }
        assert_eq!(disk.crash_states(), Some(want));
        assert_eq!(states(&disk).len() as u64, want);
    }
}

#[test]
fn a_rename_of_a_new_file_has_three_outcomes() {
    let disk = disk(Unwritten::Zeros);
    let storage = disk.storage();
    let file = storage.create("a.tmp").unwrap();
    file.write_at(0, b"x").unwrap();
    file.sync().unwrap();
    storage.rename("a.tmp", "a").unwrap();
    assert_eq!(disk.crash_states(), Some(4));
    let names: BTreeSet<String> = disk.outcomes(0, 0).map(|after| after.names().concat()).collect();
    assert_eq!(names, ["", "a", "a.tmp"].map(str::to_owned).into());
}

#[test]
fn files_that_no_name_can_reach_do_not_count() {
    let disk = disk(Unwritten::Any);
    let storage = disk.storage();
    let file = durable(&*storage, "a", b"x");
    storage.remove("a").unwrap();
    storage.sync_names().unwrap();
    file.write_at(0, &[1; 5_000]).unwrap();
    assert_eq!(disk.crash_states(), Some(1));
}

#[test]
fn too_many_states_are_sampled() {
    let disk = disk(Unwritten::Zeros);
    let file = durable(&*disk.storage(), "a", &[0; 13 * 512]);
    file.write_at(0, &[1; 12 * 512]).unwrap();
    assert_eq!(disk.crash_states(), Some(CRASH_STATES_MAX));
    assert_eq!(states(&disk).len() as u64, CRASH_STATES_MAX);
    file.write_at(12 * 512, &[1]).unwrap();
    assert_eq!(disk.crash_states(), None);
    assert_eq!(disk.outcomes(17, 5).count(), 17);
}

#[test]
fn every_sample_without_garbage_or_odd_lengths_is_among_the_enumerated() {
    let disk = disk(Unwritten::Zeros);
    let storage = disk.storage();
    let file = durable(&*storage, "a", &[1; 2_048]);
    file.write_at(300, &[2; 1_000]).unwrap();
    file.punch(512..1_024).unwrap();
    storage.rename("a", "b").unwrap();
    storage.create("c").unwrap();
    let all = states(&disk);
    for seed in 0..300 {
        let after = disk.snapshot();
        after.crash(seed);
        let files = after.names().into_iter().map(|name| (name.clone(), after.read(&name).unwrap()));
        assert!(all.contains(&files.collect::<Vec<_>>()), "seed {seed}");
    }
}
